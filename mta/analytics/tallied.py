"""What questions are answered with: numbers, and what follows from them; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from mta.analytics import histogram
from mta.analytics import measures as m

#: Of delivery times.
PERCENTILES = (0.5, 0.9, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Tally:
    """Numbers of some time and some mail.

    :ivar numbers: by measure; those of :data:`~mta.analytics.measures.DELAYS` and above are buckets of
        delivery times.
    """

    numbers: Mapping[int, int] = field(default_factory=dict)

    def count(self, name: str) -> int:
        """How many of something: a name of :data:`~mta.analytics.measures.MEASURES`.

        :raise KeyError: if there is no such measure.
        """
        return self.numbers.get(m.NUMBERS[name], 0)

    def counts(self) -> dict[str, int]:
        """All of them, by name."""
        return {name: self.numbers.get(number, 0) for number, (name, _) in m.MEASURES.items()}

    def rate(self, name: str) -> float | None:
        """One of :data:`~mta.analytics.measures.RATES`; ``None``: there is nothing to divide by."""
        return m.rate(name, self.numbers)

    def rates(self) -> dict[str, float | None]:
        """All of them, by name."""
        return {name: self.rate(name) for name in m.RATES}

    def value(self, name: str) -> float:
        """A count or a rate, for sorting and comparing; a rate of nothing is 0."""
        return self.rate(name) or 0.0 if name in m.RATES else float(self.count(name))

    def percentiles(self, wanted: Sequence[float] = PERCENTILES) -> list[float | None]:
        """Seconds from acceptance to delivery, at most 5 % from what they were."""
        delays = {n - m.DELAYS: count for n, count in self.numbers.items() if n >= m.DELAYS}
        return histogram.percentiles(delays, wanted)

    def is_empty(self) -> bool:
        """Whether nothing happened."""
        return not any(self.numbers.values())


NOTHING = Tally()


def together(tallies: Iterable[Tally]) -> Tally:
    """The sum."""
    found: Counter[int] = Counter()
    for tally in tallies:
        found.update(tally.numbers)
    return Tally(dict(found))


@dataclass(frozen=True, slots=True)
class Point:
    """One step of a series.

    :ivar at: when it begins, in seconds since 1970.
    """

    at: float
    tally: Tally


@dataclass(frozen=True, slots=True)
class Row:
    """One value of a dimension.

    :ivar value: ``""`` where it is all the rest.
    :ivar other: whether it is: what there was no room for.
    :ivar before: the same of the time before, if that was asked for.
    """

    value: str
    tally: Tally
    other: bool = False
    before: Tally | None = None


@dataclass(frozen=True, slots=True)
class Breakdown:
    """Values of a dimension, in order.

    :ivar more: whether there are further ones behind the last.
    :ivar total: of all values there are, however many are shown.
    """

    rows: list[Row]
    more: bool
    total: int


@dataclass(frozen=True, slots=True)
class Stage:
    """How far the recipients of a campaign came: one step of a funnel.

    :ivar name: a measure.
    :ivar share: of the first step; ``None``: that had nobody.
    """

    name: str
    count: int
    share: float | None


FUNNEL = ("attempted", "delivered", "opened", "clicked")


def funnel(tally: Tally) -> list[Stage]:
    """Recipients that were tried, have it, opened it, and followed a link.

    Recipients who are tried again count once: they are those that have it or never will, and those
    that wait are not in it yet.
    """
    tried = tally.count("delivered") + tally.count("bounced") - tally.count("bounced_later")
    counts = {"attempted": tried, **{name: tally.count(name) for name in FUNNEL[1:]}}
    return [Stage(name, count, count / tried if tried else None) for name, count in counts.items()]


def change(now: float | None, before: float | None) -> float | None:
    """By how much something has changed, relatively; ``None``: nobody can say."""
    return None if now is None or not before else now / before - 1
