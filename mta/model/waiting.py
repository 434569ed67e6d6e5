"""How long to wait, in words for the other side; pure."""

from __future__ import annotations

import math


def in_words(seconds: float) -> str:
    """``30 seconds``, ``5 minutes``, ``2 hours``, ``3 days``; never less than it takes."""
    for unit, size, above in (("second", 1, 90), ("minute", 60, 5400), ("hour", 3600, 36 * 3600)):
        if seconds <= above:
            return _counted(max(1, math.ceil(seconds / size)), unit)
    return _counted(math.ceil(seconds / 86400), "day")


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def rate_words(rate: tuple[int, float], what: str) -> str:
    """``100 messages in 1 hour``."""
    number, seconds = rate
    return f"{_counted(number, what.removesuffix('s'))} in {in_words(seconds)}"
