"""Whether our domains publish what others look for: SPF that lets our addresses send, DKIM keys, DMARC.

For ``mta doctor``.  The keys that sign are looked at where they are: :mod:`mta.examination`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from typing import Any

from mta.asking import asked
from mta.bounded import Overdue
from mta.client_setup.offer import offer_of
from mta.config.loading import Loaded
from mta.dmarc.destinations import destinations
from mta.dmarc.discovery import DnsTrouble, Tree
from mta.dmarc.questions import answer_from
from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.judge.spf.evaluation import Identity, check_host
from mta.judge.spf.questions import answer_from as spf_answer_from

#: Seconds for all questions of one check.
_ASKING = 30.0


class Publication:
    """Asks the DNS about our domains.

    :param reactor: gives timers.
    :param resolver: asks.
    :param loaded: the configuration.
    """

    def __init__(self, reactor: Any, resolver: IResolver, loaded: Loaded) -> None:
        self._reactor = reactor
        self._resolver = resolver
        self._settings = loaded.settings

    async def findings(self, signed: Collection[str], waiting: Collection[str] = ()) -> list[dict[str, str]]:
        """``where``, ``state``, ``what`` and ``remedy`` of each domain.

        :param signed: domains that have keys which sign.
        :param waiting: domains that have keys which wait for their records.
        """
        found: list[dict[str, str]] = []
        # Names without a dot are of this machine alone.
        domains = [name.lower() for name in self._settings.domains if "." in name]
        addresses = await self._addresses() if domains else []
        for domain in domains:
            found += await self._spf(domain, addresses)
            if self._settings.dkim.sign and not any(f".{domain}".endswith(f".{one}") for one in signed):
                first = "publish" if domain in waiting else "new"
                remedy = f"publish what `mta dkim {first} {domain}` prints, then `mta dkim rotate {domain}`"
                found.append(_finding("dkim", domain, "bad", "no key signs its mail", remedy))
            found.append(await self._dmarc(domain))
            found += await self._for_programs(domain)
        return found

    async def about(self, domain: str) -> list[dict[str, str]]:
        """The same of SPF and DMARC of one domain."""
        return [*await self._spf(domain, await self._addresses()), await self._dmarc(domain)]

    async def _addresses(self) -> list[str]:
        """From where mail leaves, as far as that can be known: egress, or the addresses of our name."""
        settings = self._settings
        named = [address for one in settings.egress for address in one.source().addresses]
        if settings.relay.source_address:
            named.append(settings.relay.source_address)
        if named or settings.relay.smarthost:
            return list(dict.fromkeys(named))
        try:
            return [str(address) for address in await self._resolver.addresses(settings.hostname)]
        except (NoSuchDomain, TemporarilyUnavailable):
            return []

    async def _for_programs(self, domain: str) -> list[dict[str, str]]:
        """Whether the names are there that mail programs ask at to set themselves up."""
        offer = offer_of(self._settings, domain)
        if offer is None or not (offer.best("imap") or offer.best("pop3")):
            return []
        found = []
        for name in (f"autoconfig.{domain}", f"autodiscover.{domain}"):
            try:
                there = bool(await self._resolver.addresses(name))
            except NoSuchDomain:
                there = False
            except TemporarilyUnavailable as trouble:
                found.append(_finding("programs", name, "unknown", str(trouble), "try again later"))
                continue
            if there:
                found.append(_finding("programs", name, "good", "mail programs find how to begin"))
            else:
                what = "mail programs do not find how to set themselves up: the name has no address"
                remedy = "publish what `mta dns` prints, or set enabled = false in [client_setup]"
                found.append(_finding("programs", name, "bad", what, remedy))
        return found

    # --- SPF -----------------------------------------------------------------------

    async def _spf(self, domain: str, addresses: Sequence[str]) -> list[dict[str, str]]:
        """Whether each of our addresses may send for the domain (RFC 7208)."""
        # Where it is not known from where mail leaves, it is only asked whether there is a record.
        found = []
        for address in addresses or ("",):
            # TEST-NET-1 is nobody's address.
            finding = await self._checked(domain, address or "192.0.2.1")
            result, reason = finding
            remedy = "`mta dns` prints a record to publish"
            if result == "temperror":
                found.append(_finding("spf", domain, "unknown", reason, "try again later"))
            elif result == "none":
                found.append(_finding("spf", domain, "bad", "it publishes no SPF record", remedy))
                break
            elif result == "permerror":
                what = f"its SPF record cannot be followed: {reason}"
                found.append(_finding("spf", domain, "bad", what, remedy))
                break
            elif not address:
                what = "it publishes SPF; from which addresses mail leaves is not known here"
                found.append(_finding("spf", domain, "good", what))
            elif result == "pass":
                found.append(_finding("spf", domain, "good", f"{address} may send for it: {reason}"))
            else:
                family = "ip6" if ":" in address else "ip4"
                what = f"{address}, from which mail leaves, may not send for it: {result}, {reason}"
                remedy = f"add {family}:{address} to its SPF record, before `all`"
                found.append(_finding("spf", domain, "bad", what, remedy))
        return found

    async def _checked(self, domain: str, address: str) -> tuple[str, str]:
        now = int(self._reactor.seconds())
        hostname = self._settings.hostname
        identity = Identity(address, domain, f"postmaster@{domain}", hostname, hostname, now)
        try:
            finding = await asked(
                self._reactor, check_host(identity), partial(spf_answer_from, self._resolver), _ASKING
            )
        except Overdue as overdue:
            return "temperror", str(overdue)
        return finding.result, finding.reason

    # --- DMARC -----------------------------------------------------------------------

    async def _dmarc(self, domain: str) -> dict[str, str]:
        """Whether the record that holds for the domain can be followed, and reports go somewhere."""
        answer = partial(answer_from, self._resolver)
        tree = Tree()
        try:
            found = await asked(self._reactor, tree.policy(domain), answer, _ASKING)
            if found is None:
                remedy = "`mta dns` prints a record to begin with: it asks for reports, and for nothing else"
                return _finding("dmarc", domain, "bad", "it publishes no DMARC record", remedy)
            record = found.record
            where = await asked(self._reactor, destinations(found.domain, record, tree), answer, _ASKING)
        except (DnsTrouble, Overdue) as trouble:
            return _finding("dmarc", domain, "unknown", str(trouble), "try again later")
        if record.faults or not record.is_applicable:
            what = f"the DMARC record of {found.domain} says: {'; '.join(record.faults) or 'no p='}"
            return _finding("dmarc", domain, "bad", what, f"mend what it says: {record.text}")
        if where.refused:
            what = f"not all reports arrive: {'; '.join(where.refused)}"
            remedy = f"publish v=DMARC1 at {found.domain}._report._dmarc.HOST, or name another address in rua"
            return _finding("dmarc", domain, "bad", what, remedy)
        policy = record.asks(found.domain != domain, exists=True)
        reports = f"reports go to {', '.join(where.addresses)}" if where.addresses else "nobody gets reports"
        return _finding("dmarc", domain, "good", f"the record of {found.domain} asks for {policy}; {reports}")


def _finding(what: str, domain: str, state: str, words: str, remedy: str = "") -> dict[str, str]:
    return {"where": f"{what} {domain}", "state": state, "what": words, "remedy": remedy}
