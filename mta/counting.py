"""Joins what counts in one worker: numbers kept up with the journal, and their routes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mta.analytics.fold import KINDS
from mta.analytics.numbers import Keep, Numbers
from mta.analytics.reader import StatisticsReader
from mta.api.v1.route import Route
from mta.api.v1.statistics import StatisticsRoutes
from mta.config.loading import Loaded
from mta.config.settings import Analytics, Settings
from mta.environment import Environment
from mta.interfaces import IEventSink
from mta.tracking.keeper import Keeper

#: Seconds between two looks while something happens: many events at once cost less than one by one.
SOON = 5.0
#: While nothing does: what comes back of our messages may be in the journals of other workers.
SELDOM = 300.0


class Counting:
    """See the module.

    :param reactor: the reactor.
    :param loaded: the configuration.
    :param environment: threads and so on.
    :param shard: which worker this is.
    """

    def __init__(self, reactor: Any, loaded: Loaded, environment: Environment, shard: int) -> None:
        settings = loaded.settings
        spool = loaded.state / "spool"
        self._reactor = reactor
        self._keep = keep_of(settings.analytics)
        self._enabled = settings.analytics.enabled
        self.reader = StatisticsReader(spool)
        self.keeper = Keeper(
            reactor,
            spool,
            shard,
            int(settings.workers),
            make=self._made,
            kinds=KINDS,
            only_messages=False,
            name="statistics",
            soon=SOON,
            seldom=SELDOM,
        )
        self._routes = StatisticsRoutes(self.reader, self.current, environment.run_in_thread)

    @property
    def sinks(self) -> Sequence[IEventSink]:
        """What is to be told of events."""
        return [self.keeper] if self._enabled else []

    def routes(self) -> list[Route]:
        """What can be asked."""
        return self._routes.routes()

    def use(self, settings: Settings) -> None:
        """Go by another configuration; whether there are numbers at all needs a restart."""
        self._keep = keep = keep_of(settings.analytics)
        self.keeper.change(lambda numbers: setattr(numbers, "keep", keep))

    async def current(self) -> None:
        """Wait until the numbers have what has happened by now.

        :raise TemporarilyUnavailable: if that takes too long.
        """
        if self._enabled:
            await self.keeper.current()

    async def start(self) -> None:
        """Begin."""
        if self._enabled:
            await self.keeper.start()

    async def stop(self) -> None:
        """End."""
        await self.keeper.stop()

    def _made(self, directory: Path) -> Numbers:
        return Numbers(directory, self._keep, self._reactor.seconds)


def keep_of(settings: Analytics) -> Keep:
    """For how long numbers are kept."""
    return Keep(settings.minutes, settings.hours, settings.days)
