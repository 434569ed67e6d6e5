"""When an attempt is repeated."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.queue.retry import Schedule


class ScheduleTests(SynchronousTestCase):
    def test_delays_grow_and_the_last_repeats(self) -> None:
        schedule = Schedule([60, 300, 900], 0.0, lambda: 0.5)
        self.assertEqual([60, 300, 900, 900, 900], [schedule.delay(n) for n in (1, 2, 3, 4, 50)])

    def test_jitter_goes_both_ways(self) -> None:
        self.assertEqual(90, Schedule([100], 0.1, lambda: 0.0).delay(1))
        self.assertAlmostEqual(110, Schedule([100], 0.1, lambda: 1.0).delay(1))

    def test_never_at_once(self) -> None:
        self.assertEqual(1.0, Schedule([0.0], 0.0, lambda: 0.5).delay(1))

    def test_last_attempt_at_expiry(self) -> None:
        schedule = Schedule([60], 0.0, lambda: 0.5)
        self.assertEqual(130, schedule.next_due(100, 1, expires=130))
        self.assertEqual(160, schedule.next_due(100, 1, expires=161))

    def test_expired(self) -> None:
        schedule = Schedule([60], 0.0, lambda: 0.5)
        self.assertIsNone(schedule.next_due(130, 1, expires=130))
        self.assertIsNone(schedule.next_due(1000, 1, expires=130))

    def test_an_attempt_at_the_time_of_the_warning(self) -> None:
        schedule = Schedule([1000], 0.0, lambda: 0.5)
        self.assertEqual(500, schedule.next_due(100, 1, expires=9999, warn=500))
        self.assertEqual(1100, schedule.next_due(100, 1, expires=9999, warn=2000))
        self.assertEqual(1500, schedule.next_due(500, 1, expires=9999, warn=500))

    def test_no_delays(self) -> None:
        self.assertRaises(ValueError, Schedule, [], 0.0, lambda: 0.5)
