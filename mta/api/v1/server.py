"""What anybody may ask of the HTTP listener: is the server well, and what can be asked here."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from mta.api.v1.openapi import document
from mta.api.v1.reference import POLICY, page
from mta.api.v1.route import Call, Response, Route, Shown


class HealthShown(Shown):
    """How the server is."""

    status: str
    sessions: int
    in_flight: int


class Descriptions:
    """Health, the OpenAPI document, and the page for people.

    :param health: numbers, JSON values; nothing here names a person or a message.
    :param routes: gives all routes.
    :param version: of the program.
    """

    def __init__(
        self, health: Callable[[], dict[str, Any]], routes: Callable[[], list[Route]], version: str
    ) -> None:
        self._health = health
        self._all = routes
        self._version = version
        self._document = b""
        self._page = b""

    def routes(self) -> list[Route]:
        """What it answers."""
        told: dict[str, Any] = {"scope": None, "group": "server"}
        return [
            Route("GET", "/healthz", self.health, summary="Is the server well", answer=HealthShown, **told),
            Route("GET", "/health", self.health, summary="Is the server well", hidden=True, **told),
            Route("GET", "/", self.root, summary="Where to begin", hidden=True, **told),
            Route(
                "GET",
                "/openapi.json",
                self.openapi,
                summary="This description, for programs",
                media="application/json",
                **told,
            ),
            Route(
                "GET", "/docs", self.docs, summary="This description, for people", media="text/html", **told
            ),
        ]

    async def health(self, call: Call) -> Response:
        """The numbers."""
        content = json.dumps({"status": "ok", **self._health()}).encode() + b"\n"
        return Response(content)

    async def root(self, call: Call) -> Response:
        """The numbers, and where the rest is."""
        found = {"status": "ok", **self._health(), "docs": "/docs", "openapi": "/openapi.json"}
        return Response(json.dumps(found).encode() + b"\n")

    async def openapi(self, call: Call) -> Response:
        """The document; made when it is first asked for."""
        if not self._document:
            self._document = json.dumps(document(self._all(), self._version)).encode()
        return Response(self._document)

    async def docs(self, call: Call) -> Response:
        """The page."""
        if not self._page:
            self._page = page(document(self._all(), self._version))
        headers = {"content-security-policy": POLICY, "x-content-type-options": "nosniff"}
        return Response(self._page, headers=headers, media="text/html; charset=utf-8")
