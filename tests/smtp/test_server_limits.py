"""Bounds: time, errors, commands, messages, lines, connections; and draining."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.address import UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Limits
from mta.model.catalogue import REPLIES
from mta.smtp.connections import Connections
from tests.smtp.server_fakes import Dialogue, FakeReception, codes, later, limits, refusal


class TimeTests(SynchronousTestCase):
    """Silence, and sessions without end."""

    def dialogue(self, **values: float) -> Dialogue:
        times = {"greeting_timeout": 10.0, "command_timeout": 30.0, "data_timeout": 20.0, **values}
        return Dialogue(limits=limits(**times))

    def test_greeting(self) -> None:
        """Nothing after our greeting."""
        d = self.dialogue()
        d.clock.pump([1.0] * 9)
        self.assertFalse(d.closed)
        d.clock.advance(1.0)
        self.assertEqual(["421"], codes(d.heard()))
        self.assertTrue(d.closed)
        self.assertEqual("timeout", d.events[0].rule)

    def test_command(self) -> None:
        """Each command gives new time."""
        d = self.dialogue().hello()
        for _ in range(5):
            d.clock.pump([1.0] * 29)
            d.say("NOOP")
        d.clock.pump([1.0] * 29)
        self.assertEqual("", d.heard())
        d.clock.advance(1.0)
        self.assertIn("nothing heard for 30 seconds", d.heard())

    def test_data(self) -> None:
        """Each block of content gives new time; a stalled one is dropped."""
        d = self.dialogue().hello().begin()
        d.say("DATA")
        for _ in range(5):
            d.clock.pump([1.0] * 19)
            d.send(b"x\r\n")
        d.clock.pump([1.0] * 20)
        self.assertEqual(["421"], codes(d.heard()))
        self.assertTrue(d.reception.incoming[0].aborted)

    def test_not_while_we_think(self) -> None:
        """It is not the client who is late when an answer of ours is."""
        answer, give = later()
        d = self.dialogue().hello()
        d.reception.answers["sender"] = give
        d.say("MAIL FROM:<a@b>")
        d.clock.pump([5.0] * 50)
        answer.callback(REPLIES.reply("sender-ok"))
        self.assertEqual(["250"], codes(d.heard()))
        d.clock.pump([1.0] * 29)
        self.assertEqual(["250"], codes(d.say("NOOP")))

    def test_not_while_the_disk_is_slow(self) -> None:
        """Nor when it was we who stopped reading."""
        d = self.dialogue().hello().begin()
        d.say("DATA")
        d.reception.incoming[0].producer.pauseProducing()
        d.clock.pump([5.0] * 50)
        self.assertEqual("", d.heard())
        d.reception.incoming[0].producer.resumeProducing()
        self.assertEqual(["250"], codes(d.say("x", ".")))

    def test_session(self) -> None:
        """A session does not last for ever, however busy it is."""
        d = self.dialogue(session_time=100.0).hello()
        for _ in range(4):
            d.clock.advance(24.0)
            self.assertEqual(["250"], codes(d.say("NOOP")))
        d.clock.advance(4.0)
        self.assertIn("421 4.7.0 mx.local.test session too long", d.heard())

    def test_dripping_content(self) -> None:
        """Content that drips is dropped when the session is over for long enough."""
        d = self.dialogue(session_time=100.0).hello().begin()
        d.say("DATA")
        for _ in range(11):
            d.clock.advance(10.0)
            d.send(b"x")
        self.assertFalse(d.closed)
        d.clock.advance(10.0)
        self.assertTrue(d.closed)

    def test_none(self) -> None:
        """A time of 0 is none."""
        d = self.dialogue(greeting_timeout=0.0, command_timeout=0.0, data_timeout=0.0, session_time=0.0)
        d.clock.advance(30 * 86400.0)
        self.assertEqual("", d.heard())

    def test_session_ends_while_we_think(self) -> None:
        """The reply to a message is waited for, though the session has lasted for too long."""
        answer, give = later()
        d = self.dialogue(session_time=100.0).hello().begin()
        d.reception.answers["finish"] = give
        d.clock.advance(9.0)
        d.say("DATA", "x", ".")
        d.clock.pump([10.0] * 11)
        answer.callback([REPLIES.reply("queued", id="1")])
        self.assertEqual(["250"], codes(d.heard()))

    def test_farewell(self) -> None:
        """Who does not read our last words is dropped."""
        d = self.dialogue()
        d.clock.advance(10.0)
        self.assertFalse(d.transport.disconnected)
        d.clock.advance(30.0)
        self.assertTrue(d.transport.disconnected)

    def test_no_calls_left(self) -> None:
        """A closed session leaves nothing behind on the clock."""
        d = self.dialogue().hello()
        d.protocol.connectionLost()
        self.assertEqual([], d.clock.getDelayedCalls())


class CountTests(SynchronousTestCase):
    """So many and no more."""

    def test_errors(self) -> None:
        """The error after the last one allowed ends the session, with both replies."""
        d = Dialogue(limits=limits(errors=3)).hello()
        self.assertEqual(["503"] * 3, codes(d.say(*["RCPT TO:<a@b>"] * 3)))
        self.assertEqual(["503", "421"], codes(d.say("RCPT TO:<a@b>", "NOOP")))
        self.assertTrue(d.closed)
        self.assertEqual({"errors": 4}, d.events[-1].evidence)

    def test_errors_forgiven(self) -> None:
        """A message that arrives makes good for errors."""
        d = Dialogue(limits=limits(errors=3)).hello()
        for _ in range(3):
            d.say(*["RCPT TO:<a@b>"] * 3)
            d.begin()
            d.say("DATA")
            self.assertEqual(["250"], codes(d.say("x", ".")))

    def test_deferrals_are_no_errors(self) -> None:
        """A client may be put off as often as it asks."""
        d = Dialogue(limits=limits(errors=3)).hello()
        d.reception.answers["recipient"] = refusal(450)
        d.say("MAIL FROM:<a@b>")
        self.assertEqual(["450"] * 10, codes(d.say(*["RCPT TO:<a@b>"] * 10)))

    def test_unknown_commands(self) -> None:
        d = Dialogue(limits=limits(unknown_commands=2)).hello()
        self.assertEqual(["500", "500", "500", "421"], codes(d.say("X", "Y", "Z", "NOOP")))

    def test_commands(self) -> None:
        """Idle talk has an end; recipients and chunks of a message are none."""
        d = Dialogue(limits=limits(commands=10)).hello()
        d.begin(*[f"a{n}@local.test" for n in range(50)])
        for _ in range(50):
            self.assertEqual(["250"], codes(d.send(b"BDAT 1\r\nx")))
        self.assertEqual(["250"], codes(d.send(b"BDAT 2 LAST\r\n\r\n")))
        self.assertEqual(["250"] * 10, codes(d.say(*["NOOP"] * 10)))
        self.assertEqual(["421"], codes(d.say("NOOP")))
        self.assertEqual("too-many-commands", d.events[-1].name)

    def test_recipients(self) -> None:
        """One too many is put off; the others get the message."""
        d = Dialogue(limits=limits(recipients=2)).hello().begin("a@x", "b@x")
        self.assertEqual("452 4.5.3", d.say("RCPT TO:<c@x>")[:9])
        d.say("DATA")
        self.assertEqual(["250"], codes(d.say("x", ".")))
        self.assertEqual(2, len(d.reception.messages[0].envelope.recipients))

    def test_messages(self) -> None:
        """After the last message the client is asked to connect again."""
        d = Dialogue(limits=limits(messages=1)).hello().begin()
        d.say("DATA")
        d.say("x", ".")
        self.assertEqual(["421"], codes(d.say("MAIL FROM:<a@b>")))
        self.assertTrue(d.closed)

    def test_line(self) -> None:
        """The longest line is fine, one octet more is refused, and the next is read again."""
        d = Dialogue(limits=limits(line=600)).hello()
        self.assertEqual(["250"], codes(d.say("NOOP " + "x" * 593)))
        self.assertEqual(["500", "250"], codes(d.say("NOOP " + "x" * 594, "NOOP")))
        self.assertEqual("", d.send(b"NOOP " + b"x" * 5000))
        self.assertEqual(["500", "250"], codes(d.send(b"x" * 5000 + b"\r\nNOOP\r\n")))

    def test_endless_line(self) -> None:
        """A line that does not end is not awaited for ever, nor kept."""
        d = Dialogue().hello()
        for _ in range(17):
            d.send(b"x" * 4097)
        self.assertTrue(d.closed)
        self.assertEqual("", d.protocol.session.buffer.decode())


class StrangerTests(SynchronousTestCase):
    """Clients that speak something else, or too early."""

    def test_http(self) -> None:
        for first in (
            b"GET / HTTP/1.1\r\n",
            b"POST /x HTTP/1.0\r\n",
            b"GET / HTTP/1.1\n",
            b"CONNECT a:25 HTTP/1.1\r\n",
        ):
            d = Dialogue()
            text = d.send(first + b"Host: x\r\n\r\nMAIL FROM:<a@b>\r\n")
            self.assertEqual(["421"], codes(text))
            self.assertEqual("not-smtp", d.events[0].name)
            self.assertTrue(d.closed)

    def test_tls(self) -> None:
        """A TLS handshake where clear text is expected."""
        for hello in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x16\x03\x01\x02\n\x01\r\n"):
            d = Dialogue()
            self.assertEqual(["421"], codes(d.send(hello)))
            self.assertTrue(d.closed)

    def test_too_early(self) -> None:
        """Who speaks before the greeting is no mail server."""
        _, give = later()
        reception = FakeReception()
        reception.answers["connect"] = give
        d = Dialogue(reception=reception)
        self.assertEqual(["554"], codes(d.say("EHLO x.test")))
        self.assertTrue(d.closed)
        self.assertEqual("too-early", d.events[0].name)


class ConnectionTests(SynchronousTestCase):
    """How many clients there may be."""

    def test_in_all(self) -> None:
        """One too many hears 421; a place that becomes free is given away."""
        connections = Connections(limits(connections=2))
        first = Dialogue(connections=connections, address="192.0.2.1")
        Dialogue(connections=connections, address="192.0.2.2")
        third = Dialogue(connections=connections, address="192.0.2.3")
        self.assertEqual("421 4.7.0 mx.local.test too many connections, try again later\r\n", third.greeting)
        self.assertTrue(third.closed)
        self.assertEqual("too-many-connections", third.events[0].name)
        third.protocol.connectionLost()
        first.protocol.connectionLost()
        self.assertEqual(1, connections.total)
        self.assertEqual("220", Dialogue(connections=connections, address="192.0.2.3").greeting[:3])

    def test_per_client(self) -> None:
        connections = Connections(limits(connections_per_client=1))
        Dialogue(connections=connections)
        self.assertIn("from 192.0.2.7", Dialogue(connections=connections).greeting)
        self.assertIn(
            "from 192.0.2.7", Dialogue(connections=connections, address="::ffff:192.0.2.7").greeting
        )
        self.assertEqual("220", Dialogue(connections=connections, address="192.0.2.8").greeting[:3])

    def test_per_network(self) -> None:
        """Whoever has IPv6 has 2**64 addresses, and is one client all the same."""
        connections = Connections(limits(connections_per_client=2))
        self.assertIsNone(connections.enter("2001:db8::1", "mx.test"))
        self.assertIsNone(connections.enter("2001:db8::2:1", "mx.test"))
        self.assertIsNotNone(connections.enter("2001:db8:0:0:ffff::3", "mx.test"))
        self.assertIsNone(connections.enter("2001:db8:0:1::1", "mx.test"))
        self.assertIsNone(connections.enter("fe80::1%eth0", "mx.test"))
        connections.leave("2001:db8::2:1")
        self.assertIsNone(connections.enter("2001:db8::3", "mx.test"))
        self.assertEqual([2, 1], [connections.of("2001:db8::9"), connections.of("fe80::7")])

    def test_reload(self) -> None:
        """New limits hold for new sessions; those under way keep theirs."""
        d = Dialogue(limits=limits(errors=3)).hello()
        first = d.protocol
        d.factory.replace(
            reception=d.reception,  # type: ignore[arg-type]
            authenticator=None,
            tls=None,
            limits=limits(errors=1, connections_per_client=2, message_size=1000),
        )
        self.assertEqual("220", d.connect()[:3])
        self.assertIn("250-SIZE 1000\r\n", d.say("EHLO x.test"))
        self.assertEqual("421", d.connect()[:3])
        self.assertEqual(3, first.session.terms.limits.errors)

    def test_events_of_a_flood(self) -> None:
        """A flood makes one event a second, which tells how many there were."""
        d = Dialogue(connections=Connections(limits(connections=1)))
        for _ in range(10):
            self.assertEqual("421", d.connect()[:3])
        self.assertEqual(1, len(d.events))
        d.clock.advance(1.0)
        d.connect()
        self.assertEqual(9, d.events[-1].evidence["since_last_event"])

    def local(self, connections: Connections) -> Dialogue:
        """A program on this machine."""
        d = Dialogue("local", connections=connections, connect=False)
        d.protocol = d.factory.buildProtocol(UNIXAddress(b"/run/x"))
        d.transport = StringTransport(hostAddress=UNIXAddress(b"/run/x"), peerAddress=UNIXAddress(None))
        d.protocol.makeConnection(d.transport)
        return d

    def test_local(self) -> None:
        """Mail of this machine comes in whoever else is here, and has no address."""
        connections = Connections(limits(connections=1))
        Dialogue(connections=connections)
        d = self.local(connections)
        self.assertEqual("220", d.heard()[:3])
        self.assertEqual("", d.protocol.session.client.address)
        d.hello("localhost").begin()

    def test_too_many_local(self) -> None:
        """But one program that goes wild does not take everybody's descriptors."""
        connections = Connections(limits(connections_per_client=2))
        first, second, third = (self.local(connections) for _ in range(3))
        self.assertEqual(["220", "220", "421"], [d.heard()[:3] for d in (first, second, third)])
        third.protocol.connectionLost()
        first.protocol.connectionLost()
        self.assertEqual(1, connections.local)
        self.assertEqual("220", self.local(connections).heard()[:3])
        self.assertEqual("220", Dialogue(connections=connections).greeting[:3])


