"""What a test of variants has shown: which is the best, how sure that is, and whether it is sure enough.

It is clear when enough people have had each variant and one is the best with the probability that was
asked for.  It is asked once, when the test has ended: whoever looks again and again and stops when it looks
clear finds differences that are not there, and so what is shown before that says that it is early.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mta.campaign.statistics import Trial, best, difference, interval


@dataclass(frozen=True, slots=True)
class Standing:
    """How one variant stands.

    :ivar low: and ``high``: between what its true rate lies.
    :ivar best: how probable it is that it is the best.
    :ivar cost: the rate that is given up on the average if it is chosen and another is better.
    """

    name: str
    trial: Trial
    low: float
    high: float
    best: float
    cost: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """See the module.

    :ivar leader: the name of the variant that is most probably the best; ``""``: nobody had any.
    :ivar clear: whether it is sure enough.
    :ivar gap: by how much its rate is above that of the next, with its interval.
    :ivar words: all that in a sentence or two.
    """

    standings: tuple[Standing, ...]
    leader: str
    clear: bool
    gap: tuple[float, float, float]
    words: str


def judge(
    names: Sequence[str],
    trials: Sequence[Trial],
    what: str,
    *,
    confidence: float = 0.95,
    least: int = 100,
    ended: bool = True,
) -> Verdict:
    """What some variants' trials show.

    :param what: that is counted, such as ``clicked``.
    :param confidence: the probability from which on it is clear; intervals have it, too.
    :param least: who must have had each variant.
    :param ended: whether the test has ended.
    """
    chances = best(trials)
    standings = tuple(
        Standing(name, trial, *interval(trial, confidence), *chance)
        for name, trial, chance in zip(names, trials, chances, strict=True)
    )
    if len(standings) == 1:
        only = standings[0]
        return Verdict(standings, only.name, False, (0.0, 0.0, 0.0), f"{_rate(only, what, confidence)}.")
    order = sorted(range(len(standings)), key=lambda place: (-standings[place].best, place))
    first, second = standings[order[0]], standings[order[1]]
    gap = difference(first.trial, second.trial, confidence)
    few = [one for one in standings if one.trial.count < least]
    clear = not few and first.best >= confidence
    words = "; ".join(_rate(one, what, confidence) for one in standings) + ". "
    if not any(one.trial.count for one in standings):
        return Verdict(standings, "", False, gap, "Nobody has had any of them yet.")
    if few:
        words += (
            f"Too few have had {' and '.join(one.name for one in few)} to tell: {least} of each are needed."
        )
    else:
        words += (
            f"{first.name} is the best with a probability of {first.best:.1%}, and {gap[0] * 100:+.1f} points"
            f" ({gap[1] * 100:+.1f} to {gap[2] * 100:+.1f}) from {second.name}: "
        )
        words += "that is clear." if clear else f"that is not clear, for which it takes {confidence:.0%}."
    if not ended:
        words += (
            " The test has not ended: what looks clear now may not be then, and whoever stops when it looks"
            " clear chooses the wrong one more often than these numbers say."
        )
    return Verdict(standings, first.name, clear, gap, words)


def _rate(one: Standing, what: str, confidence: float) -> str:
    return (
        f"{one.name}: {one.trial.hits} of {one.trial.count} {what}, {one.trial.rate:.1%}"
        f" ({confidence:.0%} interval {one.low:.1%} to {one.high:.1%})"
    )
