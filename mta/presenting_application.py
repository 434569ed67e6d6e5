"""Joins the pages for what applications have: suppressions, keys, webhooks, templates."""

from __future__ import annotations

from collections.abc import Callable

from mta.application import SendingApi
from mta.dashboard.keys import KeyPages
from mta.dashboard.page import Page
from mta.dashboard.suppressions import SuppressionPages
from mta.dashboard.templates import TemplatePages
from mta.dashboard.webhooks import WebhookPages
from mta.environment import Environment
from mta.model.event import Event
from mta.presenting_api import Asking


def application_pages(api: SendingApi, environment: Environment, note: Callable[[Event], None]) -> list[Page]:
    """The pages.

    :param api: has everything that tenants have.
    :param environment: threads.
    :param note: puts an event into the journal.
    """
    registry, run = api.registry, environment.run_in_thread
    return [
        *TemplatePages(
            registry.templates, api.renderers, Asking(api.templates.routes(), registry), note
        ).pages(),
        *SuppressionPages(registry.suppressions, note, run).pages(),
        *WebhookPages(
            registry.endpoints, Asking(api.webhook_routes.routes(), registry), api.archive, run
        ).pages(),
        *KeyPages(registry.keys, note).pages(),
    ]
