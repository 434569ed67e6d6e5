"""What is computed of campaigns: states, pace, time zones, split, statistics, verdict."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from math import exp, lgamma, log
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.campaign.pace import Clock, Pace, Wave, may_go, seconds_left
from mta.campaign.schedule import due, earliest, is_zone
from mta.campaign.split import in_test, variant_of
from mta.campaign.states import ACTS, STATES, NotNow, after
from mta.campaign.statistics import Trial, best, difference, interval, visible, wanted
from mta.campaign.verdict import judge

NOW = 1_800_000_000.0


def near(expected: float, found: float, delta: float) -> bool:
    return abs(expected - found) <= delta


class StateTests(SynchronousTestCase):
    def test_ends(self) -> None:
        """Nothing leads out of the last states, and what is refused says what can be done."""
        for act in ACTS:
            for state in ("done", "stopped"):
                self.assertRaises(NotNow, after, act, state)
        with self.assertRaises(NotNow) as caught:
            after("resume", "running")
        self.assertIn("pause, stop", str(caught.exception))

    def test_reached(self) -> None:
        reached = {"draft"} | {to for ways in ACTS.values() for to in ways.values()}
        self.assertEqual(set(STATES), reached)


class _Run:
    """A campaign on a clock of the test, looked at once a second."""

    def __init__(self, pace: Pace, *waves: Wave) -> None:
        self.pace, self.waves = pace, list(waves)
        self.now, self.clock = NOW, Clock()
        self.gone: list[tuple[float, int]] = []
        self.log: list[tuple[float, int]] = []

    def look(self, seconds: float = 1.0, most: int = 10_000) -> int:
        self.now += seconds
        self.clock = self.clock.at(self.now, self.pace)
        self.waves = [
            Wave(
                w.due,
                w.total,
                w.gone,
                self.clock.active if w.begun is None and w.due <= self.now else w.begun,
            )
            for w in self.waves
        ]
        recent = sum(n for at, n in self.log if at > self.clock.active - self.pace.seconds)
        found = may_go(self.pace, self.clock, self.waves, recent, most)
        self.waves = [
            Wave(w.due, w.total, w.gone + n, w.begun) for w, n in zip(self.waves, found, strict=True)
        ]
        count = sum(found)
        self.clock = self.clock.spent(count)
        self.log.append((self.clock.active, count))
        self.gone.append((self.now, count))
        return count

    @property
    def total(self) -> int:
        return sum(count for _, count in self.gone)


class PaceTests(SynchronousTestCase):
    def test_at_once(self) -> None:
        self.assertEqual(700, _Run(Pace(), Wave(NOW, 700)).look())

    def test_throttle(self) -> None:
        """So many in any hour, and evenly: not all at its beginning."""
        run = _Run(Pace(count=600, seconds=3600), Wave(NOW, 2000))
        for _ in range(3600):
            run.look()
        self.assertTrue(595 <= run.total <= 600, run.total)
        first = sum(count for at, count in run.gone if at < NOW + 600)
        self.assertTrue(95 <= first <= 105, first)
        for _ in range(3 * 3600):
            run.look()
        self.assertEqual(2000, run.total)

    def test_any_window(self) -> None:
        run = _Run(Pace(count=1000, seconds=60), Wave(NOW, 5000))
        draw = Random(7)
        while run.total < 5000:
            run.look(draw.choice([0.1, 1, 1, 3, 20]))
        for at, _ in run.gone:
            within = sum(count for other, count in run.gone if at <= other < at + 60)
            self.assertTrue(within <= 1000, within)

    def test_spread(self) -> None:
        run = _Run(Pace(window=1000), Wave(NOW, 5000))
        for _ in range(500):
            run.look()
        self.assertTrue(abs(run.total - 2500) <= 10, run.total)
        for _ in range(502):
            run.look()
        self.assertEqual(5000, run.total)

    def test_pause_makes_no_crowd(self) -> None:
        run = _Run(Pace(window=1000), Wave(NOW, 1000))
        for _ in range(100):
            run.look()
        run.now += 800
        run.clock = run.clock.resumed(run.now)
        self.assertTrue(run.look() <= 2)
        for _ in range(905):
            run.look()
        self.assertEqual(1000, run.total)

    def test_clock_that_jumps(self) -> None:
        """Neither a crowd nor a standstill when the machine's clock is set."""
        run = _Run(Pace(count=3600, seconds=3600, window=3600), Wave(NOW, 3600))
        for _ in range(60):
            run.look()
        self.assertTrue(run.look(86400) <= 61)
        self.assertEqual(0, run.look(-86400))
        self.assertTrue(sum(run.look() for _ in range(10)) >= 9)

    def test_time_zones(self) -> None:
        """A wave goes when its hour has come, and what the throttle lets go is for the earlier one first."""
        run = _Run(Pace(count=60, seconds=60), Wave(NOW, 100), Wave(NOW + 50, 100))
        for _ in range(49):
            run.look()
        self.assertEqual(0, run.waves[1].gone)
        for _ in range(200):
            run.look()
        self.assertEqual([100, 100], [wave.gone for wave in run.waves])

    def test_time_left(self) -> None:
        waves = [Wave(NOW, 1000, 0, 0.0)]
        self.assertEqual(0.0, seconds_left(Pace(), Clock(), [Wave(NOW, 5, 5, 0.0)], NOW))
        self.assertTrue(near(999, seconds_left(Pace(60, 60), Clock(), waves, NOW), 2))
        self.assertTrue(near(400, seconds_left(Pace(window=500), Clock(active=100), waves, NOW), 2))

    @given(
        st.integers(1, 500),
        st.sampled_from([60.0, 3600.0]),
        st.sampled_from([0.0, 100.0, 1000.0]),
        st.lists(st.floats(0.05, 100), min_size=1, max_size=200),
    )
    @settings(max_examples=60, deadline=None)
    def test_never_more(self, count: int, seconds: float, window: float, looks: list[float]) -> None:
        run = _Run(Pace(count, seconds, window), Wave(NOW, 400), Wave(NOW + 30, 400))
        for look in looks:
            run.look(look, 50)
        for at, _ in run.log:
            self.assertTrue(sum(n for other, n in run.log if at - seconds < other <= at) <= count)
        self.assertTrue(all(0 <= wave.gone <= wave.total for wave in run.waves))


