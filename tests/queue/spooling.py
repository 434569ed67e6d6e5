"""Messages, and databases and disks that fail when told to, for tests of the spool."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from mta.interfaces import Result
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Completed, DeferredTo, DeliveredTo, Event, Received
from mta.model.message import Addressee, Content, InlineContent, Message
from mta.queue.schema import DATABASE, open_writer
from mta.queue.spool import Spool

NOW = 1.8e9


def message(
    identifier: str,
    *addresses: str,
    sender: str = "ann@client.test",
    data: bytes = b"Subject: x\r\n\r\nhello\r\n",
    content: Content | None = None,
    due: float = NOW,
    state: str = "queued",
) -> Message:
    """A message for these addresses, all due."""
    names = addresses or ("bob@local.test",)
    return Message(
        id=identifier,
        envelope=Envelope(
            sender,
            [Recipient(name, frozenset({"FAILURE", "DELAY"}), "rfc822;" + name) for name in names],
            body="8BITMIME",
            smtputf8=True,
            size=100,
            ret="HDRS",
            envid="e1",
            auth="<>",
        ),
        client=Client("s1", "mx", "192.0.2.1", 1234, "192.0.2.2", "client.test", "ESMTPS", "TLSv1.3", "X"),
        trace=b"Received: here\r\n",
        content=content or InlineContent(data),
        addressees=[
            Addressee(
                number,
                name,
                name,
                "maildir",
                "/mail/" + name,
                options={"quota": 5, "detail": "ü"},
                notify=frozenset({"FAILURE"}),
                orcpt="rfc822;" + name,
                due=due,
                state=state,
            )
            for number, name in enumerate(names)
        ],
        created=NOW,
        expires=NOW + 86400,
        attributes={"tag": ["a", 1]},
    )


def received(of: Message) -> Received:
    """The event of its acceptance."""
    names = [recipient.address for recipient in of.envelope.recipients]
    return Received(at=NOW, message=of.id, session="s1", sender=of.envelope.reverse_path, recipients=names)


def delivered(of: Message, number: int = 0, complete: bool = True) -> Result:
    """What is recorded when an addressee has it."""
    addressee = of.addressees[number]
    addressee.state = "delivered"
    addressee.attempts += 1
    events: list[Event] = [DeliveredTo(at=NOW + 1, message=of.id, recipient=addressee.address)]
    if complete:
        events.append(Completed(at=NOW + 1, message=of.id))
    return Result(of.id, [addressee], complete, events)


def deferred(of: Message, due: float, number: int = 0) -> Result:
    """What is recorded when an addressee must wait."""
    addressee = of.addressees[number]
    addressee.attempts += 1
    addressee.due = due
    addressee.last_reply = "451 later"
    event = DeferredTo(at=NOW + 1, message=of.id, recipient=addressee.address, next_attempt=due)
    return Result(of.id, [addressee], False, [event])


class Sink:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.batches: list[list[Event]] = []

    def events(self, batch: Sequence[Event]) -> None:
        """Take a batch."""
        self.batches.append(list(batch))

    @property
    def all(self) -> list[Event]:
        """Every event, in order."""
        return [event for batch in self.batches for event in batch]

    @property
    def kinds(self) -> list[str]:
        """Their kinds."""
        return [event.kind for event in self.all]


class Faults:
    """What is to go wrong in the database; give ``connect`` to the spool.

    :ivar fail: by the first word of a statement: the error that it raises.
    :ivar commit_takes_effect: whether a failing COMMIT took effect nevertheless.
    :ivar heals: whether opening it again ends every fault.
    :ivar opening: the error of opening it.
    :ivar opened: how often it was opened.
    """

    def __init__(self) -> None:
        self.fail: dict[str, Exception] = {}
        self.commit_takes_effect = False
        self.heals = False
        self.opening: Exception | None = None
        self.opened = 0
        self.failed = 0

    def connect(self, path: Path) -> Any:
        """Open the database."""
        if self.opening is not None:
            raise self.opening
        self.opened += 1
        if self.heals:
            self.fail = {}
        return FaultyConnection(open_writer(path), self)


class FaultyConnection:
    """A connection that fails when told to."""

    def __init__(self, connection: sqlite3.Connection, faults: Faults) -> None:
        self._connection = connection
        self._faults = faults

    @property
    def in_transaction(self) -> bool:
        """As sqlite3."""
        return self._connection.in_transaction

    def execute(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """As sqlite3, or the error."""
        word = statement.split()[0]
        error = self._faults.fail.get(word)
        if error is not None:
            self._faults.failed += 1
            if word == "COMMIT" and self._faults.commit_takes_effect:
                self._connection.execute(statement)
            raise error
        return self._connection.execute(statement, values)

    def executescript(self, statements: str) -> None:
        """As sqlite3, or the error."""
        self._connection.executescript(statements)

    def close(self) -> None:
        """As sqlite3."""
        self._connection.close()


FULL = sqlite3.OperationalError("database or disk is full")
BROKEN = sqlite3.OperationalError("disk I/O error")


class SpoolCase(TestCase):
    """A test with spools in a directory of its own."""

    timeout = 120

    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).absolute() / "0"
        self.spools: list[Spool] = []

    async def tearDown(self) -> None:
        for spool in self.spools:
            await spool.stop()

    async def open(self, **options: Any) -> Spool:
        """A spool that runs until the end of the test."""
        spool = Spool(self.directory, reactor, **options)
        await spool.start()
        self.spools.append(spool)
        return spool

    def rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the database has, seen from outside."""
        connection = sqlite3.connect(self.directory / DATABASE)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()
