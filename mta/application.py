"""Joins the parts of the application API of one worker; :mod:`mta.server` starts and stops it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mta import __version__
from mta.api.compatible.postmark_routes import PostmarkRoutes
from mta.api.compatible.sendgrid_routes import SendGridRoutes
from mta.api.compatible.sending import Sender
from mta.api.v1.acts import MessageActs
from mta.api.v1.allowance import Allowance
from mta.api.v1.application import Application
from mta.api.v1.domains import DomainRoutes
from mta.api.v1.filling import Filling
from mta.api.v1.keys import KeyRoutes
from mta.api.v1.messages import Messages
from mta.api.v1.neighbours import Neighbours
from mta.api.v1.route import Route
from mta.api.v1.server import Descriptions
from mta.api.v1.site import ApiSite, Late
from mta.api.v1.suppressions import SuppressionCheck, SuppressionRoutes
from mta.api.v1.templates import TemplateRoutes
from mta.api.v1.tenant_account import TenantAccount, tenant_of
from mta.api.v1.webhooks import WebhookRoutes
from mta.automating import Automating
from mta.batching import Batching
from mta.campaigning import Campaigning
from mta.config.loading import Loaded
from mta.config.settings import Settings
from mta.counting import Counting
from mta.engagement.links import master_key
from mta.environment import Environment
from mta.following import Following
from mta.handing_over import HandingOver
from mta.intake.reception import Reception
from mta.intake.suppressing import Suppressing
from mta.interfaces import Answer, IEventSink, IQueue, TemporarilyUnavailable
from mta.measuring import Measuring
from mta.model.event import Event
from mta.registry.administration import Administration
from mta.registry.domains import configured_domains
from mta.registry.idempotency import Idempotency
from mta.registry.registry import Registry, database
from mta.registry.usage import Usage
from mta.ruling import desk, rule_routes
from mta.sequencing import Sequencing
from mta.shards import part_of
from mta.suppression.watch import SuppressionWatch
from mta.template.pool import Limits, Pool
from mta.tenant_links import TenantLinks
from mta.verifying import DomainWatch
from mta.webhook.archive import Archive
from mta.webhook.guard import Guard
from mta.webhook.service import Webhooks

_log = Logger()

#: What renders and puts copies together, in processes of its own: what it imports is not needed here.
PROCESS = "mta.batch.process"


class SendingApi:
    """The API of one worker.

    :param reactor: the reactor.
    :param loaded: the configuration.
    :param environment: threads and so on.
    :param shard: which worker this is.
    :param secret: of the server; all its workers have the same.
    :param skip_ids: makes new queue ids larger than one that is promised.
    :param reception: takes messages.
    :param queue: its queue.
    :param session_id: gives ids of sessions.
    :param note: puts an event into the journal.
    :param health: numbers about the worker that anybody may know.
    :param status: all of its numbers.
    """

    name = "api"

    def __init__(
        self,
        reactor: Any,
        loaded: Loaded,
        environment: Environment,
        *,
        shard: int,
        secret: bytes,
        skip_ids: Callable[[str], None],
        reception: Reception,
        queue: IQueue,
        session_id: Callable[[], str],
        note: Callable[[Event], None],
        health: Callable[[], dict[str, Any]],
        status: Callable[[], dict[str, Any]],
    ) -> None:
        settings = loaded.settings
        self._loaded = loaded
        self._settings = settings
        self._database = database(loaded.state, reactor)
        self.registry = Registry(self._database, configured_domains(settings))
        self._suppressed = SuppressionWatch(
            reactor,
            self.registry.suppressions,
            loaded.state / "spool" / str(shard) / "queue.db",
            shard,
            settings.suppression,
            journal=environment.journal,
            note=lambda events: environment.journal.note(events),
            run_in_thread=environment.run_in_thread,
        )
        self._domains = DomainWatch(
            reactor,
            loaded,
            self.registry,
            environment.resolver,
            note=lambda events: environment.journal.note(events),
            run_in_thread=environment.run_in_thread,
            keys_changed=self._keys_changed,
            rounds=shard == 0,
        )
        #: Has this worker read everything anew.
        self.reload_soon: Callable[[], None] = lambda: None
        self._neighbours = Neighbours(loaded.state / "run", shard, environment.run_in_thread)
        self.domains = DomainRoutes(
            self.registry,
            self._domains,
            lambda: list(self._settings.sending_domains.require),
            note,
        )
        guard = Guard(
            reactor,
            environment.resolver,
            lambda: self._settings.webhook.allow,
            environment.own_addresses,
        )
        self.webhooks = Webhooks(
            reactor,
            self.registry.endpoints,
            loaded.state / "spool" / str(shard),
            shard,
            settings.webhook,
            guard=guard,
            journal=environment.journal,
            note=lambda events: environment.journal.note(events),
            run_in_thread=environment.run_in_thread,
            version=__version__,
        )
        self.archive = Archive(loaded.state / "spool")
        self.webhook_routes = WebhookRoutes(
            self.registry.endpoints,
            self.archive,
            shard,
            wake=self.webhooks.wake,
            note=note,
            run_in_thread=environment.run_in_thread,
            refuses=guard.refuses,
        )
        self.administration = Administration(
            self.registry, reactor.seconds, note, lambda tenant: self.automating.audience.forget(tenant)
        )
        #: What puts links into messages that were written elsewhere.
        self.linking = TenantLinks(
            self.registry, secret, lambda: self._settings, environment.run_in_thread
        ).linking
        self.renderers = Pool(reactor, _limits(settings), PROCESS)
        owner = f"{shard}:{secrets.token_hex(8)}"
        self._idempotency = Idempotency(self._database, owner, settings.api.idempotency)
        self._usage = Usage(self._database, reactor)
        self._allowance = Allowance(
            self._usage,
            int(settings.workers),
            settings.api.recipients_per_second,
            settings.api.recipients_per_day,
        )
        self.handing_over = HandingOver(
            reception,
            self.registry,
            lambda: self._settings,
            session_id,
            lambda tenant, identifier: self.following.content(tenant, identifier),
        )
        self.messages = Messages(
            self.registry,
            self._idempotency,
            hand_over=self.handing_over.of_request,
            new_id=reception.spool.new_id,
            received=environment.journal.received,
            run_in_thread=environment.run_in_thread,
            furthest=lambda: self._settings.submission.future_release,
            required=lambda: list(self._settings.sending_domains.require),
            allowance=self._allowance,
            prepare=[
                SuppressionCheck(self.registry.suppressions, note, reactor.seconds),
                Filling(
                    self.registry.templates,
                    self.renderers,
                    master_key(secret),
                    base=lambda: self._settings.api.url,
                    run_in_thread=environment.run_in_thread,
                ),
            ],
        )
        self.automating = Automating(
            reactor,
            loaded.state,
            shard=shard,
            secret=secret,
            registry=self.registry,
            messages=self.messages,
            journal=environment.journal,
            settings=lambda: self._settings,
            note=note,
            run_in_thread=environment.run_in_thread,
        )
        self.batching = Batching(
            reactor,
            shard=shard,
            secret=secret,
            skip_ids=skip_ids,
            registry=self.registry,
            idempotency=self._idempotency,
            renderers=self.renderers,
            reception=reception,
            take=self.handing_over.of_batch,
            journal=environment.journal,
            allowance=self._allowance,
            settings=lambda: self._settings,
            session_id=session_id,
            note=note,
            leaving=self.automating.leaving,
            run_in_thread=environment.run_in_thread,
        )
        self.sequencing = Sequencing(
            reactor,
            loaded.state,
            shard=shard,
            secret=secret,
            idempotency=self._idempotency,
            audience=self.automating.audience,
            permission=self.automating.permission,
            registry=self.registry,
            acceptance=self.batching.acceptance,
            renderers=self.renderers,
            allowance=self._allowance,
            journal=environment.journal,
            guard=guard,
            settings=lambda: self._settings,
            new_id=reception.spool.new_id,
            session_id=session_id,
            skip_ids=skip_ids,
            note=lambda events: environment.journal.note(events),
            run_in_thread=environment.run_in_thread,
            version=__version__,
        )
        acts = MessageActs(
            shard,
            queue,
            find=reception.spool.get,
            received=environment.journal.received,
            forward=self._neighbours.forward,
        )
        self.campaigning = Campaigning(
            reactor,
            loaded.state / "spool" / str(shard),
            shard,
            int(settings.workers),
            audience=self.automating.audience,
            permission=self.automating.permission,
            registry=self.registry,
            renderers=self.renderers,
            usage=self._usage,
            acceptance=self.batching.accepting,
            suppressed=self.batching.suppressed,
            queue=queue,
            reached=lambda tenant, tag: self.following.reached(tenant, tag),
            accepted=environment.journal.accepted,
            settings=lambda: self._settings,
            new_id=reception.spool.new_id,
            session_id=session_id,
            note=note,
            run_in_thread=environment.run_in_thread,
        )
        foreign = Sender(
            self.messages,
            self.registry.templates,
            self.renderers,
            self._idempotency,
            base=lambda: self._settings.api.url,
        )
        self.following = Following(reactor, loaded, environment, shard, reception, reception.spool)
        self.counting = Counting(reactor, loaded, environment, shard)
        self.measuring = Measuring(
            loaded, environment, shard, reception.spool, self.registry.keys, self.following, status
        )
        self.templates = TemplateRoutes(self.registry.templates, self.renderers, note, self.messages.send)
        self.rules = desk(environment, lambda: environment.parts(), note)
        described = Descriptions(health, lambda: list(self.application.routes), __version__)
        routes: list[Route] = [
            *described.routes(),
            *self.messages.routes(),
            *acts.routes(),
            *self.batching.routes(),
            *KeyRoutes(self.registry.keys, note).routes(),
            *self.templates.routes(),
            *self.domains.routes(),
            *self.webhook_routes.routes(),
            *SuppressionRoutes(self.registry.suppressions, note, environment.run_in_thread).routes(),
            *PostmarkRoutes(foreign).routes(),
            *SendGridRoutes(foreign, reception.spool.new_id).routes(),
            *rule_routes(self.rules, self.registry),
            *self.following.routes(),
            *self.counting.routes(),
            *self.automating.routes(),
            *self.sequencing.routes(),
            *self.campaigning.routes(),
            *self.measuring.routes(),
        ]
        self.application = Application(
            self.registry,
            routes,
            reactor=reactor,
            requests=part_of(settings.api.requests_per_second, settings.workers),
            strangers=settings.api.strangers_per_minute,
            run_in_thread=environment.run_in_thread,
            proxies=settings.api.proxies,
        )
        self.application.answered = self.measuring.watch.answered
        self.site = ApiSite(
            Late(lambda: self.application.app.resource()), settings.api.body_size, settings.api.body_timeout
        )
        operator = Application(
            self.registry,
            routes,
            reactor=reactor,
            run_in_thread=environment.run_in_thread,
            operator=True,
        )
        #: The same for the operator of the server, who needs no key: for a socket that is guarded.
        self.operator_site = ApiSite(
            Late(lambda: operator.app.resource()), settings.api.body_size, settings.api.body_timeout
        )

    @property
    def sinks(self) -> list[IEventSink]:
        """What is to be told of events."""
        return [
            self._suppressed.follower,
            self.webhooks,
            *self.following.sinks,
            *self.automating.sinks,
            *self.measuring.sinks,
        ]

    def suppressing(self, settings: Settings) -> Suppressing:
        """What clients that submit are told of suppressed recipients."""
        return Suppressing(self.registry.suppressions.find, settings.suppression.smtp == "refuse")

    async def start(self) -> None:
        """Open the registry.

        :raise TemporarilyUnavailable: if it cannot be used.
        """
        self._database.start()
        await self._idempotency.adopt()
        await self.batching.batcher.promised()
        await self._suppressed.start()
        await self.automating.start()
        await self.sequencing.promised()
        await self.webhooks.start()
        await self.following.start()
        await self.counting.start()
        await self._domains.start()

    async def stop(self) -> None:
        """End what renders, and close the registry."""
        await self.sequencing.stop()
        self.batching.stop()
        await self.campaigning.stop()
        await self.following.stop()
        await self.counting.stop()
        await self.renderers.stop()
        try:
            await self._usage.write()
        except TemporarilyUnavailable as trouble:
            _log.error("What tenants sent is not counted: {why}", why=str(trouble))
        await self._domains.stop()
        await self._suppressed.stop()
        await self.webhooks.stop()
        await self.automating.stop()
        await self._database.stop()

    async def drain(self, grace: float) -> None:
        """Wait for requests under way.

        :param grace: seconds, at the most.
        """
        # Streams would last for ever.
        await self.following.drain(grace)
        await self.application.drain(grace)

    def may_send_as(self, account: str, address: str) -> Answer[bool] | None:
        """Whether an address is that of a tenant; ``None``: the account is no tenant."""
        tenant = tenant_of(account)
        return None if tenant is None else TenantAccount(self.registry, tenant).may_send_as(address)

    def _keys_changed(self) -> None:
        """Other keys sign from now on, in every worker."""
        self.reload_soon()
        Deferred.fromCoroutine(self._neighbours.reload()).addErrback(
            lambda failure: _log.failure("Other workers were not told of new keys", failure)
        )

    def use(self, settings: Settings) -> None:
        """Go by another configuration from the next request on."""
        self._settings = settings
        self._idempotency.keep = settings.api.idempotency
        self._allowance.use(settings.api.recipients_per_second, settings.api.recipients_per_day)
        self.registry.domains.use(configured_domains(settings))
        self._suppressed.use(settings.suppression)
        self.webhooks.use(settings.webhook)
        self._loaded = replace(self._loaded, settings=settings)
        self._domains.use(self._loaded)
        self.following.use(settings)
        self.counting.use(settings)
        self.automating.use(settings)
        self.measuring.use(settings)
        self.application.use(
            part_of(settings.api.requests_per_second, settings.workers),
            settings.api.proxies,
            settings.api.strangers_per_minute,
        )
        for site in (self.site, self.operator_site):
            site.most_octets = settings.api.body_size
            site.most_seconds = settings.api.body_timeout
        self.renderers.use(_limits(settings))


def _limits(settings: Settings) -> Limits:
    """What a rendering may take."""
    of = settings.template
    return Limits(of.time, of.output, of.memory, of.processes)
