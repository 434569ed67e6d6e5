"""Asks the API in the name of who looks at a page: its own handlers, without a key or a socket."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError

from mta.api.problem import ApiProblem
from mta.api.v1.route import Call, Response, Route
from mta.dashboard.asked import Refused
from mta.dashboard.page import missing, no_tenant
from mta.dashboard.visit import Visit
from mta.dashboard.words import capital
from mta.interfaces import settle
from mta.registry.keys import ADMIN, Key
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
        if isinstance(shown, bytes):
            # What was kept of an answer before, as it was.
            return dict(json.loads(shown)) if shown else {}
        return shown.model_dump(mode="json", by_alias=True) if isinstance(shown, BaseModel) else {}


def _refused(error: ValidationError) -> Refused:
    errors: dict[str, str] = {}
    for one in error.errors(include_url=False, include_input=False, include_context=False):
        place = ".".join(str(part) for part in one["loc"])
        what = one["msg"].removeprefix("Value error, ")
        errors.setdefault(place, capital(what))
    return Refused("; ".join(f"{place}: {what}" for place, what in errors.items()), errors)


async def in_name_of(visit: Visit, registry: Registry) -> Call:
    """A request to the API in the name of who looks at a page.

    It has nobody's key: what is not allowed to the person, the page has refused.

    :raise Trouble: if there is no such tenant.
    """
    tenant = (await settle(registry.tenants.all())).get(visit.tenant)
    if tenant is None:
        raise no_tenant(visit.tenant)
    key = Key("", tenant.name, visit.by, frozenset({ADMIN}), b"", 0.0)
    return Call(visit.request, visit.id, visit.now, visit.address, tenant=tenant, key=key)
