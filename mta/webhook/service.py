"""The webhooks of one worker: from its shard's journal into the outbox, and out of that to endpoints."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from zope.interface import implementer

from mta.config.settings import WebhookTable
from mta.interfaces import IEventSink, IJournal, TemporarilyUnavailable, settle
from mta.journal.following import Follower
from mta.journal.reader import JournalReader, Record
from mta.model.event import Event, Received
from mta.model.event_webhook import WebhookChanged
from mta.registry.database import Database
from mta.registry.endpoints import Endpoint, Endpoints, NoEndpoint
from mta.webhook import outbox
from mta.webhook.content import TYPES, identity_of, tenant_of
from mta.webhook.formats import posted
from mta.webhook.guard import Guard
from mta.webhook.lane import Lane
from mta.webhook.outbox import New
from mta.webhook.posting import Posting

#: Messages whose acceptance is remembered, for what is told with each of their events.
_REMEMBERED = 5000
#: Seconds between two looks for what others have put there, or changed.
_LOOK = 15.0
#: HTTP: the endpoint is gone, and wants no more (Standard Webhooks).
_GONE = 410
#: Events that concern nobody, until the place is remembered all the same.
_UNREMEMBERED = 5000


@implementer(IEventSink)
class Webhooks:
    """See the module.

    :param reactor: time and delayed calls.
    :param endpoints: where to.
    :param directory: of the shard.
    :param shard: its number.
    :param settings: the table ``[webhook]``.
    :param guard: makes connections.
    :param journal: the journals of all shards.
    :param note: puts events into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param version: of the program.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        endpoints: Endpoints,
        directory: Path,
        shard: int,
        settings: WebhookTable,
        *,
        guard: Guard,
        journal: IJournal,
        note: Callable[[Iterable[Event]], None],
        run_in_thread: Callable[..., Awaitable[Any]],
        version: str,
    ) -> None:
        self._reactor = reactor
        self._endpoints = endpoints
        self._shard = shard
        self._settings = settings
        self._guard = guard
        self._journal = journal
        self._note = note
        self._run = run_in_thread
        self._version = version
        self._database = Database(directory / outbox.DATABASE, (outbox.TABLES,), reactor)
        self._lanes: dict[str, tuple[Lane, Posting]] = {}
        self._received: OrderedDict[str, Received | None] = OrderedDict()
        self._looking = LoopingCall(self._look_soon)
        self._looking.clock = reactor
        self._stopped = True
        self._placed = 0
        self._follower = Follower(
            reactor,
            JournalReader([directory / "queue.db"]),
            tuple(TYPES),
            place=lambda: self._database.read(outbox.place),
            take=self._take,
            run_in_thread=run_in_thread,
            name="the outbox of webhooks",
        )

    def events(self, batch: Sequence[Event]) -> None:
        """See :class:`~mta.interfaces.IEventSink`."""
        known = self._endpoints.known()
        if isinstance(known, Mapping):
            if known:
                self._follower.events(batch)
            return
        # It is old, and is read anew with the next look.
        known.close()  # type: ignore[attr-defined]
        self._follower.events(batch)

    def use(self, settings: WebhookTable) -> None:
        """Go by other settings from now on."""
        self._settings = settings
        for lane, _ in self._lanes.values():
            lane.concurrency, lane.retry = settings.concurrency, settings.retry

    async def start(self) -> None:
        """Begin, with what waits.

        :raise TemporarilyUnavailable: if the outbox cannot be used.
        """
        self._database.start()
        self._stopped = False
        await self._follower.start()
        self._looking.start(_LOOK, now=True)

    async def stop(self) -> None:
        """End; what is under way is tried again by the next start, with the same id."""
        self._stopped = True
        if self._looking.running:
            self._looking.stop()
        await self._follower.stop()
        for lane, posting in self._lanes.values():
            await lane.stop()
            await posting.close()
        self._lanes = {}
        await self._database.stop()

    async def wake(self, endpoint: Endpoint) -> None:
        """Something was put into the outbox for an endpoint."""
        if endpoint.enabled:
            self._wake(endpoint)

    # --- from the journal ------------------------------------------------------

    async def _take(self, records: Sequence[Record], upto: int) -> None:
        known = await settle(self._endpoints.known())
        tenants: dict[str, list[Endpoint]] = {}
        for endpoint in known.values():
            if endpoint.enabled:
                tenants.setdefault(endpoint.tenant, []).append(endpoint)
        some: list[New] = []
        oldest = min((one.created for group in tenants.values() for one in group), default=float("inf"))
        for record in records:
            event = record.event
            if event.at < oldest:
                continue
            received = await self._acceptance(event)
            for endpoint in tenants.get(tenant_of(event, received), ()):
                kind = TYPES[event.kind]
                tags = received.tagged if received is not None else ()
                if event.at >= endpoint.created and endpoint.wants(kind, tags):
                    identity = identity_of(self._shard, record.number, event.at)
                    body = posted(endpoint.format, identity, event, received)
                    if body is not None:
                        some.append(New(identity, endpoint.id, event.message, kind, body))
        if records and not some and upto - self._placed < _UNREMEMBERED:
            # After a crash these are read again, and are nobody's affair once more.
            return
        now = self._reactor.seconds()
        await self._database.change(outbox.TABLES.noun, lambda base: outbox.put(base, some, upto, now))
        self._placed = upto
        for name in {one.endpoint for one in some}:
            self._wake(known[name])

    async def _acceptance(self, event: Event) -> Received | None:
        if isinstance(event, Received):
            self._remember(event.message, event)
            return event
        if not event.message:
            return None
        if event.message not in self._received:
            events = await self._journal.message(event.message)
            self._remember(event.message, next((one for one in events if isinstance(one, Received)), None))
        return self._received[event.message]

    def _remember(self, message: str, received: Received | None) -> None:
        self._received[message] = received
        while len(self._received) > _REMEMBERED:
            self._received.popitem(last=False)

    # --- to endpoints ----------------------------------------------------------

    def _look_soon(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._look())

    async def _look(self) -> None:
        """See what waits, which endpoints there are, and what may be forgotten."""
        try:
            known = await settle(self._endpoints.known())
            if known:
                self._follower.wake()
            for name in await self._database.read(outbox.waiting):
                endpoint = known.get(name)
                if endpoint is None:
                    await self._database.change(outbox.TABLES.noun, partial(outbox.forget, endpoint=name))
                elif endpoint.enabled:
                    self._wake(endpoint)
            for name in [name for name in self._lanes if name not in known or not known[name].enabled]:
                lane, posting = self._lanes.pop(name)
                await lane.stop()
                await posting.close()
            before = self._reactor.seconds() - self._settings.keep
            if await self._database.read(lambda base: outbox.has_old(base, before)):
                await self._database.change(outbox.TABLES.noun, lambda base: outbox.clear(base, before))
        except TemporarilyUnavailable as trouble:
            self.log.error("Webhooks wait: {why}", why=str(trouble))

    def _wake(self, endpoint: Endpoint) -> None:
        if self._stopped:
            return
        found = self._lanes.get(endpoint.id)
        if found is None or found[0].is_over:
            settings = self._settings
            posting = Posting(
                self._reactor,
                self._guard,
                self._run,
                settings.concurrency,
                settings.timeout,
                self._version,
            )
            lane = Lane(
                self._reactor,
                endpoint,
                self._database,
                posting.post,
                concurrency=settings.concurrency,
                retry=settings.retry,
                disable=self._judge,
            )
            found = self._lanes[endpoint.id] = (lane, posting)
        found[0].endpoint = endpoint
        found[0].wake()

    async def _judge(self, endpoint: Endpoint, since: float, status: int) -> None:
        """Disable an endpoint that is gone, or has taken nothing for long."""
        now = self._reactor.seconds()
        if status == _GONE:
            reason = "it answered 410 Gone"
        elif since and now - since >= self._settings.disable_after:
            days = (now - since) / 86400
            reason = f"it has taken nothing for {days:.1f} days, and answered {status or 'nothing'} at last"
        else:
            return
        try:
            await self._endpoints.change(endpoint.tenant, endpoint.id, enabled=False, disabled=reason)
        except NoEndpoint:
            return
        self._note(
            [
                WebhookChanged(
                    at=now,
                    action="disabled",
                    tenant=endpoint.tenant,
                    endpoint=endpoint.id,
                    host=urlsplit(endpoint.url).hostname or "",
                    reason=reason,
                )
            ]
        )
        found = self._lanes.get(endpoint.id)
        if found is not None:
            found[0].retire()
