"""Destinations by site: one limit for all domains of one provider, its rates, and what it says."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from twisted.internet.defer import Deferred, TimeoutError, fail
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Shape
from mta.model.event import DeferredTo, DeliveredTo
from mta.model.outcome import Postponed, RemoteReply
from mta.queue.meter import Rates
from mta.route.shaping import Shaping
from tests.queue.fakes import DOWN, LATER, OK, Bench, Scripted

BUSY = Postponed(RemoteReply(421, "4.3.2", "too busy", "mx.far.test [192.0.2.1]", "MAIL FROM"))


class Grouping(Scripted):
    """A transport that knows the hosts behind next hops."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.sites: dict[str, Any] = {}
        self.asked: list[str] = []

    def site(self, next_hop: str) -> Any:
        self.asked.append(next_hop)
        found = self.sites.get(next_hop, ())
        if isinstance(found, Exception):
            raise found
        return found


class SiteTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench()
        self.relay = Grouping(default=None)
        self.bench.manager.replace(self.bench.settings, {"relay": self.relay})
        self.bench.manager.start()
        for name in ("a.test", "b.test", "c.test"):
            self.relay.sites[name] = ("mx2.big.test", "mx1.big.test")

    def destinations(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.bench.manager.status()["destinations"]
        return found

    def test_one_limit_for_all_domains_of_a_site(self) -> None:
        for name in ("a.test", "b.test", "c.test"):
            for _ in range(4):
                self.bench.send(f"x@{name}")
        self.assertEqual(5, len(self.relay.deliveries))
        (site,) = self.destinations()
        self.assertEqual("mx1.big.test, mx2.big.test", site["site"])
        self.assertEqual((5, 7), (site["in_flight"], site["waiting"]))
        self.bench.send("x@other.test")
        self.assertEqual(6, len(self.relay.deliveries))

    def test_known_later(self) -> None:
        """Nothing begins until it is known, and then the limit is everybody's."""
        waits: dict[str, Deferred[tuple[str, ...]]] = {}
        for name in ("a.test", "b.test"):
            self.relay.sites[name] = waits[name] = Deferred()
        for name in ("a.test", "b.test"):
            for _ in range(4):
                self.bench.send(f"x@{name}")
        self.assertEqual([], self.relay.deliveries)
        waits["a.test"].callback(("mx.big.test",))
        self.assertEqual(4, len(self.relay.deliveries))
        waits["b.test"].callback(("mx.big.test",))
        self.assertEqual(5, len(self.relay.deliveries))
        self.relay.default = OK
        while self.relay.waiting:
            self.relay.end()
        self.assertEqual(8, len(self.bench.spool.of(DeliveredTo)))
        self.assertEqual(["a.test", "b.test"], self.relay.asked)

    def test_held_while_nobody_knows(self) -> None:
        """An operation finds what waits, whatever line it stands in by then."""
        later: Deferred[tuple[str, ...]] = Deferred()
        self.relay.sites["b.test"] = later
        message = self.bench.send("x@b.test")
        self.bench.send("x@a.test")
        later.callback(("mx1.big.test", "mx2.big.test"))
        waiting = [self.bench.send("x@b.test") for _ in range(9)]
        done = Deferred.fromCoroutine(self.bench.manager.hold([waiting[-1].id], "me"))
        self.assertEqual(1, self.successResultOf(done))
        self.assertIn(message.id, [one.message.id for one in self.relay.deliveries])
        self.assertNotIn(waiting[-1].id, [one.message.id for one in self.relay.deliveries])

    def test_nobody_can_tell(self) -> None:
        """Then it is a site by itself, and the attempt says what is wrong."""
        self.relay.default = OK
        for answer in (ValueError("x"), fail(OSError("DNS"))):
            self.relay.sites["b.test"] = answer
            self.bench.send("x@b.test")
            self.flushLoggedErrors(ValueError, OSError)
            self.bench.manager._destinations._all.clear()
        self.assertEqual(2, len(self.relay.deliveries))

    def test_nobody_ever_tells(self) -> None:
        """A transport that never answers holds its mail up for a minute, not for ever."""
        self.relay.default = OK
        self.relay.sites["b.test"] = Deferred()
        self.bench.send("x@b.test")
        self.bench.run(61)
        self.assertEqual(1, len(self.flushLoggedErrors(TimeoutError)))
        self.assertEqual(1, len(self.relay.deliveries))

    def test_a_site_may_change(self) -> None:
        """After ten minutes it is asked again; what is under way ends where it began."""
        self.bench.send("x@a.test")
        self.relay.sites["a.test"] = ("mx.new.test",)
        self.relay.default = OK
        self.bench.run(601)
        self.bench.send("x@b.test")
        self.bench.send("x@a.test")
        self.assertEqual(["a.test", "b.test", "a.test"], self.relay.asked)
        self.relay.end()
        self.assertEqual(3, len(self.bench.spool.of(DeliveredTo)))

    def test_verdict_is_shared(self) -> None:
        """A site that cannot be reached is not tried by each of its domains."""
        self.relay.default = DOWN
        for number in range(9):
            self.bench.send(f"x@{'abc'[number % 3]}.test")
        self.assertEqual(3, len(self.relay.deliveries))
        (site,) = self.destinations()
        self.assertEqual(1, site["in_flight_limit"])

    def test_asked_to_slow_down(self) -> None:
        """Half as many at once; and more again when it takes them."""
        self.relay.sites["x.test"] = ("mx.x.test",)
        for _ in range(12):
            self.bench.send("x@x.test")
        self.relay.end(BUSY)
        (site,) = self.destinations()
        self.assertEqual((2, 4), (site["in_flight_limit"], site["in_flight"]))
        for _ in range(4):
            self.relay.end()
        (site,) = self.destinations()
        self.assertEqual((3, 3), (site["in_flight_limit"], site["in_flight"]))

    def test_a_site_that_takes_nothing_is_left_alone(self) -> None:
        """After three such replies in a row, for all of its domains; then one delivery asks again."""
        said = "550 5.7.1 Service unavailable; client host [192.0.2.9] blocked using zen.spamhaus.org"
        blocked = Postponed(RemoteReply(451, "4.7.1", said, "mx1.big.test [192.0.2.1]", "MAIL FROM"))
        self.relay.default = blocked
        for number in range(12):
            self.bench.send(f"x@{'abc'[number % 3]}.test")
        self.assertEqual(3, len(self.relay.deliveries))
        self.assertIn("Not tried", self.bench.spool.of(DeferredTo)[-1].reply)
        (site,) = self.destinations()
        self.assertEqual(1, site["in_flight_limit"])
        self.bench.run(890)
        self.assertEqual(3, len(self.relay.deliveries))
        self.relay.default = OK
        self.bench.run(120)
        self.assertEqual({}, self.bench.spool.messages)

    def test_one_that_is_blocked_is_no_verdict(self) -> None:
        """What a site says of all may be said because of one: the others go on."""
        said = "Service unavailable; client host [192.0.2.9] blocked using zen.spamhaus.org"
        blocked = Postponed(RemoteReply(451, "4.7.1", said, "mx1.big.test [192.0.2.1]", "MAIL FROM"))
        self.relay.default = OK
        for number in range(12):
            self.relay.answers[f"x{number}@a.test"] = blocked if number % 3 else OK
            self.bench.send(f"x{number}@a.test")
        self.assertEqual(12, len(self.relay.deliveries))

    def test_rate(self) -> None:
        """Two a second, and more recipients take longer."""
        self.relay.default = OK
        destination = self.bench.manager._destinations.get("relay", "x.test")
        destination.rates = Rates([(2, 1.0)], [(180, 60.0)])
        for _ in range(6):
            self.bench.send("x@x.test")
        counts = [0]
        for _ in range(4):
            self.bench.run(1.0, 0.05)
            counts.append(len(self.relay.deliveries))
        self.assertEqual(6, counts[-1])
        self.assertLessEqual(max(after - before for before, after in pairwise(counts)), 2)
        self.bench.send(*(f"u{number}@x.test" for number in range(100)))
        self.bench.run(1.0, 0.05)
        self.assertEqual(6, len(self.relay.deliveries))
        self.bench.run(120.0)
        self.assertEqual(106, len(self.bench.spool.of(DeliveredTo)))

    def test_stop_waits_for_no_rate(self) -> None:
        destination = self.bench.manager._destinations.get("relay", "x.test")
        destination.rates = Rates([(1, 3600.0)])
        for _ in range(3):
            self.bench.send("x@x.test")
        self.relay.end()
        stopped = Deferred.fromCoroutine(self.bench.manager.stop(1.0))
        self.successResultOf(stopped)
        self.assertEqual([], self.bench.clock.getDelayedCalls())


class ShapingTests(SynchronousTestCase):
    """Limits of the configuration, as the queue keeps them."""

    def bench(self, *shapes: dict[str, Any]) -> Bench:
        self.shaping = Shaping([Shape(**shape) for shape in shapes])
        bench = Bench(shaping=self.shaping)
        bench.relay = self.relay = Grouping(default=OK)
        bench.manager.replace(bench.settings, {"relay": self.relay})
        bench.manager.start()
        return bench

    def to(self, name: str) -> int:
        return sum(one.addressees[0].next_hop == name for one in self.relay.deliveries)

    def test_connections(self) -> None:
        bench = self.bench({"mx": ["mx.big.test"], "connections": 2})
        self.relay.default = None
        self.relay.sites["a.test"] = ("mx.big.test",)
        for name in ("a.test", "b.test"):
            for _ in range(6):
                bench.send(f"x@{name}")
        self.assertEqual((2, 5), (self.to("a.test"), self.to("b.test")))

    def test_a_domain_that_waits_delays_no_other_of_its_site(self) -> None:
        bench = self.bench({"domain": ["a.test"], "messages": ["1/m"]})
        for name in ("a.test", "b.test"):
            self.relay.sites[name] = ("mx.big.test",)
        for _ in range(3):
            bench.send("x@a.test")
        for _ in range(3):
            bench.send("x@b.test")
        self.assertEqual((1, 3), (self.to("a.test"), self.to("b.test")))
        bench.run(61)
        self.assertEqual(2, self.to("a.test"))
        bench.run(60)
        self.assertEqual(3, self.to("a.test"))

    def test_a_tenant_has_one_rate_for_all_sites(self) -> None:
        bench = self.bench({"tenant": ["acme"], "recipients": ["2/m"]})
        for name in ("a.test", "b.test", "c.test"):
            bench.send(f"x@{name}", attributes={"tenant": "acme"})
            bench.send(f"x@{name}", attributes={"tenant": "other"})
        self.assertEqual(4, len(self.relay.deliveries))
        bench.run(31)
        self.assertEqual(5, len(self.relay.deliveries))
        bench.run(30)
        self.assertEqual(6, len(self.relay.deliveries))

    def test_retry(self) -> None:
        """A domain's own distances, and the usual ones for others."""
        bench = self.bench({"domain": ["a.test"], "retry": ["7s"]})
        self.relay.default = LATER
        bench.send("x@a.test")
        bench.send("x@b.test")
        bench.run(10)
        self.assertEqual((2, 1), (self.to("a.test"), self.to("b.test")))

    def test_reload(self) -> None:
        """Another rate holds at once, and one that goes stops nothing any more."""
        bench = self.bench({"messages": ["1/h"]})
        for _ in range(4):
            bench.send("x@a.test")
        self.assertEqual(1, len(self.relay.deliveries))
        self.shaping.use([])
        bench.manager.replace(bench.settings, {"relay": self.relay})
        self.assertEqual(4, len(self.relay.deliveries))
