"""``/v1/campaigns``: one message, or several to find the best, for everybody on lists and in segments."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

from mta.api.v1 import campaign_models as models
from mta.api.v1.campaign_testing import CampaignTesting
from mta.api.v1.campaign_view import CampaignsWanted, CampaignView, PeopleWanted, ResultWanted
from mta.api.v1.keys import moment
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Route
from mta.audience.audience import Audience
from mta.batch.acceptance import Acceptance, Suppressed
from mta.campaign import dispatch
from mta.campaign.campaigns import SPLIT, Campaign, Campaigns, Exists, NoCampaign
from mta.campaign.checking import Checks, Report
from mta.campaign.contents import Contents, Unready
from mta.campaign.definition import Definition
from mta.campaign.people import People
from mta.campaign.results import Results
from mta.campaign.runner import Runner
from mta.campaign.schema import TABLES
from mta.campaign.sending import Way
from mta.campaign.states import DRAFT, SCHEDULED, NotNow
from mta.registry.tenants import Tenant


class CampaignRoutes:
    """Answers for campaigns.

    :param campaigns: the store.
    :param audience: keeps them.
    :param people: the audience, as campaigns ask it.
    :param contents: of variants.
    :param checks: what is looked at before one begins.
    :param results: what came of them.
    :param runner: is woken when something has changed.
    :param acceptance: what takes messages.
    :param suppressed: who is on the suppression list.
    :param way: how recipients reach us.
    :param waits: why nothing of a tenant goes just now.
    :param new_id: gives queue ids.
    :param session_id: gives ids of sessions.
    """

    def __init__(
        self,
        campaigns: Campaigns,
        audience: Audience,
        people: People,
        contents: Contents,
        checks: Checks,
        results: Results,
        runner: Runner,
        *,
        acceptance: Callable[[Suppressed], Acceptance],
        suppressed: Suppressed,
        way: Callable[[Tenant, Definition], Way],
        waits: Callable[[Tenant], Awaitable[str]],
        new_id: Callable[[], str],
        session_id: Callable[[], str],
    ) -> None:
        self._campaigns = campaigns
        self._audience = audience
        self._contents = contents
        self._checks = checks
        self._runner = runner
        self._view = CampaignView(campaigns, audience, results, waits, self._found)
        self._testing = CampaignTesting(
            self._found,
            people,
            contents,
            runner.told,
            acceptance=acceptance,
            suppressed=suppressed,
            way=way,
            new_id=new_id,
            session_id=session_id,
        )

    def routes(self) -> list[Route]:
        """What it answers."""
        named = {"name": "of the campaign"}
        full: dict[str, Any] = {"path_help": named, "answer": models.CampaignFull}

        def act(name: str, summary: str, body: Any, example: dict[str, Any], **more: Any) -> Route:
            return Route(
                "POST",
                f"/v1/campaigns/{{name}}/{name}",
                getattr(self, name),
                "campaigns",
                summary,
                body=body,
                examples={"with a reason": {"reason": "as agreed", **example}},
                refusals=("conflict",),
                **full,
                **more,
            )

        return [
            Route(
                "POST",
                "/v1/campaigns",
                self.create,
                "campaigns",
                "Make a campaign, as a draft",
                "Nothing is sent before it is started, or scheduled and its time has come.",
                body=models.NewCampaign,
                answer=models.CampaignFull,
                status=201,
                refusals=("conflict", "too-many"),
                examples=models.EXAMPLES,
            ),
            Route(
                "GET",
                "/v1/campaigns",
                self._view.page,
                "campaigns:read",
                "All campaigns, the last made first",
                query=CampaignsWanted,
                answer=models.CampaignsShown,
            ),
            Route(
                "GET", "/v1/campaigns/{name}", self.get, "campaigns:read", "One, and how far it is", **full
            ),
            Route(
                "PUT",
                "/v1/campaigns/{name}",
                self.change,
                "campaigns",
                "Change a draft",
                body=models.CampaignSettings,
                refusals=("conflict",),
                examples={
                    name: {key: value for key, value in one.items() if key != "name"}
                    for name, one in models.EXAMPLES.items()
                },
                **full,
            ),
            Route(
                "DELETE",
                "/v1/campaigns/{name}",
                self.remove,
                "campaigns",
                "Remove a campaign that was never started",
                status=204,
                path_help=named,
                refusals=("conflict",),
            ),
            Route(
                "POST",
                "/v1/campaigns/{name}/check",
                self.check,
                "campaigns:read",
                "Look at everything before it begins",
                path_help=named,
                answer=models.CampaignReport,
            ),
            Route(
                "POST",
                "/v1/campaigns/{name}/test",
                self._testing.test,
                "campaigns",
                "Send test messages",
                "They count for nothing, and have no links that are counted.",
                body=models.CampaignTestSend,
                answer=models.CampaignTested,
                path_help=named,
                refusals=("template", "conflict", "suspended"),
                examples={"to two": {"to": [{"email": "ann@example.org"}, {"email": "bob@example.org"}]}},
            ),
            act("start", "Start it now", models.CampaignAct, {}),
            act(
                "schedule",
                "Have it begin at its time",
                models.CampaignSchedule,
                {"send_at": "2027-01-01T08:00:00Z"},
            ),
            act("unschedule", "Make a draft again of one that is scheduled", models.CampaignAct, {}),
            act(
                "pause",
                "Hand nothing more to the queue until it is resumed",
                models.CampaignPause,
                {"hold": True},
                description="What is in the queue goes on, unless it is to be held, too.",
            ),
            act("resume", "Go on with one that is paused", models.CampaignAct, {}),
            act(
                "stop",
                "End it for good",
                models.CampaignAct,
                {},
                description="What is in the queue and was never attempted is taken out of it.",
            ),
            act("decide", "Choose what the rest gets", models.CampaignChoice, {"variant": "B"}),
            Route(
                "GET",
                "/v1/campaigns/{name}/result",
                self._view.result,
                "campaigns:read",
                "What came of it, by variant, and how sure that is",
                query=ResultWanted,
                answer=models.CampaignResult,
                path_help=named,
            ),
            Route(
                "GET",
                "/v1/campaigns/{name}/recipients",
                self._view.recipients,
                "campaigns:read",
                "Who gets it, and how they stand",
                query=PeopleWanted,
                answer=models.CampaignPeople,
                path_help=named,
            ),
        ]

    # --- drafts --------------------------------------------------------------------

    async def create(self, call: Call) -> models.CampaignFull:
        """Make one."""
        body: models.NewCampaign = call.body
        try:
            made = await self._campaigns.add(
                call.tenant.name, body.name, body.definition(), call.now, call.who
            )
        except Exists as error:
            raise Refusal("conflict", str(error)) from None
        except ValueError as error:
            raise Refusal("too-many", str(error)) from None
        self._runner.told(made, "created")
        return await self._view.full(call, made)

    async def change(self, call: Call) -> models.CampaignFull:
        """Change a draft."""
        with _known():
            changed = await self._campaigns.change(
                call.tenant.name, call.path["name"], call.body.definition(), call.now, call.who
            )
        self._runner.told(changed, "changed")
        return await self._view.full(call, changed)

    async def remove(self, call: Call) -> None:
        """Forget one."""
        with _known():
            removed = await self._campaigns.remove(call.tenant.name, call.path["name"])
        self._runner.told(replace(removed, who=call.who), "removed")

    # --- looking --------------------------------------------------------------------

    async def get(self, call: Call) -> models.CampaignFull:
        """One."""
        return await self._view.full(call, await self._found(call))

    async def check(self, call: Call) -> models.CampaignReport:
        """Look at everything."""
        campaign = await self._found(call)
        return _report(await self._checks.run(call.tenant, campaign.definition, call.now))

    # --- acts -----------------------------------------------------------------------

    async def start(self, call: Call) -> models.CampaignFull:
        """Start it now."""
        campaign = await self._found(call)
        if campaign.state not in (DRAFT, SCHEDULED):
            return await self._act(call, "start")
        await self._fit(call, campaign)
        try:
            bundles = await self._contents.frozen(call.tenant.name, campaign.definition)
        except Unready as error:
            raise Refusal("conflict", str(error)) from None
        return await self._act(call, "start", bundles=bundles)

    async def schedule(self, call: Call) -> models.CampaignFull:
        """Have it begin at its time."""
        campaign = await self._found(call)
        asked = call.body.send_at
        begins = asked.timestamp() if asked is not None else campaign.definition.begins
        if not begins:
            raise field_refusal("/send_at", "neither this nor the campaign says when it begins")
        if begins < call.now:
            raise field_refusal("/send_at", f"{moment(begins)} has passed: give a time to come, or start it")
        if campaign.state in (DRAFT, SCHEDULED):
            await self._fit(call, campaign)
        return await self._act(call, "schedule", until=begins, begins=begins)

    async def unschedule(self, call: Call) -> models.CampaignFull:
        """Make a draft again."""
        return await self._act(call, "unschedule")

    async def pause(self, call: Call) -> models.CampaignFull:
        """Hand nothing more to the queue."""
        return await self._act(call, "pause", hold=call.body.hold)

    async def resume(self, call: Call) -> models.CampaignFull:
        """Go on."""
        return await self._act(call, "resume")

    async def stop(self, call: Call) -> models.CampaignFull:
        """End it for good."""
        return await self._act(call, "stop")

    async def decide(self, call: Call) -> models.CampaignFull:
        """Choose what the rest gets."""
        body: models.CampaignChoice = call.body
        campaign = await self._found(call)
        names = [one.name for one in campaign.definition.variants]
        if body.variant is not None and body.variant not in names:
            raise field_refusal("/variant", f"there is none of this name; there are {', '.join(names)}")
        if not campaign.waits_for_result or not campaign.started or campaign.ended:
            raise Refusal("conflict", "nothing waits for a choice: it has no test, or the rest is decided")
        chosen = SPLIT if body.variant is None else names.index(body.variant)
        what = "the rest is split as the test was" if chosen == SPLIT else f"the rest gets {body.variant}"
        decided = await self._decided(call, campaign, chosen, what)
        self._runner.told(replace(decided, who=call.who, reason=body.reason or what), "decide")
        self._runner.wake()
        return await self._view.full(call, decided)

    async def _decided(self, call: Call, campaign: Campaign, chosen: int, what: str) -> Campaign:
        before = campaign.decision.get("words", "")
        words = f"{before} {call.who} has chosen: {what}.".strip()
        decision = json.dumps({"clear": False, "words": words, "at": call.now, "who": call.who})
        now, number = call.now, campaign.id
        decided = await self._audience.database.change(
            TABLES.noun, lambda base: dispatch.decide(base, number, chosen, decision, now)
        )
        if decided is None:
            raise Refusal("conflict", "somebody else has decided just now")
        return decided

    async def _act(self, call: Call, act: str, until: float = 0.0, **more: Any) -> models.CampaignFull:
        with _known():
            moved = await self._campaigns.act(
                call.tenant.name,
                call.path["name"],
                act,
                call.now,
                who=call.who,
                reason=call.body.reason,
                **more,
            )
        self._runner.told(moved, act, until)
        self._runner.wake()
        return await self._view.full(call, moved)

    async def _fit(self, call: Call, campaign: Campaign) -> None:
        report = await self._checks.run(call.tenant, campaign.definition, call.now)
        if not report.fit:
            errors = [
                {"pointer": "", "detail": one.words, "kind": one.code, "remedy": one.remedy}
                for one in report.findings
                if one.level == "error"
            ]
            raise Refusal("conflict", "; ".join(one["detail"] for one in errors), errors)

    # --- beside ----------------------------------------------------------------------

    async def _found(self, call: Call) -> Campaign:
        with _known():
            return await self._campaigns.get(call.tenant.name, call.path["name"])


@contextmanager
def _known() -> Iterator[None]:
    """What is not there is answered with 404, what cannot be done now with 409."""
    try:
        yield
    except NoCampaign as error:
        raise Refusal("not-found", str(error)) from None
    except NotNow as error:
        raise Refusal("conflict", str(error)) from None


def _report(report: Report) -> models.CampaignReport:
    return models.CampaignReport(
        fit=report.fit,
        size=report.size if report.size >= 0 else None,
        suppressed=report.barred,
        looked_at=report.looked,
        findings=[models.CampaignFinding(**asdict(one)) for one in report.findings],
    )
