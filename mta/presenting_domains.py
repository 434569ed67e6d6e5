"""Joins the pages for domains: those that tenants send from, and the server's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mta.application import SendingApi
from mta.config.loading import Loaded
from mta.config.settings import Settings
from mta.dashboard.domains import DomainPages
from mta.dashboard.page import Page
from mta.environment import Environment
from mta.presence import Presence
from mta.presenting_api import Asking


def domain_pages(
    reactor: Any, loaded: Loaded, settings: Callable[[], Settings], api: SendingApi, environment: Environment
) -> list[Page]:
    """The pages.

    :param reactor: time and timers.
    :param loaded: the configuration, with its places.
    :param settings: gives what stands in it now.
    :param api: has everything that tenants have.
    :param environment: the DNS and threads.
    """
    presence = Presence(
        reactor,
        lambda: replace(loaded, settings=settings()),
        environment.resolver,
        environment.run_in_thread,
    )
    return DomainPages(Asking(api.domains.routes(), api.registry), presence).pages()
