"""Reports to HTTPS servers on loopback, good and bad."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from mta.https.authorities import trust_of
from mta.interfaces import NoSuchDomain
from mta.tls_report.post import NotTaken, ReportPoster
from tests.connections import all_ended
from tests.deliver.relay_server import Authority

reactor: Any = _reactor


class _Receiver(Resource):
    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.code = 201
        self.location = ""
        self.silent = False
        self.got: list[tuple[bytes, str, bytes]] = []

    def render_POST(self, request: Any) -> Any:
        self.got.append((request.uri, request.getHeader("content-type"), request.content.read()))
        request.setResponseCode(self.code)
        if self.location:
            request.setHeader("location", self.location)
        return NOT_DONE_YET if self.silent else b"x" * 100_000


class PostTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        self.authority = Authority(directory)
        self.receiver = _Receiver()
        self.found: Any = ("127.0.0.1",)
        self.looked_up: list[str] = []

    async def addresses(self, host: str) -> Any:
        self.looked_up.append(host)
        if isinstance(self.found, Exception):
            raise self.found
        return self.found

    def serve(self, host: str = "reports.test", days: int = 2) -> None:
        options = self.authority.issue(host, days).options()
        port = reactor.listenSSL(0, Site(self.receiver), options, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        # The server's side sees the end of a connection a moment later.
        self.addCleanup(lambda: Deferred.fromCoroutine(all_ended()))
        self.port = port.getHost().port

    def post(self, url: str = "", private: tuple[str, ...] = ("127.0.0.0/8",), timeout: float = 60.0) -> Any:
        poster = ReportPoster(
            reactor,
            self,  # type: ignore[arg-type]
            trust_of(self.authority.path),
            [ip_network(network) for network in private],
            timeout,
        )
        url = url or f"https://reports.test:{self.port}/v1?x=1"
        return Deferred.fromCoroutine(poster.post(url, b"report"))

    async def refused(self, **options: Any) -> str:
        error = await self.assertFailure(self.post(**options), NotTaken)
        return str(error)

    async def test_taken(self) -> None:
        self.serve()
        self.assertEqual("201 Created", await self.post())
        self.assertEqual([(b"/v1?x=1", "application/tlsrpt+gzip", b"report")], self.receiver.got)
        self.assertEqual(["reports.test"], self.looked_up)

    async def test_wrong_certificate(self) -> None:
        """It may be what the report is about: taken, and told."""
        for host, days in (("other.test", 2), ("reports.test", -1)):
            self.serve(host, days)
            self.assertEqual("201 Created (its certificate is not valid)", await self.post())
        self.assertEqual(2, len(self.receiver.got))

    async def test_refused(self) -> None:
        self.serve()
        self.receiver.code = 503
        self.assertEqual("it answered 503 Service Unavailable", await self.refused())
        self.assertEqual(1, len(self.receiver.got))

    async def test_redirect(self) -> None:
        """Nobody is led anywhere with a report."""
        self.serve()
        self.receiver.code, self.receiver.location = 307, f"https://reports.test:{self.port}/other"
        self.assertIn("307 Temporary Redirect; redirects are not followed", await self.refused())
        self.assertEqual(1, len(self.receiver.got))

    async def test_private(self) -> None:
        """A record in the DNS opens no door in our own network."""
        self.serve()
        for address in ("127.0.0.1", "169.254.169.254", "2002:7f00:1::"):
            self.found = (address,)
            words = await self.refused(private=())
            self.assertIn(f"reports.test is [{address}], which is not on the public internet", words)
        words = await self.refused(url=f"https://127.0.0.1:{self.port}/", private=())
        self.assertIn("not on the public internet", words)
        words = await self.refused(url=f"https://[::1]:{self.port}/", private=())
        self.assertIn("not on the public internet", words)
        self.assertEqual([], self.receiver.got)

    async def test_silent(self) -> None:
        self.serve()
        self.receiver.silent = True
        self.assertEqual("it gave no answer in 0.3 seconds", await self.refused(timeout=0.3))

    async def test_nobody(self) -> None:
        self.serve()
        self.found = NoSuchDomain("NXDOMAIN")
        self.assertEqual("reports.test cannot be found: NXDOMAIN", await self.refused())
        self.found = ()
        self.assertEqual("its host has no address", await self.refused())

    async def test_no_server(self) -> None:
        port = reactor.listenTCP(0, Site(Resource()), interface="127.0.0.1")
        self.port = port.getHost().port
        await port.stopListening()
        self.assertIn("refused", (await self.refused()).lower())

    async def test_clear_text(self) -> None:
        """Whoever does not speak TLS gets nothing."""

        class Greeting(Protocol):
            got = b""

            def connectionMade(self) -> None:
                self.transport.write(b"220 hello\r\n")

            def dataReceived(self, data: bytes) -> None:
                Greeting.got += data

        port = reactor.listenTCP(0, Factory.forProtocol(Greeting), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        self.addCleanup(lambda: Deferred.fromCoroutine(all_ended()))
        self.port = port.getHost().port
        self.assertIn("TLS: ", await self.refused())
        self.assertNotIn(b"report", Greeting.got.replace(b"reports.test", b""))
