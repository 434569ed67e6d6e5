"""What the writer does between batches: keys of events, old events, free space.

Every step is a short transaction of its own, so that mail never waits long.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress

from mta.model.event_rows import BUCKET_BITS, event_keys, event_of
from mta.queue.transaction import Totals, write_keys, write_totals

#: Keys are written when so many events have none; readers go through these one by one.
UNINDEXED_EVENTS = 4096
#: Or when so many keys wait: writing them takes a few milliseconds.
UNWRITTEN_KEYS = 2048
#: Seconds without work after which the writer tidies up.
IDLE = 0.25
#: Seconds between two looks for events to be pruned while there is no idle moment.
PRUNE_EVERY = 30.0
_PRUNED_EVENTS = 500
#: How the size of the journal is guessed: so many events at so many places are weighed.
_PLACES = 16
_WEIGHED = 64
#: Octets of an event besides its words: its row, its entry in the index of messages, its keys.
_AROUND = 90
#: Pruned for its size, the journal is left with so much of it, and not with what is one event less.
_LEFT = 0.95
_PRUNED_KEYS = 2000
#: Free pages (4 KiB each) that are kept for the next burst.
_SPARE_PAGES = 4096
_VACUUMED_PAGES = 512


class Housekeeping:
    """The chores of one database; lives in the writer thread.

    :param keep: seconds for which events are kept.
    :param seconds: gives the time since 1970.
    :param most: octets that events take at the most, roughly; 0: any number.
    """

    def __init__(self, keep: float, seconds: Callable[[], float], most: int = 0) -> None:
        self._keep = keep
        self._most = most
        #: Events up to this number go because there are too many.
        self._too_many = 0
        self._next_weighing = 0.0
        self._seconds = seconds
        self._keys: list[tuple[int, int]] = []
        self._next_prune = 0.0

    def open(self, connection: sqlite3.Connection, totals: Totals) -> None:
        """Find the keys that were not written before a crash; a few thousand at the most."""
        self._keys = []
        rows = connection.execute(
            "SELECT id, at, kind, message, session, payload FROM events WHERE id > ?", (totals.indexed,)
        )
        for number, *row in rows.fetchall():
            event = event_of((row[0], row[1], row[2], row[3], row[4]))
            if event is not None:
                self.remember(number, event_keys(event))

    def remember(self, number: int, keys: tuple[int, ...]) -> None:
        """The event of this number is on disk, and its keys are to be written."""
        for key in keys:
            self._keys.append((key, number))

    def after_batch(self, connection: sqlite3.Connection, totals: Totals) -> None:
        """What must not wait for an idle moment."""
        if len(self._keys) >= UNWRITTEN_KEYS or totals.events - totals.indexed >= UNINDEXED_EVENTS:
            self.write_keys(connection, totals)
        # One step for each batch, until there is nothing left: as fast as events come.
        elif self._seconds() >= self._next_prune and not self._prune(connection):
            self._next_prune = self._seconds() + PRUNE_EVERY

    def when_idle(self, connection: sqlite3.Connection, totals: Totals) -> float:
        """One step.

        :return: seconds after which to be called again, if nothing else happens.
        """
        if totals.indexed < totals.events:
            self.write_keys(connection, totals)
            return IDLE
        if self._prune(connection) or self._give_back(connection):
            return 0.01
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return 60.0

    def write_keys(self, connection: sqlite3.Connection, totals: Totals) -> None:
        """Write the keys of all events so far."""
        indexed = totals.copy()
        indexed.indexed = totals.events
        with _transaction(connection):
            write_keys(connection, self._keys)
            write_totals(connection, indexed)
        self._keys = []
        totals.indexed = indexed.indexed

    def _prune(self, connection: sqlite3.Connection) -> bool:
        """Delete some events that are old enough, or too many; answers whether there may be more.

        The oldest go, those of messages that still wait too: these lose the beginning of
        their story, and nothing else.
        """
        now = self._seconds()
        if self._most and now >= self._next_weighing:
            self._next_weighing = now + PRUNE_EVERY
            self._too_many = too_many(connection, self._most)
        (last,) = connection.execute(
            "SELECT max(id) FROM (SELECT id, at FROM events ORDER BY id LIMIT ?) WHERE at < ? OR id <= ?",
            (_PRUNED_EVENTS, now - self._keep, self._too_many),
        ).fetchone()
        if last is None:
            return self._prune_keys(connection)
        with _transaction(connection):
            connection.execute("DELETE FROM events WHERE id <= ?", (last,))
        return True

    def _prune_keys(self, connection: sqlite3.Connection) -> bool:
        """Delete keys of buckets whose events are all gone."""
        (first,) = connection.execute("SELECT min(id) FROM events").fetchone()
        if first is None:
            return False
        (oldest,) = connection.execute("SELECT min(bucket) FROM event_keys").fetchone()
        if oldest is None or oldest >= first >> BUCKET_BITS:
            return False
        with _transaction(connection):
            connection.execute(
                "DELETE FROM event_keys WHERE bucket = ?1 AND key <= (SELECT max(key) FROM"
                " (SELECT key FROM event_keys WHERE bucket = ?1 ORDER BY key LIMIT ?2))",
                (oldest, _PRUNED_KEYS),
            )
        return True

    def _give_back(self, connection: sqlite3.Connection) -> bool:
        """Shrink the file a little, if much of it is free."""
        (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        if free <= max(_SPARE_PAGES, pages // 4):
            return False
        # Each page is a step, and execute() does one of a statement without columns.
        connection.executescript(f"PRAGMA incremental_vacuum({_VACUUMED_PAGES})")
        # A database made without auto_vacuum has free pages that cannot be given back.
        (left,) = connection.execute("PRAGMA freelist_count").fetchone()
        return bool(left < free)


def too_many(connection: sqlite3.Connection, most: int) -> int:
    """The number of the last event that has to go, so that the others take about ``most`` octets; 0: none.

    Some events here and there are weighed; to weigh all would be to read all.
    """
    first, last = connection.execute(
        "SELECT (SELECT min(id) FROM events), (SELECT max(id) FROM events)"
    ).fetchone()
    if first is None:
        return 0
    count = last - first + 1
    weighed = octets = 0
    for place in range(first, last + 1, max(1, count // _PLACES)):
        some, weight = connection.execute(
            "SELECT count(*), total(length(payload) + length(kind) + ifnull(length(session), 0)) FROM"
            " (SELECT payload, kind, session FROM events WHERE id >= ? ORDER BY id LIMIT ?)",
            (place, _WEIGHED),
        ).fetchone()
        weighed += some
        octets += weight
    each = octets / weighed + _AROUND
    if count * each <= most:
        return 0
    return int(last - most * _LEFT / each)


class _transaction:
    """Commit, or roll back and raise."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        if kind is None:
            self._connection.execute("COMMIT")
        else:
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
