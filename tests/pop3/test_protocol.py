"""POP3 sessions in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from mta.config.mailbox_settings import UsualFolders
from mta.config.settings import Pop3
from mta.interfaces import TemporarilyUnavailable
from mta.mailbox.content import Lines, Top
from mta.mailbox.folders import Folders
from mta.model.event import AuthenticationFailed, Event
from mta.model.event_mailbox import MailboxSession
from mta.pop3.factory import Pop3Factory
from mta.pop3.protocol import Pop3Protocol
from mta.smtp.connections import Connections
from mta.visit.premises import Home, Terms
from tests.mailbox.maildirs import Maildir
from tests.smtp.server_fakes import limits
from tests.visit.fakes import Direct, Passwords


class Pop3Case(SynchronousTestCase):
    """A server with one mailbox."""

    def setUp(self) -> None:
        self.place = Path(self.mktemp()).absolute()
        self.maildir = Maildir(self.place / "box")
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.events: list[Event] = []
        self.trouble = ""
        self.make()

    def make(self, settings: Pop3 | None = None, **bounds: Any) -> None:
        async def home(account: str) -> Home:
            if self.trouble:
                raise TemporarilyUnavailable(self.trouble)
            return Home(str(self.maildir.path))

        terms = Terms(
            role="pop3",
            hostname="mx.example.org",
            settings=settings or Pop3(clear_from=["10.0.0.0/8"]),  # type: ignore[call-arg,list-item]
            limits=limits(**bounds),
            authenticator=Passwords("right one"),
            tls=None,
            home=home,
            folders=Folders(UsualFolders().by_use()),
        )
        self.room = Direct(self.clock, self.place / "state")
        numbers = iter(range(1000))
        self.factory = Pop3Factory(
            self.clock,
            terms,
            self.room,
            Connections(terms.limits),
            lambda: f"s{next(numbers)}",
            self.events.append,
        )

    def connect(self, address: str = "10.1.2.3") -> tuple[Pop3Protocol, StringTransport]:
        protocol = self.factory.buildProtocol(IPv4Address("TCP", address, 1))
        transport = StringTransport()
        protocol.makeConnection(transport)
        return protocol, transport

    def say(self, pair: tuple[Pop3Protocol, StringTransport], octets: bytes) -> bytes:
        pair[1].clear()
        pair[0].dataReceived(octets)
        return pair[1].value()

    def logged_in(self) -> tuple[Pop3Protocol, StringTransport]:
        pair = self.connect()
        answer = self.say(pair, b"USER anna\r\nPASS right one\r\n")
        self.assertIn(b"messages", answer)
        return pair


class LoginTests(Pop3Case):
    """Before the mailbox is open."""

    def test_greeting(self) -> None:
        _, transport = self.connect()
        self.assertEqual(b"+OK mx.example.org POP3 ready, session s0\r\n", transport.value())

    def test_in_clear(self) -> None:
        """Passwords in clear are taken from where that is allowed only, and never shown."""
        pair = self.connect("192.0.2.1")
        answer = self.say(pair, b"USER anna\r\nPASS right one\r\nAUTH PLAIN AGEAYg==\r\nCAPA\r\n")
        self.assertEqual(3, answer.count(b"-ERR passwords are taken inside TLS only"))
        self.assertNotIn(b"\r\nUSER", answer)

    def test_codes(self) -> None:
        pair = self.connect()
        for word, code in ((b"x", b"AUTH"), (b"down", b"SYS/TEMP"), (b"wait", b"SYS/TEMP")):
            self.assertIn(b"-ERR [" + code + b"]", self.say(pair, b"USER anna\r\nPASS " + word + b"\r\n"))
        failures = [event for event in self.events if isinstance(event, AuthenticationFailed)]
        self.assertEqual([False, True, True], [event.temporary for event in failures])
        self.assertEqual("auth-failed", failures[0].name)

    def test_directory_down(self) -> None:
        self.trouble = "ldap does not answer"
        self.assertIn(b"-ERR [SYS/TEMP]", self.say(self.connect(), b"USER a\r\nPASS right one\r\n"))
        (event,) = (event for event in self.events if isinstance(event, MailboxSession))
        self.assertEqual(("trouble", self.trouble), (event.action, event.reason))

    def test_in_use(self) -> None:
        first = self.logged_in()
        second = self.connect()
        self.assertIn(b"-ERR [IN-USE]", self.say(second, b"USER a\r\nPASS right one\r\n"))
        first[0].connectionLost()
        self.assertIn(b"+OK", self.say(second, b"USER a\r\nPASS right one\r\n"))

    def test_login_delay(self) -> None:
        self.make(Pop3(clear_from=["10.0.0.0/8"], login_delay=60))  # type: ignore[call-arg,list-item]
        self.say(self.logged_in(), b"QUIT\r\n")
        first = next(iter(self.factory.sessions))
        first.connectionLost()
        again = self.connect()
        self.assertIn(b"-ERR [LOGIN-DELAY]", self.say(again, b"USER a\r\nPASS right one\r\n"))
        self.clock.advance(60)
        self.assertIn(b"+OK", self.say(again, b"USER a\r\nPASS right one\r\n")[-40:])

    def test_errors_end_it(self) -> None:
        self.make(errors=3)
        pair = self.connect()
        self.assertTrue(self.say(pair, b"X\r\nY\r\nZ\r\nCAPA\r\n").endswith(b"-ERR too many errors\r\n"))
        self.assertTrue(pair[1].disconnecting)

    def test_too_many(self) -> None:
        self.make(connections=1)
        self.connect()
        _, transport = self.connect()
        self.assertIn(b"-ERR [SYS/TEMP]", transport.value())
        self.assertTrue(transport.disconnecting)

    def test_silence(self) -> None:
        pair = self.connect()
        self.clock.advance(301)
        self.assertTrue(pair[1].disconnecting)


class MailTests(Pop3Case):
    """With the mailbox open."""

    def setUp(self) -> None:
        super().setUp()
        self.maildir.put(b"1.a", b"Subject: one\n\n.dot\nend")
        self.maildir.put(b"2.b", b"Subject: two\r\n\r\nx\r\ny\r\n")

    def test_lists(self) -> None:
        pair = self.logged_in()
        self.assertEqual(b"+OK 2 49\r\n", self.say(pair, b"STAT\r\n"))
        self.assertEqual(b"+OK 2 messages, 49 octets\r\n1 27\r\n2 22\r\n.\r\n", self.say(pair, b"LIST\r\n"))
        self.assertEqual(b"+OK\r\n1 1.a\r\n2 2.b\r\n.\r\n", self.say(pair, b"UIDL\r\n"))
        self.assertEqual(b"+OK 2 2.b\r\n", self.say(pair, b"UIDL 2\r\n"))

    def test_messages(self) -> None:
        pair = self.logged_in()
        wanted = b"+OK 27 octets\r\nSubject: one\r\n\r\n..dot\r\nend\r\n.\r\n"
        self.assertEqual(wanted, self.say(pair, b"RETR 1\r\n"))
        self.assertEqual(b"+OK\r\nSubject: two\r\n\r\nx\r\n.\r\n", self.say(pair, b"TOP 2 1\r\n"))
        self.assertEqual(b"+OK\r\nSubject: two\r\n\r\n.\r\n", self.say(pair, b"TOP 2 0\r\n"))

    def test_mistakes(self) -> None:
        pair = self.logged_in()
        for line in (b"RETR", b"RETR 0", b"RETR 3", b"RETR x", b"TOP 1", b"TOP 1 -1", b"STAT 1", b"PASS x"):
            self.assertTrue(self.say(pair, line + b"\r\n").startswith(b"-ERR"), line)

    def test_removal(self) -> None:
        pair = self.logged_in()
        self.say(pair, b"RETR 2\r\nDELE 1\r\n")
        self.assertTrue(self.say(pair, b"RETR 1\r\n").startswith(b"-ERR"))
        self.assertEqual(b"+OK 1 messages are gone\r\n", self.say(pair, b"QUIT\r\n"))
        pair[0].connectionLost()
        self.assertEqual(([], [b"2.b:2,S"]), (self.maildir.names("new"), self.maildir.names()))
        event = self.events[-1]
        assert isinstance(event, MailboxSession)
        self.assertEqual(("ended", "quit", 1, 1), (event.action, event.reason, event.fetched, event.removed))

    def test_again_at_once(self) -> None:
        """Who has heard the answer to QUIT may come again, before the connection is closed."""
        pair = self.logged_in()
        self.say(pair, b"DELE 1\r\nQUIT\r\n")
        self.assertEqual(b"+OK 1 22\r\n", self.say(self.logged_in(), b"STAT\r\n"))
        pair[0].connectionLost()

    def test_lost(self) -> None:
        """Without QUIT nothing goes."""
        pair = self.logged_in()
        self.say(pair, b"DELE 1\r\nDELE 2\r\n")
        pair[0].connectionLost()
        self.assertEqual([b"1.a", b"2.b"], self.maildir.names("new"))

    def test_slow_reader(self) -> None:
        """No more is read of a message than the client takes."""
        self.maildir.put(b"3.c", b"x" * 99 + b"\n" + (b"y" * 99 + b"\n") * 20_000)
        pair = self.logged_in()
        pair[0].pauseProducing()
        self.assertLess(len(self.say(pair, b"RETR 3\r\nNOOP\r\n")), 200_000)
        for _ in range(100):
            pair[0].resumeProducing()
        self.assertTrue(pair[1].value().endswith(b"\r\n.\r\n+OK\r\n"))
        self.assertGreater(len(pair[1].value()), 2_000_000)

    def test_drained(self) -> None:
        pair = self.logged_in()
        done = Deferred.fromCoroutine(self.factory.drain(5.0))
        self.assertTrue(pair[1].disconnecting)
        pair[0].connectionLost()
        self.successResultOf(done)


class ContentTests(SynchronousTestCase):
    """Blocks of any size give the same octets."""

    TEXT = b".a\r\n\n.\r\rb\r\n..\n\r\n.c\r"

    def test_cuts(self) -> None:
        lines = Lines(stuffed=True)
        whole = lines.feed(self.TEXT) + lines.end()
        for size in range(1, len(self.TEXT)):
            lines = Lines(stuffed=True)
            cut = [lines.feed(self.TEXT[at : at + size]) for at in range(0, len(self.TEXT), size)]
            self.assertEqual(whole, b"".join(cut) + lines.end(), size)

    def test_top(self) -> None:
        text = b"A: b\r\nC: d\n\r\n1\n2\n3\n"
        for size in range(1, len(text)):
            top = Top(2)
            cut = [top.feed(text[at : at + size]) for at in range(0, len(text), size) if not top.over]
            self.assertEqual(text[:-2], b"".join(cut), size)
