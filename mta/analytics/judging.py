"""Whether numbers are as they should be: over a threshold, or suddenly others than on the days before.

What is usual is the median of the same hours of the seven days before; something is sudden if it is by a
factor from that, and farther than three times what these days differ by (their median absolute deviation,
scaled as for a normal distribution).  Too little mail is judged not at all, and who was over is calm only
well below.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from mta.analytics import measures as m
from mta.analytics.reader import StatisticsReader
from mta.analytics.tallied import Row, Tally
from mta.model.bounce_classes import CLASSES

#: Days that tell what is usual; of so many there must be enough mail.
DAYS, ENOUGH = 7, 3
#: Who was over is calm below so much of the threshold.
CALM = 0.8
#: Times what the days before differ by.
_FAR = 3 * 1.4826
_HOUR = 3600
_TOP = 3
_KNOWN = {one.name: one for one in CLASSES}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked at.

    :ivar statistic: a count or a rate.
    :ivar above: the highest that it may be; ``None``: anything.
    :ivar below: the lowest; likewise.
    :ivar change: the factor, above 1 or below; 0: it may change.
    :ivar by: a dimension, each of whose values is looked at alone; ``""``: all mail together.
    :ivar value: only this one.
    :ivar tenant: whose mail; ``None``: all.
    :ivar minimum: how much there must be: of what a rate is of, or usually of a count.
    :ivar within: seconds, in whole hours at least.
    """

    statistic: str
    above: float | None = None
    below: float | None = None
    change: float = 0.0
    by: str = ""
    value: str = ""
    tenant: str | None = None
    minimum: int = 100
    within: float = 3600.0


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found.

    :ivar value: the worst.
    :ivar over: whether somebody must be told.
    :ivar calm: whether one that was over is so no more.
    :ivar words: in one line.
    :ivar cause: what probably leads to it; ``""``: nobody can say.
    :ivar remedy: what to do.
    """

    value: float
    over: bool
    calm: bool
    words: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    cause: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual, and how much the days differ."""

    median: float
    spread: float


def usual(values: Sequence[float]) -> Usual | None:
    """What is usual; ``None``: there are too few days to tell."""
    if len(values) < ENOUGH:
        return None
    middle = median(values)
    return Usual(middle, median(abs(one - middle) for one in values))


@dataclass(frozen=True, slots=True)
class Verdict:
    """About one value: how far it is over (1 is just so), and why in words."""

    excess: float
    words: str


def verdict(wanted: Wanted, value: float, known: Usual | None, floor: float) -> Verdict:
    """How far a value is from what it may be.

    :param known: what is usual.
    :param floor: the least that counts as usual, so that one bounce after none is no sudden change.
    """
    found = Verdict(0.0, "")
    if wanted.above is not None:
        excess = value / wanted.above if wanted.above else float("inf") if value else 0.0
        found = Verdict(excess, f"over {shown(wanted.statistic, wanted.above)}")
    if wanted.below is not None:
        excess = wanted.below / value if value else float("inf") if wanted.below else 0.0
        found = max(
            found,
            Verdict(excess, f"under {shown(wanted.statistic, wanted.below)}"),
            key=lambda one: one.excess,
        )
    if wanted.change and known is not None:
        words = f"usually {shown(wanted.statistic, known.median)} at this time"
        far = abs(value - known.median) > _FAR * known.spread
        base = max(known.median, floor)
        if wanted.change > 1:
            excess = value / (base * wanted.change)
        elif known.median <= floor:
            excess = 0.0  # Of nothing it cannot become less.
        else:
            excess = base * wanted.change / value if value else float("inf")
        if far or excess < 1:
            found = max(found, Verdict(excess, words), key=lambda one: one.excess)
    return found


def judge(reader: StatisticsReader, wanted: Wanted, now: float) -> Finding:
    """Look at the numbers; blocks.

    :raise ValueError: if there is no such statistic or dimension.
    :raise TemporarilyUnavailable: if the numbers cannot be read.
    """
    begin, end = _hours(wanted, now)
    tallies = _tallies(reader, wanted, begin, end)
    days: list[dict[str, Tally]] = []
    if wanted.change:
        days = [_tallies(reader, wanted, begin - 24 * day, end - 24 * day) for day in range(1, DAYS + 1)]
    is_rate = wanted.statistic in m.RATES
    worst, chosen, over = Verdict(0.0, ""), "", []
    for name in sorted({*tallies, *(name for one in days for name in one)}):
        tally = tallies.get(name, Tally())
        before = [one.get(name, Tally()) for one in days]
        if is_rate:
            if weight(wanted.statistic, tally) < wanted.minimum:
                continue
            known = usual(
                [
                    one.value(wanted.statistic)
                    for one in before
                    if weight(wanted.statistic, one) >= wanted.minimum
                ]
            )
            floor = 1 / wanted.minimum if wanted.minimum else 0.0
        else:
            # A day without any mail at all was one on which the server was not there.
            known = usual([one.value(wanted.statistic) for one in before if not one.is_empty()])
            floor = float(wanted.minimum)
        found = verdict(wanted, tally.value(wanted.statistic), known, floor)
        if found.excess >= 1:
            over.append(_line(wanted, name, tally, found))
        if found.excess > worst.excess or not chosen:
            worst, chosen = found, name
    tally = tallies.get(chosen, Tally())
    words = _line(wanted, chosen, tally, worst if worst.excess >= 1 else Verdict(0, ""))
    if worst.excess < 1:
        return Finding(tally.value(wanted.statistic), False, worst.excess < CALM, words)
    evidence, cause, remedy = _evidence(reader, wanted, chosen, begin, end)
    if len(over) > 1:
        evidence = {"all": over, **evidence}
    return Finding(tally.value(wanted.statistic), True, False, words, evidence, cause, remedy)


