"""How many requests are taken in a time, and what clients are told of it.

The header fields are those of the IETF's draft on rate limits: ``RateLimit-Policy`` has what may
be had in which time, ``RateLimit`` what is left now and when there is more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

#: Names that are remembered; beyond, those that have been quiet are forgotten.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands after a request.

    :ivar name: of the policy.
    :ivar quota: requests in ``window`` seconds.
    :ivar left: how many more may come at once.
    :ivar wait: seconds until this one would have been taken; 0: it was.
    :ivar full: seconds until all may come at once again.
    """

    name: str
    quota: int
    window: int
    left: int
    wait: float
    full: float

    def policy(self) -> str:
        """What may be had."""
        return f'"{self.name}";q={self.quota};w={self.window}'

    def told(self) -> str:
        """What is left."""
        return f'"{self.name}";r={self.left};t={self.reset()}'

    def reset(self) -> int:
        """Whole seconds until it is worth while to come again, or until there is all again."""
        return max(1, math.ceil(self.wait)) if self.wait else max(0, math.ceil(self.full))


class Rates:
    """Counts by name: so many at once, and as many again in a window (GCRA).

    :param policy: its name in the header.
    :param quota: how many in a window; 0: there is no limit.
    :param window: seconds.
    """

    def __init__(self, policy: str, quota: int, window: int = 1) -> None:
        self._policy = policy
        self._quota = quota
        self._window = window
        #: By name: when all may come at once again.
        self._full: dict[str, float] = {}

    def take(
        self, name: str, now: float, count: int = 1, quota: int | None = None, window: int = 0
    ) -> Standing:
        """Count some for a name, unless they are too many.

        :param count: 0: only look.
        :param quota: in place of that for everybody.
        :param window: likewise.
        """
        quota = self._quota if quota is None else quota
        window = window or self._window
        if quota <= 0:
            return Standing(self._policy, 0, window, 0, 0.0, 0.0)
        one = window / quota
        full = max(self._full.get(name, now), now)
        after = full + count * one
        if after - now > window + 1e-9 and count and full > now:
            return Standing(
                self._policy, quota, window, _left(full - now, one, window), after - now - window, full - now
            )
        if count:
            if len(self._full) >= _MOST:
                self._full = {other: at for other, at in self._full.items() if at > now}
            self._full[name] = after
        return Standing(self._policy, quota, window, _left(after - now, one, window), 0.0, after - now)

    def give_back(self, name: str, count: int, quota: int | None = None, window: int = 0) -> None:
        """Take back what was counted and did not happen."""
        quota = self._quota if quota is None else quota
        if quota > 0 and name in self._full:
            self._full[name] -= count * (window or self._window) / quota


def headers_of(standings: Sequence[Standing]) -> list[tuple[str, str]]:
    """What an answer says of all policies that a request was counted by."""
    shown = [standing for standing in standings if standing.quota]
    if not shown:
        return []
    found = [
        ("ratelimit-policy", ", ".join(standing.policy() for standing in shown)),
        ("ratelimit", ", ".join(standing.told() for standing in shown)),
    ]
    waits = [standing.reset() for standing in shown if standing.wait]
    return [*found, ("retry-after", str(max(waits)))] if waits else found


def _left(used: float, one: float, window: float) -> int:
    return max(0, int((window - used) / one + 1e-6))
