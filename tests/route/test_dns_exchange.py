"""Questions over real sockets: a DNS server on loopback, and the resolver before it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import DatagramProtocol, Factory, Protocol
from twisted.trial.unittest import TestCase

from mta.interfaces import NoSuchDomain, TemporarilyUnavailable
from mta.route.resolver import Resolver
from mta.route.system_files import SystemFiles
from tests.route.dns_answers import answer, question_of

LARGE = [f'large.test. 60 IN TXT "{n} {"x" * 200}"' for n in range(20)]


def respond(query: bytes, tcp: bool) -> list[bytes]:
    """What the server sends back."""
    name, kind, _ = question_of(query)
    if name == "large.test":
        return [answer(query, *LARGE) if tcp else answer(query, truncated=True)]
    if name == "gone.test":
        return [answer(query, code="NXDOMAIN", minimum=60)]
    if name == "broken.test":
        return [answer(query, code="SERVFAIL")]
    if name == "silent.test":
        return []
    if name == "rude.test":
        return [answer(query, truncated=True)] if not tcp else [b""]
    good = answer(query, f"{name}. 60 IN MX 10 mx.{name}.") if kind == "MX" else answer(query, minimum=9)
    if name == "forged.test":
        # Rubbish, a wrong id and the question itself come before the answer.
        other = answer(query, f"{name}. 60 IN MX 1 evil.test.")
        return [b"", b"x", query, bytes([other[0] ^ 255]) + other[1:], good]
    return [good]


class Udp(DatagramProtocol):
    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        assert self.transport is not None
        for response in respond(datagram, False):
            self.transport.write(response, addr)


class Tcp(Protocol):
    data = b""

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        if len(self.data) < 2 + int.from_bytes(self.data[:2], "big"):
            return
        assert self.transport is not None
        (response,) = respond(self.data[2:], True)
        if not response:
            self.transport.loseConnection()
            return
        whole = len(response).to_bytes(2, "big") + response
        # In pieces, as a network may deliver it.
        self.transport.write(whole[:1])
        self.transport.write(whole[1:100])
        reactor.callLater(0, self.transport.write, whole[100:])


class LoopbackTests(TestCase):
    """A resolver asks a server on loopback."""

    def setUp(self) -> None:
        loop: Any = reactor
        # A number that is free for one protocol may be taken for the other.
        while True:
            self.tcp = loop.listenTCP(0, Factory.forProtocol(Tcp), interface="127.0.0.1")
            self.addCleanup(self.tcp.stopListening)
            self.port = self.tcp.getHost().port
            try:
                self.udp = loop.listenUDP(self.port, Udp(), interface="127.0.0.1")
            except CannotListenError:
                continue
            self.addCleanup(self.udp.stopListening)
            return

    def make(self, *servers: str, timeout: float = 20.0) -> Resolver:
        nowhere = SystemFiles(Path("/nonexistent"), Path("/nonexistent"))
        return Resolver(reactor, servers or (f"127.0.0.1:{self.port}",), timeout, files=nowhere)

    async def test_answers(self) -> None:
        resolver = self.make()
        self.assertEqual([(10, "mx.far.test")], list(await resolver.mx("far.test")))
        await self.assertFailure(Deferred.fromCoroutine(resolver.mx("gone.test")), NoSuchDomain)
        await self.assertFailure(Deferred.fromCoroutine(resolver.mx("broken.test")), TemporarilyUnavailable)

    async def test_truncated(self) -> None:
        self.assertEqual(20, len(await self.make().text("large.test")))

    async def test_forged(self) -> None:
        """What is not under our id is passed over, and the true answer taken."""
        self.assertEqual([(10, "mx.forged.test")], list(await self.make().mx("forged.test")))

    async def test_silence(self) -> None:
        answer = Deferred.fromCoroutine(self.make(timeout=0.2).mx("silent.test"))
        error: Any = await self.assertFailure(answer, TemporarilyUnavailable)
        self.assertIn("does not answer in time", str(error))

    async def test_closed_connection(self) -> None:
        answer = Deferred.fromCoroutine(self.make(timeout=40).mx("rude.test"))
        error: Any = await self.assertFailure(answer, TemporarilyUnavailable)
        self.assertIn("closed the connection", str(error))

    async def test_nobody_there(self) -> None:
        """A server that is not there is known at once, and the next one is asked."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("127.0.0.1", 0))
            free = probe.getsockname()[1]
        resolver = self.make(f"127.0.0.1:{free}", f"127.0.0.1:{self.port}", timeout=20)
        self.assertEqual([(10, "mx.far.test")], list(await resolver.mx("far.test")))
        error: Any = await self.assertFailure(
            Deferred.fromCoroutine(self.make(f"127.0.0.1:{free}", timeout=20).mx("far.test")),
            TemporarilyUnavailable,
        )
        self.assertIn("refuses connections", str(error))
