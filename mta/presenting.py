"""Joins the dashboard of one worker: its pages, who may sign in, and where it is served.

Who adds pages makes their class here, and puts its pages into the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.web.resource import Resource

from mta import __version__
from mta.api.v1.site import ApiSite
from mta.application import SendingApi
from mta.config.loading import Loaded
from mta.config.settings import Settings
from mta.dashboard.application import DashboardApplication
from mta.dashboard.flow import OverviewPages, counted
from mta.dashboard.live import LivePages
from mta.dashboard.page import Page
from mta.dashboard.preferences import PreferencePages
from mta.dashboard.session import Session, Sessions
from mta.dashboard.sign_in import SignInPages
from mta.environment import Environment
from mta.first_run import ACCOUNT
from mta.interfaces import IQueue, TemporarilyUnavailable, settle
from mta.model.event import Event
from mta.parts import Parts
from mta.protection import Protection
from mta.queue.reader import QueueReader


class Presenting:
    """See the module.

    :param reactor: the reactor.
    :param loaded: the configuration.
    :param environment: threads and so on.
    :param shard: which worker this is.
    :param api: has the registry, and everything that tenants have.
    :param protection: the ledger, bans, watched accounts.
    :param queue: its queue.
    :param parts: gives the parts in use: checkers and directories.
    :param note: puts an event into the journal.
    """

    def __init__(
        self,
        reactor: Any,
        loaded: Loaded,
        environment: Environment,
        *,
        shard: int,
        api: SendingApi,
        protection: Protection,
        queue: IQueue,
        parts: Callable[[], Parts],
        note: Callable[[Event], None],
    ) -> None:
        self._settings = loaded.settings
        self._api = api
        self._parts = parts
        self._banned = protection.bans.refusal
        self.sessions = Sessions(protection.ledger, lambda: self._settings.dashboard, reactor.seconds)
        pages: list[Page] = [
            *SignInPages(
                self.sessions,
                lambda: self._parts().authenticator,
                lambda: self._settings.dashboard,
                banned=self._ban_of,
                note=note,
                hint=_hint(loaded),
            ).pages(),
            *PreferencePages().pages(),
            *LivePages(api.following.feed, lambda: self._settings.dashboard, reactor).pages(),
            *OverviewPages(
                lambda: counted(loaded.state / "spool", _count), environment.run_in_thread
            ).pages(),
        ]
        self.application = DashboardApplication(
            pages,
            self.sessions,
            lambda: self._settings.dashboard,
            verify=self._verify,
            tenants=self._tenants,
            reactor=reactor,
            run_in_thread=environment.run_in_thread,
            note=note,
            version=__version__,
            proxies=lambda: self._settings.api.proxies,
            url=lambda: self._settings.api.url,
        )
        of = loaded.settings.api
        door = Door(
            api.application.app.resource(),
            self.application.app.resource(),
            lambda: self._settings.dashboard.enabled,
        )
        self.site = ApiSite(door, of.body_size, of.body_timeout)

    def use(self, settings: Settings) -> None:
        """Go by another configuration from the next request on."""
        self._settings = settings
        self.site.most_octets = settings.api.body_size
        self.site.most_seconds = settings.api.body_timeout

    async def _verify(self, session: Session) -> str:
        """Whether the account of a session is still there, with the same password."""
        parts = self._parts()
        if parts.authenticator is None:
            return "nobody can sign in any more"
        try:
            if await settle(parts.directories.account(session.account)) is None and session.mark:
                return "the account is no more"
            mark = await parts.authenticator.password_mark(session.account)
        except TemporarilyUnavailable:
            # A directory that is down signs nobody out.
            return ""
        return "its password is another one" if mark != session.mark else ""

    async def _tenants(self) -> Sequence[str]:
        return sorted(await settle(self._api.registry.tenants.all()))

    def _ban_of(self, address: str) -> str:
        reply = self._banned(address)
        return " ".join(reply.lines) if reply is not None else ""


class Door(Resource):
    """To the dashboard or to the API, by the path.

    :param api: answers everything else.
    :param dashboard: answers what begins with ``/dashboard``.
    :param enabled: whether there is one.
    """

    isLeaf = True

    def __init__(self, api: Any, dashboard: Any, enabled: Callable[[], bool]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._api = api
        self._dashboard = dashboard
        self._enabled = enabled

    def render(self, request: Any) -> Any:
        """Answer."""
        path: bytes = request.path
        if self._enabled():
            if path == b"/dashboard" or path.startswith(b"/dashboard/"):
                return self._dashboard.render(request)
            if path == b"/" and "text/html" in (request.getHeader("accept") or ""):
                # A browser; programs are told the numbers.
                request.redirect(b"/dashboard/")
                return b""
        return self._api.render(request)


def _count(directory: Path) -> dict[str, int]:
    """What is in the queue of a shard."""
    with QueueReader(directory) as reader:
        return reader.count()


def _hint(loaded: Loaded) -> str:
    """How to sign in for the first time."""
    if loaded.embedded:
        return (
            f"The account is {ACCOUNT}; its password was shown when the server started for the first time.  "
            f"Lost it?  `mta user password {ACCOUNT}` sets another."
        )
    return "Your account is the one that you send and read mail with.  `mta user password` sets a password."
