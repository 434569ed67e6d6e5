"""How many messages a day a new address sends, until it is known; pure.

Providers distrust an address that sends much all at once and was never seen before.  A plan has
a number for each day, for all messages of the source and for those to one site; behind its last
number each day's is the one before times a factor.  Days are those of UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of one source.

    :ivar start: when its first day begins, in seconds since 1970.
    :ivar total: messages on the first, second, ... day; empty: no limit in all.
    :ivar per_site: likewise to one site; empty: no limit for each.
    :ivar factor: each day behind the last number has so many times more than the one before.
    :ivar days: after so many days the plan has ended, and nothing limits the source.
    """

    start: float
    total: tuple[int, ...] = ()
    per_site: tuple[int, ...] = ()
    factor: float = 1.0
    days: int = 30

    def day(self, now: float) -> int:
        """Which day it is: 0 for the first; negative before it."""
        return floor((now - self.start) / DAY)

    def holds(self, now: float) -> bool:
        """Whether the plan limits anything at this time."""
        return self.day(now) < self.days

    def allowed(self, now: float) -> tuple[int | None, int | None]:
        """Messages of this day: in all, and to one site; ``None``: as many as there are."""
        day = self.day(now)
        if day >= self.days:
            return None, None
        return self._on(self.total, day), self._on(self.per_site, day)

    def next_day(self, now: float) -> float:
        """When the next day begins; before the plan's start: that."""
        return self.start + max(0, self.day(now) + 1) * DAY

    def _on(self, numbers: tuple[int, ...], day: int) -> int | None:
        if day < 0:
            return 0
        if not numbers:
            return None
        if day < len(numbers):
            return numbers[day]
        # Far more than anybody sends is as good as an infinity that no integer holds.
        return int(min(numbers[-1] * self.factor ** (day - len(numbers) + 1), 1e12))
