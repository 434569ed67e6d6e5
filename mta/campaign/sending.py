"""A piece of a campaign becomes messages in the queue.

Suppression, unsubscription and whether the campaign still runs are asked at the last moment, for every 200;
what it takes to make a message is what batches have (:mod:`mta.batch.acceptance`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from mta.audience.contact import Contact
from mta.batch.acceptance import Acceptance, Suppressed
from mta.batch.plan import Person, Plan
from mta.campaign.campaigns import Campaign
from mta.campaign.dispatch import Piece
from mta.campaign.schema import GONE, REFUSED, SUPPRESSED, TAKEN, WAITING
from mta.interfaces import TemporarilyUnavailable
from mta.template.problem import TemplateError

#: The tag that all test messages have, and nothing else of a campaign.
TEST_TAG = "campaign-test"


class Audience(Protocol):
    """What is asked of the audience while a campaign runs."""

    async def some(self, tenant: str, contacts: Collection[int]) -> Mapping[int, Contact]:
        """Contacts by their numbers, as they are now."""

    async def barred(
        self, tenant: str, contacts: Sequence[Contact], list_name: str, still: dict[str, Any] | None
    ) -> Mapping[int, str]:
        """Who may not get it now, by number, and why.

        :param list_name: that they leave with one click; ``""``: all mail.
        :param still: a condition that must hold still.
        """


class Way:
    """How messages of one tenant reach recipients, and they us.

    :ivar base: the address under which recipients reach us.
    """

    def __init__(self, base: str, clicks: bool, opens: bool) -> None:
        self.base = base
        self.clicks = clicks
        self.opens = opens


def tags_of(campaign: Campaign, place: int) -> tuple[str, ...]:
    """The tags of a variant's messages: one of its own counts what becomes of them."""
    return (*campaign.definition.tags, variant_tag(campaign, place))


def variant_tag(campaign: Campaign, place: int) -> str:
    """The tag by which a variant's messages are counted."""
    return f"campaign/{campaign.name}/{campaign.definition.variants[place].name}"


def plan_of(
    campaign: Campaign, place: int, bundle: str, people: Sequence[Person], way: Way, session: str
) -> Plan:
    """What is to be done for people who get one variant.

    :param bundle: its content, encoded.
    """
    definition = campaign.definition
    variant = definition.variants[place]
    return Plan(
        batch="",
        tenant=campaign.tenant,
        key="",
        address="127.0.0.1",
        session=session,
        bundle=bundle,
        sender=variant.sender if variant.sender[0] else definition.sender,
        people=tuple(people),
        reply_to=definition.reply_to,
        headers=definition.headers,
        notify=("NEVER",),
        campaign=campaign.name,
        tags=tags_of(campaign, place),
        metadata={**definition.metadata, "variant": variant.name},
        data={**definition.data, **variant.data},
        unsubscribe=definition.leaves,
        clicks=way.clicks,
        opens=way.opens,
        base=way.base,
        named=variant.template,
    )


class Sending:
    """See the module.

    :param acceptance: what takes messages, of those of whom it is told that they may have one.
    :param suppressed: who is on the suppression list; it writes that down.
    :param audience: who may get it still.
    :param way: how recipients of a campaign reach us.
    :param session_id: gives ids of sessions.
    :param runs: whether a campaign may hand over still.
    :param left: is told of who has left: campaign, address, queue id, why.
    """

    def __init__(
        self,
        acceptance: Callable[[Suppressed], Acceptance],
        *,
        suppressed: Suppressed,
        audience: Audience,
        way: Callable[[Campaign], Awaitable[Way]],
        session_id: Callable[[], str],
        runs: Callable[[int], Awaitable[bool]],
        left: Callable[[Campaign, str, str, str], None],
    ) -> None:
        self._acceptance = acceptance
        self._suppressed = suppressed
        self._audience = audience
        self._way = way
        self._session_id = session_id
        self._runs = runs
        self._left = left

    async def run(
        self, campaign: Campaign, bundles: Sequence[str], piece: Piece
    ) -> dict[int, tuple[int, str]]:
        """Hand over a piece; what became of each contact, and why.

        :param bundles: the contents, by variant.
        :raise TemporarilyUnavailable: if that cannot be done now; some may have been handed over.
        """
        contacts = await self._audience.some(campaign.tenant, [one.contact for one in piece.people])
        way = await self._way(campaign)
        results: dict[int, tuple[int, str]] = {
            one.contact: (GONE, "the contact is not there any more")
            for one in piece.people
            if one.contact not in contacts
        }
        for place in sorted({one.variant for one in piece.people}):
            some = [one for one in piece.people if one.variant == place and one.contact in contacts]
            people = [
                person_of(contacts[one.contact], one.message, number) for number, one in enumerate(some)
            ]
            plan = plan_of(campaign, place, bundles[place], people, way, self._session_id())
            found = await self._handed(campaign, plan, [contacts[one.contact] for one in some])
            results.update({one.contact: found[number] for number, one in enumerate(some)})
        return results

    async def _handed(
        self, campaign: Campaign, plan: Plan, contacts: Sequence[Contact]
    ) -> list[tuple[int, str]]:
        by_address = {one.address: one for one in contacts}
        gone: set[str] = set()

        async def suppressed(plan: Plan, people: Sequence[Person], dry: bool) -> Mapping[str, str]:
            if not await self._runs(campaign.id):
                raise TemporarilyUnavailable("the campaign does not run any more")
            found = dict(await self._suppressed(plan, people, dry))
            rest = [by_address[one.email] for one in people if one.email not in found]
            barred = await self._audience.barred(
                plan.tenant, rest, campaign.definition.target.list, campaign.definition.target.still()
            )
            for one in people:
                contact = by_address[one.email]
                why = barred.get(contact.id) if one.email not in found else None
                if why is not None:
                    found[one.email] = why
                    gone.add(one.email)
                    self._left(campaign, one.email, one.id, why)
            return found

        try:
            progress = await self._acceptance(suppressed).run(plan, plan.people)
        except TemplateError as error:
            return [(REFUSED, str(error))] * len(plan.people)
        results = [(WAITING, "")] * len(plan.people)
        for place in progress.taken:
            results[place] = (TAKEN, "")
        for trouble in progress.troubles:
            kind = GONE if trouble.email in gone else SUPPRESSED if trouble.kind == "suppressed" else REFUSED
            results[trouble.place] = (kind, trouble.detail)
        return results


def person_of(contact: Contact, message: str, number: int) -> Person:
    """A contact as a recipient.

    :param message: the queue id.
    :param number: its place in the plan.
    """
    return Person(message, contact.address, number, contact.name, contact.locale, contact.data)


def without_marks(plan: Plan) -> Plan:
    """The plan of a test message: it counts for nothing."""
    return replace(plan, campaign="", tags=(TEST_TAG,), metadata={}, clicks=False, opens=False)
