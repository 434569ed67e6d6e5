"""What keeps those out who are not welcome, joined: rules, limits, bans, watched accounts.

The ledger, bans and the guard of accounts outlive a reload; rules and limits are made anew when
their tables change.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mta.config.loading import Loaded
from mta.config.problem import Problem
from mta.config.settings import Settings
from mta.identity.throttle import Throttle
from mta.intake.labels import Labels
from mta.interfaces import PluginContext, TemporarilyUnavailable
from mta.judge.abuse import SUSPENDED, AbuseGuard
from mta.judge.access.judge import NAME as ACCESS
from mta.judge.access.judge import AccessJudge
from mta.judge.access.patterns import WrongPattern
from mta.judge.access.rules import AccessProblem
from mta.judge.limits import NAME as LIMIT
from mta.judge.limits import LimitJudge
from mta.judge.reverse_name import ReverseNames
from mta.ledger.bans import Bans
from mta.ledger.shared import DATABASE, SharedLedger
from mta.model.event import Event
from mta.model.network import is_within
from mta.plugins import Plugin


class Protection:
    """What one worker has of it.

    :param reactor: time, threads.
    :param loaded: the configuration.
    :param note: puts events into the journal.
    :param letter: writes to somebody: address, subject, text.
    :param history: the events of a message, by its id.
    :param hold: holds what an account has in this worker's queue: account, reason.
    :ivar ledger: what all workers remember together.
    :ivar bans: who is not let in.
    :ivar guard: watches accounts.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        loaded: Loaded,
        note: Callable[[Sequence[Event]], None],
        letter: Callable[[str, str, str], None],
        history: Callable[[str], Awaitable[Sequence[Event]]],
        hold: Callable[[str, str], Awaitable[int]],
    ) -> None:
        settings = loaded.settings
        self._hold = hold
        self._settings = settings
        self.ledger = SharedLedger(loaded.state / DATABASE, reactor)
        self.bans = Bans(
            self.ledger,
            settings.ban,
            settings.access.relay_from,
            hostname=settings.hostname,
            contact=contact_of(settings),
            seconds=reactor.seconds,
            note=note,
        )
        self.guard = AbuseGuard(
            self.ledger,
            settings.abuse,
            contact_of(settings),
            seconds=reactor.seconds,
            note=note,
            alert=lambda subject, text: letter(self._told(), subject, text),
            history=history,
        )

        self._suspended: set[str] = set()

    async def start(self) -> None:
        """Before the first connection: who is banned, and which accounts are suspended."""
        await self.ledger.start()
        view = self.ledger.view(SUSPENDED)
        # What these have in the queue was held when they were suspended; a person may have let it go since.
        self._suspended = {account for account, _, _ in view}
        view.told = self._look

    def stop(self) -> None:
        """After the last question."""
        self.ledger.stop()

    def _look(self) -> None:
        """Hold what is in the queue of accounts that were suspended just now, by whichever worker."""
        found = {account: value for account, value, _ in self.ledger.view(SUSPENDED)}
        for account in found.keys() - self._suspended:
            Deferred.fromCoroutine(self._hold_mail_of(account, str(found[account].get("reason", ""))))
        self._suspended = set(found)

    async def _hold_mail_of(self, account: str, reason: str) -> None:
        try:
            count = await self._hold(account, f"the account {account} is suspended because of {reason}")
        except TemporarilyUnavailable as trouble:
            self.log.error("Mail of {account} is not held: {why}", account=account, why=str(trouble))
        except Exception:
            self.log.failure("Mail of {account} is not held", account=account)
        else:
            if count:
                self.log.warn("{count} messages of {account} are held", count=count, account=account)

    def _told(self) -> str:
        """Who is told of a suspended account."""
        return self._settings.abuse.alert or self._settings.queue.postmaster or "postmaster"

    def use(self, settings: Settings) -> None:
        """Go by other settings from now on."""
        self._settings = settings
        self.bans.use(settings.ban, settings.access.relay_from, contact_of(settings))
        self.guard.settings = settings.abuse
        self.guard.contact = contact_of(settings)

    def status(self) -> dict[str, int]:
        """How many are banned and suspended, as this worker knows it."""
        return {"banned": self.bans.count_now(), "suspended": self.guard.count_now()}

    def rehearsed(self, client: str, answer: dict[str, Any]) -> dict[str, Any]:
        """What would become of a message, seen from the door: who is banned gets no further."""
        refusal = self.bans.refusal(client) if client else None
        if refusal is None:
            return answer
        return {
            **answer,
            "accepted": False,
            "reply": str(refusal),
            "name": refusal.name,
            "rule": refusal.rule,
            "evidence": dict(refusal.evidence),
            "steps": [f"The client is not let in: it is answered {refusal}."],
            "routes": [],
        }

    def strike(self, address: str) -> None:
        """A client tries passwords faster than it may."""
        self.bans.count(address, "failures")


