"""The index of one shard: kept up with the journals, in a thread.

Any process may do that at any time: the place in each journal changes in the transaction of the
rows that were made of it, so nothing is counted twice or left out, whoever dies when.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

from mta.interfaces import TemporarilyUnavailable
from mta.tracking.fold import fold, forget
from mta.tracking.schema import DATABASE, open_for_reading, open_index, remake

#: Numbers of events in one transaction.
SPAN = 5000
#: The journal of a shard.
JOURNAL = "queue.db"
_OF_TENANTS = """SELECT 1 FROM events WHERE id > (SELECT events FROM counters) - 5000
    AND kind = 'received' AND instr(payload, '"tenant":') LIMIT 1"""
#: Begins the ids of messages: ``mta.model.ids``.
_EPOCH = 1_704_067_200


class Index:
    """See the module.  Everything blocks.

    :param directory: of the shard.
    :param keep: seconds for which messages are kept.
    :param seconds: gives the time since 1970.
    """

    def __init__(self, directory: Path, keep: float, seconds: Callable[[], float] = time.time) -> None:
        self.directory = directory
        self.shard = int(directory.name)
        self.keep = keep
        self._seconds = seconds
        self._base: sqlite3.Connection | None = None

    @property
    def path(self) -> Path:
        """The database."""
        return self.directory / DATABASE

    def is_needed(self) -> bool:
        """Whether there are messages of tenants; nothing is made, or kept open, to find that out.

        Where there is no index yet, what came in last is looked at.
        """
        try:
            if self.path.exists() and _has(self.path, "SELECT 1 FROM messages LIMIT 1"):
                return True
            journal = self.directory / JOURNAL
            return journal.exists() and _has(journal, _OF_TENANTS)
        except sqlite3.OperationalError:
            # It is being made, or damaged: whoever opens it to write sees to that.
            return True

    def catch_up(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Read what is new in the journals; answers how many events counted.

        :param stop: asked between two transactions.
        :raise TemporarilyUnavailable: if it cannot be done; what was done is kept.
        """
        try:
            base = self._opened()
            own = self.directory / JOURNAL
            journals = sorted(self.directory.parent.glob(f"*/{JOURNAL}"))
            others = [(path, _last(base, path)) for path in journals if path != own]
            total = 0
            for path, limit in ((own, None), *others):
                if path.exists() and limit != 0:
                    total += self._read(base, path, limit, stop)
            return total
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise TemporarilyUnavailable(f"{self.path} cannot be written: {error}") from error

    def prune(self) -> bool:
        """Drop some of what is too old; answers whether there may be more.

        :raise TemporarilyUnavailable: if it cannot be done.
        """
        before = int((self._seconds() - self.keep - _EPOCH) * 1000) << 22
        if before <= 0:
            return False
        try:
            base = self._opened()
            with _Changing(base):
                gone = forget(base, before)
            if not gone:
                base.executescript("PRAGMA incremental_vacuum(200)")
            return gone > 0
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise TemporarilyUnavailable(f"{self.path} cannot be written: {error}") from error

    def rebuild(self) -> int:
        """Make everything anew; answers how many events counted.

        :raise TemporarilyUnavailable: if it cannot be done.
        """
        try:
            remake(self._opened())
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise TemporarilyUnavailable(f"{self.path} cannot be written: {error}") from error
        total = self.catch_up()
        while self.prune():
            pass
        return total

    def close(self) -> None:
        """Close the database."""
        base, self._base = self._base, None
        if base is not None:
            with suppress(sqlite3.Error):
                base.close()

    def _opened(self) -> sqlite3.Connection:
        if self._base is None:
            self._base = open_index(self.path)
        return self._base

    def _read(self, base: sqlite3.Connection, path: Path, limit: int | None, stop: Callable[[], bool]) -> int:
        name = path.parent.name
        total = 0
        _attach(base, path)
        try:
            while not stop():
                with _Changing(base):
                    row = base.execute("SELECT event FROM places WHERE journal = ?", (name,)).fetchone()
                    before = row[0] if row else 0
                    span = _span(base, before, limit)
                    if span is None:
                        break
                    total += fold(base, self.shard, *span)
                    base.execute("INSERT OR REPLACE INTO places VALUES (?, ?)", (name, span[1]))
        finally:
            base.execute("DETACH journal")
        return total


def _has(path: Path, question: str) -> bool:
    with closing(open_for_reading(path)) as base:
        return base.execute(question).fetchone() is not None


def _last(base: sqlite3.Connection, path: Path) -> int:
    """The newest event of a journal; 0: there is none."""
    try:
        _attach(base, path)
    except sqlite3.OperationalError:
        return 0
    try:
        row = base.execute("SELECT events FROM journal.counters").fetchone()
        return int(row[0]) if row else 0
    except sqlite3.OperationalError:
        return 0  # It is being made.
    finally:
        base.execute("DETACH journal")


def _attach(base: sqlite3.Connection, path: Path) -> None:
    # Not ``ro``: the first reader after a crash must be able to make the shared-memory file.
    base.execute("ATTACH ? AS journal", (path.as_uri() + "?mode=rw",))


def _span(base: sqlite3.Connection, before: int, limit: int | None) -> tuple[int, int] | None:
    """Behind which event to begin and with which to end; ``None``: there is nothing new."""
    try:
        (last,) = base.execute("SELECT events FROM journal.counters").fetchone()
    except sqlite3.OperationalError:
        return None  # It is being made.
    last = last if limit is None else min(last, limit)
    # A journal that was made anew begins at 1 again.
    after = before if before <= last or limit is not None else 0
    if after >= last:
        return None
    (oldest,) = base.execute("SELECT min(id) FROM journal.events WHERE id > ?", (after,)).fetchone()
    if oldest is None:
        return after, last
    return after, min(last, max(after, oldest - 1) + SPAN)


class _Changing:
    """A transaction: committed, or rolled back."""

    def __init__(self, base: sqlite3.Connection) -> None:
        self._base = base

    def __enter__(self) -> None:
        self._base.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self._base.execute("COMMIT")
        elif self._base.in_transaction:
            self._base.execute("ROLLBACK")
