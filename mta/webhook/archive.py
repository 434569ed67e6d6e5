"""The outboxes of all shards, for whoever looks at deliveries and has them delivered again.

Synchronous; to be called in a thread.  Another worker sees what was changed in its outbox with its next
look.
"""

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path

from mta.interfaces import TemporarilyUnavailable
from mta.webhook import outbox
from mta.webhook.content import shard_of
from mta.webhook.outbox import Attempt, Delivery, New


class Archive:
    """See the module.

    :param spool: the directory of all shards.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool

    def page(
        self, endpoint: str, before: tuple[float, str] | None, limit: int, state: int | None = None
    ) -> list[Delivery]:
        """Deliveries to an endpoint, the newest first."""
        runs = []
        for path in self._paths():
            with _opened(path) as base:
                runs.append(outbox.page(base, endpoint, before, limit, state))
        merged = heapq.merge(*runs, key=lambda one: (one.created, one.id), reverse=True)
        return list(islice(merged, limit))

    def find(self, endpoint: str, identity: str) -> tuple[Delivery, list[Attempt]] | None:
        """One delivery with its attempts."""
        path = self._path(identity)
        if path is None:
            return None
        with _opened(path) as base:
            return outbox.find(base, endpoint, identity)

    def again(self, endpoint: str, identity: str, now: float) -> bool:
        """Have one delivered once more; whether there is one."""
        path = self._path(identity)
        if path is None:
            return False
        with _opened(path) as base, base:
            return outbox.again(base, endpoint, identity, now)

    def recover(self, endpoint: str, since: float, until: float, states: Sequence[int], now: float) -> int:
        """Have those of a time delivered once more; how many."""
        count = 0
        for path in self._paths():
            with _opened(path) as base, base:
                count += outbox.recover(base, endpoint, since, until, states, now)
        return count

    def put(self, shard: int, new: New, now: float) -> None:
        """Have something delivered that is in no journal."""
        with _opened(self._spool / str(shard) / outbox.DATABASE) as base, base:
            outbox.insert(base, new, now)

    def _paths(self) -> list[Path]:
        return sorted(self._spool.glob(f"*/{outbox.DATABASE}"))

    def _path(self, identity: str) -> Path | None:
        shard = shard_of(identity)
        path = self._spool / str(shard) / outbox.DATABASE
        return path if shard is not None and path.exists() else None


@contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=10.0)) as base:
            base.execute("PRAGMA synchronous = FULL")
            yield base
    except sqlite3.Error as error:
        raise TemporarilyUnavailable(f"{path} cannot be used: {error}") from error
