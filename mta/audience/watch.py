"""Folds what the journal of a shard tells of contacts into facts, and keeps who is on a list up to date."""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mta.audience import contacts, facts, lists, memberships
from mta.audience.audience import Audience
from mta.audience.behaviour import KINDS, Deed, Origin, deed, origin
from mta.interfaces import IEventSink, IJournal
from mta.journal.following import Follower
from mta.journal.reader import JournalReader, Record
from mta.model.event import Event, Received

#: Seconds in which events gather: one transaction has them all, and one look finds no contacts.
_PATIENCE = 0.5
#: Seconds that are read of what happened before somebody began to look.
_BEFORE = 60.0
#: Messages that are remembered.
_REMEMBERED = 20_000
#: Seconds between rounds that forget old facts, and between pieces of one.
_ROUND, _PIECE = 3600.0, 0.2


@implementer(IEventSink)
class AudienceWatch:
    """See the module.

    :param reactor: delayed calls.
    :param audience: the stores.
    :param path: the shard's journal.
    :param shard: its number.
    :param journal: the journals of all shards: an open may come in elsewhere than its message.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param keep: gives the seconds for which facts are kept.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        audience: Audience,
        path: Path,
        shard: int,
        *,
        journal: IJournal,
        run_in_thread: Callable[..., Awaitable[Any]],
        keep: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._audience = audience
        self._shard = shard
        self._journal = journal
        self._run = run_in_thread
        self._keep = keep
        self._reader = JournalReader([path])
        self._origins: OrderedDict[str, Origin] = OrderedDict()
        self._running = False
        self._stopped = True
        self._later: Any = None
        self._forgetting: Any = None
        self._follower = Follower(
            reactor,
            self._reader,
            KINDS,
            place=self._place,
            take=self._take,
            run_in_thread=run_in_thread,
            name="what contacts did",
        )

    def events(self, batch: Sequence[Event]) -> None:
        """See :class:`~mta.interfaces.IEventSink`."""
        if self._later is not None or self._stopped:
            return
        if any(event.kind in KINDS for event in batch):
            self._later = self._reactor.callLater(_PATIENCE, self._wake)

    async def start(self) -> None:
        """Begin, with what happened while nobody followed; if there are contacts."""
        self._stopped = False
        if self._audience.used:
            self._begin()

    async def stop(self) -> None:
        """End; what is under way is finished."""
        self._stopped = True
        for call in (self._later, self._forgetting):
            if call is not None and call.active():
                call.cancel()
        await self._follower.stop()

    def _begin(self) -> None:
        self._running = True
        Deferred.fromCoroutine(self._follower.start())
        self._forgetting = self._reactor.callLater(_ROUND, self._forget_soon)

    def _wake(self) -> None:
        self._later = None
        if self._running:
            self._follower.wake()
        elif self._audience.used:
            # Another worker may have made the first contact.
            self._begin()

    async def _place(self) -> int | None:
        known = await self._audience.facts.place(self._shard)
        if known is not None:
            return known
        # Whoever has made the first contact may have sent something to it before we looked.
        since = self._reactor.seconds() - _BEFORE
        some = await self._run(lambda: self._reader.recent(since=since, kinds=KINDS, limit=1000))
        return min(one.number for one in some) - 1 if some else None

    # --- facts -------------------------------------------------------------------

    async def _take(self, records: Sequence[Record], upto: int) -> None:
        deeds: list[Deed] = []
        for record in records:
            event = record.event
            if isinstance(event, Received):
                self._remember(event.message, origin(event))
                continue
            found = deed(event, await self._origin(event.message))
            if found is not None:
                deeds.append(found)

        def work(base: sqlite3.Connection) -> None:
            for one in deeds:
                _keep(base, one)
            base.execute("INSERT OR REPLACE INTO fact_places VALUES (?, ?)", (self._shard, upto))

        await self._audience.database.change(facts.TABLES.noun, work)

    def _remember(self, message: str, of: Origin) -> None:
        self._origins[message] = of
        while len(self._origins) > _REMEMBERED:
            self._origins.popitem(last=False)

    async def _origin(self, message: str) -> Origin:
        if not message:
            return Origin()
        known = self._origins.get(message)
        if known is None:
            events = await self._journal.message(message)
            received = next((event for event in events if isinstance(event, Received)), None)
            known = Origin() if received is None else origin(received)
            if received is not None:
                self._remember(message, known)
        return known

    # --- forgetting --------------------------------------------------------------

    def _forget_soon(self) -> None:
        self._forgetting = None
        done = Deferred.fromCoroutine(self._audience.facts.forget(self._reactor.seconds() - self._keep()))
        done.addErrback(lambda failure: self.log.failure("Old facts of contacts are not forgotten", failure))
        done.addCallback(self._forgotten)

    def _forgotten(self, count: int | None) -> None:
        if not self._stopped:
            # Others write between two pieces.
            self._forgetting = self._reactor.callLater(_PIECE if count else _ROUND, self._forget_soon)


def _keep(base: sqlite3.Connection, one: Deed) -> None:
    contact = contacts.find(base, one.tenant, one.address)
    if contact is None:
        return
    if one.list and one.kind in ("unsubscribed", "resubscribed"):
        mailing = lists.find(base, one.tenant, one.list)
        known = None if mailing is None else memberships.find(base, mailing.id, contact.id)
        # What was changed since counts more than what is read of the past.
        if mailing is not None and known is not None and known.since <= one.at:
            evidence = {**one.properties, "message": one.message}
            if one.kind == "unsubscribed":
                memberships.leave(base, one.tenant, mailing, contact.id, "the person", one.at, evidence)
            else:
                memberships.confirm(base, mailing, contact.id, "the person", one.at, evidence)
    if one.kind in facts.KINDS:
        facts.record(
            base,
            one.tenant,
            contact.id,
            one.kind,
            one.at,
            name=one.name,
            message=one.message,
            campaign=one.campaign,
            list=one.list,
            properties=one.properties,
        )
