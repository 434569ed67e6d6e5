"""How many in how much time: a rate that is never exceeded, in whatever window one looks; pure."""

from __future__ import annotations

from collections.abc import Iterable

from mta.model.limits import Rate

#: Seconds that the clock may be wrong by: as many as seconds since 1970 have no digits for.
_EXACT = 1e-6


class Meter:
    """Lets at most ``count`` pass in any ``seconds``.

    What passes is spread over the time, but for a burst of a tenth, or one second's worth: the
    generic cell rate algorithm of ATM networks, with the interval stretched so that burst and
    steady flow together stay within the count.

    :param count: at least 1.
    :param seconds: the window.
    """

    __slots__ = ("_due", "_interval", "_origin", "_tolerance", "count", "seconds")

    def __init__(self, count: int, seconds: float) -> None:
        self.count = count
        self.seconds = seconds
        burst = max(1, min(count // 10, int(count / seconds)))
        self._interval = seconds / (count - burst + 1)
        self._tolerance = (burst - 1) * self._interval
        # Counted from the first use: seconds since 1970 are too large to be added up exactly.
        self._origin: float | None = None
        self._due = 0.0

    def wait(self, now: float, cost: int = 1) -> float:
        """Seconds until so many may pass; 0 if they may now.

        More at once than a burst has wait until they would have passed one by one.
        """
        if self._origin is None:
            self._origin = now
        ready = self._due - self._tolerance + (min(cost, self.count) - 1) * self._interval
        left = ready - (now - self._origin)
        return left if left > _EXACT else 0.0

    def passed(self, now: float, cost: int = 1) -> None:
        """So many have passed."""
        if self._origin is None:
            self._origin = now
        self._due = max(self._due, now - self._origin) + cost * self._interval


class Rates:
    """Several meters that all hold, for messages and for recipients.

    :param messages: rates that each message counts for.
    :param recipients: rates that each recipient counts for.
    :ivar recipients: their meters.
    """

    __slots__ = ("_messages", "recipients")

    def __init__(self, messages: Iterable[Rate] = (), recipients: Iterable[Rate] = ()) -> None:
        self._messages = [Meter(*rate) for rate in messages]
        self.recipients = [Meter(*rate) for rate in recipients]

    def __bool__(self) -> bool:
        return bool(self._messages or self.recipients)

    def wait(self, now: float, recipients: int) -> float:
        """Seconds until a message to so many may pass; 0 if it may now."""
        longest = 0.0
        for meter in self._messages:
            longest = max(longest, meter.wait(now))
        for meter in self.recipients:
            longest = max(longest, meter.wait(now, recipients))
        return longest

    def passed(self, now: float, recipients: int) -> None:
        """A message to so many passes."""
        for meter in self._messages:
            meter.passed(now)
        for meter in self.recipients:
            meter.passed(now, recipients)