class DocumentationTests(SynchronousTestCase):
    """docs/reference/limits.rst tells of every limit, with its default."""

    def test_every_limit(self) -> None:
        text = (Path(__file__).parents[2] / "docs/reference/limits.rst").read_text("utf-8")
        for name, value in Limits().model_dump().items():  # type: ignore[call-arg]
            shown = {300.0: "5 minutes", 86400.0: "1 day"}.get(value, str(value))
            if name.endswith("_size"):
                shown = f"{value >> 20} MiB" if value >= 1 << 20 else f"{value >> 10} KiB"
            self.assertRegex(text, rf"(?m)^``{name}`` \({shown}[,)]")


class DrainTests(SynchronousTestCase):
    """The server is about to stop."""

    def drain(self, d: Dialogue, grace: float = 60.0) -> list[Any]:
        done: list[Any] = []
        Deferred.fromCoroutine(d.factory.drain(grace)).addCallback(done.append)
        return done

    def test_idle(self) -> None:
        """Idle sessions are told at once, and new ones too."""
        d = Dialogue().hello()
        done = self.drain(d)
        self.assertEqual("421 4.3.2", d.heard()[:9])
        self.assertTrue(d.closed)
        d.protocol.connectionLost()
        self.assertEqual([None], done)
        self.assertEqual("421", d.connect()[:3])

    def test_nobody(self) -> None:
        d = Dialogue(connect=False)
        self.assertEqual([None], self.drain(d))

    def test_content(self) -> None:
        """Content under way is read, kept and answered."""
        commit, give = later()
        d = Dialogue().hello().begin()
        d.reception.answers["finish"] = give
        d.say("DATA")
        done = self.drain(d)
        self.assertEqual("", d.say("x", "."))
        commit.callback([REPLIES.reply("queued", id="1")])
        self.assertEqual(["250", "421"], codes(d.heard()))
        self.assertTrue(d.closed)
        self.assertEqual([], done)
        d.protocol.connectionLost()
        self.assertEqual([None], done)
        self.assertEqual([], d.clock.getDelayedCalls())

    def test_next_command(self) -> None:
        """A transaction without content is told at its next command; chunks may go on."""
        d = Dialogue().hello().begin()
        self.drain(d)
        self.assertEqual("", d.heard())
        self.assertEqual(["421"], codes(d.say("DATA")))
        d = Dialogue().hello().begin()
        d.send(b"BDAT 3\r\nx\r\n")
        self.drain(d)
        self.assertEqual(["250", "421"], codes(d.send(b"BDAT 3 LAST\r\ny\r\n")))

    def test_grace(self) -> None:
        """When the time is over, so is the session."""
        d = Dialogue().hello().begin()
        d.say("DATA")
        done = self.drain(d, 5.0)
        d.clock.advance(5.0)
        self.assertEqual([None], done)
        self.assertTrue(d.transport.disconnected)
