"""The numbers of one shard: kept up with the journals, made anew, and made coarser with time; in a thread.

Any process may do that at any time: see :mod:`mta.analytics.schema`.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from mta.analytics import coarsening
from mta.analytics.fold import Engagement, Span, fold
from mta.analytics.group import ONCE, Group
from mta.analytics.naming import Names
from mta.analytics.rollup import HOUR, Place, Rollup, Room
from mta.analytics.schema import DATABASE, NewerDatabase, open_numbers
from mta.interfaces import TemporarilyUnavailable
from mta.model.event_rows import key_of

#: Numbers of events in one transaction.
SPAN = 20_000
#: The journal of a shard.
JOURNAL = "queue.db"
_PRUNE_EVERY = 3600.0
_WRITE = (
    "INSERT INTO counts VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT DO UPDATE SET number = number + excluded.number"
)


@dataclass(frozen=True, slots=True)
class Keep:
    """For how long numbers are kept, in seconds.

    :ivar minutes: those by minute.
    :ivar hours: those by hour; then they become days.
    :ivar days: those by day.
    """

    minutes: float = 2 * 86400.0
    hours: float = 35 * 86400.0
    days: float = 730 * 86400.0


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What came of making numbers anew.

    :ivar events: that counted.
    :ivar kept: hours that stay as they were: the journal has forgotten some of their events.
    :ivar newest: the last of these, in seconds since 1970; 0: there are none.
    """

    events: int
    kept: int
    newest: float


