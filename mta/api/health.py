"""What the HTTP listener answers: is the server well.  Nothing here names a person or a message."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import Request, Site


class Health(Resource):
    """``GET /health``: 200 with numbers, for a load balancer and a curious person.

    :param status: numbers, JSON values.
    """

    isLeaf = True

    def __init__(self, status: Callable[[], dict[str, Any]]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._status = status

    def render_GET(self, request: Request) -> bytes:
        """Answer."""
        request.setHeader(b"content-type", b"application/json")
        request.setHeader(b"cache-control", b"no-store")
        if request.path not in (b"/", b"/health"):
            request.setResponseCode(404)
            return b'{"title": "There is nothing here; GET /health tells how the server is."}\n'
        return json.dumps({"status": "ok", **self._status()}).encode() + b"\n"


class Quiet(Site):
    """A site without access lines, which would say nothing that is of use."""

    noisy = False

    def log(self, request: Any) -> None:
        """Write nothing."""


def health_site(status: Callable[[], dict[str, Any]]) -> Site:
    """The site of the HTTP listener."""
    return Quiet(Health(status))  # type: ignore[no-untyped-call]
