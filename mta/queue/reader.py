"""A look at one shard's queue from outside: for commands and the control API.

Synchronous and read-only; works beside a running server and on a stopped one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mta.interfaces import TemporarilyUnavailable
from mta.model.ids import decode_id
from mta.model.message import Content, Message
from mta.queue.claims import read_totals
from mta.queue.rows import ADDRESSEE_COLUMNS, STATES, addressee_of, message_of
from mta.queue.schema import DATABASE, SchemaError, open_reader
from mta.queue.shard import CONTENT

#: Messages looked at by one statement; between two, a writer may clear its log.
_PAGE = 500

# Without the content: a list does not read it.
_LISTED = "m.id, m.created, m.expires, m.size, m.sender, m.file, m.facts, m.trace, NULL"


_WAYS = "SELECT DISTINCT transport, next_hop FROM addressees ORDER BY transport, next_hop"


_RELEASE = "coalesce(CASE WHEN json_valid(m.facts) THEN json_extract(m.facts, '$[8].release') END, 0)"
#: Ids grow with time, so that the first are the oldest; several, because some may have been for later.
_OLDEST = (
    f"SELECT min(since) FROM (SELECT max(m.created, {_RELEASE}) AS since FROM messages m"  # noqa: S608
    f" WHERE {_RELEASE} <= ? AND EXISTS (SELECT 1 FROM addressees a WHERE a.message = m.id AND a.state = 0)"
    " ORDER BY m.id LIMIT 100)"
)


_WAITING = (
    "SELECT transport, next_hop, count(DISTINCT message), sum(state = 0), sum(state = 1),"
    " min(CASE WHEN state = 0 THEN due END), max(attempts), min(message)"
    " FROM (SELECT transport, next_hop, message, state, due, attempts FROM addressees LIMIT ?)"
    " GROUP BY transport, next_hop ORDER BY 3 DESC"
)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one transport and next hop.

    :ivar recipients: who are queued, without those that are held.
    :ivar due: when the first of them is due; ``None``: they are all held.
    :ivar oldest: the number of the oldest message.
    """

    transport: str
    next_hop: str
    messages: int
    recipients: int
    held: int
    due: float | None
    attempts: int
    oldest: int


@dataclass(frozen=True, slots=True)
class RowContent:
    """Content in a row of the database, read when it is asked for.

    :ivar database: path.
    :ivar number: the message.
    :ivar size: octets.
    """

    database: Path
    number: int
    size: int

    def read(self) -> bytes:
        """The octets.

        :raise TemporarilyUnavailable: if the message left the queue, or the database cannot be read.
        """
        try:
            connection = open_reader(self.database)
            try:
                row = connection.execute("SELECT data FROM messages WHERE id = ?", (self.number,)).fetchone()
            finally:
                connection.close()
        except (sqlite3.Error, SchemaError) as error:
            raise TemporarilyUnavailable(f"{self.database} cannot be read: {error}") from error
        if row is None or row[0] is None:
            raise TemporarilyUnavailable("the message is not in the queue any more")
        return bytes(row[0])

    def blocks(self) -> Iterator[bytes]:
        """The octets, as one block."""
        yield self.read()


