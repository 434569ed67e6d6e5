"""Joins sequences with what they need of the rest, in one worker; :mod:`mta.application` asks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mta.api.v1.allowance import Allowance
from mta.api.v1.domains import why_not
from mta.api.v1.engagement import engagement_of
from mta.api.v1.enrolments import EnrolmentRoutes
from mta.api.v1.happenings import EventRoutes
from mta.api.v1.notifications import NotificationRoutes
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Route
from mta.api.v1.sequences import SequenceRoutes
from mta.audience.audience import Audience
from mta.audience.contact import Contact
from mta.audience.permission import Permission
from mta.batch.acceptance import Acceptance, Progress
from mta.batch.plan import Person, Plan
from mta.config.settings import Settings
from mta.interfaces import TemporarilyUnavailable, settle
from mta.journal.history import History
from mta.model.event import Event
from mta.registry.endpoints import Endpoint, NoEndpoint
from mta.registry.idempotency import Idempotency
from mta.registry.post_secrets import PostSecrets
from mta.registry.registry import Registry
from mta.sequence.lease import LOCK, Lease
from mta.sequence.posting import Posts
from mta.sequence.runner import Runner
from mta.sequence.sending import Sending, Terms
from mta.sequence.stores import Sequences
from mta.sequence.transition import Waiting
from mta.template.bundle import Bundle, Rendered
from mta.template.pool import Pool
from mta.template.problem import TemplateError
from mta.webhook.guard import Guard
from mta.webhook.outbox import Delivery
from mta.webhook.posting import Posting

#: Seconds for an answer of an application, and connections kept to each.
_TIMEOUT, _CONNECTIONS = 15.0, 2


class Sequencing:
    """See the module.

    :param reactor: the reactor.
    :param state: the state directory.
    :param shard: which worker this is.
    :param secret: of the server; all its workers have the same.
    :param audience: has the database.
    :param permission: knows who may be sent something.
    :param registry: all nouns.
    :param idempotency: keeps what was answered.
    :param acceptance: takes messages.
    :param renderers: processes that render.
    :param allowance: what tenants may send.
    :param journal: the journals of all shards.
    :param guard: makes connections to applications.
    :param settings: gives the settings in use.
    :param new_id: gives queue ids.
    :param session_id: gives ids of sessions.
    :param skip_ids: makes new queue ids larger than one that is promised.
    :param note: puts events into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param version: of the program.
    """

    def __init__(
        self,
        reactor: Any,
        state: Path,
        *,
        shard: int,
        secret: bytes,
        audience: Audience,
        permission: Permission,
        registry: Registry,
        idempotency: Idempotency,
        acceptance: Acceptance,
        renderers: Pool,
        allowance: Allowance,
        journal: History,
        guard: Guard,
        settings: Callable[[], Settings],
        new_id: Callable[[], str],
        session_id: Callable[[], str],
        skip_ids: Callable[[str], None],
        note: Callable[[Sequence[Event]], None],
        run_in_thread: Callable[..., Awaitable[Any]],
        version: str,
    ) -> None:
        self._registry = registry
        self.secrets = PostSecrets(registry.database, secret)
        self._permission = permission
        self._acceptance = acceptance
        self._renderers = renderers
        self._allowance = allowance
        self._journal = journal
        self._settings = settings
        self._reactor = reactor
        self._session_id = session_id
        self.new_id = new_id
        self.sequences = Sequences(audience)
        self._posting = Posting(reactor, guard, run_in_thread, _CONNECTIONS, _TIMEOUT, version)
        self.runner = Runner(
            reactor,
            audience,
            Lease(state / LOCK),
            sending=Sending(audience, self, shard, reactor.seconds),
            posts=Posts(audience, self, reactor.seconds),
            barred=self.gone,
            new_id=new_id,
            skip_ids=skip_ids,
            note=note,
            keep=lambda: settings().audience.keep,
        )
        wake = self.runner.wake
        self._routes = [
            *SequenceRoutes(self.sequences, audience, wake).routes(),
            *EnrolmentRoutes(self.sequences, wake).routes(),
            *EventRoutes(audience, wake).routes(),
            *NotificationRoutes(
                audience,
                idempotency,
                barred=self.barred,
                template=self.bundle,
                may_send=self._may_send,
                new_id=new_id,
                secrets=self.secrets,
                note=note,
                wake=wake,
            ).routes(),
        ]

    def routes(self) -> list[Route]:
        """What can be asked."""
        return self._routes

    async def promised(self) -> None:
        """Keep queue ids that are promised from being given to others: a clock may be set back."""
        await self.runner.promised()

    def begin(self) -> None:
        """Go on, now that everything runs."""
        self.runner.start()

    async def stop(self) -> None:
        """End; another worker goes on."""
        await self.runner.stop()
        await self._posting.close()

    # --- what sequences need (mta.sequence.sending.Means, mta.sequence.posting.Means) ----

    async def accepted(self, identifiers: Collection[str]) -> Collection[str]:
        """Which of these messages the journal has."""
        return await self._journal.accepted(identifiers)

    async def barred(self, tenant: str, people: Sequence[Contact], mailing: str) -> Mapping[int, str]:
        """To whom of these nothing may be sent, and why."""
        return await self._permission.barred(tenant, people, mailing)

    async def gone(self, waiting: Sequence[Waiting]) -> Mapping[int, str]:
        """Who of those that are due wants nothing more, and why.

        Mail that came back is none of it: a sequence may have something else to do then.
        """
        groups: dict[tuple[str, str], list[Waiting]] = {}
        for one in waiting:
            if one.address:
                groups.setdefault((one.run.tenant, one.list), []).append(one)
        found: dict[int, str] = {}
        for (tenant, mailing), some in groups.items():
            suppressed = await settle(
                self._registry.suppressions.find(tenant, [one.address for one in some], mailing)
            )
            for one in some:
                why = suppressed.get(one.address)
                if why is None:
                    continue
                if why.reason == "bounce":
                    # There may be graver ones behind it.
                    for other in await self._registry.suppressions.of(tenant, one.address):
                        if other.reason != "bounce" and other.list in ("", mailing):
                            found[one.run.id] = other.words
                    continue
                found[one.run.id] = why.words
        return found

    async def terms(self, tenant: str, count: int) -> Terms:
        """How a tenant sends so many now."""
        known = (await settle(self._registry.tenants.all())).get(tenant)
        if known is None:
            return Terms(f"there is no tenant {tenant}")
        if known.suspended:
            return Terms(f"the tenant may not send: {known.suspended}")
        asked = Call(None, "", self._reactor.seconds(), "", tenant=known)
        try:
            await self._allowance.take(asked, count)
        except Refusal as refusal:
            return Terms(refusal.detail, again=max([1.0, *(one.wait for one in asked.standings)]))
        engagement = engagement_of(known)
        base = engagement.url or self._settings().api.url
        return Terms("", bool(engagement.clicks), bool(engagement.opens), base)

    async def _may_send(self, tenant: str, domain: str) -> str:
        """Why a tenant may not send from a domain; ``""``: it may."""
        domains = self._registry.domains
        if domains.belongs(await settle(domains.known()), tenant, domain):
            return ""
        return await why_not(self._registry, tenant, domain, list(self._settings().sending_domains.require))

    async def bundle(self, tenant: str, template: str) -> Bundle:
        """The live version of a template.

        :raise NoTemplate: if there is none.
        """
        found, _ = await self._registry.templates.bundle(tenant, template)
        return found

    async def take(self, plan: Plan, people: Sequence[Person]) -> Progress:
        """Take messages."""
        return await self._acceptance.run(
            replace(plan, session=self._session_id(), address="127.0.0.1"), people
        )

    async def render(self, bundle: Bundle, data: dict[str, Any], locale: str) -> Rendered:
        """What becomes of a template.

        :raise TemplateError: if it or the data are wrong.
        """
        (outcome,) = await self._renderers.render(bundle, [(data, locale)])
        if isinstance(outcome, tuple):
            raise TemplateError(*outcome)
        return outcome

    async def post(
        self, tenant: str, endpoint: str, url: str, identifier: str, body: bytes
    ) -> tuple[int, str]:
        """Post to an application of a tenant, or where a contact wants it.

        :raise LookupError: if there is no such endpoint, or it is switched off.
        """
        if not endpoint:
            where = Endpoint("", tenant, url, secrets=await self.secrets.of(tenant))
        else:
            try:
                where = await self._registry.endpoints.get(tenant, endpoint)
            except NoEndpoint:
                raise LookupError(f"there is no webhook {endpoint}; `GET /v1/webhooks` tells them") from None
            if not where.enabled:
                raise TemporarilyUnavailable(f"the webhook {endpoint} is switched off: {where.disabled}")
        delivery = Delivery(0, identifier, where.id, "", "sequence", body, 0.0, 0, 0.0, 0)
        attempt, _ = await self._posting.post(where, delivery)
        return attempt.status, attempt.reply
