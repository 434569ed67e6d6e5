"""A batch of work as statements: few, long ones.

Each step of a statement gives up the interpreter's lock and must get it back
from a busy reactor thread; so a batch is not a step for each row, but one
INSERT with many rows, one DELETE with many ids.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from mta.model.event_rows import BUCKET_BITS
from mta.queue.rows import ADDRESSEE_COLUMNS, MESSAGE_COLUMNS
from mta.queue.work import Work

#: Rows in one statement; each size is prepared once and stays in the connection's cache.
_SIZES = (64, 16, 8, 4, 2, 1)
_COUNTERS = "serial, messages, addressees, octets, events, indexed"


@dataclass(slots=True)
class Totals:
    """The row of ``counters``.

    :ivar serial: the number of the last transaction.
    :ivar messages: messages in the queue.
    :ivar addressees: addressees in the queue, held ones too.
    :ivar octets: what the messages weigh.
    :ivar events: the number of the last event.
    :ivar indexed: the number of the last event whose keys are written.
    """

    serial: int = 0
    messages: int = 0
    addressees: int = 0
    octets: int = 0
    events: int = 0
    indexed: int = 0

    def copy(self) -> Totals:
        """Another one, with the same numbers."""
        return replace(self)


def read_totals(connection: sqlite3.Connection) -> Totals:
    """The totals as they are on disk.

    :raise sqlite3.Error: if they cannot be read.
    """
    row = connection.execute(f"SELECT {_COUNTERS} FROM counters WHERE one = 1").fetchone()  # noqa: S608
    if row is None:
        raise sqlite3.DatabaseError("the table of counters is empty")
    return Totals(*row)


#: Each gives the largest queue id that a table knows, without going through it.
LARGEST_IDS = (
    "SELECT max(id) FROM messages",
    "SELECT max(message) FROM addressees",
    "SELECT message FROM events WHERE message IS NOT NULL ORDER BY message DESC LIMIT 1",
)


def largest_id(connection: sqlite3.Connection) -> int:
    """The largest queue id in the database, as a number; 0 if there is none."""
    found = [connection.execute(statement).fetchone() for statement in LARGEST_IDS]
    return max([row[0] for row in found if row is not None and row[0] is not None], default=0)


def write_totals(connection: sqlite3.Connection, totals: Totals) -> None:
    """Write the totals, inside a transaction."""
    connection.execute(
        "UPDATE counters SET serial = ?, messages = ?, addressees = ?, octets = ?, events = ?, indexed = ?"
        " WHERE one = 1",
        (
            totals.serial,
            totals.messages,
            totals.addressees,
            totals.octets,
            totals.events,
            totals.indexed,
        ),
    )


class Statement:
    """A statement that takes many rows at once.

    :param head: what stands before the rows.
    :param columns: values in a row.
    :param tail: what stands behind the rows.
    """

    __slots__ = ("_texts",)

    def __init__(self, head: str, columns: int, tail: str = "") -> None:
        row = f"({','.join('?' * columns)})" if columns > 1 else "?"
        self._texts = [(size, f"{head}{','.join([row] * size)}{tail}") for size in _SIZES]

    def run(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> int:
        """Execute with all rows; answers how many rows of the table were affected."""
        return sum([cursor.rowcount for cursor in self.each(connection, rows)])

    def each(self, connection: sqlite3.Connection, rows: Sequence[Sequence[Any]]) -> Iterator[sqlite3.Cursor]:
        """Execute with all rows, some at a time."""
        start = 0
        left = len(rows)
        for size, text in self._texts:
            while left >= size:
                part = rows if size == left and not start else rows[start : start + size]
                yield connection.execute(text, tuple(chain.from_iterable(part)))
                start += size
                left -= size


def _columns(names: str) -> int:
    return names.count(",") + 1


# OR ROLLBACK: a conflict ends the transaction anyway, and SQLite need not
# remember every page as it was before the statement.
_INSERT_MESSAGES = Statement(
    f"INSERT OR ROLLBACK INTO messages ({MESSAGE_COLUMNS}) VALUES ",  # noqa: S608
    _columns(MESSAGE_COLUMNS),
)
_INSERT_ADDRESSEES = Statement(
    f"INSERT OR ROLLBACK INTO addressees ({ADDRESSEE_COLUMNS}) VALUES ",  # noqa: S608
    _columns(ADDRESSEE_COLUMNS),
)
_INSERT_EVENTS = Statement(
    "INSERT OR ROLLBACK INTO events (id, at, kind, message, session, payload) VALUES ", 6
)
_INSERT_KEYS = Statement("INSERT OR IGNORE INTO event_keys (bucket, key, event) VALUES ", 3)
_UPDATE_ADDRESSEES = Statement(
    "WITH new (" + ADDRESSEE_COLUMNS + ") AS (VALUES ",
    _columns(ADDRESSEE_COLUMNS),
    ") UPDATE addressees SET state = new.state, due = new.due, attempts = new.attempts, warned = new.warned,"
    " address = new.address, transport = new.transport, next_hop = new.next_hop, facts = new.facts,"
    " last_reply = new.last_reply"
    " FROM new WHERE addressees.message = new.message AND addressees.number = new.number",
)
# Sizes stand before the content: no overflowing page is read for this.
_WEIGH_MESSAGES = Statement(
    "SELECT count(*), ifnull(sum(size), 0), group_concat(file, '/') FROM messages WHERE id IN (", 1, ")"
)
# With the VALUES alone behind IN, SQLite would go through the whole table.
_DELETE_ADDRESSEES = Statement(
    "DELETE FROM addressees WHERE (message, number) IN (SELECT * FROM (VALUES ", 2, "))"
)
_DELETE_ALL_ADDRESSEES = Statement("DELETE FROM addressees WHERE message IN (", 1, ")")
_DELETE_MESSAGES = Statement("DELETE FROM messages WHERE id IN (", 1, ")")
_DELETE_EVENTS = Statement("DELETE FROM events WHERE message IN (", 1, ")")


def apply(connection: sqlite3.Connection, works: Iterable[Work], totals: Totals) -> list[str]:
    """Do all of it, inside a transaction that the caller began and will commit.

    :param totals: changed in place.
    :return: content files that nobody needs after the commit.
    :raise sqlite3.Error: the transaction must be rolled back, if it is not yet.
    """
    messages: list[tuple[Any, ...]] = []
    addressees: list[tuple[Any, ...]] = []
    events: list[tuple[Any, ...]] = []
    changed: dict[tuple[int, int], tuple[Any, ...] | None] = {}
    complete: dict[int, tuple[int]] = {}
    retimed: list[tuple[float, str, int]] = []
    number = totals.events
    for work in works:
        messages += work.messages
        addressees += work.addressees
        if work.changed:
            # What came last about an addressee is what counts.
            changed.update(work.changed)
        if work.retimed is not None:
            retimed.append(work.retimed)
        if work.complete is not None:
            complete[work.complete] = (work.complete,)
        for row in work.rows:
            number += 1
            events.append((number, *row))
    if messages:
        _INSERT_MESSAGES.run(connection, messages)
        totals.messages += len(messages)
        # The size of what is sent, as it stands in the row.
        totals.octets += sum([row[3] for row in messages])
    if addressees:
        _INSERT_ADDRESSEES.run(connection, addressees)
        totals.addressees += len(addressees)
    if retimed:
        # An operator's doing, and rare.
        connection.executemany("UPDATE messages SET expires = ?, facts = ? WHERE id = ?", retimed)
    if changed:
        kept = [row for row in changed.values() if row is not None]
        ended = [key for key, row in changed.items() if row is None]
        _UPDATE_ADDRESSEES.run(connection, kept)
        totals.addressees -= _DELETE_ADDRESSEES.run(connection, ended)
    files = _delete_messages(connection, list(complete.values()), totals) if complete else []
    if events:
        _INSERT_EVENTS.run(connection, events)
        totals.events = number
    write_totals(connection, totals)
    return files


def forget(connection: sqlite3.Connection, ids: Iterable[int], totals: Totals) -> list[str]:
    """Take messages out again that were never to be in, with their events.

    :return: the content files that nobody needs now.
    """
    rows = [(number,) for number in ids]
    files = _delete_messages(connection, rows, totals)
    _DELETE_EVENTS.run(connection, rows)
    write_totals(connection, totals)
    return files


def _delete_messages(connection: sqlite3.Connection, ids: list[tuple[int]], totals: Totals) -> list[str]:
    files: list[str] = []
    for cursor in _WEIGH_MESSAGES.each(connection, ids):
        count, octets, names = cursor.fetchone()
        totals.messages -= count
        totals.octets -= octets
        if names:
            files += names.split("/")
    totals.addressees -= _DELETE_ALL_ADDRESSEES.run(connection, ids)
    _DELETE_MESSAGES.run(connection, ids)
    return files


def write_keys(connection: sqlite3.Connection, keys: list[tuple[int, int]]) -> None:
    """Write keys of events, inside a transaction.

    :param keys: as (key, event).
    """
    # In the order of the table, so that each page of it is touched once.
    _INSERT_KEYS.run(connection, [(event >> BUCKET_BITS, key, event) for key, event in sorted(keys)])
