"""Joins the pages for what applications have: suppressions, keys, webhooks, templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from mta.api.problem import ApiProblem
from mta.api.v1.message_models import MessageTaken
from mta.api.v1.templates import TestSending
from mta.application import SendingApi
from mta.dashboard.filled import mistakes
from mta.dashboard.keys import KeyPages
from mta.dashboard.page import Page
from mta.dashboard.suppressions import SuppressionPages
from mta.dashboard.templates import TemplatePages
from mta.dashboard.visit import Visit
from mta.dashboard.webhooks import WebhookPages
from mta.environment import Environment
from mta.model.event import Event
from mta.presenting_audience import in_name_of


def application_pages(
    api: SendingApi, environment: Environment, shard: int, note: Callable[[Event], None]
) -> list[Page]:
    """The pages.

    :param api: has everything that tenants have.
    :param environment: threads.
    :param shard: which worker this is.
    :param note: puts an event into the journal.
    """

    async def send_test(visit: Visit, name: str, test: Mapping[str, Any]) -> str:
        call = await in_name_of(visit, api.registry)
        call.path = {"name": name}
        try:
            call.body = TestSending.model_validate({**test, "to": [test["to"]]})
        except ValidationError as error:
            raise ValueError("; ".join(f"{name}: {said}" for name, said in mistakes(error).items())) from None
        try:
            answer = await api.templates.test(call)
        except ApiProblem as problem:
            raise ValueError(problem.detail or problem.title) from None
        taken = answer.body
        if not isinstance(taken, MessageTaken):
            assert isinstance(taken, bytes)
            taken = MessageTaken.model_validate_json(taken)
        return taken.id or ""

    registry, run = api.registry, environment.run_in_thread
    return [
        *TemplatePages(registry.templates, api.renderers, send_test, note).pages(),
        *SuppressionPages(registry.suppressions, note, run).pages(),
        *WebhookPages(
            registry.endpoints,
            api.archive,
            shard,
            wake=api.webhooks.wake,
            refuses=api.guard.refuses,
            note=note,
            run_in_thread=run,
        ).pages(),
        *KeyPages(registry.keys, note).pages(),
    ]
