"""Policies from HTTPS servers on loopback that keep to RFC 8461, and that do not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, trustRootFromCertificates
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from mta.interfaces import NoSuchDomain
from mta.model.mta_sts import MAX_POLICY, StsPolicy
from mta.route.mta_sts_fetch import NoPolicy, PolicyFetcher
from tests.connections import all_ended
from tests.deliver.relay_server import Authority

reactor: Any = _reactor
POLICY = b"version: STSv1\nmode: enforce\nmx: *.far.test\nmax_age: 86400\n"


class _Page(Resource):
    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.body = POLICY
        self.code = 200
        self.kind = "text/plain; charset=utf-8"
        self.silent = False
        self.asked: list[bytes] = []

    def render_GET(self, request: Any) -> Any:
        self.asked.append(request.uri)
        request.setResponseCode(self.code)
        request.setHeader("content-type", self.kind)
        if 300 <= self.code < 400:
            request.setHeader("location", "https://mta-sts.far.test/other")
        return NOT_DONE_YET if self.silent else self.body


class _Resolver:
    """:ivar found: the addresses, or what is raised."""

    found: Any = ("127.0.0.1",)

    async def addresses(self, host: str) -> Any:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


class FetchTests(TestCase):
    timeout = 120

    def setUp(self) -> None:
        directory = Path(self.mktemp())
        directory.mkdir()
        self.authority = Authority(directory)
        self.resolver = _Resolver()
        self.page = _Page()
        self.site: Any = Site(self.page)

    def serve(self, host: str = "mta-sts.far.test", days: int = 2, **options: Any) -> PolicyFetcher:
        options_of_server = self.authority.issue(host, days).options()
        port = reactor.listenSSL(0, self.site, options_of_server, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        # The server's side sees the end of a connection a moment later.
        self.addCleanup(lambda: Deferred.fromCoroutine(all_ended()))
        trust = trustRootFromCertificates([Certificate.loadPEM(self.authority.path.read_bytes())])
        options = {"trust": trust, **options}
        return PolicyFetcher(reactor, self.resolver, port=port.getHost().port, **options)  # type: ignore[arg-type]

    async def refuse(self, fetcher: PolicyFetcher, *words: str, result: str = "") -> None:
        with self.assertRaises(NoPolicy) as caught:
            await fetcher.fetch("far.test")
        for word in words:
            self.assertIn(word, str(caught.exception))
        if result:
            self.assertEqual(result, caught.exception.result)

    async def test_policy(self) -> None:
        policy = await self.serve().fetch("far.test")
        self.assertEqual(StsPolicy("enforce", 86400, ("*.far.test",)), policy)
        self.assertEqual([b"/.well-known/mta-sts.txt"], self.page.asked)

    async def test_next_address(self) -> None:
        self.resolver.found = ("127.0.0.9", "127.0.0.1")
        self.assertEqual("enforce", (await self.serve().fetch("far.test")).mode)

    async def test_certificates(self) -> None:
        """Another name, expired, of nobody's authority: nothing is even asked."""
        webpki = "sts-webpki-invalid"
        await self.refuse(self.serve("far.test"), "mta-sts.far.test gives no policy", result=webpki)
        await self.refuse(self.serve("*.other.test"), result=webpki)
        await self.refuse(self.serve(days=-1), result=webpki)
        await self.refuse(self.serve(trust=None), result=webpki)
        self.assertEqual([], self.page.asked)

    async def test_answers(self) -> None:
        """A redirect is not followed, and no policy (3.3)."""
        fetcher = self.serve()
        for code in (301, 302, 307, 404, 500):
            self.page.code = code
            await self.refuse(fetcher, str(code), result="sts-policy-fetch-error")
        self.assertEqual({b"/.well-known/mta-sts.txt"}, set(self.page.asked))
        self.page.code, self.page.kind = 200, "text/html"
        await self.refuse(fetcher, "text/plain")

    async def test_bodies(self) -> None:
        fetcher = self.serve()
        self.page.body = b"version: STSv1\n"
        await self.refuse(fetcher, "not valid", result="sts-policy-invalid")
        self.page.body = POLICY + b"x: y\n" * (4 * MAX_POLICY)
        await self.refuse(fetcher, "longer than 65536 octets")

    async def test_without_length(self) -> None:
        """It goes on until the connection ends; half a last line was cut off."""
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"

        class Raw(Protocol):
            body = POLICY

            def dataReceived(self, data: bytes) -> None:
                assert self.transport is not None
                self.transport.write(head + Raw.body)
                self.transport.loseConnection()

        self.site = Factory.forProtocol(Raw)
        fetcher = self.serve()
        self.assertEqual("enforce", (await fetcher.fetch("far.test")).mode)
        Raw.body = POLICY[:-3]
        await self.refuse(fetcher, "gives no policy", result="sts-policy-fetch-error")
        Raw.body = POLICY + b"x: y\n" * (4 * MAX_POLICY)
        await self.refuse(fetcher, "longer than 65536 octets", result="sts-policy-invalid")

    async def test_silent(self) -> None:
        self.page.silent = True
        await self.refuse(self.serve(timeout=0.3), "did not answer in 0.3 seconds")

    async def test_not_found(self) -> None:
        fetcher = self.serve()
        self.resolver.found = NoSuchDomain("mta-sts.far.test")
        await self.refuse(fetcher, "cannot be found")
        self.resolver.found = ()
        await self.refuse(fetcher, "no address")
