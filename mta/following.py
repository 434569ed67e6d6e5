"""Joins what tells tenants of their messages in one worker: the index, its routes, live events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mta.api.v1.route import Route
from mta.api.v1.stream import StreamRoutes
from mta.api.v1.tracking import TrackingRoutes
from mta.config.loading import Loaded
from mta.config.settings import Settings
from mta.environment import Environment
from mta.intake.reception import Reception
from mta.interfaces import IEventSink, TemporarilyUnavailable
from mta.journal.reader import JournalReader
from mta.model.ids import shard_of
from mta.model.message import Message
from mta.queue.reader import QueueReader
from mta.tracking.bodies import Bodies, kept_body
from mta.tracking.feed import Feed
from mta.tracking.reader import TrackingReader
from mta.tracking.schema import TAG
from mta.tracking.tracker import Tracker


class Following:
    """See the module.

    :param reactor: the reactor.
    :param loaded: the configuration.
    :param environment: threads and so on.
    :param shard: which worker this is.
    :param reception: its messages are kept, where tenants want that.
    :param spool: its :class:`~mta.queue.spool.Spool`.
    """

    name = "following"

    def __init__(
        self,
        reactor: Any,
        loaded: Loaded,
        environment: Environment,
        shard: int,
        reception: Reception,
        spool: Any,
    ) -> None:
        settings = loaded.settings
        self._directory = loaded.state / "spool"
        self._shard = shard
        self._reader = TrackingReader(self._directory)
        self._run = environment.run_in_thread
        workers = int(settings.workers)
        self.tracker = Tracker(reactor, self._directory, shard, workers, settings.tracking.keep)
        self.feed = Feed(
            reactor, self._directory, shard, environment.run_in_thread, settings.tracking.heartbeat
        )
        spool.follow(self.feed.happened)
        self._settings = settings.tracking
        self._bodies = Bodies(reactor, self._directory / str(shard), self._kept_for)
        self._seconds = reactor.seconds
        admitted = reception.admitted

        def take(message: Message) -> None:
            # First: it may be delivered, and gone, at once.
            self._bodies.take(message)
            admitted(message)

        reception.admitted = take
        self._messages = TrackingRoutes(
            self._reader,
            self.tracker.current,
            lambda: JournalReader(sorted(self._directory.glob("*/queue.db"))),
            self.content,
            environment.run_in_thread,
        )
        self._stream = StreamRoutes(self.feed, settings.tracking.streams)

    @property
    def sinks(self) -> Sequence[IEventSink]:
        """What is to be told of events."""
        return [self.tracker]

    def routes(self) -> list[Route]:
        """What can be asked."""
        return [*self._messages.routes(), *self._stream.routes()]

    def use(self, settings: Settings) -> None:
        """Go by another configuration."""
        self._settings = settings.tracking
        self._stream.most = settings.tracking.streams
        self.feed.heartbeat = settings.tracking.heartbeat
        self.tracker.keep(settings.tracking.keep)

    async def reached(self, tenant: str, tag: str) -> Mapping[str, int]:
        """How many recipients of messages with a tag were delivered, have opened and so on.

        :raise TemporarilyUnavailable: if the index cannot be read.
        """
        await self.tracker.current()
        found = await self._run(self._reader.counts, tenant, TAG, tag)
        return {} if found is None else found[1]

    def lags(self) -> dict[int, int]:
        """How many events of our journal the index does not know yet; blocks."""
        return {self._shard: 0 if self.tracker.is_asleep else self._reader.lag(self._shard)}

    async def start(self) -> None:
        """Begin."""
        self.feed.start()
        self._bodies.start()
        await self.tracker.start()

    async def drain(self, grace: float) -> None:
        """End the streams, which would last for ever."""
        await self.feed.stop()

    async def stop(self) -> None:
        """End the rest."""
        await self.feed.stop()
        await self._bodies.stop()
        await self.tracker.stop()

    async def content(self, tenant: str, identifier: str) -> bytes | None:
        """The octets of a message that is kept, or in the queue."""
        found: bytes | None = await self._run(self._looked_for, identifier)
        return found

    def _looked_for(self, identifier: str) -> bytes | None:
        kept = kept_body(self._directory, identifier, self._seconds())
        return self._queued(identifier) if kept is None else kept

    def _kept_for(self, tenant: str) -> float:
        """For how long the messages of a tenant are kept, in seconds."""
        of = self._settings
        return of.bodies_of.get(tenant, of.bodies) if tenant else 0.0

    def _queued(self, identifier: str) -> bytes | None:

        with QueueReader(self._directory / str(shard_of(identifier))) as reader:
            message = reader.get(identifier)
            if message is None:
                return None
            try:
                return message.trace + message.content.read()
            except (TemporarilyUnavailable, FileNotFoundError):
                # Delivered just now.
                return None