def weight(statistic: str, tally: Tally) -> int:
    """Of how many a rate is; a count is of itself."""
    if statistic not in m.RATES:
        return tally.count(statistic)
    return sum(tally.numbers.get(number, 0) for number in m.RATES[statistic][1])


def shown(statistic: str, value: float) -> str:
    """A count or a rate for a person."""
    return f"{value * 100:.3g} %" if statistic in m.RATES else f"{value:.0f}"


def _hours(wanted: Wanted, now: float) -> tuple[int, int]:
    """First and last hour; of counts that may change, whole ones only: a part is always less."""
    present = int(now // _HOUR)
    count = max(1, -int(-wanted.within // _HOUR))
    whole = wanted.statistic not in m.RATES and (wanted.change or wanted.below is not None)
    if whole:
        return present - count, present
    return int((now - wanted.within) // _HOUR), present + 1


def _tallies(reader: StatisticsReader, wanted: Wanted, begin: int, end: int) -> dict[str, Tally]:
    since, until = begin * float(_HOUR), end * float(_HOUR)
    if not wanted.by or wanted.value:
        found = reader.total(wanted.tenant, since, until, wanted.by, wanted.value)
        return {wanted.value: found}
    rows = reader.breakdown(wanted.tenant, wanted.by, since, until, limit=1000).rows
    return {row.value: row.tally for row in rows if not row.other}


def _line(wanted: Wanted, name: str, tally: Tally, found: Verdict) -> str:
    where = f" of {wanted.by} {name}" if name else ""
    what = f"{wanted.statistic}{where} is {shown(wanted.statistic, tally.value(wanted.statistic))}"
    if wanted.statistic in m.RATES:
        what += f" of {weight(wanted.statistic, tally)}"
    return f"{what}, {found.words}" if found.words else what


#: By what a person looks further, and which count tells it.
_LOOK = {
    "bounce_rate": ("class", "bounced"),
    "bounced": ("class", "bounced"),
    "delivery_rate": ("class", "bounced"),
    "delivered": ("class", "deferred"),
    "deferral_rate": ("class", "deferred"),
    "deferred": ("class", "deferred"),
    "complaint_rate": ("campaign", "complained"),
    "complained": ("campaign", "complained"),
    "refusal_rate": ("rule", "refused"),
    "refused": ("rule", "refused"),
    "unsubscribe_rate": ("campaign", "unsubscribed"),
    "unsubscribed": ("campaign", "unsubscribed"),
}


def _evidence(
    reader: StatisticsReader, wanted: Wanted, name: str, begin: int, end: int
) -> tuple[dict[str, Any], str, str]:
    """What stands behind it: evidence, cause, remedy."""
    by, measure = _LOOK.get(wanted.statistic, ("provider", "attempted"))
    since, until = begin * float(_HOUR), end * float(_HOUR)
    prefix, dimension = "", by
    if wanted.by == "provider" and by == "class" and name:
        prefix, dimension = f"{name}/", "provider-class"
    found: dict[str, Any] = {}
    first = ""
    for place, beginning in dict.fromkeys([(dimension, prefix), ("provider", ""), ("domain", "")]):
        if place == wanted.by:
            continue
        rows = reader.breakdown(
            wanted.tenant, place, since, until, sort=measure, limit=_TOP, beginning=beginning, compare=True
        ).rows
        rows = [row for row in rows if row.tally.count(measure)]
        if rows:
            found[by if place == dimension else place] = [_told(row, measure, beginning) for row in rows]
            if place == dimension:
                first = rows[0].value.removeprefix(beginning)
    known = _KNOWN.get(first) if by == "class" else None
    if known is not None:
        return found, f"mostly {known.title}: {known.cause}", known.operator
    where = f"`mta stats --by {by} --sort {measure}` shows all"
    return found, f"mostly {by} {first}" if first else "", where


def _told(row: Row, measure: str, beginning: str) -> str:
    before = row.before.count(measure) if row.before else 0
    name = "others" if row.other else row.value.removeprefix(beginning)
    return f"{name}: {row.tally.count(measure)} {measure}, {before} in the time before"
