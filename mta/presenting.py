"""Joins the dashboard of one worker: its pages, and who may sign in; made for the first visitor.

Who adds pages makes their class here, and puts its pages into the list.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from mta import __version__
from mta.application import SendingApi
from mta.config.loading import Loaded
from mta.config.settings import Dashboard, Settings
from mta.dashboard.accounts import AccountPages
from mta.dashboard.acts import ActPages
from mta.dashboard.alerts import AlertPages
from mta.dashboard.analytics import AnalyticsPages
from mta.dashboard.application import DashboardApplication
from mta.dashboard.flow import OverviewPages
from mta.dashboard.held import HeldPages
from mta.dashboard.live import LivePages
from mta.dashboard.log import LogPages
from mta.dashboard.messages import MessagePages, owner_of
from mta.dashboard.page import Page
from mta.dashboard.preferences import PreferencePages
from mta.dashboard.queue import QueuePages
from mta.dashboard.session import Session, Sessions
from mta.dashboard.sign_in import SignInPages
from mta.dashboard.workers import Workers
from mta.environment import Environment
from mta.first_run import ACCOUNT
from mta.interfaces import IQueue, TemporarilyUnavailable, settle
from mta.model.event import Event
from mta.parts import Parts
from mta.presenting_application import application_pages
from mta.presenting_audience import audience_pages
from mta.presenting_automation import automation_pages
from mta.presenting_domains import domain_pages
from mta.presenting_reports import report_pages
from mta.protection import Protection


class Presenting:
    """See the module.

    :param loaded: the configuration.
    :param settings: gives what stands in it now.
    :param reactor: the reactor.
    :param environment: threads and so on.
    :param shard: which worker this is.
    :param api: has the registry, and everything that tenants have.
    :param protection: the ledger, bans, watched accounts.
    :param queue: its queue.
    :param parts: gives the parts in use: checkers and directories.
    :param note: puts an event into the journal.
    :param status: numbers about this worker.
    """

    def __init__(
        self,
        loaded: Loaded,
        settings: Callable[[], Settings],
        *,
        reactor: Any,
        environment: Environment,
        shard: int,
        api: SendingApi,
        protection: Protection,
        queue: IQueue,
        parts: Callable[[], Parts],
        note: Callable[[Event], None],
        status: Callable[[], dict[str, Any]],
    ) -> None:

        def dashboard() -> Dashboard:
            return settings().dashboard

        self._api = api
        self._parts = parts
        self._banned = protection.bans.refusal
        self.sessions = Sessions(protection.ledger, dashboard, reactor.seconds)
        run = environment.run_in_thread
        workers = Workers(loaded.state, shard, queue, status, run)
        waiting = QueuePages(workers, reactor.seconds, run)
        owner = partial(owner_of, workers.journals)
        pages: list[Page] = [
            *SignInPages(
                self.sessions,
                lambda: self._parts().authenticator,
                dashboard,
                banned=self._ban_of,
                note=note,
                hint=_hint(loaded),
            ).pages(),
            *PreferencePages().pages(),
            *waiting.pages(),
            *ActPages(workers, owner, run).pages(),
            *MessagePages(
                workers,
                api.following.tracker.current,
                api.following.content,
                api.handing_over.again,
                note,
                run,
            ).pages(),
            *HeldPages(workers, run).pages(),
            *LogPages(workers, run).pages(),
            *AccountPages(
                workers, protection.ledger, protection.bans, protection.guard, self.sessions, dashboard, run
            ).pages(),
            *AlertPages(workers, note, run).pages(),
            *AnalyticsPages(api.counting.reader, api.counting.current, run).pages(),
            *LivePages(api.following.feed, self.sessions, dashboard, reactor).pages(),
            *OverviewPages(
                waiting.look,
                workers,
                api.counting.reader,
                reactor.seconds,
                run,
                protection.guard.count_now,
            ).pages(),
            *application_pages(api, environment, note),
            *audience_pages(api, note),
            *automation_pages(api, environment),
            *domain_pages(reactor, loaded, settings, api, environment),
            *report_pages(api, environment, workers, settings, reactor),
        ]
        self.application = DashboardApplication(
            pages,
            self.sessions,
            dashboard,
            verify=self._verify,
            tenants=self._tenants,
            reactor=reactor,
            run_in_thread=environment.run_in_thread,
            note=note,
            version=__version__,
            proxies=lambda: settings().api.proxies,
            url=lambda: settings().api.url,
        )

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


def _hint(loaded: Loaded) -> str:
    """How to sign in for the first time."""
    if loaded.embedded:
        return (
            f"The account is {ACCOUNT}; its password was shown when the server started for the first time.  "
            f"Lost it?  `mta user password {ACCOUNT}` sets another."
        )
    return "Your account is the one that you send and read mail with.  `mta user password` sets a password."
