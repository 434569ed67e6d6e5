"""Which TLS is demanded for a next hop: by ``[[tls_policy]]``, or by what its domain publishes.

Of several tables that fit, the last one counts.  They are about next hops: the domain of
the recipient where its MX records are looked up, or else the host that the configuration
names.  Where none fits, a ``[[shape]]`` may demand something.  ``may``, ``encrypt`` and ``verify``
decide alone, whatever is published; ``dane`` and ``mta-sts`` demand that it is.

Where nothing is demanded, and ``relay.tls`` is ``opportunistic`` or ``require``, TLSA records of the
hosts count (DANE, RFC 7672), and where a host has none, the policy of the domain (MTA-STS,
RFC 8461): DANE comes first, because a failure of DANE must not be covered by MTA-STS
(RFC 8461, 2).  Everything else is left to ``relay.tls``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any, NamedTuple

from zope.interface import implementer

from mta.config.settings import TlsPolicy
from mta.interfaces import Answer, ITlsDemands, TemporarilyUnavailable, settle
from mta.model.tls_demand import HostTls, TlsDemand, TlsLevel
from mta.model.tls_result import PolicyType, ResultType
from mta.route.cache import TtlCache
from mta.route.dane_records import DaneRecords, HostDane
from mta.route.domain_name import ascii_domain
from mta.route.mta_sts import StsPolicies
from mta.route.next_hop import NextHop, parse_next_hop

#: Seconds for which a demand is remembered, so that most messages need not wait.
REMEMBERED = 30.0

#: What ``relay.tls`` comes to where something is published; otherwise that is not looked for.
_USUAL: dict[str, TlsLevel] = {"opportunistic": "may", "require": "encrypt"}


class Published(NamedTuple):
    """Whom to ask what domains publish.

    :ivar dane: for TLSA records.
    :ivar sts: for policies.
    :ivar port: of mail servers, which is a part of the name of TLSA records.
    """

    dane: DaneRecords
    sts: StsPolicies
    port: int = 25


@implementer(ITlsDemands)
class TlsDemands:
    """See the module.

    :param policies: in the order of the file.
    :param usual: ``relay.tls``.
    :param published: whom to ask; ``None``: what is published does not count.
    :param reactor: gives the time for that.
    """

    def __init__(
        self,
        policies: Sequence[TlsPolicy] = (),
        usual: str = "opportunistic",
        published: Published | None = None,
        reactor: Any = None,
    ) -> None:
        self._published = published
        self._reactor = reactor
        # What is remembered may be None.
        self._found: TtlCache[tuple[TlsDemand | None]] = TtlCache(5000)
        self.use(policies, usual)

    def use(
        self, policies: Sequence[TlsPolicy], usual: str = "opportunistic", port: int | None = None
    ) -> None:
        """Go by these from now on.

        :param port: of mail servers, if that is another now.
        """
        if self._published is not None and port is not None:
            self._published = self._published._replace(port=port)
        self._known = [
            (pattern, TlsDemand(policy.demand, f"tls_policy for {pattern}", tuple(policy.mx)))
            for policy in reversed(policies)
            for pattern in policy.domain
        ]
        self._usual = _USUAL.get(usual)
        self._found.clear()

    # --- of a next hop -----------------------------------------------------------

    def configured(self, next_hop: str) -> TlsDemand | None:
        """See :class:`~mta.interfaces.ITlsDemands`."""
        hop = _hop(next_hop) if self._known else None
        return self._rule(hop) if hop is not None else None

    def demand(self, next_hop: str, shaped: TlsDemand | None = None) -> Answer[TlsDemand | None]:
        """See :class:`~mta.interfaces.ITlsDemands`."""
        if not (self._known or self._published):
            return shaped
        hop = _hop(next_hop)
        if hop is None:
            return shaped
        ours = self._rule(hop) or shaped
        if ours is not None and ours.level not in ("dane", "mta-sts"):
            return ours
        if self._published is None or (ours is None and not (self._usual and hop.ask_mx)):
            return ours
        known = self._found.get((next_hop, ours), self._reactor.seconds())
        return known[0] if known is not None else self._find(self._published, next_hop, hop, ours)

    def _rule(self, hop: NextHop) -> TlsDemand | None:
        return next((demand for pattern, demand in self._known if fnmatchcase(hop.host, pattern)), None)

    async def _find(
        self, published: Published, next_hop: str, hop: NextHop, ours: TlsDemand | None
    ) -> TlsDemand | None:
        if ours is None:
            found = await self._by_domain(published, hop.host)
        elif ours.level == "dane":
            found = await self._dane(published, hop, ours)
        else:
            found = await self._sts(published, hop, ours)
        self._found.put((next_hop, ours), (found,), self._reactor.seconds(), REMEMBERED)
        return found

    async def _by_domain(self, published: Published, domain: str) -> TlsDemand | None:
        dane = await published.dane.of_domain(domain, published.port)
        usual = self._usual or "may"
        demand = TlsDemand(usual, "relay.tls" if usual == "encrypt" else "")
        if dane.some:
            demand = replace(demand, dane=True, hosts=dane.hosts, names=dane.names)
        if dane.all:
            return demand
        found = await settle(published.sts.find(domain))
        if found.policy is not None:
            origin = f"the MTA-STS policy of {domain}"
            if found.policy.mode == "enforce":
                return replace(demand, level="verify", origin=origin, sts=found.policy)
            return replace(demand, origin=f"{origin} (testing)", sts=found.policy)
        if found.result != "success":
            # It would have demanded more than this.
            origin = f"relay.tls, as the MTA-STS policy of {domain} cannot be had ({found.problem})"
            return replace(demand, origin=origin, result=found.result, trouble=found.problem)
        return demand if dane.some else None

    async def _dane(self, published: Published, hop: NextHop, rule: TlsDemand) -> TlsDemand:
        if not hop.ask_mx:
            return replace(rule, dane=True)
        dane = await published.dane.of_domain(hop.host, published.port)
        if not dane.secure:
            problem = f"the MX records of {hop.host} are not validated by DNSSEC"
            return replace(rule, problem=problem, result="dane-required", trouble=problem)
        return replace(rule, dane=True, hosts=dane.hosts, names=dane.names)

    async def _sts(self, published: Published, hop: NextHop, rule: TlsDemand) -> TlsDemand:
        if not hop.ask_mx:
            problem = f"{hop.host} is a host, and MTA-STS is about domains"
            return replace(rule, problem=problem, trouble=problem)
        found = await settle(published.sts.find(hop.host))
        if found.policy is not None:
            return replace(rule, sts=found.policy)
        result: ResultType = "sts-policy-fetch-error" if found.result == "success" else found.result
        return replace(rule, problem=found.problem, result=result, trouble=found.problem)

    # --- of one of its hosts -------------------------------------------------------

    def of_host(self, demand: TlsDemand | None, next_hop: str, host: str, port: int) -> Answer[HostTls]:
        """See :class:`~mta.interfaces.ITlsDemands`."""
        hop = _hop(next_hop)
        domain = hop.host if hop is not None and hop.ask_mx else ""
        if demand is None:
            return HostTls(domain=domain)
        if demand.dane and self._published is not None:
            return self._with_records(self._published.dane, demand, domain, host, port)
        if demand.level == "dane":
            problem = demand.problem or "nobody can be asked for TLSA records"
            return _refused(demand, domain, problem)
        return _without_records(demand, domain, host)

    async def _with_records(
        self, dane: DaneRecords, demand: TlsDemand, domain: str, host: str, port: int
    ) -> HostTls:
        own = demand.level == "dane"
        invalid = HostTls(
            "dane",
            demand.words if own else f"dane by DNSSEC for {domain}",
            result="dnssec-invalid",
            domain=domain,
            policy="tlsa",
        )
        if demand.hosts and host.lower().rstrip(".") not in demand.hosts:
            # Whoever can forge an MX record has a host that fits its own TLSA records.
            problem = f"it is no MX host of {domain} by what DNSSEC has validated"
            return replace(invalid, problem=problem)
        try:
            found = await dane.of_host(host, port)
        except TemporarilyUnavailable as trouble:
            # An attacker could have swallowed the answer (RFC 7672, 2.1.2).
            return replace(invalid, problem=str(trouble), unknown=True)
        if found.usable:
            return HostTls(
                "dane",
                demand.words if own else f"dane by {found.base}",
                found.usable,
                tuple(dict.fromkeys((*found.names, *demand.names))),
                domain=domain,
                policy="tlsa",
                strings=tuple(record.text for record in found.records),
            )
        if own:
            problem = f"no TLSA record of {found.base} is usable" if found.records else found.why
            return replace(
                _refused(demand, domain, problem),
                result="tlsa-invalid" if found.records else "dane-required",
            )
        if found.records and not demand.enforces:
            return _unusable(found, domain)
        return _without_records(demand, domain, host)


@lru_cache(5000)
def _hop(next_hop: str) -> NextHop | None:
    """A next hop taken apart, its name as the DNS spells it; ``None`` if it is none."""
    try:
        hop = parse_next_hop(next_hop)
    except ValueError:
        return None
    name = ascii_domain(hop.host)
    return hop if name == hop.host else replace(hop, host=name)


def _unusable(found: HostDane, domain: str) -> HostTls:
    """TLS with whatever certificate: the records are there, but nothing can be compared (RFC 7672, 2.2)."""
    reason = f"no TLSA record of {found.base} is usable"
    return HostTls(
        "encrypt",
        f"encrypt by {found.base}, of which no TLSA record is usable",
        result="tlsa-invalid",
        reason=reason,
        domain=domain,
        policy="tlsa",
        strings=tuple(record.text for record in found.records),
    )


def _refused(demand: TlsDemand, domain: str, problem: str) -> HostTls:
    policy: PolicyType = "tlsa" if demand.level == "dane" else "sts"
    return HostTls(
        demand.level, demand.words, problem=problem, result=demand.result, domain=domain, policy=policy
    )


def _without_records(demand: TlsDemand, domain: str, host: str) -> HostTls:
    """A host of which DANE says nothing."""
    if demand.problem:
        return _refused(demand, domain, demand.problem)
    policy = demand.sts
    if policy is None:
        problem = "" if demand.admits(host) else f"the host is none of {', '.join(demand.mx)}"
        kind: PolicyType = "no-policy-found" if demand.result == "success" else "sts"
        return HostTls(
            demand.level,
            demand.words,
            problem=problem,
            result=demand.result,
            reason=demand.trouble,
            domain=domain,
            policy=kind,
        )
    found = HostTls(
        demand.level,
        demand.words,
        domain=domain,
        policy="sts",
        strings=policy.lines,
        patterns=policy.mx,
    )
    if policy.admits(host):
        return found
    why = f"the host is none of {', '.join(policy.mx)}"
    if demand.enforces:
        return replace(found, problem=why, result="validation-failure", reason=why)
    return replace(found, result="validation-failure", reason=why)
