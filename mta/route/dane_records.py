"""Which TLSA records count for the hosts of a domain (DANE for SMTP, RFC 7672).

They count only where DNSSEC has validated the way to them: the MX records, the host's
addresses, and they themselves.  Otherwise they are not even asked for, because of the name
servers that do not answer such questions (2.2.2).  Where it has, and nobody answers, the
host must not be used: an attacker could have swallowed the answer (2.1.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.model.tlsa import Tlsa
from mta.route.next_hop import as_address

#: Hosts of a domain that are looked at to find out whether any has records.
_HOSTS = 10


@dataclass(frozen=True, slots=True)
class DomainDane:
    """What DNSSEC says of a domain.

    :ivar secure: whether its MX records are validated, or that there are none.
    :ivar names: the domain's, as far as CNAMEs are validated, its own first.
    :ivar hosts: the MX hosts; the domain itself where it has none.
    :ivar some: whether a host has TLSA records, or cannot be told not to.
    :ivar all: whether every host has some that are usable, or cannot be told not to.
    """

    secure: bool = False
    names: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    some: bool = False
    all: bool = False


@dataclass(frozen=True, slots=True)
class HostDane:
    """What counts for one host.

    :ivar records: all that are there.
    :ivar usable: those that can be compared with a certificate (RFC 7672, 3.1).
    :ivar base: the name at which they stand.
    :ivar names: of the host, one of which a certificate must have.
    :ivar why: why there are none, in words.
    """

    records: tuple[Tlsa, ...] = ()
    usable: tuple[Tlsa, ...] = ()
    base: str = ""
    names: tuple[str, ...] = ()
    why: str = ""


class DaneRecords:
    """See the module.

    :param resolver: says what is validated.
    """

    def __init__(self, resolver: IResolver) -> None:
        self._resolver = resolver

    async def of_domain(self, domain: str, port: int) -> DomainDane:
        """What counts for the way to a domain.

        :raise TemporarilyUnavailable: if its MX records cannot be looked up.
        """
        try:
            answer = await self._resolver.validated(domain, "MX")
        except NoSuchDomain:
            return DomainDane()
        if not answer.secure:
            return DomainDane()
        names = tuple(dict.fromkeys((domain, answer.name)))
        hosts = tuple(name for _, name in sorted(answer.values)) or (domain,)
        some, every = False, len(hosts) <= _HOSTS
        for host in hosts[:_HOSTS]:
            try:
                found = await self.of_host(host, port)
            except TemporarilyUnavailable:
                # Whoever uses this host will be told so.
                some = True
            else:
                some, every = some or bool(found.records), every and bool(found.usable)
        return DomainDane(True, names, hosts, some, every)

    async def of_host(self, host: str, port: int) -> HostDane:
        """The records of a host, to which the way is validated so far.

        :raise TemporarilyUnavailable: if nobody can tell.
        """
        if as_address(host) is not None:
            return HostDane(why="it is an address and no name")
        try:
            names = await self._names(host)
        except NoSuchDomain:
            return HostDane(why=f"{host} is no name of the DNS")
        if not names:
            return HostDane(why=f"the addresses of {host} are not validated by DNSSEC")
        for name in names:
            base = f"_{port}._tcp.{name}"
            found = await self._resolver.validated(base, "TLSA")
            if found.values and found.secure:
                records = tuple(Tlsa(*values) for values in found.values)
                usable = tuple(record for record in records if record.usable)
                return HostDane(records, usable, base, tuple(dict.fromkeys((name, *names))))
        return HostDane(why=f"_{port}._tcp.{names[0]} has no TLSA record that is validated by DNSSEC")

    async def _names(self, host: str) -> tuple[str, ...]:
        """Names at which TLSA records of a host may stand, the best first (RFC 7672, 2.2.2).

        The end of its CNAMEs comes before the host itself.  Where only the first CNAME is
        validated, the host itself is all that counts.
        """
        trouble: TemporarilyUnavailable | None = None
        is_alias = False
        for kind in ("A", "AAAA"):
            try:
                found = await self._resolver.validated(host, kind)
            except TemporarilyUnavailable as error:
                trouble = error
                continue
            if found.values and found.secure:
                return tuple(dict.fromkeys((found.name, host)))
            is_alias = is_alias or found.name != host
            if found.values:
                trouble = None
                break
        if trouble is not None:
            raise trouble
        if is_alias and (await self._resolver.validated(host, "CNAME")).secure:
            return (host,)
        return ()
