"""Where posts may go."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_network
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import NoSuchDomain
from mta.model.network import is_public
from mta.webhook.guard import Guard, NotAllowed, _Bounded, problem

PRIVATE = (
    "127.0.0.1",
    "127.1.2.3",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.8",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:a9fe:a9fe",
    "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::10.0.0.1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "2001:0:7f00:1::1",
    "2001:db8::1",
    "fc00::1",
    "fd12:3456::1",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "100::1",
    "localhost",
    "127.1",
    "2130706433",
    "0x7f000001",
    "",
)
PUBLIC = ("1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700::1111", "2002:808:808::", "64:ff9b::8.8.8.8")


class AddressTests(SynchronousTestCase):
    def test_private(self) -> None:
        for address in PRIVATE:
            with self.subTest(address):
                self.assertFalse(is_public(address))

    def test_public(self) -> None:
        for address in PUBLIC:
            with self.subTest(address):
                self.assertTrue(is_public(address))

    def test_what_the_operator_allows(self) -> None:
        allowed = [ip_network("127.0.0.0/8"), ip_network("fd00::/8")]
        for scheme, address, wrong in (
            ("http", "127.0.0.1", ""),
            ("http", "::ffff:127.0.0.1", ""),
            ("http", "fd00::1", ""),
            ("http", "10.0.0.1", "public internet"),
            ("http", "8.8.8.8", "https"),
            ("https", "8.8.8.8", ""),
            ("https", "1.1.1.1", "this server"),
        ):
            with self.subTest(f"{scheme} {address}"):
                found = problem(scheme, address, allowed, frozenset({"1.1.1.1"}))
                self.assertIn(wrong, found)
                self.assertEqual(bool(wrong), bool(found))


class Names:
    """A DNS that answers otherwise each time."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)

    async def addresses(self, host: str) -> Sequence[str]:
        if not self.answers:
            raise NoSuchDomain(host)
        return self.answers.pop(0)


class GuardTests(SynchronousTestCase):
    def connect(self, names: Names, host: str = "app.example", scheme: str = "https") -> tuple[Any, Any]:
        reactor = MemoryReactorClock()
        guard = Guard(reactor, names, list, frozenset)  # type: ignore[arg-type]
        done = ensureDeferred(guard.connect(Factory.forProtocol(Protocol), scheme, host, 443))
        return reactor, done

    def test_connects_to_what_was_checked(self) -> None:
        """The name is asked for once: what it says the next time counts for nothing."""
        names = Names(["8.8.8.8"], ["127.0.0.1"])
        reactor, done = self.connect(names)
        self.assertEqual([("8.8.8.8", 443)], [client[:2] for client in reactor.tcpClients])
        self.assertEqual(1, len(names.answers))
        self.assertNoResult(done)
        done.cancel()
        self.failureResultOf(done)

    def test_one_private_address_is_enough(self) -> None:
        for answer in (["8.8.8.8", "127.0.0.1"], ["::1"], ["169.254.169.254"], []):
            reactor, done = self.connect(Names(answer))
            self.failureResultOf(done, NotAllowed)
            self.assertEqual([], reactor.tcpClients)

    def test_literals(self) -> None:
        for host in ("127.0.0.1", "::ffff:127.0.0.1", "::1", "10.0.0.1", "127.1", "0x7f.1", "localhost"):
            reactor, done = self.connect(Names(), host)
            self.failureResultOf(done, NotAllowed)
            self.assertEqual([], reactor.tcpClients)

    def test_clear_text(self) -> None:
        reactor, done = self.connect(Names(["8.8.8.8"]), scheme="http")
        self.assertIn("https", str(self.failureResultOf(done, NotAllowed).value))
        self.assertEqual([], reactor.tcpClients)


class Aborted:
    """A transport that knows whether it was closed."""

    disconnecting = False
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True

    def write(self, data: bytes) -> None:
        """Whatever."""


class BoundTests(SynchronousTestCase):
    def test_an_answer_without_end(self) -> None:
        wrapper: Any = _Bounded(Factory.forProtocol(Protocol)).buildProtocol(None)
        transport: Any = Aborted()
        wrapper.makeConnection(transport)
        for _ in range(3):
            # Each post has its own answer.
            wrapper.write(b"POST")
            wrapper.dataReceived(b"x" * 60_000)
        self.assertFalse(transport.aborted)
        wrapper.dataReceived(b"x" * 6_000)
        self.assertTrue(transport.aborted)


class RefusedTests(SynchronousTestCase):
    """What a URL tells itself, before anything is posted to it."""

    def guard(self, *allowed: str) -> Guard:
        networks = [ip_network(one) for one in allowed]
        resolver: Any = None
        return Guard(MemoryReactorClock(), resolver, lambda: networks, lambda: ("203.0.113.5",))

    def test_refused(self) -> None:
        guard = self.guard()
        for url in (
            "https://127.0.0.1/",
            "https://10.1.2.3:8443/x",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://localhost/",
            "https://a.localhost./",
            "https://169.254.169.254/latest",
            "http://8.8.8.8/",
        ):
            self.assertNotEqual("", guard.refuses(url), url)
        for url in ("https://app.example.org/", "https://8.8.8.8/", "http://app.example.org/"):
            self.assertEqual("", guard.refuses(url), url)

    def test_allowed(self) -> None:
        self.assertEqual("", self.guard("10.0.0.0/8").refuses("http://10.1.2.3/"))
        self.assertNotEqual("", self.guard("10.0.0.0/8").refuses("http://127.0.0.1/"))
