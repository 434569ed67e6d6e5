"""Joins the parts of the application API of one worker; :mod:`mta.service` starts and stops it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import idna

from mta import __version__
from mta.api.v1.application import Application
from mta.api.v1.keys import KeyRoutes
from mta.api.v1.route import Route
from mta.api.v1.server import Descriptions
from mta.api.v1.site import ApiSite
from mta.api.v1.templates import TemplateRoutes
from mta.batch.process import PROCESS
from mta.config.loading import Loaded
from mta.config.settings import Settings
from mta.environment import Environment
from mta.model.event import Event
from mta.registry.administration import Administration
from mta.registry.registry import Registry, database
from mta.template.pool import Limits, Pool


class SendingApi:
    """The API of one worker.

    :param reactor: the reactor.
    :param loaded: the configuration.
    :param environment: threads and so on.
    :param note: puts an event into the journal.
    :param health: numbers about the worker that anybody may know.
    """

    name = "api"

    def __init__(
        self,
        reactor: Any,
        loaded: Loaded,
        environment: Environment,
        *,
        note: Callable[[Event], None],
        health: Callable[[], dict[str, Any]],
    ) -> None:
        settings = loaded.settings
        self._database = database(loaded.state, reactor)
        self.registry = Registry(self._database, configured_domains(settings))
        self.administration = Administration(self.registry, reactor.seconds, note)
        self.renderers = Pool(reactor, _limits(settings), PROCESS)
        described = Descriptions(health, lambda: list(self.application.routes), __version__)
        routes: list[Route] = [
            *described.routes(),
            *KeyRoutes(self.registry.keys, note).routes(),
            *TemplateRoutes(self.registry.templates, self.renderers, note).routes(),
        ]
        self.application = Application(
            self.registry,
            routes,
            reactor=reactor,
            requests=_share(settings.api.requests_per_second, settings.workers),
            run_in_thread=environment.run_in_thread,
            proxies=settings.api.proxies,
        )
        self.site = ApiSite(
            self.application.app.resource(), settings.api.body_size, settings.api.body_timeout
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
            operator.app.resource(), settings.api.body_size, settings.api.body_timeout
        )

    async def start(self) -> None:
        """Open the registry.

        :raise TemporarilyUnavailable: if it cannot be used.
        """
        self._database.start()

    async def stop(self) -> None:
        """End what renders, and close the registry."""
        await self.renderers.stop()
        await self._database.stop()

    async def drain(self, grace: float) -> None:
        """Wait for requests under way.

        :param grace: seconds, at the most.
        """
        await self.application.drain(grace)

    def use(self, settings: Settings) -> None:
        """Go by another configuration from the next request on."""
        self.registry.domains.use(configured_domains(settings))
        self.application.use(_share(settings.api.requests_per_second, settings.workers), settings.api.proxies)
        self.site.most_octets = settings.api.body_size
        self.site.most_seconds = settings.api.body_timeout
        self.renderers.use(_limits(settings))


def configured_domains(settings: Settings) -> list[str]:
    """The domains of the configuration, lower case, with A-labels."""
    found = []
    for name in settings.domains:
        try:
            found.append(idna.encode(name, uts46=True).decode().lower())
        except (idna.IDNAError, UnicodeError):
            found.append(name.lower())
    return found


def _limits(settings: Settings) -> Limits:
    """What a rendering may take."""
    of = settings.template
    return Limits(of.time, of.output, of.memory, of.processes)


def _share(number: int, workers: int | str) -> int:
    """One worker's part of what all may have; 0 stays no limit."""
    return number and max(1, number // max(1, int(workers)))
