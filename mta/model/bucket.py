"""A token bucket: so much in so much time, and how long to wait for more; pure.

It is kept as ``[level, at]``: how many tokens there were, and when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bucket:
    """What a limit allows.

    :ivar size: tokens when it is full.
    :ivar pace: tokens that come in a second.
    """

    size: float
    pace: float

    @classmethod
    def of(cls, rate: tuple[int, float], burst: int = 0) -> Bucket:
        """A bucket of a rate, that may be used up at once, or only ``burst`` of it."""
        return cls(float(burst or rate[0]), rate[0] / rate[1])

    def level(self, kept: Sequence[float] | None, now: float) -> float:
        """How many tokens there are.

        :param kept: as it was kept; ``None``: nobody has taken any.
        """
        if kept is None:
            return self.size
        level, at = kept
        # A clock that was set back gives nothing, and takes nothing.
        return min(self.size, level + max(0.0, now - at) * self.pace)

    def wait(self, kept: Sequence[float] | None, now: float, tokens: float = 1.0) -> float:
        """Seconds until so many tokens are there; 0.0 if they are."""
        return max(0.0, (min(tokens, self.size) - self.level(kept, now)) / self.pace)

    def take(self, kept: Sequence[float] | None, now: float, tokens: float = 1.0) -> list[float]:
        """What is to be kept after tokens were taken, whether they were there or not."""
        return [max(0.0, self.level(kept, now) - tokens), now]

    def full_in(self, kept: Sequence[float], now: float) -> float:
        """Seconds after which it need not be kept."""
        return (self.size - self.level(kept, now)) / self.pace + 1.0
