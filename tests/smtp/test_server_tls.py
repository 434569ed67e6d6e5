"""Over real sockets on loopback: handshakes, channel binding, and other people's clients."""

from __future__ import annotations

import base64
import hashlib
import hmac
import smtplib
import socket
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from twisted.internet import reactor as installed
from twisted.internet import ssl as twisted_ssl
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.threads import deferToThread
from twisted.protocols.basic import LineOnlyReceiver
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mta.certificate import ServerContext, self_signed
from mta.identity.authenticator import Authenticator
from mta.identity.directories import Directories
from mta.identity.file import FileIdentity, FileSettings
from mta.identity.portal import make_portal
from mta.smtp.connections import Connections
from mta.smtp.factory import SmtpFactory
from tests.smtp.server_fakes import Dialogue, FakeAuthenticator, FakeReception, codes, limits

reactor: Any = installed


class StartTlsDialogueTests(SynchronousTestCase):
    """What can be seen without a handshake."""

    def test_injected_commands(self) -> None:
        """Nothing that came before the handshake survives it: the group is refused, and the line closed."""
        d = Dialogue(tls=object()).hello()
        self.assertEqual(["503"], codes(d.say("STARTTLS", "EHLO evil.test", "MAIL FROM:<evil@x>")))
        self.assertTrue(d.closed)
        self.assertEqual([], [about for question, about in d.reception.asked if question == "sender"])
        self.assertEqual("pipelining-forbidden", d.events[0].name)

    def test_injected_half_line(self) -> None:
        d = Dialogue(tls=object()).hello()
        self.assertEqual(["503"], codes(d.send(b"STARTTLS\r\nEHLO")))
        self.assertTrue(d.closed)

    def test_forgets(self) -> None:
        """After the handshake the client begins again (RFC 3207, 4.2)."""
        d = Dialogue().hello().secure()
        self.assertEqual("", d.protocol.session.client.helo)
        self.assertIn("503 5.5.1 Say EHLO first", d.say("MAIL FROM:<a@b>"))
        d.hello().begin()
        self.assertEqual(["ESMTPS"], d.reception.protocols)

    def test_forgets_who_it_was(self) -> None:
        """What was proved in clear text does not hold inside TLS."""
        d = Dialogue("submission", authenticator=FakeAuthenticator(), tls=object()).hello()
        self.assertEqual(["235"], codes(d.say("AUTH X-SAFE " + base64.b64encode(b"right").decode())))
        d.secure().hello()
        self.assertEqual("530 5.7.0 Authentication", d.say("MAIL FROM:<a@b>")[:24])
        self.assertEqual(("", "", "ESMTPS"), _known(d))

    def test_not_within_a_transaction(self) -> None:
        d = Dialogue(tls=object()).hello().begin()
        self.assertEqual(["503"], codes(d.say("STARTTLS")))

    def test_argument(self) -> None:
        d = Dialogue(tls=object()).hello()
        self.assertEqual(["501"], codes(d.say("STARTTLS now")))


def _known(d: Dialogue) -> tuple[str, str, str]:
    client = d.protocol.session.client
    return client.account, client.mechanism, client.protocol


class Talk(LineOnlyReceiver):
    """A client that waits for replies."""

    def __init__(self) -> None:
        self.waiting: Deferred[str] | None = None
        self.lines: list[str] = []
        self.lost: Deferred[Any] = Deferred()

    def lineReceived(self, line: bytes) -> None:
        self.lines.append(line.decode())
        if line[3:4] == b" " and self.waiting is not None:
            waiting, self.waiting = self.waiting, None
            text, self.lines = "\n".join(self.lines), []
            waiting.callback(text)

    def reply(self) -> Deferred[str]:
        self.waiting = Deferred()
        return self.waiting

    def say(self, line: str) -> Deferred[str]:
        self.sendLine(line.encode())
        return self.reply()

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


