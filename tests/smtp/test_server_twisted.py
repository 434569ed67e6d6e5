"""Twisted's own doors: what works with ``twisted.mail.smtp.ESMTP`` works here."""

from __future__ import annotations

import base64
import hmac
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.credentials import CramMD5Credentials
from twisted.cred.portal import IRealm, Portal
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.mail.imap4 import LOGINCredentials, PLAINCredentials
from twisted.mail.interfaces import IMessageDelivery, IMessageDeliveryFactory, IMessageSMTP
from twisted.mail.smtp import ESMTP, SMTPBadRcpt, SMTPBadSender, SMTPFactory, SMTPServerError
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from mta.smtp.protocol import SmtpProtocol
from tests.smtp.server_fakes import codes


@implementer(IMessageSMTP)
class LineMessage:
    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.lost = False
        self.end: Any = succeed(None)

    def lineReceived(self, line: bytes) -> None:
        if line == b"refuse":
            raise SMTPServerError(552, "enough")
        self.lines.append(line)

    def eomReceived(self) -> Any:
        return self.end

    def connectionLost(self) -> None:
        self.lost = True


@implementer(IMessageDelivery)
class Delivery:
    def __init__(self) -> None:
        self.messages: list[LineMessage] = []
        self.seen: list[Any] = []

    def receivedHeader(self, helo: Any, origin: Any, recipients: Any) -> bytes:
        return b"Received: from " + helo[0] + b" for " + bytes(recipients[0].dest)

    def validateFrom(self, helo: Any, origin: Any) -> Any:
        self.seen.append((helo, bytes(origin)))
        if bytes(origin) == b"bad@x.test":
            raise SMTPBadSender(origin)
        return succeed(origin)

    def validateTo(self, user: Any) -> Any:
        if user.dest.domain != b"local.test":
            return fail(SMTPBadRcpt(user))

        def make() -> LineMessage:
            self.messages.append(LineMessage())
            return self.messages[-1]

        return make


@implementer(IMessageDeliveryFactory)
class Deliveries:
    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.count = 0

    def getMessageDelivery(self) -> Delivery:
        self.count += 1
        return self.delivery


@implementer(IRealm)
class DeliveryRealm:
    def __init__(self, delivery: Delivery) -> None:
        self.delivery = delivery
        self.out: list[Any] = []

    def requestAvatar(self, avatar: Any, mind: Any, *interfaces: Any) -> Any:
        return IMessageDelivery, self.delivery, lambda: self.out.append(avatar)


