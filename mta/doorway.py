"""Where the HTTP listener leads to: the API, what mail programs ask, or the dashboard.

The dashboard is made for its first visitor; many servers have none, and what pages are made of is not
even imported before.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twisted.web.resource import Resource

from mta.api.v1.site import ApiSite, Late
from mta.client_setup.reception import answer, is_asked
from mta.config.loading import Loaded
from mta.config.settings import Settings

if TYPE_CHECKING:
    from mta.presenting import Presenting

#: How the paths begin that mail programs ask for.
_PROGRAMS = frozenset({b"/m", b"/a", b"/."})


class Doorway:
    """See the module.

    :param loaded: the configuration.
    :param other: gives what answers everything that is not for the dashboard.
    :param parts: what :class:`~mta.presenting.Presenting` is made of.
    :ivar site: of the listener.
    """

    def __init__(self, loaded: Loaded, other: Callable[[], Any], **parts: Any) -> None:
        self._settings = loaded.settings
        self._loaded = loaded
        self._parts = parts
        of = loaded.settings.api
        door = _Door(
            Late(other),
            Late(lambda: self.presenting.application.app.resource()),
            lambda: self._settings,
        )
        self.site = ApiSite(door, of.body_size, of.body_timeout)

    @cached_property
    def presenting(self) -> Presenting:
        """The dashboard."""
        from mta.presenting import Presenting

        return Presenting(self._loaded, lambda: self._settings, **self._parts)

    def use(self, settings: Settings) -> None:
        """Go by another configuration from the next request on."""
        self._settings = settings
        self.site.most_octets = settings.api.body_size
        self.site.most_seconds = settings.api.body_timeout


class _Door(Resource):
    """To one or the other, by the path.

    :param api: answers everything else.
    :param dashboard: answers what begins with ``/dashboard``.
    :param settings: gives those in use.
    """

    isLeaf = True

    def __init__(self, api: Any, dashboard: Any, settings: Callable[[], Settings]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._api = api
        self._dashboard = dashboard
        self._settings = settings

    def render(self, request: Any) -> Any:
        """Answer."""
        path: bytes = request.path
        if path[:2].lower() in _PROGRAMS and is_asked(path.decode("latin-1")):
            return self._to_program(request)
        if self._settings().dashboard.enabled:
            if path == b"/dashboard" or path.startswith(b"/dashboard/"):
                return self._dashboard.render(request)
            if path == b"/" and "text/html" in (request.getHeader("accept") or ""):
                # A browser; programs are told the numbers.
                request.redirect(b"/dashboard/")
                return b""
        return self._api.render(request)

    def _to_program(self, request: Any) -> bytes:
        """What a mail program asks to set itself up."""
        query = {
            name.decode("utf-8", "replace").lower(): values[0].decode("utf-8", "replace")
            for name, values in request.args.items()
        }
        host: str = request.getRequestHostname().decode("latin-1")
        method, path = request.method.decode("latin-1"), request.path.decode("latin-1")
        reply = answer(self._settings(), method, path, query, host, request.content.read())
        request.setResponseCode(reply.status)
        for name, value in (("content-type", reply.type), *reply.headers):
            request.setHeader(name, value)
        return reply.body
