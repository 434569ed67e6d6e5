"""How fast a site is served: rates that are never exceeded, and concurrency that follows its replies."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.model.bounce_data import classify
from mta.model.outcome import Delivered, Failed, Postponed, RemoteReply
from mta.queue.destination import Destination
from mta.queue.meter import Meter
from mta.queue.pace import BEGINNING, Pace


class MeterTests(SynchronousTestCase):
    def test_steady(self) -> None:
        meter = Meter(60, 3600.0)
        times = []
        now = 0.0
        for _ in range(5):
            now += meter.wait(now)
            meter.passed(now)
            times.append(now)
        self.assertEqual([0.0, 60.0, 120.0, 180.0, 240.0], times)

    def test_burst(self) -> None:
        """A second's worth at once, where that is no more than a tenth."""
        meter = Meter(100, 10.0)
        for _ in range(10):
            self.assertEqual(0.0, meter.wait(5.0))
            meter.passed(5.0)
        self.assertGreater(meter.wait(5.0), 0.0)

    def test_nearly_all_of_it_is_used(self) -> None:
        for count, seconds in ((20, 1.0), (1, 1.0), (1200, 60.0), (7, 3600.0)):
            meter = Meter(count, seconds)
            now = 0.0
            for _ in range(20 * count):
                now += meter.wait(now)
                meter.passed(now)
            self.assertLess(now, 20 * seconds * 1.12)

    def test_more_than_the_count(self) -> None:
        """What can never pass within the rate passes alone, when nothing else has for long."""
        meter = Meter(10, 60.0)
        self.assertLess(meter.wait(0.0, 1000), 60.0)

    @given(
        st.integers(1, 500),
        st.sampled_from([0.5, 1.0, 60.0, 3600.0]),
        st.integers(0, 10**6),
    )
    def test_never_exceeded(self, count: int, seconds: float, seed: int) -> None:
        random = Random(seed)
        meter = Meter(count, seconds)
        now = 1.8e9
        passed: list[float] = []
        while len(passed) < 3 * count + 5:
            cost = random.randint(1, max(1, count // 3)) if random.random() < 0.3 else 1
            if random.random() < 0.1:
                now += random.random() * seconds
            now += meter.wait(now, cost)
            meter.passed(now, cost)
            passed += [now] * cost
        first = 0
        for last, at in enumerate(passed):
            while at - passed[first] >= seconds - 1e-5:
                first += 1
            self.assertLessEqual(last - first + 1, count)


class PaceTests(SynchronousTestCase):
    def test_grows_quickly_until_the_first_objection(self) -> None:
        pace = Pace(40)
        self.assertEqual(BEGINNING, pace.limit)
        for _ in range(30):
            pace.succeeded()
        self.assertEqual(40, pace.limit)
        pace.succeeded()
        self.assertEqual(40, pace.limit)

    def test_halves_once_for_what_was_under_way(self) -> None:
        pace = Pace(40)
        for _ in range(30):
            pace.succeeded()
        for running in range(9, -1, -1):
            pace.objected(running)
        self.assertEqual(20, pace.limit)
        pace.objected(19)
        self.assertEqual(10, pace.limit)

    def test_then_slowly(self) -> None:
        """One more for each full round."""
        pace = Pace(40)
        pace.objected(0)
        self.assertEqual(5, pace.limit)
        for _ in range(5):
            pace.succeeded()
        self.assertEqual(5, pace.limit)
        pace.succeeded()
        self.assertEqual(6, pace.limit)

    def test_bounds(self) -> None:
        """Never none, and never more than the ceiling, whatever it becomes."""
        pace = Pace(2)
        for _ in range(9):
            pace.objected(0)
        self.assertEqual(1, pace.limit)
        pace.bound(1)
        pace.succeeded()
        self.assertEqual(1, pace.limit)
        self.assertEqual(1, Pace(0).limit)

    def test_objections(self) -> None:
        """What a reply means decides whether less goes at once, and nothing else does."""
        host = "mx.far.test [192.0.2.1]"
        table = [
            (Postponed(RemoteReply(421, "4.3.2", "too busy", host, "connect")), True),
            (Postponed(RemoteReply(421, "", "too many connections", host, "MAIL FROM")), True),
            (Postponed(RemoteReply(451, "4.7.0", "rate limited", host, "end of data")), True),
            (Postponed(RemoteReply(450, "4.7.1", "greylisted", host, "RCPT TO")), False),
            (Postponed(RemoteReply(450, "4.2.2", "full", host, "RCPT TO")), False),
            (Postponed(RemoteReply(421, "4.4.1", "our own words")), False),
            (Failed(RemoteReply(550, "5.1.1", "no such user", host, "RCPT TO")), False),
            (Delivered(RemoteReply(250, "2.0.0", "ok", host, "end of data")), False),
        ]
        for outcome, expected in table:
            destination = Destination("relay", "far.test", _Transport())
            reply = outcome.reply
            said = [(reply, classify(reply))] if reply.host and not isinstance(outcome, Delivered) else []
            destination.heard([outcome], said, 0.0)
            self.assertEqual(expected, destination.limit < BEGINNING, str(reply))


class _Transport:
    def concurrency(self, next_hop: str) -> int:
        return 40
