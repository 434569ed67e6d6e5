"""Joins contacts and what is done with them by itself, in one worker; :mod:`mta.application` asks it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from mta.api.v1.route import Route
from mta.audience.audience import audience, database
from mta.config.settings import Settings
from mta.interfaces import IEventSink


class Automating:
    """See the module.

    :param reactor: the reactor.
    :param state: the state directory.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        reactor: Any,
        state: Path,
        *,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._database = database(state, reactor)
        self.audience = audience(self._database, run_in_thread)

    @property
    def sinks(self) -> Sequence[IEventSink]:
        """What is to be told of events."""
        return []

    def routes(self) -> list[Route]:
        """What can be asked."""
        return []

    async def start(self) -> None:
        """Open the database, if there is one.

        :raise TemporarilyUnavailable: if it cannot be used.
        """
        self._database.start()

    async def stop(self) -> None:
        """Close the database."""
        await self._database.stop()

    def use(self, settings: Settings) -> None:
        """Go by another configuration."""
