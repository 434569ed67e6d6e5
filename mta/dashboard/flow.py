"""The overview: what is going on now, what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mta.dashboard.page import Answered, Html, Page
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit

#: What is in the queue of a shard: ``QueueReader.count``.
Counted = dict[str, int]


class OverviewPages:
    """See the module.

    :param count: counts what is in the queue of all workers; blocks.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(self, count: Callable[[], Counted], run_in_thread: Callable[..., Any]) -> None:
        self._count = count
        self._run = run_in_thread

    def pages(self) -> list[Page]:
        """What there is."""
        return [Page("GET", "/dashboard/", self.overview, Right.LOOK_OWN, "Overview")]

    async def overview(self, visit: Visit) -> Answered:
        """The page."""
        queue = {} if visit.confined else await self._run(self._count)
        return Html("overview.html", {"queue": queue})


def counted(directory: Path, count: Callable[[Path], Counted]) -> Counted:
    """What is in the queues of all workers together.

    :param directory: of all shards.
    :param count: of one.
    """
    total: Counted = {}
    for path in sorted(directory.glob("*/queue.db")):
        for name, number in count(path.parent).items():
            total[name] = total.get(name, 0) + number
    return total
