"""Time, threads and the end of connections, on a clock."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from mta.model.outcome import Delivered, Postponed
from mta.smtp.client_protocol import FAREWELL, ClientProtocol, Patience, Unready
from mta.smtp.client_session import ClientSession
from mta.smtp.client_transaction import Transaction
from tests.smtp.client_script import MAIL, TRACE, transaction

HELLO = b"250-far.test\r\n250-8BITMIME\r\n250 PIPELINING\r\n"


class Line(StringTransport):
    """A transport that tells how it ended."""

    end = ""

    def abortConnection(self) -> None:
        self.end = self.end or "abort"

    def loseConnection(self) -> None:
        self.end = self.end or "lose"

    def said(self) -> bytes:
        value: bytes = self.value()
        self.clear()
        return value


class Owner:
    """Has messages."""

    def __init__(self, *waiting: Transaction) -> None:
        self.waiting = list(waiting)
        self.ended_: list[Transaction] = []
        self.closed_ = 0

    def next(self, client: ClientProtocol) -> Transaction | None:
        return self.waiting.pop(0) if self.waiting else None

    def ended(self, client: ClientProtocol, transaction: Transaction) -> None:
        self.ended_.append(transaction)

    def closed(self, client: ClientProtocol) -> None:
        self.closed_ += 1


class ClientProtocolTests(SynchronousTestCase):
    """One connection in memory."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.line = Line()
        self.owner = Owner()

    def connect(self, ready: bool = True, run: Any = None) -> ClientProtocol:
        session = ClientSession(helo="me.test", host="far.test")
        client = ClientProtocol(
            session,
            self.clock,
            run_in_thread=run or (lambda work, *arguments: succeed(work(*arguments))),
            patience=Patience(300.0, 600.0),
        )
        client.makeConnection(self.line)
        if ready:
            client.dataReceived(b"220 far.test\r\n")
            client.dataReceived(HELLO)
            self.assertIs(client, self.successResultOf(client.opened))
            client.owner = self.owner
            self.line.said()
        return client

    def lose(self, client: ClientProtocol) -> None:
        client.connectionLost(Failure(ConnectionLost()))

    def advance(self, seconds: float) -> None:
        """Time goes on in small steps, as it does."""
        for _ in range(int(seconds)):
            self.clock.advance(1)

    def test_greeting_timeout(self) -> None:
        client = self.connect(ready=False)
        self.advance(299)
        self.assertEqual("", self.line.end)
        self.advance(2)
        self.assertEqual("abort", self.line.end)
        trouble = self.failureResultOf(client.opened, Unready).value.trouble
        self.assertEqual(("lost", "connect"), (trouble.kind, trouble.reply.command))
        self.lose(client)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_command_timeout(self) -> None:
        """Each reply sets the time anew; the end of data has a time of its own."""
        client = self.connect()
        self.advance(200)
        client.begin(transaction())
        self.advance(250)
        client.dataReceived(b"250 ok\r\n")
        self.advance(250)
        client.dataReceived(b"250 ok\r\n")
        self.advance(250)
        client.dataReceived(b"354 ok\r\n")
        self.advance(590)
        self.assertEqual(("", []), (self.line.end, self.owner.ended_))
        self.advance(320)
        self.assertEqual("abort", self.line.end)
        outcome = self.owner.ended_[0].outcomes[0]
        assert isinstance(outcome, Postponed)
        self.assertEqual("end of data", outcome.reply.command)
        self.assertEqual(1, self.owner.closed_)
        self.lose(client)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_silent_at_each_command(self) -> None:
        for replies, command in ((0, "MAIL FROM"), (1, "RCPT TO"), (2, "DATA")):
            self.setUp()
            client = self.connect()
            client.begin(transaction())
            client.dataReceived(b"250 ok\r\n" * replies)
            self.advance(302)
            outcome = self.owner.ended_[0].outcomes[0]
            assert outcome is not None
            self.assertEqual((command, "4.4.2"), (outcome.reply.command, outcome.reply.enhanced))
            self.lose(client)

    def test_dripping(self) -> None:
        """One octet now and then is no reply, and wins no time."""
        client = self.connect()
        client.begin(transaction())
        for octet in b"250-" + b"x" * 300:
            client.dataReceived(bytes([octet]))
            self.advance(10)
            if self.line.end:
                break
        self.assertEqual("abort", self.line.end)
        self.assertLess(self.clock.seconds(), 320)

    def test_idle_is_no_timeout(self) -> None:
        client = self.connect()
        self.advance(5000)
        self.assertEqual("", self.line.end)
        client.begin(transaction())
        client.dataReceived(b"250 ok\r\n250 ok\r\n354 go\r\n")
        client.dataReceived(b"250 ok\r\n")
        self.assertIsInstance(self.owner.ended_[0].outcomes[0], Delivered)

    def test_next_in_the_same_write(self) -> None:
        """The owner's next message goes out with the end of the one before."""
        client = self.connect()
        self.owner.waiting = [transaction("b@far.test")]
        client.begin(transaction())
        client.dataReceived(b"250 ok\r\n250 ok\r\n354 go\r\n")
        said = self.line.said()
        self.assertIn(b".\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<b@far.test>\r\nDATA\r\n", said)
        self.assertEqual(2, client.messages)

    def test_leave(self) -> None:
        client = self.connect()
        left = client.leave()
        self.assertEqual(b"QUIT\r\n", self.line.said())
        client.dataReceived(b"221 bye\r\n")
        self.assertEqual(("lose", 1), (self.line.end, self.owner.closed_))
        self.assertNoResult(left)
        self.lose(client)
        self.successResultOf(left)
        self.successResultOf(client.leave())

    def test_leave_unanswered(self) -> None:
        client = self.connect()
        client.leave()
        self.advance(FAREWELL + 1)
        self.assertEqual("abort", self.line.end)

    def test_closing_never_ends(self) -> None:
        """A server that is told off and does not let go is let go of."""
        client = self.connect()
        client.dataReceived(b"421 4.3.2 shutting down\r\n")
        self.assertEqual("lose", self.line.end)
        self.line.end = ""
        self.advance(FAREWELL + 1)
        self.assertEqual("abort", self.line.end)

    def test_cancelled(self) -> None:
        client = self.connect(ready=False)
        client.opened.addErrback(lambda failure: None)
        client.opened.cancel()
        self.assertEqual("abort", self.line.end)
        self.lose(client)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_file_paced(self) -> None:
        """One block is read ahead and no further; time runs from block to block."""
        reads: list[tuple[Any, Deferred[Any]]] = []

        def run(work: Any, *arguments: Any) -> Deferred[Any]:
            answer: Deferred[Any] = Deferred()
            reads.append((work, answer))
            return answer

        class Blocks:
            size = 3000

            def read(self) -> bytes:
                raise AssertionError("not at once")

            def blocks(self) -> Any:
                for _ in range(3):
                    yield b"x" * 1000

        client = self.connect(run=run)
        message = transaction(content=Blocks())
        client.begin(message)
        client.dataReceived(b"250 ok\r\n250 ok\r\n354 go\r\n")
        self.line.said()
        work, answer = reads.pop()
        answer.callback(work())
        self.assertEqual(TRACE + b"x" * 1000, self.line.said())
        # The network is full: the second block is read and kept, the third is not read.
        self.line.producer.pauseProducing()
        work, answer = reads.pop()
        answer.callback(work())
        self.assertEqual((b"", []), (self.line.said(), reads))
        self.advance(250)
        self.line.producer.resumeProducing()
        self.assertEqual(b"x" * 1000, self.line.said())
        self.advance(250)
        work, answer = reads.pop()
        answer.callback(work())
        self.assertEqual(b"x" * 1000 + b"\r\n.\r\n", self.line.said())
        self.assertIsNone(self.line.producer)
        client.dataReceived(b"250 ok\r\n")
        self.assertIsInstance(self.owner.ended_[0].outcomes[0], Delivered)

    def test_file_stuck(self) -> None:
        """A network that takes nothing is a time-out too, and nothing is left behind."""
        client = self.connect()

        class Blocks:
            size = 2000
            closed = False

            def read(self) -> bytes:
                raise AssertionError("not at once")

            def blocks(self) -> Any:
                try:
                    yield b"x" * 1000
                    yield b"x" * 1000
                finally:
                    Blocks.closed = True

        real = self.line.write

        def write(data: bytes) -> None:
            real(data)
            if self.line.producer is not None:
                self.line.producer.pauseProducing()

        self.line.write = write  # type: ignore[method-assign]
        client.begin(transaction(content=Blocks()))
        client.dataReceived(b"250 ok\r\n250 ok\r\n354 go\r\n")
        self.assertNotIn(b"\r\n.\r\n", self.line.value()[len(TRACE) :])
        self.advance(302)
        self.assertEqual(("abort", True), (self.line.end, Blocks.closed))
        self.assertIsInstance(self.owner.ended_[0].outcomes[0], Postponed)
        self.lose(client)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_mail_constant(self) -> None:
        """The octets that go out are those of the message."""
        client = self.connect()
        client.begin(transaction())
        client.dataReceived(b"250 ok\r\n250 ok\r\n354 go\r\n")
        self.assertTrue(self.line.said().endswith(TRACE + MAIL.replace(b"\r\n.", b"\r\n..") + b".\r\n"))
