"""The hosts behind a next hop (RFC 5321, 5.1; null MX: RFC 7505)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from mta.interfaces import (
    Exchanger,
    IExchangers,
    IResolver,
    NoSuchDomain,
    RouteError,
    TemporarilyUnavailable,
)
from mta.model.catalogue import REPLIES
from mta.route.domain_name import ascii_domain
from mta.route.next_hop import NextHop, as_address, parse_next_hop, unmapped
from mta.route.own_addresses import OwnAddresses


@dataclass(slots=True)
class _Host:
    """A candidate, and what the DNS says of it."""

    preference: int
    name: str
    addresses: Sequence[str] = ()
    trouble: TemporarilyUnavailable | None = None


@implementer(IExchangers)
class Exchangers:
    """Asks the DNS, and never leads mail back to this server.

    :param resolver: asks the DNS.
    :param hostname: our name: an MX of that name is us.
    :param port: where to connect unless the next hop says otherwise.
    :param own_addresses: our IP addresses: a host that has one is us.
        ``None``: those that the kernel knows.
    :param ipv6: whether IPv6 can be used.
    :param shuffle: puts hosts of equal preference into a random order (5.1).
    """

    #: Hosts tried at the most; some domains publish hundreds.
    most = 20

    def __init__(
        self,
        resolver: IResolver,
        *,
        hostname: str,
        port: int = 25,
        own_addresses: Callable[[], frozenset[str]] | None = None,
        ipv6: bool = True,
        shuffle: Callable[[list[Any]], None] = random.shuffle,
    ) -> None:
        self._resolver = resolver
        self._hostname = ascii_domain(hostname)
        self._ours = frozenset({self._hostname})
        self._port = port
        self._own_addresses = own_addresses or OwnAddresses()
        self._ipv6 = ipv6
        self._shuffle = shuffle

    def call_us(self, names: Iterable[str]) -> None:
        """Further names that an MX record may have for this server, in place of those before."""
        self._ours = frozenset({self._hostname, *map(ascii_domain, names)})

    def use(self, port: int, ipv6: bool) -> None:
        """Where to connect, and whether by IPv6, from now on."""
        self._port, self._ipv6 = port, ipv6

    async def find(self, next_hop: str) -> Sequence[Exchanger]:
        """See :class:`~mta.interfaces.IExchangers`."""
        return await self._find(next_hop, [])

    async def trace(self, next_hop: str) -> tuple[list[str], Sequence[Exchanger] | Exception]:
        """What :meth:`find` does, in sentences, and its end.

        :return: the sentences, and hosts, or the exception that :meth:`find` raises.
        """
        steps: list[str] = []
        try:
            found = await self._find(next_hop, steps)
        except (RouteError, TemporarilyUnavailable) as trouble:
            steps.append(str(trouble))
            return steps, trouble
        steps.extend(f"to try: {_shown(host)}" for host in found)
        return steps, found

    async def _find(self, next_hop: str, steps: list[str]) -> Sequence[Exchanger]:
        try:
            hop = parse_next_hop(next_hop)
        except ValueError as error:
            raise _refused("no-such-domain", next_hop, str(error)) from None
        if hop.is_address:
            if not hop.port and unmapped(hop.host) in self._own_addresses():
                raise _refused("mx-loop", next_hop, f"{hop.host} is an address of this server")
            return (Exchanger(hop.host, (hop.host,), hop.port or self._port),)
        if hop.ask_mx:
            return await self._by_mx(hop.host, steps)
        return await self._named(hop)

    # --- a host by name ------------------------------------------------------

    async def _named(self, hop: NextHop) -> Sequence[Exchanger]:
        host = await self._resolved(_Host(0, hop.host))
        if host.addresses:
            return (Exchanger(host.name, tuple(host.addresses), hop.port or self._port),)
        if host.trouble is not None:
            raise host.trouble
        raise _refused("no-mail-host", hop.host, f"{hop.host} has no address")

    # --- a domain ------------------------------------------------------------

    async def _by_mx(self, domain: str, steps: list[str]) -> Sequence[Exchanger]:
        try:
            records = await self._resolver.mx(domain)
        except NoSuchDomain:
            raise _refused("no-such-domain", domain, f"{domain} does not exist (NXDOMAIN)") from None
        hosts = self._in_order(domain, records, steps)
        # All at once; each settles its own troubles, so waiting in turn loses nothing.
        pending = [Deferred.fromCoroutine(self._resolved(host)) for host in hosts]
        for answer in pending:
            await answer
        usable = self._before_us(domain, hosts, steps)
        found = tuple(
            Exchanger(host.name, tuple(host.addresses), self._port, host.preference)
            for host in usable
            if host.addresses
        )
        if found:
            return found
        for host in usable:
            if host.trouble is not None:
                raise TemporarilyUnavailable(f"no mail server of {domain} can be looked up: {host.trouble}")
        raise _refused("no-mail-host", domain, f"{domain} has no mail server with an address")

    def _in_order(self, domain: str, records: Sequence[tuple[int, str]], steps: list[str]) -> list[_Host]:
        named = [(preference, name) for preference, name in records if name]
        if records and not named:
            raise _refused("null-mx", domain, f"{domain} has a null MX (RFC 7505)")
        if not named:
            steps.append(f"{domain} has no MX record, so its own address counts")
            return [_Host(0, domain)]
        steps.append(
            f"{domain} has MX records: {', '.join(f'{p} {n}' for p, n in sorted(named)[: self.most])}"
        )
        # A host that is listed twice counts where it is best.
        best: dict[str, int] = {}
        for preference, name in sorted(named):
            best.setdefault(name.lower(), preference)
        hosts = [_Host(preference, name) for name, preference in best.items()]
        self._shuffle(hosts)
        hosts.sort(key=lambda host: host.preference)
        ours = [host.preference for host in hosts if host.name in self._ours]
        # Those behind us will not be used, so they need not be looked up either.
        kept = [host for host in hosts if not ours or host.preference <= ours[0]]
        mine = [host for host in kept if host.name in self._ours]
        kept = kept[: self.most]
        return kept if not mine or mine[0] in kept else [*kept[:-1], mine[0]]

    def _before_us(self, domain: str, hosts: list[_Host], steps: list[str]) -> list[_Host]:
        """The hosts of better preference than ours (5.1); all if we are not among them."""
        own = self._own_addresses()
        ours = [
            host
            for host in hosts
            if host.name in self._ours or any(unmapped(address) in own for address in host.addresses)
        ]
        if not ours:
            return hosts
        limit = min(host.preference for host in ours)
        usable = [host for host in hosts if host.preference < limit]
        steps.append(f"{ours[0].name} is this server, so hosts of preference {limit} and worse are left out")
        if not usable:
            raise _refused(
                "mx-loop", domain, f"{ours[0].name}, the best mail server of {domain}, is this server"
            )
        return usable

    async def _resolved(self, host: _Host) -> _Host:
        literal = as_address(host.name)
        try:
            # An address in place of a name is wrong (RFC 1035, 3.3.9), common, and clear.
            addresses = (literal,) if literal else await self._resolver.addresses(host.name)
        except NoSuchDomain:
            return host
        except TemporarilyUnavailable as trouble:
            host.trouble = trouble
            return host
        host.addresses = addresses if self._ipv6 else [a for a in addresses if ":" not in a]
        return host


def _refused(name: str, domain: str, reason: str) -> RouteError:
    return RouteError(REPLIES.reply(name, domain=domain), reason)


def _shown(host: Exchanger) -> str:
    return f"{host.name} [{', '.join(host.addresses)}] port {host.port}"
