"""``kind = "arc"``: the seals of servers that have passed a message on are validated (RFC 8617).

Judged is mail that comes from others.  Nothing is refused for it.  What servers of ``trusted``
had found out before they passed it on is left for later judges (:class:`~mta.dkim.arc.ArcJudged`
in ``Facts.results``), and a message that goes on from here gets a seal of ours.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Duration, HostPatterns, Table
from mta.dkim.arc import MOST_SETS, RESULT, USUAL_SETS, ArcFinding, ArcJudged, Believed, Chain, believed
from mta.interfaces import Answer, Facts, IJudge, IKind, IResolver, PluginContext
from mta.judge.dkim_keys import KeyLookup
from mta.model.authentication import AuthenticationResult
from mta.model.verdict import PASS, Stage, Verdict


class ArcSettings(Table):
    """Settings of ``kind = "arc"``.

    ``trusted``: domains that seal, of which it is believed what they say of a message; ``*`` in
    one stands for anything.  ``sets`` of one message are looked at, more of them fail;
    ``timeout`` is for all keys together.
    """

    trusted: HostPatterns = Field([])
    sets: int = Field(USUAL_SETS, ge=1, le=MOST_SETS)
    timeout: Duration = 20.0


@implementer(IJudge)
class ArcJudge:
    """See the module.

    :param reactor: gives time and timers.
    :param resolver: asks the DNS.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    """

    def __init__(
        self,
        settings: ArcSettings,
        reactor: Any,
        resolver: IResolver,
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._settings = settings
        self._reactor = reactor
        self._keys = KeyLookup(reactor, resolver, settings.timeout, run_in_thread)

    def judge(self, stage: Stage, facts: Facts) -> Answer[Verdict]:
        """See :class:`~mta.interfaces.IJudge`."""
        if stage != "message" or facts.client.role != "mx" or facts.trusted:
            return PASS
        chain = Chain(facts.header, self._reactor.seconds(), self._settings.sets)
        if not chain.count:
            facts.results[RESULT] = ArcJudged(ArcFinding("none"))
            return Verdict(authentication=(AuthenticationResult("arc", "none"),))
        return self._judge(facts, chain)

    async def _judge(self, facts: Facts, chain: Chain) -> Verdict:
        keys, bodies = await self._keys.with_bodies(chain.questions, facts, chain.ways)
        finding = chain.finding(keys, bodies)
        trusted = believed(finding, self._is_trusted)
        facts.results[RESULT] = ArcJudged(finding, trusted)
        result = AuthenticationResult("arc", finding.status, _properties(finding, facts), finding.reason)
        return Verdict(evidence=_evidence(finding, trusted), authentication=(result,))

    def _is_trusted(self, domain: str) -> bool:
        return any(fnmatchcase(domain, pattern) for pattern in self._settings.trusted)


def _properties(finding: ArcFinding, facts: Facts) -> tuple[tuple[str, str], ...]:
    """RFC 8617, 10.2."""
    found = [("smtp.remote-ip", facts.client.address)] if facts.client.address else []
    if finding.status == "pass":
        found.insert(0, ("header.oldest-pass", str(finding.oldest_pass)))
    return tuple(found)


def _evidence(finding: ArcFinding, trusted: Believed | None) -> dict[str, Any]:
    words = f"{finding.status}: {finding.reason}" if finding.reason else finding.status
    told: dict[str, Any] = {"chain": words}
    if finding.sets:
        told["sealers"] = [f"{item.instance}: {item.domain}" for item in finding.sets]
    if trusted is not None:
        told["trusted"] = ", ".join(trusted.sealers)
        told["believed"] = [f"{one.method}={one.result}" for one in trusted.results]
    return told


@implementer(IPlugin, IKind)
class ArcKind:
    """Makes :class:`ArcJudge`."""

    seam = IJudge
    kind = "arc"
    settings = ArcSettings

    def build(self, settings: ArcSettings, context: PluginContext) -> ArcJudge:
        """See :class:`~mta.interfaces.IKind`."""
        return ArcJudge(settings, context.reactor, context.resolver, context.run_in_thread)


ARC = ArcKind()
