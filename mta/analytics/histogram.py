"""How long deliveries took, in buckets that can be added up; pure.

A bucket is a time written with two digits: 0.12 s, 1.2 s, 12 s.  There are 90 in each power of ten, so
what is told is at most 5 % from what was, however many histograms were merged.  Below a millisecond,
and above 10 million seconds, all is one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: Powers of ten of the smallest and the largest.
_LOWEST, _HIGHEST = -3, 6
_STEPS = 90
#: What is told is at most so much from what was, relatively.
ERROR = 0.05
LAST = (_HIGHEST - _LOWEST + 1) * _STEPS - 1


def bucket(seconds: float) -> int:
    """The bucket of a time."""
    return bucket_of(f"{seconds:.1e}")


def bucket_of(written: str) -> int:
    """The bucket of a time that is written as ``%.1e``; of what is none, the first."""
    try:
        digits, power = int(written[0]) * 10 + int(written[2]), int(written[4:])
    except (ValueError, IndexError):
        return 0
    if digits < 10 or power < _LOWEST:
        return 0
    return min((power - _LOWEST) * _STEPS + digits - 10, LAST)


def seconds(number: int) -> float:
    """The time that a bucket stands for."""
    power, digits = divmod(number, _STEPS)
    return float(f"{digits + 10}e{power + _LOWEST - 1}")


def percentiles(counts: Mapping[int, int], wanted: Sequence[float]) -> list[float | None]:
    """Times that so much of all were not longer than.

    :param counts: by bucket.
    :param wanted: such as 0.5 and 0.99.
    :return: in seconds; ``None``: nothing was counted.
    """
    total = sum(counts.values())
    if total <= 0:
        return [None] * len(wanted)
    found: list[float | None] = []
    places = sorted(counts)
    for one in wanted:
        # The smallest time that at least so many did not take longer than.
        rank = max(1, -int(-one * total // 1))
        passed = 0
        for place in places:
            passed += counts[place]
            if passed >= rank:
                break
        found.append(seconds(place))
    return found