class Numbers:
    """See the module.  Everything blocks.

    :param directory: of the shard.
    :param keep: for how long.
    :param seconds: gives the time since 1970.
    """

    def __init__(
        self, directory: Path, keep: Keep | None = None, seconds: Callable[[], float] = time.time
    ) -> None:
        self.directory = directory
        self.shard = int(directory.name)
        self.keep = keep or Keep()
        self._seconds = seconds
        self._base: sqlite3.Connection | None = None
        self._names = Names()
        self._rollups: dict[int, Rollup] = {}
        self._version = -1
        self._pruned = 0.0
        self._unsummed = False

    @property
    def path(self) -> Path:
        """The database."""
        return self.directory / DATABASE

    # --- keeping up ------------------------------------------------------------

    def catch_up(self, stop: Callable[[], bool] = lambda: False) -> int:
        """Read what is new in the journals; answers how many events counted.

        :param stop: asked between two transactions.
        :raise TemporarilyUnavailable: if it cannot be done; what was done is kept.
        """
        with self._opened() as base:
            own = self.directory / JOURNAL
            journals = [path for path in self.directory.parent.glob(f"*/{JOURNAL}") if path != own]
            # What comes back of a message is never before its acceptance: first it is seen how far the
            # others are, then our own is read.
            others = [(path, _last(path)) for path in sorted(journals) if path.parent.name.isdigit()]
            total = 0
            for path, limit in ((own, None), *others):
                if path.exists() and limit != 0:
                    total += self._read(base, path, limit, stop)
        if not total:
            # Nothing happens: there is no need to keep it open.
            self.close()
        return total

    def _read(self, base: sqlite3.Connection, path: Path, limit: int | None, stop: Callable[[], bool]) -> int:
        journal, total = int(path.parent.name), 0
        _attach(base, path)
        try:
            while not stop():
                with _changing(base):
                    self._refresh(base)
                    place = _place(base, journal)
                    span = self._span(base, journal, place, limit)
                    if span is None:
                        break
                    total += self._count(base, span)
                    base.execute("INSERT OR REPLACE INTO places VALUES (?, ?)", (journal, span.upto))
                    base.execute("DELETE FROM frozen WHERE journal = ? AND upto <= ?", (journal, span.upto))
        except BaseException:
            # What is remembered of an undone transaction is not so.
            self._forget()
            raise
        finally:
            base.execute("DETACH journal")
        return total

    def _span(self, base: sqlite3.Connection, journal: int, place: int, limit: int | None) -> Span | None:
        """What is to be read next; ``None``: there is nothing new."""
        try:
            (last,) = base.execute("SELECT events FROM journal.counters").fetchone()
        except sqlite3.OperationalError:
            return None  # It is being made.
        if place > last:
            # The journal was made anew, and begins at 1 again; what was counted before stays.
            base.execute("UPDATE spans SET first = -1 WHERE journal = ?", (journal,))
            base.execute("DELETE FROM frozen WHERE journal = ?", (journal,))
            place = 0
        last = last if limit is None else min(last, limit)
        if place >= last:
            return None
        (oldest,) = base.execute("SELECT min(id) FROM journal.events WHERE id > ?", (place,)).fetchone()
        upto = last if oldest is None else min(last, max(place, oldest - 1) + SPAN)
        return Span(journal, self.shard, place, upto, coarsening.begin(base) * 24)

    def _count(self, base: sqlite3.Connection, span: Span) -> int:
        """Count the events of a span; answers how many counted."""
        rollup = self._rollups.get(span.journal)
        if rollup is None:
            rollup = self._rollups[span.journal] = Rollup(partial(self._room, base, span.journal))
        hour = total = 0
        counted: list[tuple[int, dict[Place, dict[int, int]]]] = []
        for one in fold(base, span):
            group = one if isinstance(one, Group) else one.group
            hour = max(hour, group.minute // 60)
            total += group.count
            rollup.add(group)
            if isinstance(one, Group):
                continue
            for journal, place, count in self._once(base, span.journal, one):
                if journal == span.journal:
                    rollup.change(place, ONCE[group.kind], count)
                    continue
                # It had its place in the journal of another worker.
                there = Rollup(partial(self._room, base, journal))
                there.change(place, ONCE[group.kind], count)
                counted.append((journal, there.take()))
        counted.append((span.journal, rollup.take()))
        self._write(base, counted)
        rollup.forget(hour - 1)
        return total

    def _once(
        self, base: sqlite3.Connection, journal: int, one: Engagement
    ) -> Iterator[tuple[int, Group, int]]:
        """Where a recipient who opened, or clicked, counts now, and where no more.

        It counts where it was first, by the time of the event, in whatever order journals are read.
        """
        group = one.group
        key = (one.message, one.recipient, key_of(group.kind))
        row = base.execute(
            "SELECT at, journal, event FROM engaged WHERE message = ? AND recipient = ? AND kind = ?", key
        ).fetchone()
        first = (one.at, journal, group.first)
        if row is not None and tuple(row) <= first:
            return
        if row is not None:
            at, before, event = row
            yield before, _at(group, int(at // 60), event), -1
        base.execute("INSERT OR REPLACE INTO engaged VALUES (?, ?, ?, ?, ?, ?)", (*key, *first))
        yield journal, group, 1

    def _room(self, base: sqlite3.Connection, journal: int, room: Room) -> set[str]:
        hour, tenant, dimension = room
        number = self._names.known(base, tenant)
        if number is None:
            return set()
        rows = base.execute(
            "SELECT DISTINCT n.name FROM counts c JOIN names n ON n.id = c.value WHERE c.tenant = ?"
            " AND c.dimension = ? AND c.width = ? AND c.bucket = ? AND c.journal = ? AND c.value <> 1",
            (number, dimension, HOUR, hour, journal),
        )
        return {name for (name,) in rows}

    def _write(
        self, base: sqlite3.Connection, counted: Iterable[tuple[int, dict[Place, dict[int, int]]]]
    ) -> None:
        number = self._names.number
        rows, tenants, days = [], set(), set()
        for journal, places in counted:
            for (width, bucket, tenant, dimension, value), numbers in places.items():
                owner, named = number(base, tenant), number(base, value)
                tenants.add(owner)
                if width == HOUR:
                    days.add(bucket // 24)
                rows += [
                    (owner, dimension, width, bucket, journal, named, measure, count)
                    for measure, count in numbers.items()
                    if count
                ]
        base.executemany("INSERT OR IGNORE INTO tenants VALUES (?)", [(one,) for one in tenants])
        # A day that has changed is summed up again.
        base.executemany("DELETE FROM summed WHERE day = ?", [(day,) for day in days])
        # In the order of the table, pages are touched once.
        rows.sort()
        base.executemany(_WRITE, rows)

    # --- in time ---------------------------------------------------------------

    def prune(self) -> bool:
        """Drop what is too old, and make hours into days; answers whether there may be more.

        :raise TemporarilyUnavailable: if it cannot be done.
        """
        now = self._seconds()
        if now - self._pruned < _PRUNE_EVERY:
            if self._unsummed:
                with self._opened() as base, _changing(base):
                    self._unsummed = coarsening.sum_up(base, now)
                if not self._unsummed:
                    self.close()
            return self._unsummed
        self._pruned, self._unsummed = now, True
        with self._opened() as base:
            with _changing(base):
                self._refresh(base)
                older = coarsening.advance(base, now - self.keep.hours)
                tenants = [row[0] for row in base.execute("SELECT id FROM tenants")]
            for tenant in tenants:
                with _changing(base):
                    coarsening.coarsen(base, tenant, now - self.keep.minutes, now - self.keep.days)
            oldest = [_oldest(path) for path in self.directory.parent.glob(f"*/{JOURNAL}")]
            with _changing(base):
                coarsening.forget(base, min(now, *oldest), older)
            base.executescript("PRAGMA incremental_vacuum(500)")
            self._forget()
        return True

    def rebuild(self) -> Rebuilt:
        """Make anew what the journals still tell of; what they have forgotten stays as it is.

        :raise TemporarilyUnavailable: if it cannot be done.
        """
        with self._opened() as base:
            with _changing(base):
                self._clear(base)
            (kept, newest) = base.execute("SELECT count(*), ifnull(max(hour) + 1, 0) FROM frozen").fetchone()
        events = self.catch_up()
        self._pruned = 0.0
        while self.prune():
            pass
        return Rebuilt(events, kept, newest * 3600.0)

    def _clear(self, base: sqlite3.Connection) -> None:
        """Take back everything that can be read once more."""
        begin = coarsening.begin(base) * 24
        for journal, place in base.execute("SELECT journal, event FROM places").fetchall():
            path = self.directory.parent / str(journal) / JOURNAL
            oldest = _first(path) if path.exists() else None
            if oldest is None:
                continue  # There is nothing to be read.
            first = min(oldest, place + 1)
            spans = base.execute("SELECT hour, first FROM spans WHERE journal = ?", (journal,)).fetchall()
            again = [hour for hour, event in spans if event >= first and hour >= begin]
            frozen = [hour for hour, event in spans if event < first and hour >= begin]
            base.executemany(
                "INSERT OR IGNORE INTO frozen VALUES (?, ?, ?)", [(journal, hour, place) for hour in frozen]
            )
            coarsening.clear(base, journal, again)
            base.executemany(
                "DELETE FROM spans WHERE journal = ? AND hour = ?", [(journal, hour) for hour in again]
            )
            base.execute("UPDATE places SET event = ? WHERE journal = ?", (first - 1, journal))
        self._forget()

    # --- the database ------------------------------------------------------------

    def close(self) -> None:
        """Close the database."""
        base, self._base = self._base, None
        self._forget()
        if base is not None:
            with suppress(sqlite3.Error):
                base.close()

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            if self._base is None:
                self._base = self._open()
            yield self._base
        except NewerDatabase as error:
            raise TemporarilyUnavailable(str(error)) from error
        except (sqlite3.Error, OSError) as error:
            self.close()
            raise TemporarilyUnavailable(f"{self.path} cannot be written: {error}") from error

    def _open(self) -> sqlite3.Connection:
        try:
            return open_numbers(self.path)
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
        # Damaged; what the journal still has is counted once more, and the rest is in what is put aside.
        for name in _files(self.path):
            with suppress(FileNotFoundError):
                name.rename(name.with_name(name.name + ".damaged"))
        return open_numbers(self.path)

    def _refresh(self, base: sqlite3.Connection) -> None:
        """Forget what is remembered of the database, if somebody else has written to it."""
        (version,) = base.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._forget()
            self._version = version

    def _forget(self) -> None:
        self._names = Names()
        self._rollups = {}
        self._version = -1


def _at(group: Group, minute: int, first: int) -> Group:
    """The same at another time."""
    return Group(first, minute, group.kind, 1, group.labels, group.domain, sort=group.sort, flag=group.flag)


def _files(path: Path) -> Iterable[Path]:
    return (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm"))


def _place(base: sqlite3.Connection, journal: int) -> int:
    row = base.execute("SELECT event FROM places WHERE journal = ?", (journal,)).fetchone()
    return int(row[0]) if row else 0


def _attach(base: sqlite3.Connection, path: Path) -> None:
    # Not ``ro``: the first reader after a crash must be able to make the shared-memory file.
    base.execute("ATTACH ? AS journal", (path.as_uri() + "?mode=rw",))


def _asked(path: Path, question: str) -> int | float | None:
    """What a journal answers; ``None``: nothing, or it is just being made."""
    journal = None
    try:
        journal = sqlite3.connect(path.as_uri() + "?mode=rw", uri=True, timeout=10.0)
        row = journal.execute(question).fetchone()
    except sqlite3.OperationalError:
        return None
    finally:
        if journal is not None:
            journal.close()
    found: int | float | None = row[0] if row else None
    return found


def _last(path: Path) -> int:
    """The newest event of a journal; 0: there is none."""
    return int(_asked(path, "SELECT events FROM counters") or 0)


def _first(path: Path) -> int | None:
    """The oldest event that a journal has; one behind the last if it has none."""
    found = _asked(path, "SELECT ifnull((SELECT min(id) FROM events), (SELECT events + 1 FROM counters))")
    return None if found is None else int(found)


def _oldest(path: Path) -> float:
    """When the oldest event of a journal was."""
    found = _asked(path, "SELECT at FROM events ORDER BY id LIMIT 1")
    return float("inf") if found is None else float(found)


@contextmanager
def _changing(base: sqlite3.Connection) -> Iterator[None]:
    """A transaction: committed, or rolled back."""
    base.execute("BEGIN IMMEDIATE")
    try:
        yield
        base.execute("COMMIT")
    except BaseException:
        if base.in_transaction:
            base.execute("ROLLBACK")
        raise
