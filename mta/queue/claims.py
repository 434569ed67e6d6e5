"""What the spool reads from the database: who is due, one message, totals.

Lives in a thread of its own with a connection of its own, which in WAL mode
neither waits for the writer nor holds it up.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from twisted.logger import Logger

from mta.interfaces import TemporarilyUnavailable
from mta.model.ids import decode_id, encode_id
from mta.model.message import FileContent, Message
from mta.model.rest import Way
from mta.queue.rows import ADDRESSEE_COLUMNS, MESSAGE_COLUMNS, addressee_of, message_of
from mta.queue.schema import SchemaError

T = TypeVar("T")

#: Addressees looked at together; a message may have many that are due.
_PAGE = 1000

_DUE_PAGE = """SELECT due, message, number FROM addressees
    WHERE state = 0 AND due >= ?2 AND due <= ?1 AND (due, message, number) > (?2, ?3, ?4)
    AND message NOT IN (SELECT value FROM json_each(?5)) ORDER BY due, message, number LIMIT ?6"""
_MESSAGE = f"SELECT {MESSAGE_COLUMNS} FROM messages WHERE id = ?"  # noqa: S608
_ADDRESSEES = f"SELECT {ADDRESSEE_COLUMNS} FROM addressees WHERE message = ?1 ORDER BY number"  # noqa: S608


def read_totals(connection: sqlite3.Connection) -> dict[str, int]:
    """``messages``, ``addressees``, ``held``, ``octets`` in the queue."""
    messages, addressees, octets = connection.execute(
        "SELECT messages, addressees, octets FROM counters WHERE one = 1"
    ).fetchone()
    (held,) = connection.execute("SELECT count(*) FROM addressees WHERE state = 1").fetchone()
    return {"messages": messages, "addressees": addressees, "held": held, "octets": octets}


class Claims:
    """Answers questions about the queue; every method blocks, and belongs to one thread.

    :param path: the database.
    :param content: directory of content files.
    :param connect: opens the database for reading.
    """

    log = Logger()

    def __init__(self, path: Path, content: Path, connect: Callable[[Path], sqlite3.Connection]) -> None:
        self._path = path
        self._content = content
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        #: Rows that this program cannot read: they stay where they are, and nobody tries them again.
        self._unreadable: set[int] = set()

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        try:
            if self._connection is None:
                self._connection = self._connect(self._path)
            return question(self._connection)
        except (sqlite3.Error, SchemaError) as error:
            self.close()
            raise TemporarilyUnavailable(f"{self._path} cannot be read: {error}") from error

    # --- questions -----------------------------------------------------------

    def count(self) -> dict[str, int]:
        """See :meth:`mta.interfaces.ISpool.count`."""
        return self._ask(read_totals)

    def next_due(self) -> float | None:
        """See :meth:`mta.interfaces.ISpool.next_due`."""

        def question(connection: sqlite3.Connection) -> float | None:
            row = connection.execute(
                "SELECT due FROM addressees WHERE state = 0"
                " AND message NOT IN (SELECT value FROM json_each(?)) ORDER BY due LIMIT 1",
                (json.dumps([*self._unreadable]),),
            ).fetchone()
            return None if row is None else float(row[0])

        return self._ask(question)

    def waiting_with(self, beginning: str) -> list[tuple[Way, str, float]]:
        """See :meth:`mta.interfaces.ISpool.waiting_with`."""

        def question(connection: sqlite3.Connection) -> list[tuple[Way, str, float]]:
            rows = connection.execute(
                "SELECT transport, next_hop, last_reply, max(due) FROM addressees"
                " WHERE state = 0 AND substr(last_reply, 1, length(?1)) = ?1 GROUP BY 1, 2, 3",
                (beginning,),
            )
            return [((transport, hop), words, float(due)) for transport, hop, words, due in rows]

        return self._ask(question)

    def get(self, identifier: str) -> Message | None:
        """See :meth:`mta.interfaces.ISpool.get`."""
        try:
            number = decode_id(identifier)
        except ValueError:
            return None
        return self._ask(lambda connection: self._load(connection, number))

    def claim(self, now: float, limit: int, octets: int, exclude: Collection[str]) -> list[Message]:
        """See :meth:`mta.interfaces.ISpool.claim`."""

        def question(connection: sqlite3.Connection) -> list[Message]:
            # One view of it all: a message that is gone meanwhile is there, with its addressees.
            connection.execute("BEGIN")
            try:
                return self._claim(connection, now, limit, octets, exclude)
            finally:
                connection.execute("COMMIT")

        return self._ask(question)

    def names_in_use(self, names: Iterable[str]) -> set[str]:
        """Those names of content files that a message needs."""

        def question(connection: sqlite3.Connection) -> set[str]:
            wanted = json.dumps([decode_id(name) for name in names])
            rows = connection.execute(
                "SELECT file FROM messages WHERE id IN (SELECT value FROM json_each(?)) AND file IS NOT NULL",
                (wanted,),
            )
            return {name for (name,) in rows.fetchall()}

        return self._ask(question)

    # --- loading -------------------------------------------------------------

    def _claim(
        self, connection: sqlite3.Connection, now: float, limit: int, octets: int, exclude: Collection[str]
    ) -> list[Message]:
        excluded = json.dumps([*(decode_id(identifier) for identifier in exclude), *self._unreadable])
        found: list[Message] = []
        seen: set[int] = set()
        place: tuple[float, int, int] = (-1e300, -1, -1)
        while len(found) < limit:
            rows = connection.execute(
                _DUE_PAGE, (now, *place, excluded, min(_PAGE, max(16, 2 * (limit - len(found)))))
            ).fetchall()
            for _, number, _ in rows:
                if number in seen:
                    continue
                seen.add(number)
                message = self._load(connection, number)
                if message is None:
                    self._unreadable.add(number)
                    continue
                # Content in files does not count: it is read in blocks when it is sent.
                weight = len(message.trace) + (message.content.size if _in_memory(message) else 0)
                if found and weight > octets:
                    return found
                octets -= weight
                found.append(message)
                if len(found) >= limit:
                    return found
            if not rows:
                break
            place = rows[-1]
        return found

    def _load(self, connection: sqlite3.Connection, number: int) -> Message | None:
        """A message with everybody who waits, held ones too: it is complete only without them."""
        row = connection.execute(_MESSAGE, (number,)).fetchone()
        if row is None:
            return None
        try:
            addressees = [
                addressee_of(item) for item in connection.execute(_ADDRESSEES, (number,)).fetchall()
            ]
            return message_of(row, addressees, self._content)
        except (ValueError, TypeError, KeyError) as error:
            self.log.error(
                "The queued message {id} cannot be read, and stays where it is: {error}",
                id=encode_id(number),
                error=str(error),
            )
            return None


def _in_memory(message: Message) -> bool:
    return not isinstance(message.content, FileContent)