class ScheduleTests(SynchronousTestCase):
    local = datetime(2026, 12, 1, 9, 0)

    def at(self, zone: str, started: datetime | None = None) -> str:
        begun = (started or datetime(2026, 11, 30, 12, tzinfo=UTC)).timestamp()
        return datetime.fromtimestamp(due(self.local, zone, "UTC", begun), UTC).strftime("%d %H:%M")

    def test_everybody_at_nine(self) -> None:
        self.assertEqual("01 08:00", self.at("Europe/Berlin"))
        self.assertEqual("01 14:00", self.at("America/New_York"))
        self.assertEqual("01 09:00", self.at(""))
        self.assertEqual("01 09:00", self.at("Mars/Olympus"))

    def test_passed(self) -> None:
        """Where it is later already, it is the same hour of the next day."""
        begun = datetime(2026, 12, 1, 10, tzinfo=UTC)
        self.assertEqual("02 08:00", self.at("Europe/Berlin", begun))
        self.assertEqual("01 14:00", self.at("America/New_York", begun))

    def test_long_passed(self) -> None:
        self.assertEqual("21 08:00", self.at("Europe/Berlin", datetime(2026, 12, 20, 10, tzinfo=UTC)))

    def test_earliest(self) -> None:
        self.assertEqual(datetime(2026, 11, 30, 19, tzinfo=UTC).timestamp(), earliest(self.local))
        self.assertEqual("30 19:00", self.at("Pacific/Kiritimati"))

    def test_skipped_hour(self) -> None:
        local = datetime(2027, 3, 28, 2, 30)
        found = due(local, "Europe/Berlin", "", NOW - 86400 * 30)
        self.assertEqual("01:30", datetime.fromtimestamp(found, UTC).strftime("%H:%M"))

    def test_zones(self) -> None:
        self.assertTrue(is_zone("Asia/Tokyo"))
        for wrong in ("", "Asia/Nowhere", "../etc/passwd", "/etc/localtime", "A\0"):
            self.assertFalse(is_zone(wrong))


class SplitTests(SynchronousTestCase):
    def test_stable_and_even(self) -> None:
        found = [variant_of("shop\nspring", contact, [1, 1, 2]) for contact in range(20_000)]
        self.assertEqual(found, [variant_of("shop\nspring", contact, [1, 1, 2]) for contact in range(20_000)])
        counts = Counter(found)
        for place, share in enumerate((0.25, 0.25, 0.5)):
            self.assertTrue(near(share, counts[place] / 20_000, 0.012))

    def test_apart(self) -> None:
        """Who is in the test says nothing of the variant; another campaign draws anew."""
        tested = [contact for contact in range(40_000) if in_test("a", contact, 0.2)]
        self.assertTrue(near(8000, len(tested), 250))
        ones = sum(variant_of("a", contact, [1, 1]) for contact in tested)
        self.assertTrue(near(0.5, ones / len(tested), 0.02))
        both = sum(in_test("b", contact, 0.2) for contact in tested)
        self.assertTrue(near(0.2, both / len(tested), 0.02))

    def test_no_weight(self) -> None:
        self.assertEqual({1}, {variant_of("a", contact, [0, 1, 0]) for contact in range(1000)})


def _closed(a: Trial, b: Trial) -> float:
    """That b is better than a, as a closed sum (integer shapes)."""
    aa, ba, ab, bb = a.hits + 1, a.count - a.hits + 1, b.hits + 1, b.count - b.hits + 1

    def beta(x: float, y: float) -> float:
        return lgamma(x) + lgamma(y) - lgamma(x + y)

    return sum(exp(beta(aa + i, bb + ba) - log(bb + i) - beta(1 + i, bb) - beta(aa, ba)) for i in range(ab))


