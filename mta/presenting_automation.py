"""Joins the pages for what is sent by itself: sequences, and campaigns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from mta.api.problem import ApiProblem
from mta.api.v1.route import Response, Route
from mta.application import SendingApi
from mta.dashboard.asked import Refused
from mta.dashboard.campaign_form import CampaignFormPages
from mta.dashboard.campaigns import CampaignPages
from mta.dashboard.page import Page, missing
from mta.dashboard.sequence_people import SequencePeoplePages
from mta.dashboard.sequences import SequencePages
from mta.dashboard.visit import Visit
from mta.dashboard.words import capital
from mta.environment import Environment
from mta.presenting_audience import in_name_of
from mta.registry.registry import Registry


class Asking:
    """See :class:`mta.dashboard.asked.Ask`: the API's own handlers, without a key or a socket.

    :param routes: what can be asked.
    :param registry: has tenants.
    """

    def __init__(self, routes: Sequence[Route], registry: Registry) -> None:
        self._routes = {(route.method, route.path): route for route in routes}
        self._registry = registry

    async def __call__(
        self,
        visit: Visit,
        method: str,
        path: str,
        names: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """See :class:`mta.dashboard.asked.Ask`."""
        route = self._routes[method, path]
        call = await in_name_of(visit, self._registry)
        call.path = dict(names or {})
        try:
            if route.query is not None:
                call.query = route.query.model_validate(dict(query or {}))
            if route.body is not None:
                call.body = route.body.model_validate(dict(body or {}))
            answer: Any = await route.handler(call)
        except ValidationError as error:
            raise _refused(error) from None
        except ApiProblem as problem:
            if problem.status == 404:
                raise missing(capital(problem.detail)) from None
            errors = {
                str(one.get("pointer", "")).lstrip("#/").replace("/", "."): str(one.get("detail", ""))
                for one in problem.more.get("errors", [])
            }
            raise Refused(problem.detail or problem.title, errors) from None
        shown = answer.body if isinstance(answer, Response) else answer
        return shown.model_dump(mode="json", by_alias=True) if isinstance(shown, BaseModel) else {}


def _refused(error: ValidationError) -> Refused:
    errors: dict[str, str] = {}
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in one["loc"])
        what = one["msg"].removeprefix("Value error, ")
        errors.setdefault(place, capital(what))
    return Refused("; ".join(f"{place}: {what}" for place, what in errors.items()), errors)


def automation_pages(api: SendingApi, environment: Environment) -> list[Page]:
    """The pages.

    :param api: has everything that tenants have.
    :param environment: has the journals.
    """
    routes = [*api.sequencing.routes(), *api.campaigning.routes(), *api.following.routes()]
    ask = Asking(routes, api.registry)
    sequences, audience = api.sequencing.sequences, api.automating.audience
    return [
        *SequencePages(ask, sequences, audience, api.registry.templates).pages(),
        *SequencePeoplePages(ask, sequences, audience, environment.journal.find).pages(),
        *CampaignPages(ask).pages(),
        *CampaignFormPages(ask, audience, api.registry.templates).pages(),
    ]
