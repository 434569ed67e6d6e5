"""Which MTA-STS policy a domain has now (RFC 8461): its TXT record, the cache, and the fetch.

A policy that was fetched counts until its max_age is over, whatever the DNS or the policy
host say or fail to say meanwhile, but for a newer policy (5.1).  So that it does not run out
while it is in use, it is fetched anew every day, and sooner if it is short-lived (10.2).  A
policy that cannot be had is asked for again after five minutes at the soonest (3.3).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mta.interfaces import Answer, IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.model.mta_sts import StsPolicy, policy_id
from mta.model.tls_result import ResultType
from mta.route.cache import TtlCache
from mta.route.mta_sts_cache import Kept, Missed, StsCache
from mta.route.mta_sts_fetch import NoPolicy

#: Seconds for which an answer is believed without another look.
BELIEVED = 60.0
#: Seconds after which a policy that could not be had is asked for again.
RETRY = 300.0
#: Seconds between two looks for policies to be refreshed.
SWEEP = 600.0


@dataclass(frozen=True, slots=True)
class StsFound:
    """What a domain demands by MTA-STS.

    :ivar policy: ``None``: it has none, has withdrawn it, or it cannot be had.
    :ivar result: of a policy that cannot be had, for TLS reports.
    :ivar problem: why it cannot be had, or why there is none, in words.
    """

    policy: StsPolicy | None = None
    result: ResultType = "success"
    problem: str = ""


class StsPolicies:
    """See the module.

    :param reactor: gives the time.
    :param resolver: asks the DNS.
    :param fetch: gets the policy of a domain, or raises :class:`NoPolicy`.
    :param cache: keeps policies.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        resolver: IResolver,
        fetch: Callable[[str], Awaitable[StsPolicy]],
        cache: StsCache,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._fetch = fetch
        self._cache = cache
        self._run = run_in_thread
        self._recent: TtlCache[StsFound] = TtlCache(5000)
        self._flights: dict[str, list[Deferred[StsFound]]] = {}
        self._timer: Any = None
        self._sweeping: Deferred[None] | None = None

    def find(self, domain: str) -> Answer[StsFound]:
        """The policy of a domain.

        :param domain: in its ASCII form.
        """
        known = self._recent.get(domain, self._reactor.seconds())
        return known if known is not None else self._wait(domain)

    async def start(self) -> None:
        """From now on, policies in use are refreshed before they run out."""
        self._timer = self._reactor.callLater(SWEEP, self._sweep)

    async def stop(self) -> None:
        """Begin nothing more, and let go of the file."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._cache.close()

    # --- finding -------------------------------------------------------------------

    async def _wait(self, domain: str) -> StsFound:
        waiting: Deferred[StsFound] = Deferred()
        if domain in self._flights:
            self._flights[domain].append(waiting)
        else:
            self._flights[domain] = [waiting]
            # It goes on when nobody waits any more: what comes is kept for the next.
            Deferred.fromCoroutine(self._fly(domain))
        return await waiting

    async def _fly(self, domain: str) -> None:
        try:
            found = await self._find(domain)
        except Exception:
            # Whoever waits must not wait for ever, whatever happened.
            self.log.failure("Looking for the MTA-STS policy of {domain} failed", domain=domain)
            found = StsFound(None, "sts-policy-fetch-error", "trouble on our side")
        else:
            self._recent.put(domain, found, self._reactor.seconds(), BELIEVED)
        for waiting in self._flights.pop(domain):
            if not waiting.called:
                waiting.callback(found)

    async def _find(self, domain: str) -> StsFound:
        kept, missed = await self._known(domain)
        try:
            published = policy_id(await self._resolver.text(f"_mta-sts.{domain}"))
            problem = f"_mta-sts.{domain} has no TXT record of MTA-STS"
        except NoSuchDomain:
            published, problem = "", f"_mta-sts.{domain} has no TXT record of MTA-STS"
        except TemporarilyUnavailable as trouble:
            published, problem = "", f"the TXT record of _mta-sts.{domain} cannot be looked up: {trouble}"
        if kept is not None and published in ("", kept.id):
            # Whoever takes the record away does not take the policy away (3.1, 5.1).
            return _found(kept.policy, domain)
        if not published:
            return StsFound(problem=problem)
        now = self._reactor.seconds()
        if missed is None or missed.id != published or not 0 <= now - missed.tried < RETRY:
            try:
                policy = await self._fetch(domain)
            except NoPolicy as trouble:
                missed = Missed(published, now, trouble.result, str(trouble))
                self.log.warn(
                    "The MTA-STS policy of {domain} cannot be had: {why}", domain=domain, why=str(trouble)
                )
                await self._keep(self._cache.miss, domain, missed)
            else:
                await self._keep(self._cache.put, domain, published, policy, self._reactor.seconds())
                return _found(policy, domain)
        if kept is not None:
            return _found(kept.policy, domain)
        return StsFound(None, cast(ResultType, missed.result), missed.why)

    async def _known(self, domain: str) -> tuple[Kept | None, Missed | None]:
        try:
            found: tuple[Kept | None, Missed | None] = await self._run(
                self._cache.get, domain, self._reactor.seconds()
            )
        except sqlite3.Error as trouble:
            self.log.error("The MTA-STS policies on disk cannot be read: {why}", why=str(trouble))
            return None, None
        return found

    async def _keep(self, change: Callable[..., None], *what: object) -> None:
        try:
            await self._run(change, *what)
        except sqlite3.Error as trouble:
            # It still counts now; after a restart it must be fetched again.
            self.log.error("An MTA-STS policy cannot be kept: {why}", why=str(trouble))

    # --- refreshing ------------------------------------------------------------------

    def _sweep(self) -> None:
        self._timer = self._reactor.callLater(SWEEP, self._sweep)
        if self._sweeping is None:
            sweeping = self._sweeping = Deferred.fromCoroutine(self.refresh())
            sweeping.addErrback(lambda failure: None).addBoth(self._swept)

    def _swept(self, result: object) -> None:
        self._sweeping = None

    async def refresh(self) -> None:
        """Fetch anew what is due, one after the other."""
        try:
            due = await self._run(self._cache.due, self._reactor.seconds())
        except sqlite3.Error as trouble:
            self.log.error("MTA-STS policies cannot be refreshed: {why}", why=str(trouble))
            return
        for domain, id in due:
            try:
                policy = await self._fetch(domain)
            except NoPolicy as trouble:
                self.log.info(
                    "The MTA-STS policy of {domain} cannot be refreshed, and counts on: {why}",
                    domain=domain,
                    why=str(trouble),
                )
                continue
            await self._keep(self._cache.put, domain, id, policy, self._reactor.seconds(), False)


def _found(policy: StsPolicy, domain: str) -> StsFound:
    if policy.mode == "none":
        return StsFound(problem=f"{domain} has withdrawn its MTA-STS policy (mode none)")
    return StsFound(policy)
