"""The transport to other mail servers: MX hosts of a domain, or a smarthost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from mta.config.settings import Relay
from mta.deliver.connection_pool import ConnectionPool
from mta.deliver.dialler import Dialler, DialSettings
from mta.deliver.relay_tls import RelayTls
from mta.interfaces import (
    Answer,
    Delivery,
    IExchangers,
    IKind,
    IReloadable,
    IService,
    IShaping,
    ISites,
    ITransport,
    PluginContext,
)
from mta.model.limits import NO_LIMITS
from mta.model.outcome import Outcome
from mta.smtp.client_auth import Credentials
from mta.smtp.client_protocol import ClientProtocol, Patience
from mta.smtp.client_transaction import Transaction

#: Next hops remembered before those that nobody uses are forgotten.
_POOLS = 200
#: Recipients in one transaction: what every server must take (RFC 5321, 4.5.3.1.8).
RECIPIENTS = 100


class Pools:
    """A connection pool for each site: a next hop, or all that lead to the same hosts.

    :param reactor: gives the time.
    :param dial: opens a connection to a next hop.
    :param bounds: how many connections may be open for a next hop, and how many messages one takes.
    :param idle: seconds for which an idle connection is kept.
    :param site: names the site of a next hop; by default each is one by itself.
    """

    def __init__(
        self,
        reactor: Any,
        dial: Callable[[str], Awaitable[ClientProtocol]],
        *,
        bounds: Callable[[str], tuple[int, int]],
        idle: float,
        site: Callable[[str], str] = str,
    ) -> None:
        self._reactor = reactor
        self._dial = dial
        self._bounds = bounds
        self._idle = idle
        self._site = site
        self._pools: dict[str, ConnectionPool] = {}
        self._forget_at = _POOLS

    def deliver(self, delivery: Delivery, next_hop: str) -> Deferred[Sequence[Outcome]]:
        """Send a message to a next hop."""
        site = self._site(next_hop)
        pool = self._pools.get(site)
        if pool is None:
            pool = self._make(site, next_hop)
        message, addressees, sender = delivery.message, delivery.addressees, delivery.sender
        if len(addressees) <= RECIPIENTS:
            return pool.deliver(Transaction(message, addressees, sender))
        parts = [
            pool.deliver(Transaction(message, addressees[start : start + RECIPIENTS], sender))
            for start in range(0, len(addressees), RECIPIENTS)
        ]
        return gatherResults(parts).addCallback(lambda found: [outcome for part in found for outcome in part])

    def _make(self, site: str, next_hop: str) -> ConnectionPool:
        if len(self._pools) >= self._forget_at:
            self._pools = {name: pool for name, pool in self._pools.items() if not pool.unused}
            self._forget_at = max(_POOLS, 2 * len(self._pools))
        connections, messages = self._bounds(next_hop)
        pool = self._pools[site] = ConnectionPool(
            reactor=self._reactor,
            dial=lambda: self._dial(next_hop),
            connections=connections,
            messages=messages,
            idle=self._idle,
            name=site,
        )
        return pool

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """For each next hop: connections open, connections idle, messages waiting."""
        return {name: pool.counts for name, pool in self._pools.items()}

    async def stop(self) -> None:
        """Say QUIT everywhere, and wait for it a few seconds at most."""
        await DeferredList([pool.stop() for pool in self._pools.values()])


@implementer(ITransport, IService, IReloadable, ISites)
class RelayTransport:
    """Relays to whoever takes mail for a next hop (see :mod:`mta.deliver.dialler`).

    Credentials go to the smarthost and to nobody else.

    :param settings: the ``[relay]`` table.
    :param reactor: makes connections.
    :param exchangers: finds hosts.
    :param hostname: our name, unless ``settings.helo`` has another.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    :param base: directory to which ``password_file`` and ``authorities`` are relative.
    :param tls: makes TLS, in place of one that trusts ``settings.authorities``.
    :param shaping: what hosts are given at the most, besides ``settings``.
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
    ) -> None:
        self._settings = settings
        self._shaping = shaping
        # Hosts of next hops, as far as they were asked for: connections to the same are shared.
        self._hosts: dict[str, Sequence[str]] = {}
        self._base = base
        self._credentials = self._read_credentials()
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
            tls=None if settings.tls == "never" else tls or self._make_tls(),
            run_in_thread=run_in_thread,
        )
        self._pools = Pools(
            reactor,
            self._dial,
            bounds=self._bounds,
            idle=settings.idle,
            site=lambda next_hop: ", ".join(self._hosts.get(next_hop, ())) or next_hop,
        )

    def deliver(self, delivery: Delivery) -> Deferred[Sequence[Outcome]]:
        """See ``ITransport``.  The next hop is the addressees'; without one, the smarthost."""
        return self._pools.deliver(delivery, delivery.addressees[0].next_hop or self._settings.smarthost)

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
        if len(self._hosts) >= _POOLS:
            self._hosts.clear()
        if hosts:
            self._hosts[next_hop] = sorted(set(hosts))
        return hosts

    def _bounds(self, next_hop: str) -> tuple[int, int]:
        settings = self._settings
        limits = NO_LIMITS
        if self._shaping is not None:
            limits = self._shaping.limits("relay", next_hop, self._hosts.get(next_hop, ()))
        return (
            min(limits.connections or settings.connections, settings.connections),
            limits.messages_per_connection or settings.messages_per_connection,
        )

    def counts(self) -> dict[str, tuple[int, int, int]]:
        """For each next hop: connections open, connections idle, messages waiting."""
        return self._pools.counts()

    def start(self) -> None:
        """See ``IService``."""

    async def stop(self) -> None:
        """See ``IService``: take leave of everybody."""
        await self._pools.stop()

    def reload(self) -> None:
        """See ``IReloadable``: read the password again."""
        self._credentials = self._read_credentials()

    def _dial(self, next_hop: str) -> Awaitable[ClientProtocol]:
        ours = next_hop == self._settings.smarthost
        return self._dialler.dial(next_hop, self._credentials if ours else None, configured=ours)

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
        )


RELAY = RelayKind()
