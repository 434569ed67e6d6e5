"""``POST /v1/campaigns/{name}/test``: messages as they will be, to people who look at them first."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from mta.api.v1 import campaign_models as models
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call
from mta.batch.acceptance import Acceptance, Suppressed
from mta.campaign.campaigns import Campaign
from mta.campaign.contents import Contents, Unready
from mta.campaign.definition import Definition
from mta.campaign.people import People
from mta.campaign.sending import Way, person_of, plan_of, without_marks
from mta.registry.tenants import Tenant
from mta.template.problem import TemplateError


class CampaignTesting:
    """See the module.

    :param found: the campaign that a request is about.
    :param people: the audience, as campaigns ask it.
    :param contents: of variants.
    :param told: puts a change into the journal.
    :param acceptance: what takes messages.
    :param suppressed: who is on the suppression list.
    :param way: how recipients reach us.
    :param new_id: gives queue ids.
    :param session_id: gives ids of sessions.
    """

    def __init__(
        self,
        found: Callable[[Call], Awaitable[Campaign]],
        people: People,
        contents: Contents,
        told: Callable[[Campaign, str], None],
        *,
        acceptance: Callable[[Suppressed], Acceptance],
        suppressed: Suppressed,
        way: Callable[[Tenant, Definition], Way],
        new_id: Callable[[], str],
        session_id: Callable[[], str],
    ) -> None:
        self._found = found
        self._people = people
        self._contents = contents
        self._told = told
        self._acceptance = acceptance
        self._suppressed = suppressed
        self._way = way
        self._new_id = new_id
        self._session_id = session_id

    async def test(self, call: Call) -> models.CampaignTested:
        """Send test messages."""
        body: models.CampaignTestSend = call.body
        if call.tenant.suspended:
            raise Refusal("suspended", call.tenant.suspended)
        campaign = await self._found(call)
        definition = campaign.definition
        names = [one.name for one in definition.variants]
        if body.variant and body.variant not in names:
            raise field_refusal("/variant", f"there is none of this name; there are {', '.join(names)}")
        contact = await self._whose(call, campaign, body.contact)
        way = self._way(call.tenant, definition)
        if not way.base:
            raise Refusal("conflict", "links need an address: set api.url, or url with PUT /v1/engagement")
        messages: list[dict[str, str]] = []
        for place, name in enumerate(names):
            if body.variant in ("", name):
                messages += await self._tried(call, campaign, place, body.to, contact, way)
        self._told(
            replace(campaign, who=call.who, reason=", ".join(one.email for one in body.to), total=0), "tested"
        )
        return models.CampaignTested(messages=messages)

    async def _tried(
        self, call: Call, campaign: Campaign, place: int, to: Sequence[Any], contact: Any, way: Way
    ) -> list[dict[str, str]]:
        name = campaign.definition.variants[place].name
        try:
            bundle = await self._contents.bundle(
                call.tenant.name, campaign.definition, campaign.definition.variants[place]
            )
        except Unready as error:
            raise Refusal("template", str(error)) from None
        people = [
            replace(person_of(contact, self._new_id(), number), email=one.email, name=one.name)
            for number, one in enumerate(to)
        ]
        plan = without_marks(plan_of(campaign, place, bundle.encode(), people, way, self._session_id()))
        try:
            progress = await self._acceptance(self._suppressed).run(plan, plan.people)
        except TemplateError as error:
            raise Refusal("template", str(error)) from None
        wrong = {one.place: one.detail for one in progress.troubles}
        wrong.update({one.place: "it cannot be taken just now" for one in progress.left})
        return [
            {"to": one.email, "variant": name, "error": wrong[one.place]}
            if one.place in wrong
            else {"to": one.email, "variant": name, "id": f"{one.id}.0"}
            for one in people
        ]

    async def _whose(self, call: Call, campaign: Campaign, address: str) -> Any:
        """The contact with whose data a test message is made."""
        tenant, target = call.tenant.name, campaign.definition.target
        if address:
            try:
                found = await self._people.find(tenant, address)
            except ValueError as error:
                raise field_refusal("/contact", str(error)) from None
            if found is None:
                raise field_refusal("/contact", "there is no such contact")
            return found
        if not await self._people.unknown(tenant, target):
            some, _ = await self._people.page(tenant, target, 0, 1, call.now)
            if some:
                return some[0]
        raise field_refusal("/contact", "nobody is in the audience: name a contact")
