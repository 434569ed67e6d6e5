"""Joins what takes batches and what recipients reach by their links; :mod:`mta.application` asks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mta.api.v1.allowance import Allowance
from mta.api.v1.batches import BatchRoutes
from mta.api.v1.engagement import EngagementRoutes
from mta.api.v1.route import Route
from mta.audience.leaving import Leaving
from mta.batch.acceptance import Acceptance, Suppressed, Take
from mta.batch.batcher import Batcher
from mta.batch.plan import Person, Plan
from mta.config.settings import Settings
from mta.engagement.links import master_key
from mta.intake.reception import Reception
from mta.interfaces import settle
from mta.journal.history import History
from mta.model.event import DeliveredTo, Event
from mta.model.event_suppression import SuppressedTo
from mta.registry.idempotency import Idempotency
from mta.registry.registry import Registry
from mta.registry.suppressions import Suppression
from mta.template.pool import Pool


class Batching:
    """Batches and links of one worker.

    :param reactor: the reactor.
    :param shard: which worker this is.
    :param secret: of the server; all its workers have the same.
    :param skip_ids: makes new queue ids larger than one that is promised.
    :param registry: all nouns.
    :param idempotency: keeps what was answered.
    :param renderers: processes that render.
    :param reception: gives queue ids and dates.
    :param take: takes messages.
    :param journal: the journals of all shards.
    :param allowance: what tenants may send.
    :param settings: gives the settings in use.
    :param session_id: gives ids of sessions.
    :param note: puts an event into the journal.
    :param leaving: keeps who wants no more mail.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        *,
        shard: int,
        secret: bytes,
        skip_ids: Callable[[str], None],
        registry: Registry,
        idempotency: Idempotency,
        renderers: Pool,
        reception: Reception,
        take: Take,
        journal: History,
        allowance: Allowance,
        settings: Callable[[], Settings],
        session_id: Callable[[], str],
        note: Callable[[Event], None],
        leaving: Leaving,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._reactor = reactor
        self._registry = registry
        self._journal = journal
        self._note = note
        master = master_key(secret)

        def accepting(suppressed: Suppressed) -> Acceptance:
            return Acceptance(
                renderers,
                take,
                master,
                suppressed=suppressed,
                date=lambda: reception.dates.at(reactor.seconds()),
                run_in_thread=run_in_thread,
                breathe=lambda: deferLater(reactor, 0.0),
            )

        #: What takes messages, of those of whom it is told that they may have one.
        self.accepting = accepting
        self.acceptance = accepting(self.suppressed)
        self.batcher = Batcher(
            reactor,
            shard,
            registry.batches,
            self.acceptance,
            journal.accepted,
            run_in_thread,
            skip_ids,
        )
        self._batches = BatchRoutes(
            registry,
            idempotency,
            self.batcher,
            renderers,
            new_id=reception.spool.new_id,
            session_id=session_id,
            base=lambda: settings().api.url,
            furthest=lambda: settings().submission.future_release,
            largest=lambda: settings().limits.message_size,
            allowance=allowance,
        )
        self._engagement = EngagementRoutes(
            registry,
            master,
            leaving,
            note,
            self._delivered,
            scanners=lambda: settings().engagement.scanners,
        )

    def routes(self) -> list[Route]:
        """What it answers."""
        return [*self._batches.routes(), *self._engagement.routes()]

    def begin(self) -> None:
        """Go on with what an earlier worker has left, now that everything runs."""
        Deferred.fromCoroutine(self.batcher.resume()).addErrback(
            lambda failure: self.log.failure("Batches that were left are not gone on with", failure)
        )

    def stop(self) -> None:
        """Begin nothing any more."""
        self.batcher.stop()

    async def suppressed(self, plan: Plan, people: Sequence[Person], dry: bool) -> Mapping[str, str]:
        """Who gets nothing from a tenant, and why."""
        found: Mapping[str, Suppression] = await settle(
            self._registry.suppressions.find(
                plan.tenant, [one.email for one in people], plan.unsubscribe or ""
            )
        )
        if not found:
            return {}
        if not dry:
            for person in people:
                one = found.get(person.email)
                if one is not None:
                    self._note(
                        SuppressedTo(
                            at=self._reactor.seconds(),
                            message=person.id,
                            recipient=person.email,
                            tenant=plan.tenant,
                            reason=one.reason,
                            list=one.list,
                            since=one.created,
                            everybody=not one.tenant,
                            sender=plan.sender[0],
                            evidence=dict(one.evidence),
                        )
                    )
        return {address: one.words for address, one in found.items()}

    async def _delivered(self, message: str) -> float | None:
        """When a message was delivered first; below 0: it was not yet; ``None``: nothing is known of it."""
        events = await self._journal.message(message)
        if not events:
            return None
        return min((event.at for event in events if isinstance(event, DeliveredTo)), default=-1.0)
