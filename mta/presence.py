"""What others find in the DNS about this server and the domains that it serves, for a page.

As ``mta doctor`` tells it, and besides: whether mail comes here (MX), MTA-STS, TLS-RPT, and PTR of the
addresses of our own name.  All questions of a domain are asked at once, and each has an end.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, gatherResults

from mta.bounded import Overdue, bounded
from mta.cli.starter import Plan, records, report_record, sts_policy, sts_records
from mta.config.loading import Loaded
from mta.dashboard.domains import Finding, Findings
from mta.dkim.key_store import KeyStore, KeyTrouble, StoredKey
from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable
from mta.model.mta_sts import policy_id
from mta.model.tls_report_record import NoDestination, destinations
from mta.publication import Publication
from mta.route.mta_sts_fetch import NoPolicy, PolicyFetcher
from mta.route.reverse_names import look_at

#: Seconds for the answer to one question, and for which what was found is good.
_PATIENCE, _FRESH = 8.0, 60.0
#: Domains that are remembered.
_REMEMBERED = 500
_LATER = "try again later"


class Presence:
    """See the module.

    :param reactor: gives time and timers.
    :param loaded: gives the configuration.
    :param resolver: asks the DNS.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        reactor: Any,
        loaded: Callable[[], Loaded],
        resolver: IResolver,
        run_in_thread: Callable[..., Any],
    ) -> None:
        self._reactor = reactor
        self._loaded = loaded
        self._resolver = resolver
        self._run = run_in_thread
        self._fetch = PolicyFetcher(reactor, resolver, timeout=_PATIENCE - 1).fetch
        self._known: dict[str, Findings] = {}

    def domains(self) -> list[str]:
        """Those that are served; names without a dot are of this machine alone."""
        return sorted(name.lower() for name in self._loaded().settings.domains if "." in name)

    def name(self) -> str:
        """Of this server."""
        return self._loaded().settings.hostname

    async def look(self, domains: Sequence[str], again: bool = False) -> list[Findings]:
        """What is found of this server, and of some of its domains.

        :param again: ask even if it is known since a short while.
        """
        keys = await self._keys()
        works = [self._of("", self._host, again)]
        works += [self._of(name, partial(self._domain, name, keys), again) for name in domains]
        found: list[Findings] = await gatherResults([Deferred.fromCoroutine(work) for work in works])
        return found

    async def _of(
        self, name: str, ask: Callable[[], Coroutine[Any, Any, list[Finding]]], again: bool
    ) -> Findings:
        now = self._reactor.seconds()
        known = self._known.get(name)
        if known is None or again or now - known.at >= _FRESH:
            known = Findings(name or self.name(), now, tuple(await ask()))
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[name] = known
        return known

    async def _keys(self) -> list[StoredKey] | str:
        try:
            found: list[StoredKey] = await self._run(KeyStore(Path(self._loaded().state)).stored)
        except (KeyTrouble, OSError) as trouble:
            return str(trouble)
        return found

    # --- the server --------------------------------------------------------------------

    async def _host(self) -> list[Finding]:
        settings = self._loaded().settings
        usual = settings.relay.helo or settings.hostname
        places = {address: one.helo or usual for one in settings.egress for address in one.source().addresses}
        if settings.relay.source_address:
            places.setdefault(settings.relay.source_address, usual)
        address, own = await self._own_addresses()
        if not places and not settings.relay.smarthost:
            places = dict.fromkeys(own, usual)
        reverse = await self._all(self._reverse(one, helo) for one, helo in places.items())
        return [address, *(one for some in reverse for one in some)]

    async def _own_addresses(self) -> tuple[Finding, list[str]]:
        name = self.name()
        remedy = f"publish A and AAAA records of {name}, or set hostname to a name that has them"
        try:
            found = [str(one) for one in await self._within(self._resolver.addresses(name))]
        except NoSuchDomain:
            return Finding("Address", "bad", f"{name} is not in the DNS", remedy), []
        except (TemporarilyUnavailable, Overdue) as trouble:
            return Finding("Address", "unknown", str(trouble), _LATER), []
        if not found:
            return Finding("Address", "bad", f"{name} has no address", remedy), []
        return Finding("Address", "good", f"{name} leads to {', '.join(found)}"), found

    async def _reverse(self, address: str, helo: str) -> list[Finding]:
        found = await self._within(look_at(self._resolver, address, helo))
        return [Finding("PTR", found.state, found.what, found.remedy)]

    # --- a domain ----------------------------------------------------------------------

    async def _domain(self, domain: str, keys: list[StoredKey] | str) -> list[Finding]:
        found = await self._all(
            [
                self._mx(domain),
                self._published(domain),
                self._signed(domain, keys),
                self._sts(domain),
                self._tls_reports(domain),
            ],
            ("MX", "SPF and DMARC", "DKIM", "MTA-STS", "TLS-RPT"),
        )
        return [one for some in found for one in some]

    async def _mx(self, domain: str) -> list[Finding]:
        name = self.name()
        record = f"{domain}. MX 10 {name}."
        hosts = [host.rstrip(".").lower() for _, host in await self._resolver.mx(domain)]
        if name.lower() in hosts:
            return [Finding("MX", "good", f"mail comes to {', '.join(hosts)}")]
        if hosts:
            what = f"mail goes to {', '.join(hosts) if any(hosts) else 'nobody'}, and not to {name}"
            remedy = "add the record, unless what stands there hands the mail on to this server"
            return [Finding("MX", "bad", what, remedy, record)]
        return [Finding("MX", "bad", "it publishes no MX record", "publish the record", record)]

    async def _published(self, domain: str) -> list[Finding]:
        found = await Publication(self._reactor, self._resolver, self._loaded()).about(domain)
        return [self._told(domain, one) for one in found]

    def _told(self, domain: str, one: dict[str, str]) -> Finding:
        topic, remedy, record = one["where"].partition(" ")[0].upper(), one["remedy"], ""
        if "publishes no" in one["what"]:
            settings = self._loaded().settings
            made = records(Plan(settings.hostname, (domain,), ""), reports=settings.dmarc_report.addresses)
            sign = '"v=spf1' if topic == "SPF" else '"v=DMARC1'
            best = next(some for some in made if some.value.startswith(sign))
            remedy = f"publish the record ({best.why.partition(': ')[2]})"
            record = f"{best.name} {best.type} {best.value}"
        return Finding(topic, one["state"], one["what"], remedy, record)

    async def _signed(self, domain: str, keys: list[StoredKey] | str) -> list[Finding]:
        if isinstance(keys, str):
            return [Finding("DKIM", "unknown", keys)]
        mine = [key for key in keys if f".{domain}".endswith(f".{key.domain}")]
        live = [key for key in mine if key.state == "active"]
        if not live:
            if not self._loaded().settings.dkim.sign:
                return [Finding("DKIM", "none", "this server does not sign (dkim.sign)")]
            first = "publish" if any(key.state == "waiting" for key in mine) else "new"
            remedy = f"publish what `mta dkim {first} {domain}` prints, then `mta dkim rotate {domain}`"
            return [Finding("DKIM", "bad", "no key signs its mail", remedy)]
        return [await self._key(key) for key in live]

    async def _key(self, key: StoredKey) -> Finding:
        try:
            said = key.in_dns(list(await self._resolver.text(key.name)))
        except NoSuchDomain:
            said = "no"
        if said == "yes":
            return Finding("DKIM", "good", f"{key.name} is in the DNS")
        what = (
            f"{key.name}, which signs, is not in the DNS"
            if said == "no"
            else f"{key.name}, which signs: {said}"
        )
        record = f"{key.name}. TXT {key.record}"
        return Finding("DKIM", "bad", what, "publish the record, or sign with other keys", record)

    async def _sts(self, domain: str) -> list[Finding]:
        name = self.name()
        id = policy_id(await self._text(f"_mta-sts.{domain}"))
        if not id:
            first = sts_records(domain, sts_policy([name], "testing", 7 * 86400))[0]
            what = "it has no policy: others need not insist on TLS with a certificate that is right"
            remedy = f"serve the policy that `mta dns {domain}` prints, then publish the record"
            return [Finding("MTA-STS", "none", what, remedy, f"{first.name} {first.type} {first.value}")]
        try:
            policy = await self._fetch(domain)
        except NoPolicy as trouble:
            remedy = f"serve the policy that `mta dns {domain}` prints, or take the record away"
            return [Finding("MTA-STS", "bad", f"there is a record, but no policy: {trouble}", remedy)]
        if policy.mode != "none" and not policy.admits(name):
            remedy = f"add `mx: {name}` to the policy, and give the record another id"
            return [Finding("MTA-STS", "bad", f"the policy ({policy.mode}) does not name {name}", remedy)]
        return [Finding("MTA-STS", "good", f"its policy is there, in the mode {policy.mode}")]

    async def _tls_reports(self, domain: str) -> list[Finding]:
        addresses = self._loaded().settings.tls_report.addresses
        made = report_record(domain, addresses) if addresses else None
        record = f"{made.name} {made.type} {made.value}" if made else ""
        remedy = "publish the record" if made else "set addresses in [tls_report], then `mta dns` prints it"
        texts = await self._text(f"_smtp._tls.{domain}")
        try:
            where = destinations(texts)
        except NoDestination as trouble:
            state = "bad" if any(text.startswith(b"v=TLSRPTv1") for text in texts) else "none"
            return [Finding("TLS-RPT", state, str(trouble), remedy, record)]
        return [Finding("TLS-RPT", "good", f"reports go to {', '.join(one.uri for one in where)}")]

    # --- asking ------------------------------------------------------------------------

    async def _text(self, name: str) -> list[bytes]:
        try:
            return list(await self._resolver.text(name))
        except NoSuchDomain:
            return []

    async def _within(self, work: Any) -> Any:
        async def waiting() -> Any:
            return await work

        return await bounded(self._reactor, waiting(), _PATIENCE)

    async def _all(
        self, works: Iterable[Coroutine[Any, Any, list[Finding]]], topics: Sequence[str] = ()
    ) -> list[list[Finding]]:
        """All at once; what has no answer is told as not known."""

        async def one(number: int, work: Coroutine[Any, Any, list[Finding]]) -> list[Finding]:
            topic = topics[number] if topics else "PTR"
            try:
                return await bounded(self._reactor, work, _PATIENCE)
            except NoSuchDomain:
                return [Finding(topic, "bad", "there is no such name in the DNS", "is it registered?")]
            except (TemporarilyUnavailable, Overdue) as trouble:
                return [Finding(topic, "unknown", f"the DNS does not answer: {trouble}", _LATER)]

        made = [Deferred.fromCoroutine(one(number, work)) for number, work in enumerate(works)]
        found: list[list[Finding]] = await gatherResults(made)
        return found
