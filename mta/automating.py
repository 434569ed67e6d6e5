"""Joins contacts and what is done with them by itself, in one worker; :mod:`mta.application` asks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from mta.api.v1.confirming import ConfirmationMail, ConfirmRoutes
from mta.api.v1.contact_files import ContactFileRoutes
from mta.api.v1.contacts import ContactRoutes
from mta.api.v1.lists import ListRoutes
from mta.api.v1.messages import Messages
from mta.api.v1.route import Route
from mta.api.v1.segments import SegmentRoutes
from mta.audience.audience import audience, database
from mta.audience.confirmations import Limits
from mta.audience.importer import Importer
from mta.audience.joining import Joining
from mta.audience.leaving import Leaving
from mta.audience.permission import Permission
from mta.audience.watch import AudienceWatch
from mta.campaign.schema import TABLES as CAMPAIGNS
from mta.config.settings import Settings
from mta.engagement.links import master_key
from mta.interfaces import IEventSink
from mta.journal.history import History
from mta.model.event import Event
from mta.registry.registry import Registry
from mta.sequence.stores import TABLES


class Automating:
    """See the module.

    :param reactor: the reactor.
    :param state: the state directory.
    :param shard: which worker this is.
    :param secret: of the server; all its workers have the same.
    :param registry: all nouns.
    :param messages: takes messages.
    :param journal: the journals of all shards.
    :param settings: gives the settings in use.
    :param note: puts an event into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        reactor: Any,
        state: Path,
        *,
        shard: int,
        secret: bytes,
        registry: Registry,
        messages: Messages,
        journal: History,
        settings: Callable[[], Settings],
        note: Callable[[Event], None],
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._database = database(state, reactor, (*TABLES, CAMPAIGNS))
        self.audience = audience(self._database, run_in_thread)
        self.permission = Permission(self.audience, registry.suppressions)
        self.leaving = Leaving(registry.suppressions, self.audience)
        master = master_key(secret)
        mail = ConfirmationMail(
            registry,
            messages,
            master,
            lambda: settings().api.url,
            reactor.seconds,
            lambda: settings().audience.confirm_within,
        )
        self.joining = Joining(reactor, self.audience, mail, note, lambda: _limits(settings()))
        self._importer = Importer(
            reactor,
            self.audience,
            state / "imports",
            shard,
            int(settings().workers),
            suppressions=registry.suppressions,
            joining=self.joining,
            note=note,
            run_in_thread=run_in_thread,
        )
        self._watch = AudienceWatch(
            reactor,
            self.audience,
            state / "spool" / str(shard) / "queue.db",
            shard,
            journal=journal,
            run_in_thread=run_in_thread,
            keep=lambda: settings().audience.keep,
        )
        self.files = ContactFileRoutes(self.audience, self._importer, note, run_in_thread)
        self._routes = [
            *ContactRoutes(self.audience, registry.suppressions, self.joining, note).routes(),
            *ListRoutes(self.audience, registry.suppressions, self.joining, note).routes(),
            *self.files.routes(),
            *SegmentRoutes(self.audience, note).routes(),
            *ConfirmRoutes(registry, master, self.audience, self.joining, self.leaving.come_back).routes(),
        ]

    @property
    def sinks(self) -> Sequence[IEventSink]:
        """What is to be told of events."""
        return [self._watch]

    def routes(self) -> list[Route]:
        """What can be asked."""
        return self._routes

    async def start(self) -> None:
        """Open the database, if there is one.

        :raise TemporarilyUnavailable: if it cannot be used.
        """
        self._database.start()
        await self._watch.start()
        await self.joining.start()
        await self._importer.start()

    async def stop(self) -> None:
        """Close the database."""
        await self._importer.stop()
        await self.joining.stop()
        await self._watch.stop()
        await self._database.stop()

    def use(self, settings: Settings) -> None:
        """Go by another configuration."""


def _limits(settings: Settings) -> Limits:
    of = settings.audience
    return Limits(of.confirm_pause, of.confirm_most, of.confirm_of_all)