def contact_of(settings: Settings) -> str:
    """Whom those who are refused may write to."""
    return settings.access.contact or f"postmaster@{settings.hostname}"


def throttle(loaded: Loaded, context: PluginContext, strike: Callable[[str], None]) -> Throttle | None:
    """What has passwords tried slowly; nothing without a server."""
    if context.ledger is None:
        return None
    settings = loaded.settings
    shared = (*settings.ban.never, *settings.access.relay_from)
    return Throttle(
        context.ledger,
        settings.authentication,
        context.reactor,
        strike,
        lambda address: is_within(address, shared),
    )


def access_judges(
    loaded: Loaded, context: PluginContext, kept: Sequence[Plugin], problems: list[Problem]
) -> list[Plugin]:
    """The judges of ``[[access.rule]]`` and ``[[limit]]``, which are asked before all others.

    :param kept: those of the configuration before; one with the same settings stays as it is.
    :param problems: gets what is wrong with them.
    """
    found = (_rules(loaded, context, kept, problems), _limits(loaded, context, kept, problems))
    return [plugin for plugin in found if plugin is not None]


def _rules(
    loaded: Loaded, context: PluginContext, kept: Sequence[Plugin], problems: list[Problem]
) -> Plugin | None:
    settings = loaded.settings
    if not settings.access.rule:
        return None
    contact = contact_of(settings)
    of = (tuple(settings.access.rule), contact)
    known = _same(kept, ACCESS, of)
    if known is not None:
        return known
    names = ReverseNames(context.resolver)
    try:
        judge = AccessJudge(settings.access.rule, loaded.base, names, contact, context.run_in_thread)
    except AccessProblem as wrong:
        if wrong.file:
            problems.append(Problem(wrong.file, wrong.line, "", wrong.what, wrong.remedy))
        else:
            problems.append(loaded.problem(("access", "rule", wrong.args[-1]), wrong.what, wrong.remedy))
        return None
    return Plugin(ACCESS, ACCESS, of, judge)


def _limits(
    loaded: Loaded, context: PluginContext, kept: Sequence[Plugin], problems: list[Problem]
) -> Plugin | None:
    settings = loaded.settings
    if not settings.limit:
        return None
    of = (tuple(settings.limit), settings.submission)
    known = _same(kept, LIMIT, of)
    if known is not None:
        return known
    tenant_of = Labels(settings.submission).tenant
    try:
        judge = LimitJudge(settings.limit, context.ledger, tenant_of, context.reactor.seconds)
    except WrongPattern as wrong:
        what, number = wrong.args
        problems.append(loaded.problem(("limit", number, "match"), what))
        return None
    return Plugin(LIMIT, LIMIT, of, judge)


def _same(kept: Sequence[Plugin], name: str, settings: Any) -> Plugin | None:
    """The plugin of the configuration before, if its settings are the same."""
    for plugin in kept:
        if (plugin.name, plugin.kind) == (name, name) and plugin.settings == settings:
            return plugin
    return None
