"""Whether the domains of tenants publish what mail in their name needs: asked on demand, and again and again.

A domain that a tenant adds is a claim.  When the records that ``[sending_domains] require`` names are
there, the tenant gets the domain, and the keys that were made for it sign.  When they are gone for longer
than ``grace``, it loses the domain.  Those that the operator gave, or configured, are the operator's word.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from pathlib import Path
from time import gmtime, strftime
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from mta.config.loading import Loaded
from mta.dkim.key_store import KeyStore, KeyTrouble, StoredKey, new_selectors
from mta.interfaces import IResolver, NoSuchDomain, TemporarilyUnavailable, settle
from mta.model.event import Event
from mta.model.event_domain import DomainChecked
from mta.publication import Publication
from mta.registry.domains import DomainTaken
from mta.registry.registry import Registry
from mta.registry.tenants import DEFAULT
from mta.registry.verifications import Record, Verification

#: Seconds between two rounds, and domains of a round.
_ROUND, _MOST = 60.0, 20
#: Seconds after which a domain that is not verified is looked at again, at first and after a while.
_SOON, _LATER = 600.0, 3600.0
#: Seconds within which the answer before is as good.
_FRESH = 5.0
#: Characters of a record that are told.
_SHOWN = 120
_NOTHING = "there is no TXT record"
_PREFIX = "mta-domain-verification="


class DomainWatch:
    """See the module.

    :param reactor: time and timers.
    :param loaded: the configuration.
    :param registry: whose domains are whose.
    :param resolver: asks the DNS.
    :param note: puts events into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param keys_changed: is told that other keys sign from now on.
    :param rounds: whether this worker looks again and again, for all.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        loaded: Loaded,
        registry: Registry,
        resolver: IResolver,
        *,
        note: Callable[[Iterable[Event]], None],
        run_in_thread: Callable[..., Awaitable[Any]],
        keys_changed: Callable[[], None],
        rounds: bool,
    ) -> None:
        self._reactor = reactor
        self._loaded = loaded
        self._registry = registry
        self._resolver = resolver
        self._note = note
        self._run = run_in_thread
        self._keys_changed = keys_changed
        self._rounds = rounds
        self._store = KeyStore(Path(loaded.state))
        self._looking = LoopingCall(self._round_soon)
        self._looking.clock = reactor
        self._under_way: Deferred[None] | None = None

    def use(self, loaded: Loaded) -> None:
        """Go by another configuration from now on."""
        self._loaded = loaded

    async def start(self) -> None:
        """Begin."""
        if self._rounds:
            self._looking.start(_ROUND, now=False)

    async def stop(self) -> None:
        """End."""
        if self._looking.running:
            self._looking.stop()
        if self._under_way is not None:
            self._under_way.cancel()

    # --- claims ----------------------------------------------------------------

    async def claim(self, tenant: str, domain: str, tracking: str = "") -> Verification:
        """Have a domain, or begin to prove it: keys are made, and it is told what to publish.

        :raise ValueError: if the tenant has too many, or no key can be made.
        """
        found = await self._registry.verifications.add(tenant, domain, self._reactor.seconds(), tracking)
        await self._run(self._make_keys, tenant, domain)
        if not found.records or tracking:
            records = [*await self._wanted(found), *await self._suggestions(domain)]
            found = replace(found, records=tuple(records))
            await self._registry.verifications.keep(found)
        return found

    def _make_keys(self, tenant: str, domain: str) -> None:
        """In a thread: a key of two kinds, if there is none for the domain."""
        try:
            keys = self._store.stored()
            if not _keys_of(keys, tenant, domain):
                now = self._reactor.seconds()
                day = strftime("%Y%m%d", gmtime(now))
                fresh = new_selectors(domain, keys, day, ("rsa", "ed25519"))
                self._store.add(domain, fresh, _owner(tenant), now)
        except (KeyTrouble, OSError) as trouble:
            raise TemporarilyUnavailable(str(trouble)) from trouble

    async def check(self, verification: Verification) -> Verification:
        """Ask the DNS, keep what it says, and give or take the domain accordingly."""
        now = self._reactor.seconds()
        if now - verification.checked < _FRESH:
            return verification
        records = [await self._seen(verification, record) for record in await self._wanted(verification)]
        records += await self._published(verification.domain)
        found = replace(verification, checked=now, records=tuple(records))
        found = await self._judge(found, now)
        await self._registry.verifications.keep(found)
        return found

    async def is_given(self, tenant: str, domain: str) -> bool:
        """Whether the tenant may send from it."""
        domains = self._registry.domains
        return domains.belongs(await settle(domains.known()), tenant, domain)

    async def _judge(self, found: Verification, now: float) -> Verification:
        settings = self._loaded.settings.sending_domains
        given = await self.is_given(found.tenant, found.domain)
        lacking = found.lacking(settings.require)
        names = [record.name for record in lacking]
        if not lacking:
            await self._run(self._have_sign, found.tenant, found.domain)
            if given:
                return replace(found, failing=0.0)
            try:
                await self._registry.domains.add(found.tenant, found.domain, now)
            except DomainTaken:
                said = "another tenant of this server has proved it, too: ask the operator"
                records = tuple(
                    replace(one, state="wrong", said=said) if one.purpose == "ownership" else one
                    for one in found.records
                )
                return replace(found, records=records)
            self._tell("verified", found, [])
            return replace(found, verified=now, failing=0.0)
        if not given or not found.verified or any(record.state == "unknown" for record in lacking):
            # What the operator gave is the operator's to take.
            return found
        if not found.failing:
            self._tell("failing", found, names)
            return replace(found, failing=now)
        if now - found.failing >= settings.grace:
            await self._registry.domains.remove(found.tenant, found.domain)
            days = (now - found.failing) / 86400
            self._tell("revoked", found, names, f"for {days:.1f} days records were not there")
            return replace(found, verified=0.0, failing=0.0)
        return found

    def _tell(self, action: str, found: Verification, lacking: list[str], reason: str = "") -> None:
        self._note(
            [
                DomainChecked(
                    at=self._reactor.seconds(),
                    action=action,
                    tenant=found.tenant,
                    domain=found.domain,
                    lacking=lacking,
                    reason=reason,
                )
            ]
        )

    def _have_sign(self, tenant: str, domain: str) -> None:
        """In a thread: keys that waited for their records sign from now on."""
        owner = _owner(tenant)
        try:
            states = {
                key.state for key in self._store.stored() if (key.domain, key.tenant) == (domain, owner)
            }
            # Where keys sign already, it is the operator who says when others do.
            if "waiting" in states and "active" not in states:
                self._store.rotate(domain, owner, self._reactor.seconds())
                self._reactor.callFromThread(self._keys_changed)
        except (KeyTrouble, OSError) as trouble:
            raise TemporarilyUnavailable(str(trouble)) from trouble

    # --- records ---------------------------------------------------------------

    async def _wanted(self, claim: Verification) -> list[Record]:
        """What is to be published, of which it can be told here whether it is there."""
        settings, domain = self._loaded.settings, claim.domain
        wanted: list[Record] = []
        if claim.verified or not await self.is_given(claim.tenant, domain):
            wanted.append(Record("ownership", f"_mta.{domain}", "TXT", f"{_PREFIX}{claim.token}"))
        for key in _keys_of(await self._keys(), claim.tenant, domain):
            wanted.append(Record("dkim", key.name, "TXT", key.record))
        path = settings.feedback.verp.get(domain)
        if path:
            wanted.append(Record("return_path", path, "MX", f"10 {settings.hostname}."))
        if claim.tracking and settings.api.url:
            host = urlsplit(settings.api.url).hostname or settings.hostname
            wanted.append(Record("tracking", claim.tracking, "CNAME", f"{host}."))
        return wanted

    async def _keys(self) -> list[StoredKey]:
        try:
            found: list[StoredKey] = await self._run(self._store.stored)
        except KeyTrouble as trouble:
            raise TemporarilyUnavailable(str(trouble)) from trouble
        return found

    async def _seen(self, claim: Verification, record: Record) -> Record:
        """Whether a record is there."""
        try:
            state, said = await self._looked_up(record, await self._keys())
        except NoSuchDomain:
            return replace(record, state="missing", said="there is no such name in the DNS")
        except TemporarilyUnavailable as trouble:
            return replace(record, state="unknown", said=str(trouble))
        return replace(record, state=state, said=said)

    async def _looked_up(self, record: Record, keys: list[StoredKey]) -> tuple[str, str]:
        if record.purpose == "dkim":
            key = next(one for one in keys if one.name == record.name and one.record == record.value)
            there = list(await self._resolver.text(record.name))
            found = key.in_dns(there)
            if found in ("yes", "no"):
                return ("good", "") if found == "yes" else ("missing", _NOTHING)
            # Of several it cannot be told which one was meant.
            shown = f": {_shown(there[0])}" if len(there) == 1 else ""
            return "wrong", f"{found}{shown}"
        if record.purpose == "ownership":
            texts = [
                text.decode("utf-8", "replace").strip() for text in await self._resolver.text(record.name)
            ]
            if record.value in texts:
                return "good", ""
            shown = _shown(texts[0].encode()) if texts else ""
            return ("wrong", f"another record is there: {shown}") if texts else ("missing", _NOTHING)
        if record.purpose == "return_path":
            hosts = [host.rstrip(".").lower() for _, host in await self._resolver.mx(record.name)]
            if self._loaded.settings.hostname.lower() in hosts:
                return "good", ""
            return (
                ("wrong", f"its MX is {', '.join(hosts)}") if hosts else ("missing", "there is no MX record")
            )
        ours = set(await self._resolver.addresses(record.value.rstrip(".")))
        theirs = set(await self._resolver.addresses(record.name))
        if ours & theirs:
            return "good", ""
        return "wrong", f"it leads to {', '.join(sorted(theirs)) or 'nothing'}"

    async def _published(self, domain: str) -> list[Record]:
        """SPF and DMARC, of which there are many right ones."""
        publication = Publication(self._reactor, self._resolver, self._loaded)
        found = []
        for finding in await publication.about(domain):
            purpose = finding["where"].partition(" ")[0]
            name = f"_dmarc.{domain}" if purpose == "dmarc" else domain
            state = {"good": "good", "unknown": "unknown"}.get(finding["state"])
            if state is None:
                state = "missing" if "publishes no" in finding["what"] else "wrong"
            value = "" if state == "good" else await self._suggested(purpose)
            found.append(Record(purpose, name, "TXT", value, state, finding["what"]))
        return found

    async def _suggestions(self, domain: str) -> list[Record]:
        """SPF and DMARC before the DNS was asked, so that all is published at once.

        A name that is not there is remembered as such by the DNS: who asks too early waits for longer.
        """
        names = {"spf": domain, "dmarc": f"_dmarc.{domain}"}
        return [Record(one, name, "TXT", await self._suggested(one)) for one, name in names.items()]

    async def _suggested(self, purpose: str) -> str:
        if purpose == "dmarc":
            return "v=DMARC1; p=none"
        return f"v=spf1 a:{self._loaded.settings.hostname} ~all"

    # --- again and again -------------------------------------------------------

    def _round_soon(self) -> Deferred[None]:
        self._under_way = under_way = Deferred.fromCoroutine(self._round())
        return under_way.addErrback(self._failed)

    def _failed(self, failure: Any) -> None:
        self.log.error("Domains of tenants cannot be looked at: {why}", why=failure.getErrorMessage())

    async def _round(self) -> None:
        now = self._reactor.seconds()
        recheck = self._loaded.settings.sending_domains.recheck
        for claim in await self._registry.verifications.due(now - min(_SOON, recheck), _MOST):
            if await self.is_given(claim.tenant, claim.domain):
                patience = recheck
            else:
                patience = _SOON if now - claim.created < 86400 else _LATER
            if now - claim.checked >= patience:
                await self.check(claim)


def _shown(record: bytes) -> str:
    """A record of somebody else's, not too long for a sentence."""
    text = record.decode("utf-8", "replace")
    return f"{text[:_SHOWN]}..." if len(text) > _SHOWN else text


def _owner(tenant: str) -> str:
    """The tenant as keys have it: those of ``default`` sign for everybody who has none."""
    return "" if tenant == DEFAULT else tenant


def _keys_of(keys: Iterable[StoredKey], tenant: str, domain: str) -> list[StoredKey]:
    """The keys that sign for a tenant, or will."""
    live = [key for key in keys if key.domain == domain and key.state != "retired"]
    return [key for key in live if key.tenant == _owner(tenant)] or [key for key in live if not key.tenant]
