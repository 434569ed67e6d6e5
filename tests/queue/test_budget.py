"""Sources that warm up: never more a day than the plan, whoever sends, and what is over waits."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Egress as Table
from mta.config.settings import EgressPool
from mta.config.shaping_settings import WarmUp
from mta.model.event import DeferredTo, DeliveredTo
from mta.model.warm_up import DAY, Plan
from mta.queue.budget import UNUSED, Budgets
from mta.queue.tally import KEPT, Tally
from mta.route.egress import Egress
from mta.route.shaping import Shaping
from tests.queue.fakes import DOWN, LATER, NOW, OK, Bench
from tests.queue.test_manager_sites import Grouping

#: The day of NOW.
TODAY = int(NOW // DAY)
START = date.fromtimestamp(TODAY * DAY + DAY / 2)


class PlanTests(SynchronousTestCase):
    def test_table_and_factor(self) -> None:
        plan = Plan(0.0, (10, 20), (5,), factor=2.0, days=5)
        found = [plan.allowed(day * DAY + 1) for day in range(-1, 6)]
        self.assertEqual(
            [(0, 0), (10, 5), (20, 10), (40, 20), (80, 40), (160, 80), (None, None)],
            found,
        )
        self.assertEqual([0.0, DAY, 2 * DAY], [plan.next_day(now) for now in (-5 * DAY, 0.0, 1.5 * DAY)])

    def test_one_number(self) -> None:
        self.assertEqual((10, None), Plan(0.0, (10,)).allowed(20 * DAY))
        self.assertEqual((10**12, None), Plan(0.0, (10,), factor=10.0, days=400).allowed(300 * DAY))

    def test_settings(self) -> None:
        plan = WarmUp(start=date(1970, 1, 2), total=[10], factor=1.5).plan()
        self.assertEqual(Plan(DAY, (10,), (), 1.5, 30), plan)
        for mistake in ({"start": "2026-01-01"}, {"total": [1]}, {"start": "2026-01-01", "total": [0]}):
            self.assertRaises(ValueError, WarmUp.model_validate, mistake)


class TallyTests(SynchronousTestCase):
    def test_limits(self) -> None:
        tally = Tally()
        self.assertEqual(4, tally.lease("a", "x", 1, 4, 10, 5))
        self.assertEqual(1, tally.lease("a", "x", 1, 4, 10, 5))
        self.assertEqual(0, tally.lease("a", "x", 1, 4, 10, 5))
        self.assertEqual(5, tally.lease("a", "y", 1, 9, 10, 9))
        self.assertEqual(0, tally.lease("a", "z", 1, 9, 10, 9))
        self.assertEqual(9, tally.lease("b", "z", 1, 9, 10, 9))
        self.assertEqual(9, tally.lease("a", "z", 2, 9, 10, 9))
        tally.give_back("a", "x", 1, 2)
        self.assertEqual(
            {("a", ""): 8, ("a", "x"): 3, ("a", "y"): 5, ("b", ""): 9, ("b", "z"): 9}, tally.counts(1)
        )

    def test_on_disk(self) -> None:
        """Two workers and a restart."""
        path = Path(self.mktemp())
        self.assertEqual(3, Tally(path).lease("a", "x", 1, 3, 5, None))
        self.assertEqual(2, Tally(path).lease("a", "y", 1, 3, 5, None))
        self.assertEqual(0, Tally(path).lease("a", "y", 1, 3, 5, None))
        Tally(path).lease("a", "y", 2 + KEPT, 1, 5, None)
        self.assertEqual({}, Tally(path).counts(1))


class SharedTests(SynchronousTestCase):
    @settings(max_examples=30)
    @given(st.integers(0, 10**6))
    def test_never_more(self, seed: int) -> None:
        """Several workers with one ledger, days long: no day has more than its plan, most have nearly all."""
        random = Random(seed)
        clock = Clock()
        clock.advance(NOW)
        tally = Tally()
        plan = Plan(TODAY * DAY, (40, 60), (25,), factor=1.5, days=30)
        workers = [
            Budgets(clock, tally, lambda function, *arguments: succeed(function(*arguments)))
            for _ in range(3)
        ]
        sent: Counter[tuple[int, str]] = Counter()
        for _ in range(3000):
            now = clock.seconds()
            site = random.choice("xyz")
            budget = random.choice(workers).get("a", site, plan)
            if not budget.wait(now) and not budget.is_spent(now):
                budget.take(now)
                sent[int(now // DAY), site] += 1
            clock.advance(random.choice((1, 30, 300)))
        for day in range(TODAY, int(clock.seconds() // DAY)):
            total, per_site = plan.allowed(day * DAY)
            assert total is not None and per_site is not None
            counts = [count for (when, _), count in sent.items() if when == day]
            self.assertLessEqual(sum(counts), total)
            self.assertLessEqual(max(counts), per_site)
            if day > TODAY:
                self.assertGreater(sum(counts), 0.5 * total)


class WarmUpTests(SynchronousTestCase):
    """A manager with a new source a, and perhaps an old one b."""

    def begin(self, sources: str = "ab", **plan: Any) -> None:
        self.tally = Tally()
        egress = Egress(Shaping())
        tables = [
            Table(name="a", ipv4="192.0.2.1", warm_up=WarmUp(**{"start": START, **plan})),
            Table(name="b", ipv4="192.0.2.2"),
        ]
        egress.use(tables, [EgressPool(name="p", sources=dict.fromkeys(sources, 1.0), sender=["*"])])
        self.bench = Bench(egress=egress, tally=self.tally, retry=[600.0], warn_after=0)
        self.relay = Grouping(default=OK)
        self.relay.sites = {"x.test": ("mx1.google.com",), "y.test": ("mx2.google.com",)}
        self.bench.manager.replace(self.bench.settings, {"relay": self.relay})
        self.bench.manager.start()

    def sources(self) -> Counter[str]:
        return Counter(one.source.name for one in self.relay.deliveries if one.source is not None)

    def send(self, count: int, *addresses: str) -> None:
        for number in range(count):
            self.bench.send((addresses or ("u@x.test",))[number % (len(addresses) or 1)])

    def test_others_take_what_is_over(self) -> None:
        self.begin(total=[5])
        self.send(40)
        self.bench.run(5)
        self.assertEqual({"a": 5, "b": 35}, self.sources())
        self.assertEqual([], self.bench.spool.of(DeferredTo))

    def test_waits_for_the_next_day(self) -> None:
        """It is no attempt, is told once, and leaves when the day begins."""
        self.begin("a", total=[5, 8], factor=2.0)
        self.send(12)
        self.bench.run(5)
        self.assertEqual({"a": 5}, self.sources())
        waits = self.bench.spool.of(DeferredTo)
        self.assertEqual((7, {0}), (len(waits), {event.attempt for event in waits}))
        self.assertIn("has sent its messages of today: 5 in all", waits[0].reply)
        self.assertEqual({(TODAY + 1) * DAY}, {event.next_attempt // 60 * 60 for event in waits})
        self.bench.run(DAY + 100, 20.0)
        self.assertEqual(12, len(self.bench.spool.of(DeliveredTo)))
        self.assertEqual(7, len(self.bench.spool.of(DeferredTo)))

    def test_of_one_provider(self) -> None:
        """Sites of one provider count together."""
        self.begin("a", per_site=[4])
        self.send(20, "u@x.test", "u@y.test", "u@z.test")
        self.bench.run(5)
        hops = Counter(one.addressees[0].next_hop for one in self.relay.deliveries)
        self.assertEqual((4, 4), (hops["x.test"] + hops["y.test"], hops["z.test"]))

    def test_before_the_start(self) -> None:
        self.begin("a", start=date.fromtimestamp((TODAY + 2) * DAY + DAY / 2), total=[5])
        self.send(2)
        self.bench.run(5)
        self.assertEqual([], self.relay.deliveries)
        self.bench.run(2 * DAY + 100, 20.0)
        self.assertEqual({"a": 2}, self.sources())

    def test_after_the_end(self) -> None:
        self.begin("a", start=date.fromtimestamp((TODAY - 40) * DAY), total=[1])
        self.send(30)
        self.bench.run(5)
        self.assertEqual({"a": 30}, self.sources())

    def test_attempts_count_but_not_misses(self) -> None:
        """What reached nobody was seen by nobody."""
        self.begin("a", total=[3])
        self.relay.default = DOWN
        self.send(2)
        self.bench.run(5)
        self.assertEqual(2, len(self.relay.deliveries))
        self.relay.default = LATER
        self.send(3, "u@y.test")
        self.bench.run(5)
        self.assertEqual(5, len(self.relay.deliveries))
        self.send(1, "u@y.test")
        self.bench.run(5)
        self.assertEqual(5, len(self.relay.deliveries))

    def test_slow_ledger(self) -> None:
        """Nothing goes before it is known, and other lines go on."""
        self.begin("a", total=[5])
        waits: list[Deferred[None]] = []

        def run(function: Any, *arguments: Any) -> Deferred[Any]:
            waits.append(Deferred())
            return waits[-1].addCallback(lambda _: function(*arguments))

        self.bench.manager._budgets._run = run
        self.send(3)
        self.bench.run(7)
        self.assertEqual((1, []), (len(waits), self.relay.deliveries))
        while waits:
            waits.pop().callback(None)
        self.assertEqual(3, len(self.relay.deliveries))

    def test_broken_ledger(self) -> None:
        """What cannot be counted waits for a minute, and is lost on nobody."""
        self.begin("a", total=[5])

        def broken(*arguments: Any) -> None:
            raise OSError(28, "No space left on device")

        self.tally.lease, lease = broken, self.tally.lease  # type: ignore[method-assign,assignment]
        self.send(3)
        self.bench.run(5)
        self.assertEqual([], self.relay.deliveries)
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))
        self.tally.lease = lease  # type: ignore[method-assign]
        self.bench.run(130)
        self.assertEqual(3, len(self.bench.spool.of(DeliveredTo)))

    def test_given_back(self) -> None:
        """What nobody needs is there for other workers; at a stop, too."""
        self.begin("a", total=[100])
        self.send(1)
        self.bench.run(1)
        self.assertEqual(5, self.tally.counts(TODAY)["a", ""])
        self.bench.run(2 * UNUSED + 1)
        self.assertEqual(1, self.tally.counts(TODAY)["a", ""])
        self.send(1)
        self.bench.run(1)
        Deferred.fromCoroutine(self.bench.manager.stop(0.0))
        self.assertEqual(2, self.tally.counts(TODAY)["a", ""])