class StatisticsTests(SynchronousTestCase):
    def test_wilson(self) -> None:
        """Values of Newcombe's paper of 1998 on single proportions."""
        for hits, count, low, high in (
            (81, 263, 0.2553, 0.3662),
            (15, 148, 0.0624, 0.1605),
            (0, 20, 0.0, 0.1611),
            (1, 29, 0.0061, 0.1718),
            (29, 29, 0.8830, 1.0),
        ):
            found = interval(Trial(count, hits))
            self.assertAlmostEqual(low, found[0], places=4)
            self.assertAlmostEqual(high, found[1], places=4)
        self.assertEqual((0.0, 1.0), interval(Trial(0, 0)))

    def test_newcombe(self) -> None:
        """Values of Newcombe's paper of 1998 on differences, method 10."""
        for one, other, low, high in (
            ((70, 56), (80, 48), 0.0524, 0.3339),
            ((10, 9), (10, 3), 0.1705, 0.8090),
            ((56, 5), (29, 0), -0.0381, 0.1926),
            ((10, 0), (20, 0), -0.1611, 0.2775),
        ):
            _, down, up = difference(Trial(*one), Trial(*other))
            self.assertAlmostEqual(low, down, places=4)
            self.assertAlmostEqual(high, up, places=4)

    def test_coverage(self) -> None:
        """An interval of 95 % has the true rate in it about so often."""
        draw = Random(3)
        inside = 0
        for _ in range(2000):
            hits = sum(draw.random() < 0.08 for _ in range(150))
            low, high = interval(Trial(150, hits))
            inside += low <= 0.08 <= high
        self.assertTrue(0.93 <= inside / 2000 <= 0.98, inside)

    def test_best_of_two(self) -> None:
        for a, b in (
            (Trial(100, 10), Trial(100, 15)),
            (Trial(1000, 100), Trial(1000, 130)),
            (Trial(10, 0), Trial(10, 0)),
            (Trial(20, 5), Trial(4000, 900)),
            (Trial(5000, 4990), Trial(5000, 4995)),
        ):
            self.assertAlmostEqual(_closed(a, b), best([a, b])[1][0], places=4)

    def test_best_of_many(self) -> None:
        trials = [Trial(500, hits) for hits in (50, 60, 40, 55)]
        draw = Random(1)
        wins = Counter(
            max(
                range(4), key=[draw.betavariate(t.hits + 1, t.count - t.hits + 1) for t in trials].__getitem__
            )
            for _ in range(20_000)
        )
        found = best(trials)
        self.assertAlmostEqual(1.0, sum(chance for chance, _ in found), places=9)
        for place in range(4):
            self.assertTrue(near(wins[place] / 20_000, found[place][0], 0.012))
        self.assertEqual(min(cost for _, cost in found), found[1][1])

    def test_large(self) -> None:
        found = best([Trial(1_000_000, 100_000), Trial(1_000_000, 101_000)])
        self.assertTrue(0.98 < found[1][0] < 1.0, found)

    def test_sample(self) -> None:
        """As the tables of textbooks have it: 10 % against 12 %."""
        self.assertTrue(near(3841, wanted(0.10, 0.02), 5))
        self.assertAlmostEqual(0.02, visible(0.10, 3841), places=4)
        self.assertEqual(1.0, visible(0.10, 3))
        self.assertRaises(ValueError, wanted, 1.0, 0.1)


class VerdictTests(SynchronousTestCase):
    def test_clear(self) -> None:
        found = judge(["A", "B"], [Trial(1000, 100), Trial(1000, 150)], "clicked")
        self.assertEqual(("B", True), (found.leader, found.clear))
        self.assertIn("B is the best with a probability of 100.0%", found.words)
        self.assertIn("interval 8.3% to 12.0%", found.words)

    def test_not_clear(self) -> None:
        found = judge(["A", "B"], [Trial(1000, 100), Trial(1000, 105)], "clicked")
        self.assertFalse(found.clear)
        self.assertIn("not clear", found.words)
        self.assertTrue(found.gap[1] < 0 < found.gap[2])

    def test_few(self) -> None:
        found = judge(["A", "B"], [Trial(20, 0), Trial(20, 15)], "opened", least=100)
        self.assertFalse(found.clear)
        self.assertIn("Too few have had A and B", found.words)

    def test_nobody(self) -> None:
        found = judge(["A", "B"], [Trial(0, 0), Trial(0, 0)], "opened")
        self.assertEqual(("", False), (found.leader, found.clear))

    def test_early(self) -> None:
        words = judge(["A", "B"], [Trial(1000, 100), Trial(1000, 150)], "clicked", ended=False).words
        self.assertIn("has not ended", words)

    def test_alike_is_seldom_clear(self) -> None:
        """Of two that are alike one is found better in about one of ten: once asked, not again and again."""
        draw = Random(5)
        clear = sum(
            judge(
                ["A", "B"],
                [Trial(400, sum(draw.random() < 0.1 for _ in range(400))) for _ in range(2)],
                "clicked",
            ).clear
            for _ in range(150)
        )
        self.assertTrue(4 <= clear <= 28, clear)
