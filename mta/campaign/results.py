"""What came of a campaign, by variant, out of the index over the journal: rates and their uncertainty."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from mta.campaign.campaigns import Campaign
from mta.campaign.definition import METRICS
from mta.campaign.sending import variant_tag
from mta.campaign.states import DONE, STOPPED
from mta.campaign.statistics import Trial, interval
from mta.campaign.verdict import Verdict, judge

#: What is told of each variant: words of the index over the journal.
TOLD = ("recipients", "delivered", "bounced", "opened", "clicked", "complained", "unsubscribed")
#: What each is a share of.
_OF = {"delivered": "recipients", "bounced": "recipients"}

#: From tenant and tag to how many have ever been delivered, opened and so on.
Reached = Callable[[str, str], Awaitable[Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class Rate:
    """A share, and between what the true one lies."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one variant.

    :ivar counts: by :data:`TOLD`.
    :ivar rates: of those with ``delivered`` and ``bounced`` of all messages, the others of those delivered.
    """

    name: str
    counts: Mapping[str, int]
    rates: Mapping[str, Rate] = field(default_factory=dict)


def outcome(name: str, counts: Mapping[str, int], confidence: float) -> Outcome:
    """Counts with their rates."""
    found = {word: counts.get(word, 0) for word in TOLD}
    rates = {}
    for word in TOLD[1:]:
        trial = _trial(found, word)
        rates[word] = Rate(trial.rate, *interval(trial, confidence))
    return Outcome(name, found, rates)


def _trial(counts: Mapping[str, int], word: str) -> Trial:
    of = counts.get(_OF.get(word, "delivered"), 0)
    # What bounced later was delivered first, and some open what was forwarded to them.
    return Trial(of, min(of, counts.get(word, 0)))


class Results:
    """See the module.

    :param reached: asks the index.
    """

    def __init__(self, reached: Reached) -> None:
        self._reached = reached

    async def counts(self, campaign: Campaign) -> list[Mapping[str, int]]:
        """What came of each variant.

        :raise TemporarilyUnavailable: if the index cannot be read.
        """
        variants = range(len(campaign.definition.variants))
        return [await self._reached(campaign.tenant, variant_tag(campaign, place)) for place in variants]

    async def trials(self, campaign: Campaign) -> list[Trial]:
        """What came of each variant, by the metric of its test."""
        test = campaign.definition.test
        metric = test.metric if test is not None else METRICS[-1]
        return [_trial(one, metric) for one in await self.counts(campaign)]

    async def told(self, campaign: Campaign, metric: str = "") -> tuple[list[Outcome], Verdict]:
        """All of it.

        :param metric: by which variants are compared; ``""``: that of the test, or clicks.
        """
        test = campaign.definition.test
        metric = metric or (test.metric if test is not None else METRICS[-1])
        confidence = test.confidence if test is not None else 0.95
        counts = await self.counts(campaign)
        names = [one.name for one in campaign.definition.variants]
        ended = bool(campaign.decision) if test is not None else campaign.state in (DONE, STOPPED)
        verdict = judge(
            names,
            [_trial(one, metric) for one in counts],
            metric,
            confidence=confidence,
            least=test.least if test is not None else 100,
            ended=ended,
        )
        return [outcome(*one, confidence) for one in zip(names, counts, strict=True)], verdict
