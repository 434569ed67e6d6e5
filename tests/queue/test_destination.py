"""A destination's pace."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.queue.destination import Destination

WAITING = 2000


class PaceTests(SynchronousTestCase):
    """Whether what waits is gone soon."""

    def setUp(self) -> None:
        self.destination = Destination("relay", "next.test", None)
        queue: Any = range(WAITING)
        self.destination.queue = queue
        self.now = 1000.0

    def burst(self, pause: float, count: int) -> list[bool]:
        """Some deliveries end in one moment, after a pause; answers whether it is fast after each."""
        for _ in range(count):
            self.destination.began(self.now)
        self.now += pause
        found = []
        for _ in range(count):
            self.destination.running += 1  # The next follows at once.
            self.destination.ended(self.now)
            found.append(self.destination.is_fast(self.now))
        self.destination.running = 1
        return found

    def test_bursts(self) -> None:
        """Twenty each 50 ms are 400 a second, also for who looks right behind a pause."""
        self.destination.running = 1
        self.destination.began(self.now)
        for _ in range(10):
            self.burst(0.05, 20)
        found = [fast for _ in range(20) for fast in self.burst(0.05, 20)]
        self.assertEqual({True}, set(found))

    def test_slows_down(self) -> None:
        """What was fast is known to be slow after one delivery that takes long."""
        self.destination.running = 1
        for _ in range(10):
            self.burst(0.05, 20)
        self.assertEqual([False], self.burst(9.0, 1))