class QueueReader:
    """Reads the queue of one shard; a context manager that closes it at the end.

    :param directory: of the shard.
    """

    def __init__(self, directory: Path) -> None:
        self._database = directory / DATABASE
        self._content = directory / CONTENT
        self._connection: sqlite3.Connection | None = None

    def __enter__(self) -> QueueReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def page(
        self,
        after: str = "",
        limit: int = 100,
        *,
        sender: str = "",
        recipient: str = "",
        state: str = "",
        domain: str = "",
        way: tuple[str, str] | None = None,
    ) -> list[Message]:
        """Queued messages in the order of their ids, with all their waiting addressees.

        Words are compared without regard to case; a filter of ``""`` lets everything through.

        :param after: the id behind which to begin: the last one of the page before.
        :param limit: messages at the most.
        :param sender: reverse-path; ``<>`` for the null reverse-path.
        :param recipient: final address of an addressee, or what the client gave.
        :param state: ``queued`` or ``held``: what an addressee must be.
        :param domain: the domain of an addressee's final address.
        :param way: transport and next hop of an addressee.
        :raise ValueError: if ``after`` is no queue id, or there is no such state.
        :raise TemporarilyUnavailable: if the database cannot be read.
        """
        where, values = _conditions(sender, recipient, state, domain, way)
        place = decode_id(after) if after else -1
        statement = f"SELECT {_LISTED} FROM messages m WHERE m.id > ?{where} ORDER BY m.id LIMIT ?"  # noqa: S608
        found: list[Message] = []
        while len(found) < limit:
            wanted = min(_PAGE, limit - len(found))
            rows = self._rows(statement, (place, *values, wanted))
            for row in rows:
                place = row[0]
                message = self._message(row)
                if message is not None:
                    found.append(message)
            if len(rows) < wanted:
                break
        return found

    def get(self, identifier: str) -> Message | None:
        """One queued message, with all its waiting addressees; ``None`` if it is not in the queue.

        :raise ValueError: if it is no queue id.
        :raise TemporarilyUnavailable: if the database cannot be read.
        """
        rows = self._rows(f"SELECT {_LISTED} FROM messages m WHERE m.id = ?", (decode_id(identifier),))  # noqa: S608
        return self._message(rows[0]) if rows else None

    def ways(self) -> list[tuple[str, str]]:
        """Transports and next hops of everybody who waits, each once.

        :raise TemporarilyUnavailable: if the database cannot be read.
        """
        return [(str(name), str(hop)) for name, hop in self._rows(_WAYS, ())]

    def waiting(self, most: int) -> list[Waiting]:
        """What waits for each transport and next hop, the most first.

        :param most: recipients that are looked at.
        :raise TemporarilyUnavailable: if the database cannot be read.
        """
        return [Waiting(str(row[0]), str(row[1]), *row[2:]) for row in self._rows(_WAITING, (most,))]

    def count(self) -> dict[str, int]:
        """``messages``, ``addressees``, ``held``, ``octets`` in the queue.

        :raise TemporarilyUnavailable: if the database cannot be read.
        """
        try:
            return read_totals(self._opened())
        except (sqlite3.Error, SchemaError) as error:
            raise self._trouble(error) from error

    def oldest(self, now: float) -> float:
        """Since when the message waits that has waited longest; 0: none does.

        Those that are held, or whose time has not come, do not wait.

        :raise TemporarilyUnavailable: if the database cannot be read.
        """
        found = self._rows(_OLDEST, (now,))
        return float(found[0][0] or 0.0)

    def _message(self, row: tuple[Any, ...]) -> Message | None:
        """The message of a row; ``None`` if this program cannot read it."""
        number, size, file, trace = row[0], row[3], row[5], row[7]
        addressees = self._rows(
            f"SELECT {ADDRESSEE_COLUMNS} FROM addressees WHERE message = ? ORDER BY number",  # noqa: S608
            (number,),
        )
        try:
            message = message_of(row, [addressee_of(item) for item in addressees], self._content)
        except (ValueError, TypeError, KeyError):
            return None
        if file is None:
            content: Content = RowContent(self._database, number, size - len(trace))
            message.content = content
        return message

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        try:
            return self._opened().execute(statement, values).fetchall()
        except (sqlite3.Error, SchemaError) as error:
            raise self._trouble(error) from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = open_reader(self._database)
        return self._connection

    def _trouble(self, error: Exception) -> TemporarilyUnavailable:
        if not self._database.exists():
            return TemporarilyUnavailable(f"there is no queue at {self._database}")
        remedy = "starting the server tells what to do"
        if isinstance(error, sqlite3.OperationalError):
            remedy = "be root, or the user of the server; where the file system is read-only, nobody can"
        return TemporarilyUnavailable(f"{self._database} cannot be read: {error}; {remedy}")


def _conditions(
    sender: str, recipient: str, state: str, domain: str, way: tuple[str, str] | None
) -> tuple[str, list[Any]]:
    """The filters as SQL, and their values."""
    text = ""
    values: list[Any] = []
    if sender:
        text += " AND lower(m.sender) = ?"
        values.append("" if sender == "<>" else sender.lower())
    some: list[str] = []
    if recipient:
        # What the client gave is the first entry of an addressee's facts.
        some.append("(lower(a.address) = ? OR lower(json_extract(a.facts, '$[0]')) = ?)")
        values += [recipient.lower()] * 2
    if domain:
        some.append("lower(a.address) LIKE ? ESCAPE '\\'")
        plain = domain.lower().replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        values.append("%@" + plain)
    if way is not None:
        some.append("a.transport = ? AND a.next_hop = ?")
        values += way
    if state:
        if state not in STATES:
            raise ValueError(f"{state!r} is not a state of an addressee in the queue: {', '.join(STATES)}")
        some.append("a.state = ?")
        values.append(STATES[state])
    if some:
        text += f" AND EXISTS (SELECT 1 FROM addressees a WHERE a.message = m.id AND {' AND '.join(some)})"  # noqa: S608
    return text, values
