"""Messages and the sources they leave from: a line of its own for each, and the same one at each attempt."""

from __future__ import annotations

from collections import Counter
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Egress as Table
from mta.config.settings import EgressPool, Shape
from mta.model.event import DeliveredTo
from mta.route.egress import Egress
from mta.route.shaping import Shaping
from tests.queue.fakes import DOWN, LATER, OK, Bench
from tests.queue.test_manager_sites import Grouping

SITE = ("mx1.big.test",)


class EgressCase(SynchronousTestCase):
    """A manager whose mail leaves from the sources a and b."""

    def begin(self, *shapes: dict[str, Any], sources: str = "ab", **pool: Any) -> None:
        self.shaping = Shaping([Shape(**one) for one in shapes])
        self.egress = Egress(self.shaping)
        self.use(sources, **pool)
        self.bench = Bench(shaping=self.shaping, egress=self.egress, retry=[60.0])
        self.relay = Grouping(default=None, concurrency=20)
        self.relay.sites = {"a.test": SITE, "b.test": SITE}
        self.bench.manager.replace(self.bench.settings, {"relay": self.relay})
        self.bench.manager.start()

    def use(self, sources: str, **pool: Any) -> None:
        tables = [Table(name=one, ipv4=f"192.0.2.{number}") for number, one in enumerate(sources, 1)]
        weights = dict.fromkeys(sources, 1.0)
        self.egress.use(tables, [EgressPool(**{"name": "p", "sources": weights, "sender": ["*"], **pool})])

    def sources(self) -> list[str]:
        return ["" if one.source is None else one.source.name for one in self.relay.deliveries]

    def counts(self) -> Counter[str]:
        return Counter(self.sources())


class EgressTests(EgressCase):
    def test_a_limit_for_each_source(self) -> None:
        """What a site is given at the most, each source gives, for all domains of the site."""
        self.begin({"mx": ["mx1.big.test"], "connections": 3})
        for number in range(40):
            self.bench.send(f"x@{'ab'[number % 2]}.test")
        self.assertEqual({"a": 3, "b": 3}, self.counts())
        lines = {one["source"]: one["in_flight"] for one in self.bench.manager.status()["destinations"]}
        self.assertEqual({"a": 3, "b": 3}, lines)

    def test_limits_of_one_source(self) -> None:
        self.begin({"connections": 4}, {"source": ["b"], "connections": 1})
        for _ in range(40):
            self.bench.send("x@a.test")
        self.assertEqual({"a": 4, "b": 1}, self.counts())

    def test_by_address(self) -> None:
        self.begin({"source": ["192.0.2.2"], "connections": 1})
        for _ in range(40):
            self.bench.send("x@a.test")
        self.assertEqual(1, self.counts()["b"])

    def test_the_same_at_each_attempt(self) -> None:
        self.begin()
        self.relay.default = LATER
        for _ in range(10):
            self.bench.send("x@a.test")
        self.bench.run(130)
        found: dict[str, set[str]] = {}
        for delivery in self.relay.deliveries:
            assert delivery.source is not None
            found.setdefault(delivery.message.id, set()).add(delivery.source.name)
        self.assertGreater(len(self.relay.deliveries), 20)
        self.assertEqual([1] * 10, [len(names) for names in found.values()])

    def test_site_known_later(self) -> None:
        """The source may depend on the site: nothing begins before that is known."""
        self.begin({"mx": ["*.big.test"], "egress": "p"}, sender=[])
        waits: Deferred[tuple[str, ...]] = Deferred()
        self.relay.sites["c.test"] = waits
        for _ in range(20):
            self.bench.send("x@c.test")
        self.bench.send("x@other.test")
        self.assertEqual([""], self.sources())
        waits.callback(SITE)
        self.assertEqual({"", "a", "b"}, set(self.sources()))
        self.assertEqual(1, self.counts()[""])

    def test_one_that_fails_says_nothing_of_the_other(self) -> None:
        """A site that does not talk to one address may talk to the other."""
        self.begin()
        self.relay.answer = lambda delivery: [DOWN if delivery.source.name == "a" else OK]  # type: ignore[method-assign]
        for _ in range(30):
            self.bench.send("x@a.test")
        self.bench.run(1)
        rests = {
            one["source"]: bool(one["rests_until"]) for one in self.bench.manager.status()["destinations"]
        }
        self.assertEqual({"a": True}, rests)
        self.assertEqual(self.counts()["b"], len(self.bench.spool.of(DeliveredTo)))

    def test_a_source_that_is_gone(self) -> None:
        """What waits for it takes another; nothing leaves from it any more."""
        self.begin({"connections": 1})
        for _ in range(20):
            self.bench.send("x@a.test")
        self.assertEqual({"a": 1, "b": 1}, self.counts())
        self.use("b")
        self.bench.manager.replace(self.bench.settings, {"relay": self.relay})
        self.relay.default = OK
        while self.relay.waiting:
            self.relay.end()
        self.bench.run(1)
        self.assertEqual({"a": 1, "b": 19}, self.counts())

    def test_rates(self) -> None:
        """A tenant's rate holds over all sources, a domain's for each."""
        self.begin({"tenant": ["acme"], "messages": ["6/h"]}, {"domain": ["b.test"], "messages": ["1/h"]})
        self.relay.default = OK
        for _ in range(30):
            self.bench.send("x@a.test", attributes={"tenant": "acme"})
            self.bench.send("x@b.test")
        self.bench.run(3599)
        hops = Counter(one.addressees[0].next_hop for one in self.relay.deliveries)
        self.assertEqual(2, hops["b.test"])
        self.assertIn(hops["a.test"], (5, 6))

    def test_release_tries_every_source(self) -> None:
        """An operator who retries has all lines of the next hop tried."""
        self.begin()
        self.relay.default = DOWN
        for _ in range(30):
            self.bench.send("x@a.test")
        self.bench.run(1)
        self.assertEqual(
            2, len([1 for one in self.bench.manager.status()["destinations"] if one["rests_until"]])
        )
        self.bench.manager._filling.probe(next(iter(self.bench.spool.messages.values())).addressees)
        self.assertEqual([], [1 for one in self.bench.manager.status()["destinations"] if one["rests_until"]])
