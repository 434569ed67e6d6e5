"""When to try again; pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

#: A clock may have moved on by less than this when it says that a time has come.
_GRAIN = 0.001


class Schedule:
    """The growing distances between attempts.

    :param delays: seconds after the first, second, ... attempt; the last one repeats.
    :param jitter: the part by which each varies either way, 0 to 0.5, so that what
        failed together does not come back together.
    :param random: gives a number from 0 to 1.
    """

    __slots__ = ("_delays", "_jitter", "_random")

    def __init__(self, delays: Sequence[float], jitter: float, random: Callable[[], float]) -> None:
        if not delays:
            raise ValueError("a retry schedule has one delay at least")
        self._delays = tuple(delays)
        self._jitter = jitter
        self._random = random

    def with_delays(self, delays: Sequence[float]) -> Schedule:
        """The same with other distances."""
        return Schedule(delays, self._jitter, self._random)

    def delay(self, attempts: int) -> float:
        """Seconds to wait after so many attempts, jitter included; a second at least.

        :param attempts: attempts made, the one just ended included.
        """
        base = self._delays[min(max(attempts, 1), len(self._delays)) - 1]
        return max(1.0, base * (1.0 + self._jitter * (2.0 * self._random() - 1.0)))

    def spread(self, seconds: float) -> float:
        """A time between none and so many seconds."""
        return self._random() * seconds

    def next_due(self, now: float, attempts: int, expires: float, warn: float | None = None) -> float | None:
        """When the next attempt is due.

        The last attempt falls on the time of expiry itself, and one on the time
        at which the sender is to be warned, so that neither waits for a schedule
        whose distances may be hours.

        :param now: when the last attempt ended, in seconds since 1970.
        :param attempts: attempts made, the one just ended included.
        :param expires: when the copy is returned, likewise.
        :param warn: when the sender is to be told of the delay; ``None`` if it is not.
        :return: ``None`` if the time is over: the copy has expired.
        """
        if now >= expires - _GRAIN:
            return None
        due = min(now + self.delay(attempts), expires)
        if warn is not None and now < warn - _GRAIN and warn < due:
            due = warn
        return due
