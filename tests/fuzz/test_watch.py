from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from tests.fuzz.watch import MemoryGrowth, MemoryWatch, resident


class MemoryWatchTests(SynchronousTestCase):
    """What keeps its input is found; what fills a cache at first is not."""

    def watch(self, sizes: list[float]) -> None:
        times = iter(range(1000))
        memory = iter(sizes)
        watch = MemoryWatch(
            lambda octets: None, 9, lambda: next(times), lambda: next(memory), allowed=10, every=2
        )
        for _ in range(2 * len(sizes)):
            watch(b"")

    def test_cache(self) -> None:
        self.watch([10, 100, 200, 205, 209, 210])

    def test_leak(self) -> None:
        error = self.assertRaises(MemoryGrowth, self.watch, [10, 100, 200, 205, 209, 212])
        self.assertEqual("200 MiB became 212 MiB in 12 calls", str(error))

    def test_resident(self) -> None:
        self.assertTrue(5 < resident() < 100_000)
