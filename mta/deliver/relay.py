"""The transport to other mail servers: MX hosts of a domain, or a smarthost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, DeferredList, gatherResults, succeed
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Relay
from mta.deliver.connection_pool import ConnectionPool
from mta.deliver.dialler import Dialler, DialSettings
from mta.deliver.passwords import credentials_for, read_passwords
from mta.deliver.relay_tls import RelayTls
from mta.deliver.share import Share
from mta.interfaces import (
    Answer,
    Delivery,
    IExchangers,
    IKind,
    IReloadable,
    IService,
    IShaping,
    ISites,
    ITlsDemands,
    ITransport,
    PluginContext,
    TemporarilyUnavailable,
    settle,
)
from mta.model.egress import Source
from mta.model.event import Event, TlsSession
from mta.model.limits import NO_LIMITS, Limits
from mta.model.message import Addressee
from mta.model.outcome import Outcome, Postponed
from mta.model.tls_demand import FOR_REPORTS, TlsDemand
from mta.model.tls_result import TlsResult
from mta.smtp.client_auth import Credentials
from mta.smtp.client_protocol import ClientProtocol, Patience
from mta.smtp.client_transaction import Transaction, own_reply

#: Next hops remembered before those that nobody uses are forgotten.
_POOLS = 200
#: Next hops of which the hosts are remembered.
_HOSTS = 10000
#: Recipients in one transaction: what every server must take (RFC 5321, 4.5.3.1.8).
RECIPIENTS = 100


class Pools:
    """A connection pool for each site: a next hop, or all that lead to the same hosts.

    :param reactor: gives the time.
    :param dial: opens a connection to a next hop.
    :param bounds: how many connections may be open for a next hop, and how many messages one takes.
    :param idle: seconds for which an idle connection is kept.
    :param site: names the site of a next hop; by default each is one by itself.
    :param share: the connections that others use, too, by site and next hop; by default there are none.
    """

    def __init__(
        self,
        reactor: Any,
        dial: Callable[[str], Awaitable[ClientProtocol]],
        *,
        bounds: Callable[[str], tuple[int, int]],
        idle: float,
        site: Callable[[str], str] = str,
        share: Callable[[str, str], Share | None] = lambda site, next_hop: None,
    ) -> None:
        self._share = share
        self._reactor = reactor
        self._dial = dial
        self._bounds = bounds
        self._idle = idle
        self._site = site
        self._pools: dict[str, ConnectionPool] = {}
        self._forget_at = _POOLS

    def deliver(self, delivery: Delivery, next_hop: str) -> Deferred[Sequence[Outcome]]:
        """Send a message to a next hop."""
        pool = self._pool(next_hop)
        message, addressees, sender = delivery.message, delivery.addressees, delivery.sender
        if len(addressees) <= RECIPIENTS:
            return pool.deliver(Transaction(message, addressees, sender))
        parts = [
            pool.deliver(Transaction(message, addressees[start : start + RECIPIENTS], sender))
            for start in range(0, len(addressees), RECIPIENTS)
        ]
        return gatherResults(parts).addCallback(lambda found: [outcome for part in found for outcome in part])

    def probe(self, transaction: Transaction, next_hop: str) -> Deferred[Sequence[Outcome]]:
        """Have a transaction that sends no message."""
        return self._pool(next_hop).deliver(transaction)

    def _pool(self, next_hop: str) -> ConnectionPool:
        site = self._site(next_hop)
        return self._pools.get(site) or self._make(site, next_hop)

    def _make(self, site: str, next_hop: str) -> ConnectionPool:
        if len(self._pools) >= self._forget_at:
            for name, pool in list(self._pools.items()):
                if pool.unused:
                    pool.forget()
                    del self._pools[name]
            self._forget_at = max(_POOLS, 2 * len(self._pools))
        connections, messages = self._bounds(next_hop)
        pool = self._pools[site] = ConnectionPool(
            reactor=self._reactor,
            dial=lambda: self._dial(next_hop),
            connections=connections,
            messages=messages,
            idle=self._idle,
            name=site,
            share=self._share(site, next_hop),
        )
        return pool

    def forget(self) -> None:
        """It is used no more."""
        for pool in self._pools.values():
            pool.forget()

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """For each next hop: connections open, connections idle, messages waiting."""
        return {name: pool.counts for name, pool in self._pools.items()}

    @property
    def unused(self) -> bool:
        """Whether it holds nothing that would be missed."""
        return all(pool.unused for pool in self._pools.values())

    async def stop(self) -> None:
        """Say QUIT everywhere, and wait for it a few seconds at most."""
        await DeferredList([pool.stop() for pool in self._pools.values()])


class _Door(NamedTuple):
    """What connections must have in common to carry the same messages.

    :ivar configured: whether the next hop is one of the configuration.
    :ivar credentials: as whom we log in there.
    :ivar demand: which TLS is demanded.
    :ivar source: where they come from.
    """

    configured: bool
    credentials: Credentials | None
    demand: TlsDemand | None
    source: Source | None


def _in_order(found: list[Sequence[Outcome]], order: list[int]) -> Sequence[Outcome]:
    """The outcomes of several parts, each at the place of its addressee."""
    outcomes = [outcome for part in found for outcome in part]
    return [outcome for _, outcome in sorted(zip(order, outcomes, strict=True), key=lambda pair: pair[0])]


def _unknown(delivery: Delivery, next_hop: str, trouble: object) -> list[Outcome]:
    """Nobody can say what is demanded of a next hop."""
    reply = own_reply("dns-unavailable", "DNS", domain=next_hop, problem=trouble)
    return [Postponed(reply) for _ in delivery.addressees]


@implementer(ITransport, IService, IReloadable, ISites)
class RelayTransport:
    """Relays to whoever takes mail for a next hop (see :mod:`mta.deliver.dialler`).

    Of an addressee's options it knows three.  ``configured``: the next hop stands in our
    configuration, so that no trouble with it returns a message.  ``login``: the sender whose
    own name and password is to be used there (see :mod:`mta.deliver.passwords`).
    ``tls_optional``: it is a TLS report, which goes to others whatever TLS they have.

    Credentials go to next hops of the configuration and to nobody else.

    :param settings: the ``[relay]`` table.
    :param reactor: makes connections; an attribute, too.
    :param exchangers: finds hosts.
    :param hostname: our name, unless ``settings.helo`` has another.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    :param base: directory to which ``password_file`` and ``authorities`` are relative.
    :param tls: makes TLS, in place of one that trusts ``settings.authorities``.
    :param shaping: what hosts are given at the most, besides ``settings``.
    :param tls_demands: which TLS is demanded of a next hop, in place of ``settings.tls``.
    :param note: writes what is to be remembered of TLS to the journal.
    :raise ValueError: if the password or the authorities cannot be read.
    """

    log = Logger()

    def __init__(
        self,
        settings: Relay,
        reactor: Any,
        exchangers: IExchangers,
        hostname: str,
        run_in_thread: Callable[..., Awaitable[Any]],
        base: str = ".",
        tls: RelayTls | None = None,
        shaping: IShaping | None = None,
        tls_demands: ITlsDemands | None = None,
        note: Callable[[Iterable[Event]], None] | None = None,
        name: str = "relay",
    ) -> None:
        self._name = name
        self._demands = tls_demands
        self._note = note
        self._settings = settings
        self._shaping = shaping
        # Hosts of next hops, as far as they were asked for: connections to the same are shared.
        self._hosts: dict[str, Sequence[str]] = {}
        self._base = base
        self._credentials = self._read_credentials()
        self._passwords = self._read_passwords()
        self._dialler = Dialler(
            reactor=reactor,
            exchangers=exchangers,
            settings=DialSettings(
                helo=settings.helo or hostname,
                tls=settings.tls,
                port=settings.port,
                source_address=settings.source_address,
                ipv6=settings.ipv6,
                connect_timeout=settings.connect_timeout,
                patience=Patience(settings.command_timeout, settings.data_timeout),
            ),
            tls=None if settings.tls == "never" and tls_demands is None else tls or self._make_tls(),
            run_in_thread=run_in_thread,
            tls_demands=tls_demands,
            tell=self._tell if note is not None else None,
        )
        self.reactor = reactor
        # One who logs in has connections of his own; and a connection that was good enough for
        # one demand is never used for another.
        self._pools: dict[_Door, Pools] = {}
        self._forget_at = _POOLS
        self._shares: dict[tuple[str, str], Share] = {}
        self._forget_shares_at = _POOLS

    def deliver(self, delivery: Delivery) -> Deferred[Sequence[Outcome]]:
        """See ``ITransport``.  The next hop is the addressees'; without one, the smarthost."""
        next_hop = delivery.addressees[0].next_hop or self._settings.smarthost
        if all(self._takes_any_tls(addressee, next_hop) for addressee in delivery.addressees):
            return self._deliver(delivery, next_hop, FOR_REPORTS)
        shaping = self._shaping
        shaped = None
        if shaping is not None and shaping.demands_tls and not self._is_configured(next_hop):
            smarthost = next_hop == self._settings.smarthost
            hosts = () if smarthost else self._hosts.get(next_hop)
            if hosts is None:
                return Deferred.fromCoroutine(self._deliver_knowing(delivery, next_hop))
            shaped = self._shaped_demand(delivery, next_hop, hosts)
        return self._deliver_as(delivery, next_hop, shaped)

    def _takes_any_tls(self, addressee: Addressee, next_hop: str) -> bool:
        """Whether it goes out whatever TLS there is: to others, and not to where we log in."""
        options = addressee.options
        ours = next_hop == self._settings.smarthost or options.get("configured")
        return bool(options.get("tls_optional")) and not ours

    def _is_configured(self, next_hop: str) -> bool:
        """Whether ``[[tls_policy]]`` says which TLS is demanded."""
        return self._demands is not None and self._demands.configured(next_hop) is not None

    async def _deliver_knowing(self, delivery: Delivery, next_hop: str) -> Sequence[Outcome]:
        """Find out which site it is first, because the TLS that is demanded may depend on that."""
        found = self.site(next_hop)
        hosts = await found if isinstance(found, Awaitable) else found
        return await self._deliver_as(delivery, next_hop, self._shaped_demand(delivery, next_hop, hosts))

    def _shaped_demand(self, delivery: Delivery, next_hop: str, hosts: Sequence[str]) -> TlsDemand | None:
        assert self._shaping is not None
        tenant = str(delivery.message.attributes.get("tenant", ""))
        return self._shaping.tls(self._name, next_hop, hosts, tenant, delivery.source)

    def _deliver_as(
        self, delivery: Delivery, next_hop: str, shaped: TlsDemand | None
    ) -> Deferred[Sequence[Outcome]]:
        """Find out which TLS is demanded; most often that is known."""
        if self._demands is None:
            return self._deliver(delivery, next_hop, shaped)
        try:
            demand = self._demands.demand(next_hop, shaped)
        except TemporarilyUnavailable as trouble:
            return succeed(_unknown(delivery, next_hop, trouble))
        if isinstance(demand, Awaitable):
            return Deferred.fromCoroutine(self._deliver_later(delivery, next_hop, demand))
        return self._deliver(delivery, next_hop, demand)

    async def _deliver_later(
        self, delivery: Delivery, next_hop: str, answer: Awaitable[TlsDemand | None]
    ) -> Sequence[Outcome]:
        try:
            demand = await answer
        except TemporarilyUnavailable as trouble:
            return _unknown(delivery, next_hop, trouble)
        return await self._deliver(delivery, next_hop, demand)

    def _deliver(
        self, delivery: Delivery, next_hop: str, demand: TlsDemand | None
    ) -> Deferred[Sequence[Outcome]]:
        addressees = delivery.addressees
        addressees, source = delivery.addressees, delivery.source
        doors = [self._door(addressee, next_hop, demand, source) for addressee in addressees]
        if len(set(doors)) == 1:
            return self._through(doors[0]).deliver(delivery, next_hop)
        groups: dict[_Door, list[int]] = {}
        for index, door in enumerate(doors):
            groups.setdefault(door, []).append(index)
        parts = [
            self._through(door).deliver(
                replace(delivery, addressees=[addressees[i] for i in group]), next_hop
            )
            for door, group in groups.items()
        ]
        order = [index for group in groups.values() for index in group]
        return gatherResults(parts).addCallback(_in_order, order)

    def probe(self, transaction: Transaction, next_hop: str) -> Deferred[Sequence[Outcome]]:
        """Ask a next hop of the configuration whether it takes recipients."""
        return Deferred.fromCoroutine(self._probe(transaction, next_hop))

    async def _probe(self, transaction: Transaction, next_hop: str) -> Sequence[Outcome]:
        try:
            demand = await settle(self._demands.demand(next_hop)) if self._demands is not None else None
        except TemporarilyUnavailable as trouble:
            reply = own_reply("dns-unavailable", "DNS", domain=next_hop, problem=trouble)
            return [Postponed(reply) for _ in transaction.addressees]
        door = self._door_of(next_hop, True, "", demand, None)
        return await self._through(door).probe(transaction, next_hop)

    def _tell(self, result: TlsResult, tls: str) -> None:
        if self._note is not None:
            self._note([TlsSession.of(result, self.reactor.seconds(), tls)])

    def concurrency(self, next_hop: str) -> int:
        """Two for each connection: one on it, and one whose envelope goes behind its data."""
        return self._settings.connections * 2

    def site(self, next_hop: str) -> Answer[Sequence[str]]:
        """See ``ISites``: the hosts of a domain; the smarthost is a site by itself."""
        if not next_hop or next_hop == self._settings.smarthost:
            return ()
        found = self._dialler.site(next_hop)
        if isinstance(found, Awaitable):
            return Deferred.fromCoroutine(self._asked(next_hop, found))
        return self._remember(next_hop, found)

    async def _asked(self, next_hop: str, answer: Awaitable[Sequence[str]]) -> Sequence[str]:
        return self._remember(next_hop, await answer)

    def _remember(self, next_hop: str, hosts: Sequence[str]) -> Sequence[str]:
        self._hosts.pop(next_hop, None)
        while len(self._hosts) >= _HOSTS:
            del self._hosts[next(iter(self._hosts))]
        self._hosts[next_hop] = sorted(set(hosts))
        return hosts

    def _limits(self, next_hop: str, source: Source | None) -> Limits:
        if self._shaping is None:
            return NO_LIMITS
        found: Limits = self._shaping.limits(self._name, next_hop, self._hosts.get(next_hop, ()), source)
        return found

    def _bounds(self, next_hop: str, source: Source | None) -> tuple[int, int]:
        settings = self._settings
        limits = self._limits(next_hop, source)
        return (
            min(limits.connections or settings.connections, settings.connections),
            limits.messages_per_connection or settings.messages_per_connection,
        )

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """For each next hop: connections open, connections idle, messages waiting."""
        found: dict[str, tuple[int, int, int]] = {}
        for pools in self._pools.values():
            for name, (opened, idle, waiting) in pools.counts().items():
                before = found.get(name, (0, 0, 0))
                found[name] = (before[0] + opened, before[1] + idle, before[2] + waiting)
        return found

    def start(self) -> None:
        """See ``IService``."""

    async def stop(self) -> None:
        """See ``IService``: take leave of everybody."""
        await DeferredList([Deferred.fromCoroutine(pools.stop()) for pools in self._pools.values()])

    def reload(self) -> None:
        """See ``IReloadable``: read the passwords again."""
        credentials, passwords = self._read_credentials(), self._read_passwords()
        self._credentials, self._passwords = credentials, passwords

    def _through(self, door: _Door) -> Pools:
        pools = self._pools.get(door)
        if pools is None:
            if len(self._pools) >= self._forget_at:
                for known, others in list(self._pools.items()):
                    if others.unused:
                        others.forget()
                        del self._pools[known]
                self._forget_at = max(_POOLS, 2 * len(self._pools))
            pools = self._pools[door] = Pools(
                self.reactor,
                lambda next_hop: self._dial(next_hop, door),
                bounds=lambda next_hop: self._bounds(next_hop, door.source),
                idle=self._settings.idle,
                site=lambda next_hop: ", ".join(self._hosts.get(next_hop, ())) or next_hop,
                share=lambda site, next_hop: self._share(site, next_hop, door.source),
            )
        return pools

    def _share(self, site: str, next_hop: str, source: Source | None) -> Share:
        """The connections of a site, or of a source there, over all doors."""
        if len(self._shares) >= self._forget_shares_at:
            self._shares = {key: share for key, share in self._shares.items() if not share.is_empty}
            self._forget_shares_at = max(_POOLS, 2 * len(self._shares))
        key = site, source.name if source is not None else ""
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = Share(lambda: self._bounds(next_hop, source)[0])
        return share

    def _door(
        self, addressee: Addressee, next_hop: str, demand: TlsDemand | None, source: Source | None
    ) -> _Door:
        options = addressee.options
        if not options and next_hop != self._settings.smarthost:
            return _Door(False, None, demand, source)
        login = str(options.get("login", ""))
        return self._door_of(next_hop, bool(options.get("configured")), login, demand, source)

    def _door_of(
        self, next_hop: str, configured: bool, login: str, demand: TlsDemand | None, source: Source | None
    ) -> _Door:
        ours = next_hop == self._settings.smarthost
        if not (ours or configured):
            return _Door(False, None, demand, source)
        credentials = credentials_for(self._passwords, next_hop, login) if self._passwords else None
        if ours and credentials is None:
            credentials = self._credentials
        return _Door(True, credentials, demand, source)

    def _dial(self, next_hop: str, door: _Door) -> Awaitable[ClientProtocol]:
        return self._dialler.dial(
            next_hop,
            door.credentials,
            configured=door.configured,
            demand=door.demand,
            source=door.source,
            timeouts=self._limits(next_hop, door.source).timeouts,
        )

    def _read_passwords(self) -> Mapping[str, Credentials]:
        file = self._settings.passwords
        return read_passwords(Path(self._base) / file, "relay.passwords") if file else {}

    def _make_tls(self) -> RelayTls:
        file = self._settings.authorities
        try:
            return RelayTls(Path(self._base) / file if file else "")
        except ValueError as trouble:
            raise ValueError(f"relay.authorities: {trouble}") from None

    def _read_credentials(self) -> Credentials | None:
        settings = self._settings
        if not settings.username:
            if settings.password_file:
                raise ValueError("relay.password_file: it is set, but relay.username is not")
            return None
        if not settings.password_file:
            raise ValueError("relay.username: it is set, but relay.password_file is not")
        if not settings.smarthost:
            raise ValueError("relay.username: it is set, but there is no relay.smarthost to log in to")
        path = Path(self._base) / settings.password_file
        try:
            if path.stat().st_mode & 0o007:
                self.log.warn("{path} can be read by everybody; make it mode 0600", path=str(path))
            password = path.read_text("utf-8").rstrip("\r\n")
        except OSError as trouble:
            raise ValueError(f"relay.password_file: {path}: {trouble.strerror}") from None
        except UnicodeDecodeError:
            raise ValueError(f"relay.password_file: {path} is not UTF-8") from None
        if not password:
            raise ValueError(f"relay.password_file: {path} is empty")
        if "\0" in password or "\n" in password or "\r" in password:
            raise ValueError(f"relay.password_file: {path} has more than one line")
        return Credentials(settings.username, password)


def _noting(journal: Any) -> Callable[[Iterable[Event]], None] | None:
    # A server gives the journal its place to write to later than it makes transports.
    return None if journal is None else lambda events: journal.note(events)


@implementer(IPlugin, IKind)
class RelayKind:
    """Makes :class:`RelayTransport`."""

    seam = ITransport
    kind = "relay"
    settings = Relay

    def build(self, settings: Relay, context: PluginContext) -> RelayTransport:
        """See :class:`~mta.interfaces.IKind`."""
        return RelayTransport(
            settings,
            context.reactor,
            context.exchangers,
            context.hostname,
            context.run_in_thread,
            context.base,
            shaping=context.shaping,
            tls_demands=context.tls_demands,
            note=_noting(context.journal),
            name=context.name or "relay",
        )


RELAY = RelayKind()
