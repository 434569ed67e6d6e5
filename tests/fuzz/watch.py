"""Sees that a target takes no more and more memory, whatever it was given."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class MemoryGrowth(AssertionError):
    """A target keeps something of what it was given."""


class MemoryWatch:
    """Looks at the memory of this process now and then.

    :param run: the target.
    :param seconds: for how long it runs; in the first third, caches fill and the corpus is found.
    :param clock: gives the time.
    :param memory: gives MiB of memory in use.
    :param allowed: MiB that it may grow by after that.
    :param every: calls between two looks.
    """

    def __init__(
        self,
        run: Callable[[bytes], None],
        seconds: float,
        clock: Callable[[], float],
        memory: Callable[[], float],
        allowed: float = 128.0,
        every: int = 1000,
    ) -> None:
        self._run = run
        self._clock = clock
        self._memory = memory
        self._allowed = allowed
        self._every = every
        self._settled = clock() + seconds / 3
        self._first: float | None = None
        self._calls = 0

    def __call__(self, octets: bytes) -> None:
        """Run the target, and look.

        :raise MemoryGrowth: if it has grown too much.
        """
        self._run(octets)
        self._calls += 1
        if self._calls % self._every:
            return
        now = self._memory()
        if self._first is None:
            if self._clock() >= self._settled:
                self._first = now
        elif now > self._first + self._allowed:
            raise MemoryGrowth(f"{self._first:.0f} MiB became {now:.0f} MiB in {self._calls} calls")


def resident() -> float:
    """MiB of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20)
