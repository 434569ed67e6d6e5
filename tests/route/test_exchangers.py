"""Which hosts take mail for a next hop (RFC 5321, 5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import (
    Exchanger,
    IExchangers,
    IRouter,
    NoSuchDomain,
    Route,
    RouteError,
    TemporarilyUnavailable,
)
from mta.route.exchangers import Exchangers
from mta.route.outbound import OutboundRouter
from mta.route.own_addresses import OwnAddresses
from mta.route.routers import Routers

DOWN = TemporarilyUnavailable("SERVFAIL")
GONE = NoSuchDomain("gone")


class TableResolver:
    """Knows what its tables have; a name that is in none does not exist."""

    def __init__(self, mx: dict[str, Any], addresses: dict[str, Any]) -> None:
        self.tables = {"mx": mx, "addresses": addresses}
        self.asked: list[str] = []

    async def mx(self, domain: str) -> Any:
        return self.answer("mx", domain)

    async def addresses(self, host: str) -> Any:
        return self.answer("addresses", host)

    def answer(self, kind: str, name: str) -> Any:
        self.asked.append(f"{kind} {name}")
        found = self.tables[kind].get(name, GONE)
        if isinstance(found, Exception):
            raise found
        return found


MX: dict[str, Any] = {
    "far.test": [(20, "mx2.far.test"), (10, "mx1.far.test")],
    "plain.test": [],
    "noaddress.test": [],
    "null.test": [(0, "")],
    "half-null.test": [(0, ""), (10, "mx1.far.test")],
    "dark.test": DOWN,
    "partly.test": [(5, "gone.test"), (6, "dark.test"), (7, "mx1.far.test")],
    "all-dark.test": [(5, "gone.test"), (6, "dark.test")],
    "all-gone.test": [(5, "gone.test"), (6, "empty.test")],
    "literal.test": [(5, "192.0.2.40")],
    "twice.test": [(30, "mx1.far.test"), (20, "mx2.far.test"), (10, "MX1.far.test")],
    "backup.test": [(10, "mx1.far.test"), (20, "MX.Here.Test"), (20, "mx2.far.test"), (30, "mx3.far.test")],
    "address.test": [(10, "mx1.far.test"), (20, "other-name.test"), (30, "mx3.far.test")],
    "ours.test": [(10, "mx.here.test"), (20, "mx1.far.test")],
    "ours-plain.test": [],
    "ours-mapped.test": [(1, "mapped.test")],
    "dark-backup.test": [(5, "dark.test"), (10, "mx.here.test")],
    "gone-backup.test": [(5, "gone.test"), (10, "mx.here.test")],
    "equal.test": [(10, f"e{number}.test") for number in range(4)],
    "huge.test": [(number, f"h{number}.test") for number in range(300)],
    "huge-ours.test": [(number, f"h{number}.test") for number in range(300)] + [(299, "mx.here.test")],
}
ADDRESSES: dict[str, Any] = {
    "mx1.far.test": ["2001:db8::1", "192.0.2.11"],
    "mx2.far.test": ["192.0.2.12"],
    "mx3.far.test": ["192.0.2.13"],
    "mx.here.test": ["192.0.2.1"],
    "other-name.test": ["192.0.2.200", "192.0.2.1"],
    "plain.test": ["192.0.2.14"],
    "noaddress.test": [],
    "empty.test": [],
    "dark.test": DOWN,
    "ours-plain.test": ["192.0.2.1"],
    "mapped.test": ["::ffff:192.0.2.1"],
    "six.test": ["2001:db8::6"],
    **{f"e{number}.test": [f"192.0.2.{100 + number}"] for number in range(4)},
    **{f"h{number}.test": ["192.0.2.99"] for number in range(300)},
}


class ExchangersCase(SynchronousTestCase):
    """Exchangers over the tables."""

    def setUp(self) -> None:
        self.resolver = TableResolver(MX, ADDRESSES)
        self.exchangers = self.make()

    def make(self, **options: Any) -> Exchangers:
        options = {
            "hostname": "mx.here.test",
            "own_addresses": lambda: frozenset({"192.0.2.1"}),
            "shuffle": lambda hosts: None,
        } | options
        return Exchangers(self.resolver, **options)

    def ask(self, next_hop: str) -> Deferred[Sequence[Exchanger]]:
        return Deferred.fromCoroutine(self.exchangers.find(next_hop))

    def hosts(self, next_hop: str) -> list[str]:
        found = self.successResultOf(self.ask(next_hop))
        return [f"{host.preference} {host.name} {','.join(host.addresses)} {host.port}" for host in found]

    def refused(self, next_hop: str) -> str:
        error: Any = self.failureResultOf(self.ask(next_hop), RouteError).value
        return str(error.reply.name)


class FoundTests(ExchangersCase):
    """Hosts, in their order."""

    FAR = "10 mx1.far.test 2001:db8::1,192.0.2.11 25"

    def test_mx(self) -> None:
        self.assertEqual([self.FAR, "20 mx2.far.test 192.0.2.12 25"], self.hosts("far.test"))
        self.assertTrue(IExchangers.providedBy(self.exchangers))

    def test_table(self) -> None:
        for next_hop, expected in {
            "plain.test": ["0 plain.test 192.0.2.14 25"],
            "half-null.test": [self.FAR],
            "partly.test": ["7 mx1.far.test 2001:db8::1,192.0.2.11 25"],
            "literal.test": ["5 192.0.2.40 192.0.2.40 25"],
            "twice.test": [self.FAR, "20 mx2.far.test 192.0.2.12 25"],
            "[192.0.2.9]": ["0 192.0.2.9 192.0.2.9 25"],
            "[192.0.2.9]:26": ["0 192.0.2.9 192.0.2.9 26"],
            "[IPv6:2001:db8::9]:26": ["0 2001:db8::9 2001:db8::9 26"],
            "mx2.far.test:587": ["0 mx2.far.test 192.0.2.12 587"],
            "[mx2.far.test]": ["0 mx2.far.test 192.0.2.12 25"],
        }.items():
            with self.subTest(next_hop):
                self.assertEqual(expected, self.hosts(next_hop))

    def test_no_mx_asked(self) -> None:
        """A host with a port is taken as it stands."""
        self.hosts("mx2.far.test:587")
        self.hosts("[192.0.2.9]")
        self.assertEqual(["addresses mx2.far.test"], self.resolver.asked)

    def test_port(self) -> None:
        self.exchangers = self.make(port=2525)
        self.assertEqual(["0 plain.test 192.0.2.14 2525"], self.hosts("plain.test"))
        self.assertEqual(["0 mx2.far.test 192.0.2.12 587"], self.hosts("mx2.far.test:587"))

    def test_without_ipv6(self) -> None:
        self.exchangers = self.make(ipv6=False)
        self.assertEqual(
            ["10 mx1.far.test 192.0.2.11 25", "20 mx2.far.test 192.0.2.12 25"], self.hosts("far.test")
        )
        self.assertEqual("no-mail-host", self.refused("six.test:25"))

    def test_equal(self) -> None:
        """Hosts of equal preference come in the order that chance gives them."""
        self.assertEqual(
            [f"e{n}.test" for n in range(4)], [line.split()[1] for line in self.hosts("equal.test")]
        )
        self.exchangers = self.make(shuffle=lambda hosts: hosts.reverse())
        self.assertEqual(
            [f"e{n}.test" for n in (3, 2, 1, 0)], [line.split()[1] for line in self.hosts("equal.test")]
        )
        self.assertEqual([self.FAR, "20 mx2.far.test 192.0.2.12 25"], self.hosts("far.test"))

    def test_many(self) -> None:
        """Of hundreds, only the best are looked up."""
        self.assertEqual(20, len(self.hosts("huge.test")))
        self.assertEqual(21, len(self.resolver.asked))
        self.assertEqual(19, len(self.hosts("huge-ours.test")))

    def test_used_anew(self) -> None:
        """As a reload says."""
        self.exchangers.use(2525, False)
        self.assertEqual(
            ["10 mx1.far.test 192.0.2.11 2525", "20 mx2.far.test 192.0.2.12 2525"], self.hosts("far.test")
        )


class RefusedTests(ExchangersCase):
    """Next hops without a host, for good or for now."""

    def test_table(self) -> None:
        for next_hop, name in {
            "gone.test": "no-such-domain",
            "null.test": "null-mx",
            "noaddress.test": "no-mail-host",
            "all-gone.test": "no-mail-host",
            "gone.test:587": "no-mail-host",
            "a b": "no-such-domain",
            "[nonsense": "no-such-domain",
        }.items():
            with self.subTest(next_hop):
                self.assertEqual(name, self.refused(next_hop))

    def test_for_now(self) -> None:
        for next_hop in ("dark.test", "all-dark.test", "dark.test:25", "dark-backup.test"):
            with self.subTest(next_hop):
                self.failureResultOf(self.ask(next_hop), TemporarilyUnavailable)


class LoopTests(ExchangersCase):
    """Mail never goes to ourselves, nor to hosts behind us."""

    FAR = "10 mx1.far.test 2001:db8::1,192.0.2.11 25"

    def test_backup(self) -> None:
        """Only hosts better than us are left, whether we are known by name or by address."""
        self.assertEqual([self.FAR], self.hosts("backup.test"))
        self.assertEqual([self.FAR], self.hosts("address.test"))

    def test_other_name(self) -> None:
        """Behind a translation of addresses neither name nor address need be ours."""
        self.exchangers.call_us(["MX1.far.test."])
        self.assertEqual("mx-loop", self.refused("backup.test"))
        self.exchangers.call_us([])
        self.assertEqual([self.FAR], self.hosts("backup.test"))

    def test_loop(self) -> None:
        for next_hop in (
            "ours.test",
            "ours-plain.test",
            "ours-mapped.test",
            "mx.here.test",
            "[192.0.2.1]",
            "[IPv6:::ffff:192.0.2.1]",
        ):
            with self.subTest(next_hop):
                self.resolver.tables["mx"].setdefault("mx.here.test", [])
                self.assertEqual("mx-loop", self.refused(next_hop))

    def test_better_is_gone(self) -> None:
        """A better host that does not exist does not make us the one to deliver to."""
        self.assertEqual("no-mail-host", self.refused("gone-backup.test"))

    def test_port(self) -> None:
        """With a port of its own it may well be another server on this machine."""
        self.assertEqual(["0 mx.here.test 192.0.2.1 24"], self.hosts("mx.here.test:24"))
        self.assertEqual(["0 192.0.2.1 192.0.2.1 26"], self.hosts("[192.0.2.1]:26"))

    def test_own_addresses(self) -> None:
        """The kernel is asked, and not with every message."""
        now = [0.0]
        own = OwnAddresses(30, lambda: now[0])
        self.assertLessEqual({"127.0.0.1", "::1", "0.0.0.0"}, own())
        self.assertIs(own(), own())
        now[0] = 31
        self.assertIn("127.0.0.1", own())


class TraceTests(ExchangersCase):
    """What a person is told about a next hop."""

    def trace(self, next_hop: str) -> tuple[str, Any]:
        steps, end = self.successResultOf(Deferred.fromCoroutine(self.exchangers.trace(next_hop)))
        return "\n".join(steps), end

    def test_found(self) -> None:
        text, end = self.trace("backup.test")
        self.assertIn("backup.test has MX records: 10 mx1.far.test, 20 MX.Here.Test", text)
        self.assertIn("mx.here.test is this server", text)
        self.assertIn("to try: mx1.far.test [2001:db8::1, 192.0.2.11] port 25", text)
        self.assertEqual(1, len(end))
        self.assertIn("has no MX record", self.trace("plain.test")[0])

    def test_not_found(self) -> None:
        text, end = self.trace("null.test")
        self.assertIn("null MX", text)
        self.assertIsInstance(end, RouteError)
        self.assertIsInstance(self.trace("dark.test")[1], TemporarilyUnavailable)


class OutboundTests(SynchronousTestCase):
    """The way out."""

    def test_domain(self) -> None:
        router = OutboundRouter()
        self.assertEqual([Route("x@Far.test", "relay", "far.test")], list(router.route("x@Far.test") or ()))
        self.assertEqual(
            [Route("x@[192.0.2.1]", "relay", "[192.0.2.1]")], list(router.route("x@[192.0.2.1]") or ())
        )
        self.assertIsNone(router.route("postmaster"))
        self.assertFalse(router.is_local("far.test"))
        self.assertTrue(IRouter.providedBy(router))

    def test_smarthost(self) -> None:
        router = OutboundRouter("smart.test:587")
        self.assertEqual(
            [Route("x@far.test", "relay", "smart.test:587")], list(router.route("x@far.test") or ())
        )
        self.assertRaises(ValueError, OutboundRouter, "smart.test:port")


class FixedRouter:
    """Answers one address, at once or later."""

    def __init__(self, address: str, end: Any, later: bool = False) -> None:
        self.address = address
        self.end = end
        self.later = later

    def route(self, address: str) -> Any:
        if address != self.address:
            return self.later_answer(None) if self.later else None
        if self.later:
            return self.later_answer(self.end)
        if isinstance(self.end, Exception):
            raise self.end
        return self.end

    async def later_answer(self, end: Any) -> Any:
        if isinstance(end, Exception):
            raise end
        return end

    def is_local(self, domain: str) -> bool:
        return domain == self.address.partition("@")[2]


class RoutersTests(SynchronousTestCase):
    """Several routers as one."""

    def test_order(self) -> None:
        first = [Route("a@x.test", "first", "")]
        second = [Route("a@x.test", "second", "")]
        routers = Routers([FixedRouter("a@x.test", first), FixedRouter("a@x.test", second), OutboundRouter()])
        self.assertEqual(first, routers.route("a@x.test"))
        self.assertEqual("relay", next(iter(routers.route("b@y.test"))).transport)
        self.assertTrue(routers.is_local("x.test"))
        self.assertFalse(routers.is_local("y.test"))
        self.assertIsNone(routers.route("postmaster"))

    def test_later(self) -> None:
        """A router that takes its time is waited for before the next is asked."""
        late = [Route("a@x.test", "late", "")]
        routers = Routers(
            [
                FixedRouter("a@x.test", late, later=True),
                FixedRouter("b@x.test", late, later=True),
                OutboundRouter(),
            ]
        )
        for address, transport in {"a@x.test": "late", "b@x.test": "late", "c@x.test": "relay"}.items():
            answer: Any = routers.route(address)
            (route,) = self.successResultOf(Deferred.fromCoroutine(answer))
            self.assertEqual(transport, route.transport)

    def test_trouble(self) -> None:
        """What one raises ends the questions: a later router must not decide differently."""
        for later in (False, True):
            routers = Routers([FixedRouter("a@x.test", DOWN, later), OutboundRouter()])

            async def ask(routers: Routers = routers) -> Any:
                answer: Any = routers.route("a@x.test")
                return await answer

            self.failureResultOf(Deferred.fromCoroutine(ask()), TemporarilyUnavailable)
            steps, end = self.successResultOf(Deferred.fromCoroutine(routers.trace("a@x.test")))
            self.assertEqual(["the router FixedRouter says: SERVFAIL"], steps)
            self.assertIs(DOWN, end)
