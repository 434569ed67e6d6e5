"""What the application API answers to GET while no server runs: read from the disk, by the same routes."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import BaseModel

from mta.api.problem import ApiProblem
from mta.api.v1.application import query_of
from mta.api.v1.batches import BatchRoutes
from mta.api.v1.domains import DomainRoutes
from mta.api.v1.engagement import EngagementRoutes
from mta.api.v1.enrolments import EnrolmentRoutes
from mta.api.v1.keys import KeyRoutes
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Response, Route
from mta.api.v1.sequences import SequenceRoutes
from mta.api.v1.suppressions import SuppressionRoutes
from mta.api.v1.templates import TemplateRoutes
from mta.api.v1.tracking import TrackingRoutes
from mta.api.v1.webhooks import WebhookRoutes
from mta.audience.audience import Audience
from mta.audience.audience import direct as audience_of
from mta.config.loading import Loaded
from mta.interfaces import settle
from mta.journal.reader import JournalReader
from mta.queue.reader import QueueReader
from mta.registry.database import finished
from mta.registry.keys import ADMIN, Key
from mta.registry.registry import Registry, direct
from mta.sequence.stores import TABLES, Sequences
from mta.tracking.bodies import kept_body
from mta.tracking.reader import TrackingReader
from mta.webhook.archive import Archive

#: What only a server has; no route that reads asks for it.
_NOBODY = cast(Any, None)


async def _now(work: Callable[..., Any], *what: Any) -> Any:
    """Nobody else waits for the thread."""
    return work(*what)


class _Claims:
    """Looks at domains, and asks nobody of them.

    :param registry: knows whose they are.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def claim(self, tenant: str, domain: str, tracking: str = "") -> Awaitable[Any]:
        """Needs a server."""
        raise NotImplementedError

    def check(self, verification: Any) -> Awaitable[Any]:
        """Needs a server."""
        raise NotImplementedError

    async def is_given(self, tenant: str, domain: str) -> bool:
        """Whether the tenant may send from it."""
        domains = self._registry.domains
        return domains.belongs(await settle(domains.known()), tenant, domain)


def answered(loaded: Loaded, domains: Sequence[str], tenant: str, place: str) -> Any:
    """The answer to ``GET place`` as the operator, JSON values; of what is no JSON the text.

    :param domains: of the configuration.
    :param place: path and query, such as ``/v1/webhooks?limit=10``.
    :raise ApiProblem: as the server would refuse it.
    :raise TemporarilyUnavailable: if a database cannot be used.
    """
    database = direct(loaded.state)
    audience, close = audience_of(loaded.state, TABLES)
    try:
        registry = Registry(database, domains)
        routes = [*_routes(loaded, registry), *_audience_routes(audience)]
        return finished(_answered(routes, registry, tenant, place))
    finally:
        close()
        database.close()


async def _answered(routes: Sequence[Route], registry: Registry, tenant: str, place: str) -> Any:
    parts = urlsplit(place)
    found = (await settle(registry.tenants.all())).get(tenant)
    if found is None:
        raise Refusal("not-found", f"there is no tenant {tenant!r:.80}")
    route, path = _chosen(routes, parts.path)
    call = Call(None, "", time.time(), "", path, tenant=found)
    call.key = Key("", tenant, "operator", frozenset({ADMIN}), b"", call.now)
    if route.query is not None:
        values = parse_qs(parts.query, keep_blank_values=True)
        call.query = query_of(
            route.query, {name.encode(): [one.encode() for one in some] for name, some in values.items()}
        )
    answer = await route.handler(call)
    body = answer.body if isinstance(answer, Response) else answer
    if isinstance(body, BaseModel):
        return body.model_dump(mode="json")
    if isinstance(body, bytes):
        media = answer.media if isinstance(answer, Response) else ""
        return json.loads(body) if media == "application/json" else body.decode("utf-8", "surrogateescape")
    raise ApiProblem(503, "The server is not running", f"and {parts.path} needs it")


def _chosen(routes: Sequence[Route], path: str) -> tuple[Route, dict[str, str]]:
    # A path without braces stands for itself, though braces of another would fit it.
    for route in sorted(routes, key=lambda one: len(one.parameters)):
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(route.path))
        match = re.fullmatch(pattern, path)
        if match is not None:
            return route, {name: unquote(value) for name, value in match.groupdict().items()}
    raise ApiProblem(503, "The server is not running", f"and {path} needs it; start it with `twistd mta`")


def _audience_routes(audience: Audience) -> list[Route]:
    """Those about what is in the database of contacts, if there is one."""
    if not audience.used:
        return []
    sequences = Sequences(audience)
    nouns: list[Any] = [
        SequenceRoutes(sequences, audience, _NOBODY),
        EnrolmentRoutes(sequences, _NOBODY),
    ]
    return [route for noun in nouns for route in noun.routes() if route.method == "GET"]


def _routes(loaded: Loaded, registry: Registry) -> list[Route]:
    """Those that read, and need nothing but the disk."""
    spool = loaded.state / "spool"

    async def current() -> None:
        return None

    async def content(tenant: str, identifier: str) -> bytes | None:
        kept = kept_body(spool, identifier, time.time())
        if kept is not None:
            return kept
        for directory in sorted(path for path in spool.glob("*") if (path / "queue.db").exists()):
            with QueueReader(directory) as reader:
                message = reader.get(identifier)
                if message is not None:
                    return message.trace + message.content.read()
        return None

    def note(event: Any) -> None:
        raise NotImplementedError

    nouns: list[Any] = [
        DomainRoutes(
            registry, _Claims(registry), lambda: list(loaded.settings.sending_domains.require), note
        ),
        WebhookRoutes(registry.endpoints, Archive(spool), 0, wake=_NOBODY, note=note, run_in_thread=_now),
        TemplateRoutes(registry.templates, _NOBODY, note, _NOBODY),
        KeyRoutes(registry.keys, note),
        SuppressionRoutes(registry.suppressions, note, _now),
        EngagementRoutes(registry, b"", _NOBODY, note, _NOBODY),
        BatchRoutes(
            registry,
            _NOBODY,
            _NOBODY,
            _NOBODY,
            new_id=_NOBODY,
            session_id=_NOBODY,
            base=_NOBODY,
            furthest=_NOBODY,
            largest=_NOBODY,
            allowance=_NOBODY,
        ),
        TrackingRoutes(
            TrackingReader(spool),
            current,
            lambda: JournalReader(sorted(spool.glob("*/queue.db"))),
            content,
            _now,
        ),
    ]
    found = [route for noun in nouns for route in noun.routes()]
    return [route for route in found if route.method == "GET" and route.scope is not None]
