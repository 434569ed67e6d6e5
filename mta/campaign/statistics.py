"""Rates and their uncertainty, in plain arithmetic.

Intervals of a rate are Wilson's score intervals, which hold for few and for rare events; those of a
difference are Newcombe's, made of them (method 10 of *Interval estimation for the difference between
independent proportions*, 1998).  The probability that a variant is the best is that of Beta distributions
with a uniform prior, integrated numerically: for two variants it agrees with the closed sum to four places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, lgamma, log, sqrt

#: Places at which each distribution is looked at, and how many of its standard deviations they reach.
_PLACES, _REACH = 400, 10.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of one variant.

    :ivar count: how many had it.
    :ivar hits: how many of them did what is counted.
    """

    count: int
    hits: int

    @property
    def rate(self) -> float:
        """Of all who had it; 0 if nobody had."""
        return self.hits / self.count if self.count else 0.0


def z_of(confidence: float) -> float:
    """How many standard deviations a two-sided interval reaches."""
    return _quantile(0.5 + confidence / 2)


def interval(trial: Trial, confidence: float = 0.95) -> tuple[float, float]:
    """Between what the true rate lies (Wilson)."""
    n = trial.count
    if not n:
        return 0.0, 1.0
    z = z_of(confidence)
    middle = (trial.rate + z * z / (2 * n)) / (1 + z * z / n)
    reach = z / (1 + z * z / n) * sqrt(trial.rate * (1 - trial.rate) / n + z * z / (4 * n * n))
    low = 0.0 if not trial.hits else max(0.0, middle - reach)
    return low, 1.0 if trial.hits == n else min(1.0, middle + reach)


def difference(one: Trial, other: Trial, confidence: float = 0.95) -> tuple[float, float, float]:
    """By how much the rate of one is above that of the other, and between what that lies (Newcombe)."""
    (low, high), (other_low, other_high) = interval(one, confidence), interval(other, confidence)
    gap = one.rate - other.rate
    down = sqrt((one.rate - low) ** 2 + (other_high - other.rate) ** 2)
    up = sqrt((high - one.rate) ** 2 + (other.rate - other_low) ** 2)
    return gap, max(-1.0, gap - down), min(1.0, gap + up)


def best(trials: Sequence[Trial]) -> list[tuple[float, float]]:
    """Of each variant how probable it is that it is the best, and what choosing it costs.

    The cost is the rate that is given up on the average if it is chosen and another is better.
    """
    shapes = [(trial.hits + 1.0, trial.count - trial.hits + 1.0) for trial in trials]
    if len(shapes) == 1:
        return [(1.0, 0.0)]
    places = _grid(shapes)
    densities = [[_density(x, *shape) for x in places] for shape in shapes]
    reached = [_integral(places, density) for density in densities]
    # What the grid leaves out is nothing, but for rounding.
    densities = [[y / r[-1] for y in d] for d, r in zip(densities, reached, strict=True)]
    reached = [[y / r[-1] for y in r] for r in reached]
    below_all = [1.0] * len(places)
    for one in reached:
        below_all = [a * b for a, b in zip(below_all, one, strict=True)]
    highest = _total(places, [1.0 - y for y in below_all]) + places[0]
    chances = []
    for number, density in enumerate(densities):
        values = list(density)
        for other, one in enumerate(reached):
            if other != number:
                values = [a * b for a, b in zip(values, one, strict=True)]
        chances.append(_total(places, values))
    whole = sum(chances)
    return [
        (chance / whole, max(0.0, highest - a / (a + b)))
        for chance, (a, b) in zip(chances, shapes, strict=True)
    ]


def wanted(rate: float, gap: float, confidence: float = 0.95, power: float = 0.8) -> int:
    """How many must have each of two variants for a difference to be found.

    :param rate: of the worse one.
    :param gap: by how much the other is above it.
    :param power: how often it is to be found if it is there.
    """
    other = min(1.0, rate + gap)
    if other <= rate:
        raise ValueError("there is no rate above this one")
    mean = (rate + other) / 2
    reach = z_of(confidence) * sqrt(2 * mean * (1 - mean))
    reach += _quantile(power) * sqrt(rate * (1 - rate) + other * (1 - other))
    return ceil((reach / (other - rate)) ** 2)


def visible(rate: float, count: int, confidence: float = 0.95, power: float = 0.8) -> float:
    """The smallest difference that is found with so many for each of two variants; 1: none is."""
    low, high = 0.0, 1.0 - rate
    if count < 1 or high <= 0 or wanted(rate, high, confidence, power) > count:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if middle > 0 and wanted(rate, middle, confidence, power) <= count:
            high = middle
        else:
            low = middle
    return high


def _quantile(share: float) -> float:
    # It brings fractions and decimals with it, which a worker without campaigns does not need.
    from statistics import NormalDist

    return NormalDist().inv_cdf(share)


def _grid(shapes: Sequence[tuple[float, float]]) -> list[float]:
    places: set[float] = set()
    for a, b in shapes:
        mean = a / (a + b)
        width = _REACH * sqrt(a * b / ((a + b) ** 2 * (a + b + 1)))
        low, high = max(0.0, mean - width), min(1.0, mean + width)
        places.update(low + (high - low) * step / _PLACES for step in range(_PLACES + 1))
    return sorted(places)


def _density(x: float, a: float, b: float) -> float:
    if x <= 0.0 or x >= 1.0:
        # Only of a shape with a 1 is it not 0 there.
        return (a + b - 1.0) if (x <= 0.0 and a == 1.0) or (x >= 1.0 and b == 1.0) else 0.0
    return exp(lgamma(a + b) - lgamma(a) - lgamma(b) + (a - 1.0) * log(x) + (b - 1.0) * log(1.0 - x))


def _integral(places: Sequence[float], values: Sequence[float]) -> list[float]:
    found, total = [0.0], 0.0
    for number in range(1, len(places)):
        total += (places[number] - places[number - 1]) * (values[number] + values[number - 1]) / 2
        found.append(total)
    return found


def _total(places: Sequence[float], values: Sequence[float]) -> float:
    return _integral(places, values)[-1]