class LoopbackTests(TestCase):
    """A port on loopback, and a client for it."""

    timeout = 120

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        certificate, key = self_signed(directory, "localhost", reactor.seconds())
        self.context = ServerContext(certificate, key)
        self.certificate = x509.load_pem_x509_certificate(certificate.read_bytes())
        self.reception = FakeReception()
        users = directory / "users"
        users.write_text("ann@local.test:{PLAIN}right\n")

        async def run(call: Any, *arguments: Any) -> Any:
            return call(*arguments)

        identity = FileIdentity(users, FileSettings(path=str(users)), reactor, run, "local.test")
        portal = make_portal((identity,), Directories([identity]))
        self.authenticator = Authenticator(portal, (identity,), b"s" * 32)

    def listen(self, role: str, **options: Any) -> SmtpFactory:
        bounds = options.pop("limits", limits())
        factory = SmtpFactory(
            reactor=reactor,
            role=role,
            hostname="mx.local.test",
            reception=self.reception,
            authenticator=self.authenticator,
            tls=None if role == "submissions" else self.context,  # type: ignore[arg-type]
            limits=bounds,
            connections=Connections(bounds),
            session_id=lambda: "s1",
        )
        outer: Any = factory
        if role == "submissions":
            outer = TLSMemoryBIOFactory(self.context, False, factory)
        port = reactor.listenTCP(0, outer, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.port: int = port.getHost().port
        return factory

    def connect(self) -> Deferred[Talk]:
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.port)
        return endpoint.connect(Factory.forProtocol(Talk))

    async def secured(self, version: Any = None) -> Talk:
        """A client after STARTTLS and EHLO."""
        client: Any = await self.connect()
        await client.reply()
        await client.say("EHLO x.test")
        assert (await client.say("STARTTLS"))[:3] == "220"
        options = {} if version is None else {"lowerMaximumSecurityTo": version}
        client.transport.startTLS(twisted_ssl.CertificateOptions(**options))
        await client.say("EHLO x.test")
        return client  # type: ignore[no-any-return]

    async def end(self, client: Any) -> None:
        client.transport.loseConnection()
        await client.lost

    async def _starttls(self) -> None:
        factory = self.listen("submission")
        client = await self.secured()
        (server,) = factory.sessions
        known = server.session.client
        self.assertEqual("TLSv1.3", known.tls_version)
        self.assertTrue(known.tls_cipher.startswith("TLS_"))
        self.assertEqual("ESMTPS", known.protocol)
        self.assertEqual("530 5.7.0 Authentication required", await client.say("MAIL FROM:<a@b>"))
        await self.end(client)

    def test_starttls(self) -> Deferred[None]:
        """A handshake, and what is known of it."""
        return Deferred.fromCoroutine(self._starttls())

    async def _bindings(self) -> None:
        factory = self.listen("submission")
        for version in (None, twisted_ssl.TLSVersion.TLSv1_2):
            client: Any = await self.secured(version)
            (server,) = factory.sessions
            ours: SSL.Connection = client.transport.getHandle()
            if version is None:
                exported = ours.export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
                self.assertEqual(exported, server.channel_binding("tls-exporter"))
                self.assertIsNone(server.channel_binding("tls-unique"))
            else:
                self.assertIsNone(server.channel_binding("tls-exporter"))
                self.assertEqual(ours.get_finished(), server.channel_binding("tls-unique"))
            digest = hashlib.sha256(self.certificate.public_bytes(Encoding.DER)).digest()
            self.assertEqual(digest, server.channel_binding("tls-server-end-point"))
            self.assertIsNone(server.channel_binding("tls-unheard-of"))
            await self.end(client)
            while factory.sessions:
                waiting: Deferred[None] = Deferred()
                reactor.callLater(0, waiting.callback, None)
                await waiting

    def test_bindings(self) -> Deferred[None]:
        """Both ends compute the same, with TLS 1.3 and 1.2."""
        return Deferred.fromCoroutine(self._bindings())

    async def _scram_plus(self) -> None:
        self.listen("submission")
        client: Any = await self.secured()
        binding = client.transport.getHandle().export_keying_material(b"EXPORTER-Channel-Binding", 32, b"")
        for data, code in ((binding, "235"), (b"x" * 32, "535")):
            if code == "535":
                await self.end(client)
                client = await self.secured()
            header = b"p=tls-exporter,,"
            bare = b"n=ann@local.test,r=clientnonce"
            first = base64.b64encode(header + bare).decode()
            challenge = base64.b64decode((await client.say(f"AUTH SCRAM-SHA-256-PLUS {first}"))[4:])
            fields = dict(item.split(b"=", 1) for item in challenge.split(b","))
            salted = hashlib.pbkdf2_hmac(
                "sha256", b"right", base64.b64decode(fields[b"s"]), int(fields[b"i"])
            )
            client_key = hmac.digest(salted, b"Client Key", "sha256")
            final = b"c=" + base64.b64encode(header + data) + b",r=" + fields[b"r"]
            message = bare + b"," + challenge + b"," + final
            signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
            proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
            final += b",p=" + base64.b64encode(proof)
            reply = await client.say(base64.b64encode(final).decode())
            if code == "235":
                self.assertTrue(base64.b64decode(reply[4:]).startswith(b"v="), reply)
                reply = await client.say("")
            self.assertEqual(code, reply[:3])
        await self.end(client)

    def test_scram_plus(self) -> Deferred[None]:
        """SCRAM-SHA-256-PLUS with tls-exporter: the right binding is let in, another is not."""
        return Deferred.fromCoroutine(self._scram_plus())

    async def _implicit(self) -> None:
        factory = self.listen("submissions")

        def send() -> None:
            context = ssl._create_unverified_context()
            with smtplib.SMTP_SSL("127.0.0.1", self.port, "x.test", context=context, timeout=60) as client:
                client.login("ann@local.test", "right")
                client.sendmail("ann@local.test", ["b@far.test"], b"Subject: x\r\n\r\n.dot\r\n")

        await deferToThread(send)
        (message,) = self.reception.messages
        self.assertEqual(b"Subject: x\r\n\r\n.dot\r\n", message.data)
        self.assertEqual(("ann@local.test", "ESMTPSA"), (message.client.account, message.client.protocol))
        self.assertEqual("TLSv1.3", message.client.tls_version)
        await factory.drain(5.0)

    def test_implicit(self) -> Deferred[None]:
        """Python's smtplib over TLS from the first octet, logged in."""
        return Deferred.fromCoroutine(self._implicit())

    async def _smtplib(self) -> None:
        factory = self.listen("mx")
        body = b"Subject: x\r\n\r\n" + b".line\r\n" * 100_000

        def send() -> None:
            with smtplib.SMTP("127.0.0.1", self.port, "x.test", timeout=60) as client:
                client.ehlo()
                context = ssl._create_unverified_context()
                client.starttls(context=context)
                client.sendmail("a@far.test", ["ann@local.test", "bob@local.test"], body)
                client.sendmail("", ["ann@local.test"], b"second")

        await deferToThread(send)
        first, second = self.reception.messages
        self.assertEqual(body, first.data)
        self.assertEqual("", second.envelope.reverse_path)
        self.assertEqual("ESMTPS", second.client.protocol)
        await factory.drain(5.0)

    def test_smtplib(self) -> Deferred[None]:
        """Python's smtplib with STARTTLS and a large message."""
        return Deferred.fromCoroutine(self._smtplib())

    async def _slow_reader(self) -> None:
        factory = self.listen("mx", limits=limits(commands=10**6))
        count = 30_000
        made: list[Any] = []
        build = factory.buildProtocol

        def remember(address: Any) -> Any:
            made.append(build(address))
            return made[-1]

        factory.buildProtocol = remember  # type: ignore[method-assign]

        def talk() -> bytes:
            with socket.create_connection(("127.0.0.1", self.port), timeout=60) as client:
                client.sendall(b"EHLO x.test\r\n" * count + b"QUIT\r\n")
                blocks = []
                while block := client.recv(1 << 20):
                    blocks.append(block)
                return b"".join(blocks)

        text = await deferToThread(talk)
        self.assertEqual(count, text.count(b"250 HELP\r\n"))
        self.assertFalse(made[0]._direct)
        rest = text.partition(b"\r\n")[2]
        reply = rest[: rest.index(b"250 HELP\r\n") + 10]
        self.assertEqual(reply * count, rest[: len(reply) * count])
        self.assertEqual(b"221", rest[len(reply) * count :][:3])
        await factory.drain(5.0)

    def test_slow_reader(self) -> Deferred[None]:
        """Replies that the socket does not take at once arrive all the same, in order."""
        return Deferred.fromCoroutine(self._slow_reader())

    async def _failed_handshake(self) -> None:
        factory = self.listen("mx")
        client: Any = await self.connect()
        await client.reply()
        await client.say("EHLO x.test")
        await client.say("STARTTLS")
        client.transport.write(b"this is no handshake\r\n")
        await client.lost
        while factory.sessions:
            waiting: Deferred[None] = Deferred()
            reactor.callLater(0, waiting.callback, None)
            await waiting
        (event,) = self.reception.events
        self.assertEqual(("tls", "tls-failed"), (event.stage, event.name))

    def test_failed_handshake(self) -> Deferred[None]:
        """It stands in the journal."""
        return Deferred.fromCoroutine(self._failed_handshake())
