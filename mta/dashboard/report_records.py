"""Whether the records are published that make others send reports, by the DNS."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, TimeoutError
from twisted.logger import Logger

from mta.dmarc.record import mail_address, policy_record
from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.model.tls_report_record import PREFIX, NoDestination, destinations

#: Seconds for all answers.
_PATIENCE = 5.0
#: Domains, and addresses, that are looked at for one page.
MOST = 25


@dataclass(frozen=True, slots=True)
class Published:
    """One record of one domain.

    :ivar tone: of the badge.
    :ivar state: in a word or two.
    :ivar said: more about it.
    :ivar name: where it stands.
    :ivar value: what to publish.
    """

    domain: str
    kind: str
    tone: str
    state: str
    said: str
    name: str
    value: str


class RecordLook:
    """See the module.

    :param resolver: asks the DNS.
    :param addresses: gives those at which reports are read: of DMARC, and of TLS.
    :param reactor: timers.
    """

    log = Logger()

    def __init__(
        self, resolver: IResolver, addresses: Callable[[], tuple[list[str], list[str]]], reactor: Any
    ) -> None:
        self._resolver = resolver
        self._addresses = addresses
        self._reactor = reactor

    @property
    def addresses(self) -> tuple[list[str], list[str]]:
        """At which reports are read: of DMARC, and of TLS."""
        return self._addresses()

    async def of(self, domains: Sequence[str]) -> list[Published]:
        """What they publish, at most :data:`MOST` of them."""
        chosen = domains[:MOST]
        found = await self._all([call(name) for name in chosen for call in (self._dmarc, self._tls)])
        wanted = [(name, kind) for name in chosen for kind in ("DMARC", "TLS")]
        return [
            one or self._shown(name, kind, "", "not known", "the DNS did not answer in time")
            for one, (name, kind) in zip(found, wanted, strict=True)
        ]

    async def names(self, addresses: Sequence[str]) -> dict[str, str]:
        """Names of IP addresses, of those that have one."""
        chosen = addresses[:MOST]
        found = await self._all([self._name(one) for one in chosen])
        return {address: name for address, name in zip(chosen, found, strict=True) if name}

    async def _all(self, questions: Sequence[Awaitable[Any]]) -> list[Any]:
        """The answers; ``None`` for those that did not come in time."""
        asked = [Deferred.fromCoroutine(_answer(one)) for one in questions]
        for one in asked:
            one.addTimeout(_PATIENCE, self._reactor)
        answers = await DeferredList(asked, consumeErrors=True)
        for done, value in answers:
            if not done and not value.check(TimeoutError):
                self.log.failure("The DNS could not be asked about reports", value)
        return [value if done else None for done, value in answers]

    async def _name(self, address: str) -> str:
        try:
            found: Sequence[str] = await self._resolver.reverse(address)
        except (NoSuchDomain, TemporarilyUnavailable, ValueError):
            return ""
        return str(found[0]) if found else ""

    async def _text(self, name: str) -> Sequence[bytes]:
        try:
            found: Sequence[bytes] = await self._resolver.text(name)
        except NoSuchDomain:
            return ()
        return found

    async def _dmarc(self, domain: str) -> Published:
        """RFC 9989, 4.10: a domain without a record goes by that of one above it."""
        labels = domain.split(".")
        try:
            for start in range(max(1, len(labels) - 1)):
                name = ".".join(labels[start:])
                record = policy_record(await self._text(f"_dmarc.{name}"))
                if record is not None:
                    break
            else:
                return self._shown(domain, "DMARC", "bad", "missing", "nobody is asked to report")
            ours = {address.lower() for address in self.addresses[0]}
            given = [address for uri in record.aggregate if (address := mail_address(uri))]
            hits = [address for address in given if address.lower() in ours]
            if not given:
                return self._shown(domain, "DMARC", "bad", "no rua", f"the record of {name} names nobody")
            if not hits:
                where = f"reports go to {', '.join(given[:3])}, which is not read here"
                return self._shown(domain, "DMARC", "warn", "elsewhere", where)
            host = hits[0].rpartition("@")[2].lower()
            if not _related(name, host):
                place = f"{name}._report._dmarc.{host}"
                if not any(one.lstrip().startswith(b"v=DMARC1") for one in await self._text(place)):
                    said = f'others send there only if {place} has the TXT record "v=DMARC1" (RFC 9990, 3)'
                    return self._shown(domain, "DMARC", "bad", "not agreed", said)
        except TemporarilyUnavailable as trouble:
            return self._shown(domain, "DMARC", "", "not known", str(trouble))
        return self._shown(domain, "DMARC", "good", "set", f"p={record.policy or 'none'}, to {hits[0]}")

    async def _tls(self, domain: str) -> Published:
        try:
            found = destinations(await self._text(PREFIX + domain))
        except NoDestination as why:
            return self._shown(domain, "TLS", "bad", "missing", str(why))
        except TemporarilyUnavailable as trouble:
            return self._shown(domain, "TLS", "", "not known", str(trouble))
        ours = {address.lower() for address in self.addresses[1]}
        hits = [one.target for one in found if one.scheme == "mailto" and one.target.lower() in ours]
        if hits:
            return self._shown(domain, "TLS", "good", "set", f"to {hits[0]}")
        where = ", ".join(one.uri for one in found[:3])
        return self._shown(
            domain, "TLS", "warn", "elsewhere", f"reports go to {where}, which is not read here"
        )

    def _shown(self, domain: str, kind: str, tone: str, state: str, said: str) -> Published:
        dmarc, tls = self.addresses
        if kind == "DMARC":
            to = dmarc[0] if dmarc else f"dmarc@{domain}"
            name, value = f"_dmarc.{domain}", f"v=DMARC1; p=none; rua=mailto:{to}"
        else:
            to = tls[0] if tls else f"tls-reports@{domain}"
            name, value = PREFIX + domain, f"v=TLSRPTv1; rua=mailto:{to}"
        return Published(domain, kind, tone, state, said, name, value)


async def _answer(question: Awaitable[Any]) -> Any:
    return await question


def _related(domain: str, host: str) -> bool:
    """Whether one is the other or stands below it, so that no agreement is asked for."""
    return f".{host}".endswith(f".{domain}") or f".{domain}".endswith(f".{host}")
