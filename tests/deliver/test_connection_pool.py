"""Who gets which connection, with connections of the test's own."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.deliver.connection_pool import ConnectionPool


class Session:
    """Free until a message is begun."""

    def __init__(self) -> None:
        self.busy = False
        self.over = False
        self.free = True


class Connection:
    """Takes one message at a time, and refuses a second one."""

    def __init__(self) -> None:
        self.session = Session()
        self.messages = 0
        self.source = ""
        self.owner: Any = None
        self.begun: list[Any] = []
        self.left = False

    def pump(self) -> None:
        transaction = self.owner.next(self)
        if transaction is not None:
            self.begin(transaction)

    def begin(self, transaction: Any) -> None:
        assert not self.session.busy, "two messages at once"
        self.session.busy, self.session.free = True, False
        self.messages += 1
        self.begun.append(transaction)

    def end(self) -> None:
        self.session.busy, self.session.free = False, True
        self.owner.ended(self, self.begun[-1])
        self.pump()

    def leave(self) -> Deferred[None]:
        self.left = True
        return succeed(None)


class Message:
    """A transaction."""

    touched = True
    tries = 1
    addressees = ()
    outcomes = ()
    done: Any = None


class PoolTests(SynchronousTestCase):
    """Without any network."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.dials: list[Deferred[Connection]] = []
        self.pool = ConnectionPool(
            reactor=self.clock,
            dial=self.dial,
            connections=2,
            messages=10,
            idle=10.0,  # type: ignore[arg-type]
        )

    def dial(self) -> Deferred[Connection]:
        self.dials.append(Deferred())
        return self.dials[-1]

    def deliver(self) -> Message:
        message: Any = Message()
        self.pool.deliver(message)
        return message

    def idle_connection(self) -> Connection:
        """A connection that has ended its message and asked for another, twice."""
        self.deliver()
        connection = Connection()
        self.dials[-1].callback(connection)
        connection.end()
        connection.pump()
        return connection

    def test_asking_twice_gives_one_message(self) -> None:
        """A connection that finds nothing to do twice is still one connection."""
        connection = self.idle_connection()
        self.assertEqual((1, 1, 0), self.pool.counts)
        second = self.deliver()
        third = self.deliver()
        self.assertIs(second, connection.begun[-1])
        self.assertNotIn(third, connection.begun)
        self.assertEqual(2, len(self.dials))

    def test_idle_time_begins_anew(self) -> None:
        connection = self.idle_connection()
        self.clock.advance(6)
        self.deliver()
        connection.end()
        self.clock.advance(6)
        self.assertFalse(connection.left)
        self.clock.advance(5)
        self.assertTrue(connection.left)
        self.assertEqual((0, 0, 0), self.pool.counts)
        self.pool.closed(connection)  # type: ignore[arg-type]
        self.assertEqual([], self.clock.getDelayedCalls())
