"""What ``/v1/campaigns`` tells of campaigns: how far they are, what came of them, who gets them."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any, Literal

from pydantic import Field

from mta.api.v1 import campaign_models as models
from mta.api.v1.cursor import Page, cursor
from mta.api.v1.keys import moment
from mta.api.v1.route import Call, Model
from mta.audience.audience import Audience
from mta.audience.contacts import some
from mta.campaign import dispatch
from mta.campaign.campaigns import SPLIT, UNDECIDED, Campaign, Campaigns
from mta.campaign.pace import Clock, seconds_left
from mta.campaign.results import Results
from mta.campaign.schema import GONE, PERSON_STATES, REFUSED, SUPPRESSED, TAKEN, WAITING
from mta.campaign.states import RUNNING, SCHEDULED, STATES
from mta.registry.tenants import Tenant

State = Literal["draft", "scheduled", "running", "paused", "done", "stopped"]
assert set(State.__args__) == set(STATES)  # type: ignore[attr-defined]


class CampaignsWanted(Page):
    """Which campaigns to show."""

    state: State | None = Field(None, description="only those")


class PeopleWanted(Page):
    """Which people to show."""

    state: Literal["waiting", "sent", "suppressed", "refused", "left"] | None = Field(
        None, description="only those"
    )


class ResultWanted(Model):
    """How variants are compared."""

    metric: Literal["", "opened", "clicked", "complained", "unsubscribed", "bounced"] = Field(
        "", description="by what; without it: as the test says, or by clicks"
    )


class CampaignView:
    """Looks at campaigns, and changes nothing.

    :param campaigns: the store.
    :param audience: keeps them.
    :param results: what came of them.
    :param waits: why nothing of a tenant goes just now.
    :param found: the campaign that a request is about.
    """

    def __init__(
        self,
        campaigns: Campaigns,
        audience: Audience,
        results: Results,
        waits: Callable[[Tenant], Awaitable[str]],
        found: Callable[[Call], Awaitable[Campaign]],
    ) -> None:
        self._campaigns = campaigns
        self._audience = audience
        self._results = results
        self._waits = waits
        self._found = found

    async def page(self, call: Call) -> models.CampaignsShown:
        """A page."""
        query: CampaignsWanted = call.query
        before = (query.after(int) or [0])[0]
        found = await self._campaigns.page(call.tenant.name, before, query.limit + 1, query.state or "")
        shown = found[: query.limit]
        more = cursor(shown[-1].id) if len(found) > query.limit else None
        return models.CampaignsShown(
            campaigns=[models.CampaignShown(**_facts(one)) for one in shown], next=more
        )

    async def result(self, call: Call) -> models.CampaignResult:
        """What came of it."""
        query: ResultWanted = call.query
        campaign = await self._found(call)
        test = campaign.definition.test
        outcomes, verdict = await self._results.told(campaign, query.metric)
        standing = {one.name: one for one in verdict.standings}
        several = len(outcomes) > 1
        return models.CampaignResult(
            state=campaign.state,
            metric=query.metric or (test.metric if test is not None else "clicked"),
            confidence=test.confidence if test is not None else 0.95,
            variants=[
                models.CampaignOutcome(
                    name=one.name,
                    counts=dict(one.counts),
                    rates={name: models.CampaignRate(**asdict(rate)) for name, rate in one.rates.items()},
                    best=standing[one.name].best,
                    cost=standing[one.name].cost,
                )
                for one in outcomes
            ],
            leader=(verdict.leader or None) if several else None,
            clear=verdict.clear,
            difference=models.CampaignRate(rate=verdict.gap[0], low=verdict.gap[1], high=verdict.gap[2])
            if several
            else None,
            words=verdict.words,
            decision=campaign.decision.get("words", ""),
        )

    async def recipients(self, call: Call) -> models.CampaignPeople:
        """A page of people."""
        query: PeopleWanted = call.query
        after = (query.after(int) or [0])[0]
        campaign = await self._found(call)
        state = PERSON_STATES.index(query.state) if query.state is not None else -1
        tenant, limit = call.tenant.name, query.limit

        def work(base: sqlite3.Connection) -> tuple[Sequence[Any], Any]:
            rows = base.execute(
                "SELECT contact, variant, state, message, why FROM campaign_people"
                " WHERE campaign = ? AND contact > ? AND (? < 0 OR state = ?) ORDER BY contact LIMIT ?",
                (campaign.id, after, state, state, limit + 1),
            ).fetchall()
            return rows, some(base, tenant, [row[0] for row in rows[:limit]])

        rows, contacts = await self._audience.look(work)
        names = [one.name for one in campaign.definition.variants]
        return models.CampaignPeople(
            recipients=[
                models.CampaignPerson(
                    contact=contact,
                    email=contacts[contact].address if contact in contacts else "",
                    variant=names[variant],
                    state=PERSON_STATES[number],
                    message=f"{message}.0" if message and number == TAKEN else None,
                    why=why,
                )
                for contact, variant, number, message, why in rows[:limit]
            ],
            next=cursor(rows[limit - 1][0]) if len(rows) > limit else None,
        )

    async def full(self, call: Call, campaign: Campaign) -> models.CampaignFull:
        """One, and how far it is."""
        number = campaign.id
        if not campaign.started:
            return models.CampaignFull(**_facts(campaign), progress=_NOTHING)
        counted, waves = await self._audience.look(
            lambda base: (dispatch.counts(base, number), dispatch.waves_of(base, number))
        )
        of = [0] * len(PERSON_STATES)
        for (_, _, state), count in counted.items():
            of[state] += count
        running = campaign.state == RUNNING
        waits = await self._waits(call.tenant) if running else ""
        if running and not waits and campaign.waits_for_result and campaign.tested:
            waits = "the test has been sent: it is looked at when its time has passed"
            if campaign.decision:
                waits = "the test shows no clear winner: somebody must decide what the rest gets"
        clock = Clock(campaign.active, campaign.looked, campaign.credit)
        left = seconds_left(campaign.definition.pace, clock, [one for _, one in waves], call.now)
        return models.CampaignFull(
            **_facts(campaign),
            progress=models.CampaignProgress(
                total=campaign.total,
                waiting=campaign.total - sum(of[state] for state in (TAKEN, SUPPRESSED, REFUSED, GONE)),
                sent=of[TAKEN],
                suppressed=of[SUPPRESSED],
                left=of[GONE],
                refused=of[REFUSED],
                prepared=campaign.prepared,
                seconds_left=int(left) if running and campaign.prepared else None,
                waits=waits,
            ),
        )


_NOTHING = models.CampaignProgress(
    total=0,
    waiting=0,
    sent=0,
    suppressed=0,
    left=0,
    refused=0,
    prepared=False,
    seconds_left=None,
    waits="",
)
assert WAITING == 0


def _facts(one: Campaign) -> dict[str, Any]:
    names = [variant.name for variant in one.definition.variants]
    return {
        "name": one.name,
        "state": one.state,
        "title": one.definition.title,
        "created": moment(one.created),
        "changed": moment(one.changed),
        "begins": moment(one.begins) if one.state == SCHEDULED else None,
        "started": moment(one.started),
        "ended": moment(one.ended),
        "reason": one.reason,
        "by": one.who,
        "hold": one.hold,
        "chosen": None if one.chosen == UNDECIDED else "split" if one.chosen == SPLIT else names[one.chosen],
        "decision": one.decision.get("words", ""),
        "definition": models.told(one.definition),
    }