class DoorTests(SynchronousTestCase):
    """A protocol made without our factory."""

    def setUp(self) -> None:
        self.delivery = Delivery()

    def connect(self, protocol: SmtpProtocol) -> None:
        self.protocol = protocol
        if protocol.factory is None:
            protocol.factory = SMTPFactory()
        protocol.factory.reactor = Clock()
        self.transport = StringTransport(peerAddress=IPv4Address("TCP", "192.0.2.7", 4000))
        protocol.makeConnection(self.transport)

    def say(self, *lines: str) -> str:
        self.transport.clear()
        self.protocol.dataReceived("".join(f"{line}\r\n" for line in lines).encode())
        return self.transport.value().decode()

    def test_is_an_esmtp(self) -> None:
        self.assertTrue(issubclass(SmtpProtocol, ESMTP))

    def test_delivery(self) -> None:
        """``delivery`` is asked, and its messages get their lines."""
        protocol = SmtpProtocol()
        protocol.delivery = self.delivery
        self.connect(protocol)
        text = self.say(
            "EHLO client.test", "MAIL FROM:<a@x.test>", "RCPT TO:<ann@local.test>", "RCPT TO:<b@far.test>"
        )
        self.assertEqual(["250", "250", "250", "550"], codes(text))
        self.assertEqual(["354", "250"], codes(self.say("DATA", "Subject: x", "", "..dot", ".")))
        (message,) = self.delivery.messages
        self.assertEqual(
            [b"Received: from client.test for ann@local.test", b"Subject: x", b"", b".dot"], message.lines
        )
        self.assertEqual([((b"client.test", b"192.0.2.7"), b"a@x.test")], self.delivery.seen)

    def test_no_header(self) -> None:
        """A body without a header section is set apart from the trace, as Twisted does it."""
        protocol = SmtpProtocol()
        protocol.delivery = self.delivery
        self.connect(protocol)
        self.say("EHLO x", "MAIL FROM:<>", "RCPT TO:<a@local.test>", "DATA", "hello", ".")
        self.assertEqual([b"", b"hello"], self.delivery.messages[0].lines[1:])

    def test_factory(self) -> None:
        """``deliveryFactory`` is asked for each message, under Twisted's own factory."""
        factory = SMTPFactory()
        factory.protocol = SmtpProtocol
        deliveries = Deliveries(self.delivery)
        factory.reactor = Clock()
        protocol = factory.buildProtocol(None)
        protocol.deliveryFactory = deliveries
        self.connect(protocol)
        for _ in range(2):
            text = self.say("EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<a@local.test>", "DATA", "x: y", ".")
            self.assertEqual("250", codes(text)[-1])
        self.assertEqual(2, deliveries.count)

    def test_refusals(self) -> None:
        """Twisted's errors become replies with their codes."""
        protocol = SmtpProtocol()
        protocol.delivery = self.delivery
        self.connect(protocol)
        self.say("EHLO x")
        self.assertEqual(["550"], codes(self.say("MAIL FROM:<bad@x.test>")))
        self.say("MAIL FROM:<a@b>", "RCPT TO:<a@local.test>", "DATA", "x: y", "")
        self.assertEqual(["552"], codes(self.say("refuse", ".")))
        self.assertTrue(self.delivery.messages[0].lost)

    def test_failed_delivery(self) -> None:
        """An exception at the end of a message is trouble of ours: 451."""
        protocol = SmtpProtocol()
        protocol.delivery = self.delivery
        self.connect(protocol)
        self.say("EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<a@local.test>", "DATA")
        end: Deferred[None] = Deferred()
        self.delivery.messages[0].end = end
        self.assertEqual("", self.say("x: y", "."))
        end.errback(OSError("disk"))
        self.assertEqual(["451"], codes(self.transport.value().decode()))
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))

    def test_lost(self) -> None:
        """A message that is cut off is told so."""
        protocol = SmtpProtocol()
        protocol.delivery = self.delivery
        self.connect(protocol)
        self.say("EHLO x", "MAIL FROM:<a@b>", "RCPT TO:<a@local.test>", "DATA", "x: y")
        protocol.connectionLost()
        self.assertTrue(self.delivery.messages[0].lost)

    def test_overridden(self) -> None:
        """A subclass may answer itself."""

        class Own(SmtpProtocol):
            def validateFrom(self, helo: Any, origin: Any) -> Any:
                raise SMTPServerError(450, "not today")

        self.connect(Own())
        self.assertEqual("450 not today\r\n", self.say("HELO x", "MAIL FROM:<a@b>").split("\n", 1)[1])

    def test_nobody_answers(self) -> None:
        """Without a door nothing is taken."""
        self.connect(SmtpProtocol())
        self.assertEqual(["250", "550"], codes(self.say("EHLO x", "MAIL FROM:<a@b>")))

    def portal(self) -> tuple[Portal, DeliveryRealm]:
        realm = DeliveryRealm(self.delivery)
        checker = InMemoryUsernamePasswordDatabaseDontUse(ann=b"right")
        return Portal(realm, [checker]), realm

    def test_challengers(self) -> None:
        """``challengers`` run against ``portal``; the avatar delivers, and is logged out at the end."""
        protocol = SmtpProtocol({b"CRAM-MD5": CramMD5Credentials, b"PLAIN": PLAINCredentials})
        protocol.portal, realm = self.portal()
        self.connect(protocol)
        self.assertIn("250-AUTH CRAM-MD5\r\n", self.say("EHLO x"))
        self.assertEqual(["538"], codes(self.say("AUTH PLAIN")))
        for password, code in ((b"wrong", "535"), (b"right", "235")):
            challenge = base64.b64decode(self.say("AUTH CRAM-MD5")[4:])
            answer = b"ann " + hmac.new(password, challenge, "md5").hexdigest().encode()
            self.assertEqual([code], codes(self.say(base64.b64encode(answer).decode())))
        self.assertEqual(["250", "250"], codes(self.say("MAIL FROM:<a@b>", "RCPT TO:<a@local.test>")))
        protocol.connectionLost()
        self.assertEqual(1, len(realm.out))

    def test_plaintext(self) -> None:
        """PLAIN and LOGIN outside TLS only for who insists."""
        protocol = SmtpProtocol({b"LOGIN": LOGINCredentials})
        protocol.plaintext_without_tls = True
        protocol.portal, _ = self.portal()
        self.connect(protocol)
        self.assertIn("AUTH LOGIN", self.say("EHLO x"))
        text = self.say("AUTH LOGIN", base64.b64encode(b"ann").decode(), base64.b64encode(b"right").decode())
        self.assertEqual(["334", "334", "235"], codes(text))

    def test_timeout(self) -> None:
        """``timeout`` is Twisted's."""
        protocol = SmtpProtocol()
        protocol.timeout = 10
        self.connect(protocol)
        self.transport.clear()
        protocol.factory.reactor.advance(10)
        self.assertEqual(["421"], codes(self.transport.value().decode()))
