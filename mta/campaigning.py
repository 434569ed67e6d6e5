"""Joins what runs campaigns in one worker; :mod:`mta.automating` asks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mta.api.v1.campaigns import CampaignRoutes
from mta.api.v1.domains import why_not
from mta.api.v1.engagement import engagement_of
from mta.api.v1.route import Route
from mta.audience.audience import Audience
from mta.audience.permission import Permission
from mta.batch.acceptance import Acceptance, Suppressed
from mta.campaign import campaigns
from mta.campaign.campaigns import Campaign, Campaigns
from mta.campaign.checking import Checks
from mta.campaign.contents import Contents
from mta.campaign.definition import Definition
from mta.campaign.guarding import Guarding
from mta.campaign.held import Held
from mta.campaign.people import People, members
from mta.campaign.queued import Queued
from mta.campaign.results import Results
from mta.campaign.runner import Around, Runner
from mta.campaign.sending import Sending, Way
from mta.config.settings import Settings
from mta.interfaces import IQueue, settle
from mta.model.address import domain_of
from mta.model.event import Event
from mta.model.event_suppression import SuppressedTo
from mta.model.message import Message
from mta.queue.reader import QueueReader
from mta.registry.registry import Registry
from mta.registry.tenants import Tenant
from mta.registry.usage import Usage
from mta.template.pool import Pool

#: Messages of the queue that are looked at at once.
_PAGE = 500


class Campaigning:
    """See the module.

    :param reactor: the reactor.
    :param directory: of this shard.
    :param shard: which worker this is.
    :param workers: how many there are.
    :param audience: contacts, lists and segments; campaigns are kept beside them.
    :param permission: who may be sent something.
    :param registry: all nouns.
    :param renderers: processes that render.
    :param usage: how many a tenant has sent to today.
    :param acceptance: what takes messages, of those of whom it is told that they may have one.
    :param suppressed: who is on the suppression list.
    :param queue: of this worker.
    :param reached: from tenant and tag what the index over the journal knows.
    :param accepted: of queue ids those that the journal knows.
    :param settings: gives the settings in use.
    :param new_id: gives queue ids.
    :param session_id: gives ids of sessions.
    :param note: puts an event into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        reactor: Any,
        directory: Path,
        shard: int,
        workers: int,
        *,
        audience: Audience,
        permission: Permission,
        registry: Registry,
        renderers: Pool,
        usage: Usage,
        acceptance: Callable[[Suppressed], Acceptance],
        suppressed: Suppressed,
        queue: IQueue,
        reached: Callable[[str, str], Awaitable[Mapping[str, int]]],
        accepted: Callable[[Collection[str]], Awaitable[Collection[str]]],
        settings: Callable[[], Settings],
        new_id: Callable[[], str],
        session_id: Callable[[], str],
        note: Callable[[Event], None],
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._reactor = reactor
        self._directory = directory
        self._registry = registry
        self._usage = usage
        self._settings = settings
        self._note = note
        audience.emptying.append(campaigns.empty)
        people = People(audience, permission)
        contents = Contents(registry.templates, renderers)
        results = Results(reached)
        guarding = Guarding(audience.database, results.counts, note, reactor.seconds)

        async def freeze(campaign: Campaign) -> Sequence[str]:
            return await contents.frozen(campaign.tenant, campaign.definition)

        self._sending = Sending(
            acceptance,
            suppressed=suppressed,
            audience=people,
            way=self._way_of,
            session_id=session_id,
            runs=lambda number: self.runner.runs(number),
            left=self._left,
        )
        self.runner = Runner(
            reactor,
            shard,
            workers,
            audience.database,
            self._sending,
            Queued(queue, self._find, run_in_thread, Held(audience.database, shard)),
            Around(
                used=lambda: audience.used,
                members=members,
                freeze=freeze,
                allow=self._allow,
                give_back=lambda tenant, count: self._usage.add(tenant, -count),
                trials=results.trials,
                halts=guarding.look,
                accepted=accepted,
                new_id=new_id,
                note=note,
            ),
        )
        self._routes = CampaignRoutes(
            Campaigns(audience.database),
            audience,
            people,
            contents,
            Checks(people, contents, way=self._way, may_send=self._may_send, per_day=self._per_day),
            results,
            self.runner,
            acceptance=acceptance,
            suppressed=suppressed,
            way=self._way,
            waits=self._waits,
            new_id=new_id,
            session_id=session_id,
        )

    def routes(self) -> list[Route]:
        """What it answers."""
        return self._routes.routes()

    def start(self) -> None:
        """Begin to look for what is due."""
        self.runner.start()

    async def stop(self) -> None:
        """Claim nothing any more."""
        await self.runner.stop()

    # --- tenants -------------------------------------------------------------------

    async def _tenant(self, name: str) -> Tenant | None:
        tenants: Mapping[str, Tenant] = await settle(self._registry.tenants.all())
        return tenants.get(name)

    def _per_day(self, tenant: Tenant) -> int:
        return tenant.per_day or self._settings().api.recipients_per_day

    async def _waits(self, tenant: Tenant) -> str:
        """Why nothing of a tenant goes just now; ``""``: it does."""
        if tenant.suspended:
            return f"the tenant may not send: {tenant.suspended}"
        most = self._per_day(tenant)
        if most and await self._usage.today(tenant.name) >= most:
            return f"the tenant has sent to {most} people today, and may go on at midnight UTC"
        return ""

    async def _allow(self, name: str, count: int) -> int:
        """How many a tenant may send to now; they are counted."""
        tenant = await self._tenant(name)
        if tenant is None or tenant.suspended:
            return 0
        most = self._per_day(tenant)
        if most:
            count = max(0, min(count, most - await self._usage.today(name)))
        if count:
            self._usage.add(name, count)
        return count

    def _way(self, tenant: Tenant, definition: Definition) -> Way:
        of = engagement_of(tenant)
        return Way(
            of.url or self._settings().api.url,
            of.clicks if definition.clicks is None else definition.clicks,
            of.opens if definition.opens is None else definition.opens,
        )

    async def _way_of(self, campaign: Campaign) -> Way:
        return self._way(await self._tenant(campaign.tenant) or Tenant(campaign.tenant), campaign.definition)

    async def _may_send(self, tenant: str, address: str) -> str:
        domains = self._registry.domains
        name = domain_of(address)
        if domains.belongs(await settle(domains.known()), tenant, name):
            return ""
        return await why_not(self._registry, tenant, name, list(self._settings().sending_domains.require))

    # --- messages ------------------------------------------------------------------

    def _left(self, campaign: Campaign, address: str, message: str, why: str) -> None:
        """Put into the journal that somebody has left between the beginning and his turn."""
        self._note(
            SuppressedTo(
                at=self._reactor.seconds(),
                message=message,
                recipient=address,
                tenant=campaign.tenant,
                reason="unsubscribed",
                list=campaign.definition.target.list,
                sender=campaign.definition.sender[0],
                evidence={"note": f"campaign {campaign.name}: {why}"},
            )
        )

    def _find(self, tenant: str, name: str) -> Iterator[Message]:
        """The messages of a campaign in the queue of this shard; blocks."""
        with QueueReader(self._directory) as reader:
            after = ""
            while True:
                found = reader.page(after, _PAGE)
                for message in found:
                    of = message.attributes
                    if of.get("campaign") == name and of.get("tenant") == tenant:
                        yield message
                if len(found) < _PAGE:
                    return
                after = found[-1].id
