"""Puts on the lists whom the journal of a shard names: hard bounces, complaints, unsubscribers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from mta.config.settings import SuppressionTable
from mta.interfaces import IJournal
from mta.journal.following import Follower
from mta.journal.reader import JournalReader, Record
from mta.model.event import Event, Received
from mta.registry.suppression_acts import changed
from mta.registry.suppressions import Suppression, Suppressions
from mta.suppression.reading import KINDS, suppression


class SuppressionWatch:
    """See the module.

    :param reactor: delayed calls.
    :param suppressions: the lists.
    :param path: the shard's journal.
    :param shard: its number.
    :param settings: what counts.
    :param journal: the journals of all shards: a bounce may come in elsewhere than its message.
    :param note: puts events into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :ivar follower: is told of events (``IEventSink``).
    """

    def __init__(
        self,
        reactor: Any,
        suppressions: Suppressions,
        path: Path,
        shard: int,
        settings: SuppressionTable,
        *,
        journal: IJournal,
        note: Callable[[Iterable[Event]], None],
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._suppressions = suppressions
        self._shard = shard
        self._settings = settings
        self._journal = journal
        self._note = note
        self.follower = Follower(
            reactor,
            JournalReader([path]),
            KINDS,
            place=lambda: suppressions.place(shard),
            take=self._take,
            run_in_thread=run_in_thread,
            name="the suppression list",
        )

    def use(self, settings: SuppressionTable) -> None:
        """Go by other settings from now on."""
        self._settings = settings

    async def start(self) -> None:
        """Begin."""
        await self.follower.start()

    async def stop(self) -> None:
        """End."""
        await self.follower.stop()

    async def _take(self, records: Sequence[Record], upto: int) -> None:
        added: list[Suppression] = []
        lifted: list[Suppression] = []
        received: dict[str, Received | None] = {}
        for record in records:
            event = record.event
            if not self._settings.automatic and event.kind != "unsubscribed":
                continue
            if event.message and event.message not in received:
                received[event.message] = await self._received(event.message)
            entry, adds = suppression(
                event, received.get(event.message), self._settings.classes, self._settings.complaints
            )
            if entry is None:
                continue
            if adds:
                lifted = [one for one in lifted if not _same(one, entry)]
                added.append(entry)
            else:
                added = [one for one in added if not _same(one, entry)]
                lifted.append(entry)
        new = await self._suppressions.follow(self._shard, upto, added, lifted)
        if new:
            self._note([changed("added", one.tenant, one, "the journal", one.created) for one in new])

    async def _received(self, message: str) -> Received | None:
        events = await self._journal.message(message)
        return next((event for event in events if isinstance(event, Received)), None)


def _same(one: Suppression, other: Suppression) -> bool:
    names = ("tenant", "address", "reason", "list")
    return all(getattr(one, name) == getattr(other, name) for name in names)
