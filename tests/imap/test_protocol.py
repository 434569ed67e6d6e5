"""IMAP sessions: log-in, order, ends."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from mta.model.event import AuthenticationFailed
from mta.model.event_mailbox import MailboxSession
from tests.imap.sessions import ImapCase


class LoginTests(ImapCase):
    """Before the mailbox is open."""

    def test_greeting(self) -> None:
        (line,) = self.connect().heard()
        self.assertTrue(line.startswith(b"* OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR"), line)
        self.assertTrue(line.endswith(b"session s0"))

    def test_in_clear(self) -> None:
        """Passwords in clear are taken from where that is allowed only, and never shown."""
        client = self.connect("192.0.2.1")
        self.assertIn(b"LOGINDISABLED", client.heard()[0])
        for command in (b"LOGIN anna right", b"AUTHENTICATE PLAIN AGEAYg=="):
            (line,) = client.do(command)
            self.assertTrue(line.startswith(b"a NO [PRIVACYREQUIRED]"), line)

    def test_codes(self) -> None:
        client = self.connect()
        self.assertIn(b"a NO [AUTHENTICATIONFAILED]", client.do(b"LOGIN anna wrong")[0])
        self.assertIn(b"a NO [UNAVAILABLE]", client.do(b"LOGIN anna down")[0])
        failures = [event for event in self.events if isinstance(event, AuthenticationFailed)]
        self.assertEqual([False, True], [event.temporary for event in failures])
        self.trouble = "ldap does not answer"
        self.assertIn(b"a NO [UNAVAILABLE]", client.do(b"LOGIN anna right")[0])
        event = self.events[-1]
        assert isinstance(event, MailboxSession)
        self.assertEqual(("trouble", self.trouble), (event.action, event.reason))

    def test_literals(self) -> None:
        client = self.connect()
        self.assertEqual([b"+ go on"], client.do(b"LOGIN {4}"))
        self.assertEqual([b"+ go on"], client.say(b"anna {5}\r\n"))
        self.assertIn(b"a OK", client.say(b"right\r\n")[0])

    def test_literal_too_large(self) -> None:
        """Before the log-in nobody holds large ones; what comes all the same is passed over."""
        client = self.connect()
        self.assertIn(b"a BAD", client.do(b"LOGIN {9999}")[0])
        answer = client.say(b"b LOGIN {9999+}\r\n" + b"x" * 9999 + b" y\r\nc NOOP\r\n")
        self.assertEqual([b"b BAD", b"c OK"], [line[:5].strip() for line in answer if line[:1] in b"bc"])

    def test_order(self) -> None:
        """Commands in one packet are answered in their order, wrong ones too."""
        client = self.connect()
        answer = client.say(
            b"1 NOOP\r\n2 SELECT INBOX\r\n3 FOO\r\n4 LOGIN anna right\r\n5 LOGIN a b\r\n6 NOOP\r\n"
        )
        words = [line.split(b" ")[:2] for line in answer]
        wanted = [b"1 OK", b"2 BAD", b"3 BAD", b"4 OK", b"5 BAD", b"6 OK"]
        self.assertEqual([one.split() for one in wanted], words)

    def test_errors_end_it(self) -> None:
        self.make(errors=3)
        client = self.connect()
        client.do(b"X")
        client.do(b"LOGIN anna wrong")
        self.assertEqual([b"* BYE too many errors"], client.say(b"a Z\r\nb NOOP\r\n"))
        self.assertTrue(client.transport.disconnecting)

    def test_too_many(self) -> None:
        self.make(connections=1)
        self.connect()
        client = self.connect()
        self.assertIn(b"* BYE [UNAVAILABLE]", client.heard()[0])
        self.assertTrue(client.transport.disconnecting)

    def test_silence(self) -> None:
        client = self.connect()
        self.clock.advance(301)
        self.assertTrue(client.transport.disconnecting)

    def test_line_without_end(self) -> None:
        client = self.connect()
        client.heard()
        self.assertIn(b"* BYE the line is too long", client.say(b"a" * 70_000)[0])


class SessionTests(ImapCase):
    """After the log-in."""

    def test_logout(self) -> None:
        client = self.selected()
        self.assertEqual([b"* BYE as you like", b"a OK bye"], client.do(b"LOGOUT"))
        client.protocol.connectionLost()
        event = self.events[-1]
        assert isinstance(event, MailboxSession)
        self.assertEqual(("ended", "quit", "anna@example.org"), (event.action, event.reason, event.account))
        self.assertEqual(set(), self.factory.sessions)

    def test_autologout(self) -> None:
        client = self.logged_in()
        self.clock.advance(1799)
        self.assertFalse(client.transport.disconnecting)
        self.clock.advance(2)
        self.assertIn(b"* BYE", client.heard()[0])

    def test_drained(self) -> None:
        """Also one that waits for news."""
        client = self.selected()
        client.do(b"IDLE")
        done = Deferred.fromCoroutine(self.factory.drain(5.0))
        self.assertIn(b"* BYE [UNAVAILABLE] the server is about to stop", client.heard())
        client.protocol.connectionLost()
        self.successResultOf(done)
        self.assertEqual([], [call for call in self.clock.getDelayedCalls() if call.func.__name__ == "poke"])

    def test_drained_asleep(self) -> None:
        """A client that does not hang up, such as a telephone without a network, does not keep the server."""
        client = self.logged_in()
        done = Deferred.fromCoroutine(self.factory.drain(30.0))
        self.clock.advance(2.5)
        self.assertTrue(client.transport.disconnected)
        client.protocol.connectionLost()
        self.successResultOf(done)

    def test_enable(self) -> None:
        client = self.logged_in()
        self.assertEqual([b"* ENABLED CONDSTORE", b"a OK enabled"], client.do(b"ENABLE X-FOO condstore"))

    def test_identify(self) -> None:
        client = self.connect()
        self.assertEqual([b'* ID ("name" "mta")', b"a OK pleased to meet you"], client.do(b"ID NIL"))
        self.assertIn(b"a OK", client.do(b'ID ("name" "mutt" "version" NIL)')[-1])

    def test_nothing_is_read_that_cannot_be_answered(self) -> None:
        client = self.logged_in()
        client.protocol.pauseProducing()
        client.say(b"a NOOP\r\n" + b"b NOOP\r\n" * 10_000)
        self.assertEqual("paused", client.transport.producerState)
        client.protocol.resumeProducing()
        self.assertEqual(10_000, client.transport.value().count(b"b OK"))
        self.assertEqual("producing", client.transport.producerState)

    def test_mistakes_in_a_row(self) -> None:
        """An open session is not ended for a mistake now and then."""
        self.make(errors=3)
        client = self.logged_in()
        for _ in range(5):
            client.say(b"a FOO\r\na FOO\r\n")
            self.assertIn(b"a OK", client.do(b"NOOP")[-1])
        self.assertIn(b"* BYE too many errors", client.say(b"a FOO\r\n" * 3)[-1])

    def test_drained_while_a_message_comes(self) -> None:
        client = self.logged_in()
        client.do(b"APPEND INBOX {4}")
        done = Deferred.fromCoroutine(self.factory.drain(5.0))
        answer = client.say(b"a: b\r\nb NOOP\r\n")
        self.assertEqual([b"a OK", b"* BY"], [line[:4] for line in answer])
        client.protocol.connectionLost()
        self.successResultOf(done)

    def test_program(self) -> None:
        """Who the client is stands in the journal."""
        client = self.logged_in()
        client.do(b'ID ("name" "mutt" "version" "2.2")')
        client.protocol.connectionLost()
        event = self.events[-1]
        assert isinstance(event, MailboxSession)
        self.assertEqual("mutt 2.2", event.program)
