"""How many messages of a campaign may go now: throttle, and spread over a window.

Time is counted by a clock of the campaign's own, which moves only while it runs and somebody looks: a pause,
a server that was down, a clock that was set forward or back do not make a crowd of what they have kept
waiting.  A campaign that is to take six hours and is paused for one takes seven.

A *wave* is everybody who may begin at one instant: all, or in a campaign by time zone those of one zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, floor

#: Seconds that may lie between two looks; what is longer was no running.
MOST_STEP = 60.0
#: Seconds for which what the throttle would have let go may be gathered.
BURST = 5.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a campaign may go.

    :ivar count: messages at the most in ``seconds``; 0: no limit.
    :ivar window: seconds over which each wave is spread; 0: as fast as it goes.
    """

    count: int = 0
    seconds: float = 3600.0
    window: float = 0.0

    @property
    def rate(self) -> float:
        """Messages a second; infinite without a throttle."""
        return self.count / self.seconds if self.count else float("inf")


@dataclass(frozen=True, slots=True)
class Clock:
    """The campaign's own time.

    :ivar active: seconds for which it has run.
    :ivar looked: when somebody looked last, in seconds since 1970; 0: nobody has yet.
    :ivar credit: messages that the throttle lets go now.
    """

    active: float = 0.0
    looked: float = 0.0
    credit: float = 1.0

    def at(self, now: float, pace: Pace) -> Clock:
        """The clock at a later look."""
        passed = min(max(0.0, now - self.looked), MOST_STEP) if self.looked else 0.0
        credit = self.credit
        if pace.count:
            most = 1.0 + pace.rate * BURST
            credit = min(most, credit + passed * pace.rate)
        return Clock(self.active + passed, now, credit)

    def resumed(self, now: float) -> Clock:
        """The clock when it runs again: what lies between does not count."""
        return replace(self, looked=now)

    def spent(self, count: int) -> Clock:
        """The clock after so many messages; below 0 for some that came back."""
        return replace(self, credit=self.credit - count)


@dataclass(frozen=True, slots=True)
class Wave:
    """Everybody who may begin at one instant.

    :ivar due: that instant, in seconds since 1970.
    :ivar total: how many they are.
    :ivar gone: how many were handed over, or are about to be.
    :ivar begun: what the campaign's clock showed when they began; ``None``: they have not.
    """

    due: float
    total: int
    gone: int = 0
    begun: float | None = None

    def ready(self, active: float, pace: Pace) -> int:
        """How many of it may go when the campaign's clock shows this."""
        if self.begun is None:
            return 0
        left = self.total - self.gone
        if pace.window <= 0:
            return left
        share = min(1.0, (active - self.begun) / pace.window)
        return max(0, min(self.total, ceil(self.total * share)) - self.gone)


def may_go(pace: Pace, clock: Clock, waves: Sequence[Wave], recent: int, most: int) -> list[int]:
    """How many of each wave may go now.

    :param waves: in the order in which they are served.
    :param recent: how many have gone within the last ``pace.seconds`` of the campaign's clock.
    :param most: that go at once.
    """
    free = most
    if pace.count:
        free = min(free, floor(clock.credit + 1e-9), pace.count - recent)
    found = []
    for wave in waves:
        some = max(0, min(free, wave.ready(clock.active, pace)))
        free -= some
        found.append(some)
    return found


def seconds_left(pace: Pace, clock: Clock, waves: Sequence[Wave], now: float) -> float:
    """For how long it goes on, at the least, if it is not paused."""
    left = sum(wave.total - wave.gone for wave in waves)
    if not left:
        return 0.0
    longest = max(0.0, left - max(0.0, clock.credit)) / pace.rate if pace.count else 0.0
    for wave in waves:
        if wave.gone >= wave.total:
            continue
        begins = max(0.0, wave.due - now)
        passed = 0.0 if wave.begun is None else clock.active - wave.begun
        longest = max(longest, begins + max(0.0, pace.window - passed))
    return longest
