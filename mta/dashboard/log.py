"""The journal as a page: everything that happens, the newest first, live."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mta.dashboard.line import line_of
from mta.dashboard.page import Answered, Html, Page, Query, misspelt
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.dashboard.workers import Workers
from mta.journal.reader import JournalReader, Record
from mta.model.event import event_kinds
from mta.tracking.position import places_of, position

_ROWS = 100


class Shown(Query):
    """Which events are shown, and before which."""

    kind: str = ""
    before: str = ""


class LogPages:
    """See the module.

    :param workers: all of them.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(self, workers: Workers, run_in_thread: Callable[..., Any]) -> None:
        self._workers = workers
        self._run = run_in_thread

    def pages(self) -> list[Page]:
        """What there is."""
        return [Page("GET", "/dashboard/log", self.log, Right.LOOK, "Log", query=Shown)]

    async def log(self, visit: Visit) -> Answered:
        """A page of it."""
        query: Shown = visit.query
        kinds = sorted(event_kinds())
        kind = query.kind if query.kind in kinds else ""
        try:
            places = places_of(query.before) if query.before else {}
        except ValueError as error:
            raise misspelt(str(error)) from None
        records, more = await self._run(self._read, places, (kind,) if kind else ())
        lines = [line for record in records if (line := line_of(record.event)) is not None]
        values = {
            "lines": lines,
            "kinds": kinds,
            "kind": kind,
            "before": query.before,
            "more": position(more) if more else "",
        }
        return Html("log.html", values)

    def _read(self, places: dict[int, int], kinds: tuple[str, ...]) -> tuple[list[Record], dict[int, int]]:
        """In a thread."""
        return JournalReader(self._workers.journals()).before(places, kinds, _ROWS)
