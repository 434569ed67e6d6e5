"""Opens a connection to a next hop: host by host, address by address (RFC 5321, 5.1).

A host that does not answer, or turns us away in its greeting or at EHLO, is
followed by the next.  An address that could not be reached a moment ago is
tried after the others, and IPv6 after IPv4 where this machine has none that
works (:mod:`~mta.deliver.families`).  With ``relay.tls = "opportunistic"`` a host whose
handshake fails gets a second connection in clear text.  A demand for the next hop
(:class:`~mta.model.tls_demand.TlsDemand`) takes the place of ``relay.tls``; a host that does
not meet it is followed by the next, and if none does, nobody gets the message.  Each attempt
that came as far as to show what TLS a host has is told (:mod:`mta.deliver.tls_outcome`).

If nobody takes us, the most telling answer counts: what a server said before
what we found out ourselves.  It is permanent only if every host that there is
said so with a 5xx (a 554 greeting means no mail here, RFC 5321, 3.1, but one
host of several may be the one that is being taken out of service).
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectBindError
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from mta.deliver.connection_pool import Unreachable
from mta.deliver.families import Families
from mta.deliver.relay_tls import RelayTls
from mta.deliver.tls_outcome import of_session, refused_unseen
from mta.interfaces import (
    Answer,
    Exchanger,
    IExchangers,
    ITlsDemands,
    RouteError,
    TemporarilyUnavailable,
    settle,
)
from mta.model.egress import Source
from mta.model.limits import Timeouts
from mta.model.outcome import RemoteReply
from mta.model.tls_demand import HostTls, TlsDemand, TlsLevel
from mta.model.tls_result import TlsResult
from mta.smtp.client_auth import Credentials
from mta.smtp.client_event import Trouble
from mta.smtp.client_opening import TlsPolicy
from mta.smtp.client_protocol import ClientProtocol, Patience, Unready
from mta.smtp.client_session import ClientSession
from mta.smtp.client_transaction import own_reply

#: Addresses tried for one connection; a domain with hundreds would keep messages waiting for hours.
ADDRESSES = 10
#: Seconds for which the hosts of a next hop are remembered.
HOSTS_TIME = 30.0
#: Seconds for which an address that could not be reached is tried last.
SHUN_TIME = 60.0
_REMEMBERED = 2000

_POLICIES: dict[TlsLevel, TlsPolicy] = {
    "may": "opportunistic",
    "encrypt": "require",
    "verify": "verify",
    "dane": "verify",
    "mta-sts": "verify",
}
_TELLING = ("reply", "auth", "tls", "handshake", "protocol", "lost", "connect")


@dataclass(frozen=True, slots=True)
class DialSettings:
    """How to speak to whoever answers.

    :ivar helo: our name.
    :ivar lmtp: whether to speak LMTP.
    :ivar tls: see :class:`~mta.smtp.client_opening.ClientOpening`.
    :ivar port: where a next hop that names no port has one other than 25.
    :ivar source_address: our address; hosts are then reached in its family only.
    :ivar ipv6: whether IPv6 may be used.
    :ivar connect_timeout: seconds.
    :ivar patience: for everything after that.
    """

    helo: str
    lmtp: bool = False
    tls: TlsPolicy = "opportunistic"
    port: int = 25
    source_address: str = ""
    ipv6: bool = True
    connect_timeout: float = 30.0
    patience: Patience = Patience()  # noqa: RUF009 -- immutable


@dataclass(frozen=True, slots=True)
class _Call:
    """What one connection is to be like; see :meth:`Dialler.dial`."""

    credentials: Credentials | None
    source: Source | None
    timeouts: Timeouts | None


class Dialler:
    """See the module.

    :param reactor: makes connections.
    :param exchangers: finds hosts.
    :param tls: makes TLS; ``None`` where ``settings.tls`` is ``never``.
    :param run_in_thread: see :class:`~mta.interfaces.PluginContext`.
    :param tls_demands: knows what a demand comes to at one host.
    :param tell: is told how each attempt ended, with the TLS that was found in words.
    :ivar settings: may be replaced at any time, for connections opened from then on.
    """

    log = Logger()

    def __init__(
        self,
        *,
        reactor: Any,
        exchangers: IExchangers,
        settings: DialSettings,
        tls: RelayTls | None,
        run_in_thread: Callable[..., Awaitable[Any]],
        tls_demands: ITlsDemands | None = None,
        tell: Callable[[TlsResult, str], None] | None = None,
    ) -> None:
        self.settings = settings
        self._demands = tls_demands
        self._tell = tell
        self._reactor = reactor
        self._exchangers = exchangers
        self._tls = tls
        self._run = run_in_thread
        self._hosts: dict[str, tuple[float, Sequence[Exchanger]]] = {}
        self._shunned: dict[tuple[str, int, str], float] = {}
        self._families = Families()

    async def dial(
        self,
        next_hop: str,
        credentials: Credentials | None = None,
        configured: bool = False,
        demand: TlsDemand | None = None,
        source: Source | None = None,
        timeouts: Timeouts | None = None,
    ) -> ClientProtocol:
        """Open a connection that takes mail.

        :param next_hop: see :class:`~mta.interfaces.IExchangers`, or ``unix:/path``.
        :param credentials: for AUTH.
        :param configured: whether our configuration names it, as it does whatever has a
            port; that there is no such host, or that it turns everybody away, is then
            trouble of ours, and no reason to return a message.
        :param demand: the TLS that is demanded of it.
        :param source: where to come from, in place of ``settings.source_address``.
        :param timeouts: how long to wait, in place of what the settings say.
        :raise Unreachable: if none can be had.
        """
        configured = configured or _names_port(next_hop)
        call = _Call(credentials, source, timeouts)
        if next_hop.startswith("unix:"):
            ways = [(next_hop, next_hop.removeprefix("unix:"), 0)]
            hosts = 1
        else:
            found = await self._find(next_hop, configured)
            ways, hosts = self._ways(next_hop, found, source), len(found)
        if demand is not None and demand.problem:
            raise Unreachable(await self._unmet(next_hop, demand))
        troubles: list[Trouble] = []
        turned_away: set[str] = set()
        for name, address, port in ways:
            if name in turned_away:
                continue
            try:
                host = await self._host_tls(next_hop, demand, name, address, port)
                return await self._reach(name, address, port, host, call)
            except Unready as unready:
                troubles.append(unready.trouble)
                if unready.trouble.kind in ("reply", "auth", "tls"):
                    # The other addresses of a host are the same host.
                    turned_away.add(name)
        if not troubles:
            whose = "we may use" if source is None else f"the source {source.name} can reach"
            reply = own_reply(
                "connect-failed", "connect", host=next_hop, problem=f"it has no address that {whose}"
            )
            raise Unreachable(reply)
        worst = min(troubles, key=lambda trouble: _TELLING.index(trouble.kind))
        refused = sum(trouble.kind == "reply" and trouble.reply.code >= 500 for trouble in troubles)
        raise Unreachable(worst.reply, refused == len(troubles) and refused >= hosts and not configured)

    def site(self, next_hop: str) -> Answer[Sequence[str]]:
        """Names of the hosts behind a domain; none for a next hop that is a host itself.

        Answers at once where they were found a moment ago.
        """
        if not next_hop or next_hop.startswith(("unix:", "[")) or _names_port(next_hop):
            return ()
        known = self._hosts.get(next_hop)
        if known is not None and self._reactor.seconds() < known[0]:
            return tuple(host.name for host in known[1])
        return () if _literal(next_hop) is not None else self._names(next_hop)

    async def _names(self, next_hop: str) -> Sequence[str]:
        try:
            return tuple(host.name for host in await self._find(next_hop, False))
        except Unreachable:
            return ()  # The attempt says why.

    # --- where to -----------------------------------------------------------------

    async def _find(self, next_hop: str, configured: bool) -> Sequence[Exchanger]:
        now = self._reactor.seconds()
        known = self._hosts.get(next_hop)
        if known is not None and now < known[0]:
            return known[1]
        literal = _literal(next_hop)
        if literal is not None:
            found: Sequence[Exchanger] = (literal,)
        else:
            try:
                found = await self._exchangers.find(next_hop)
            except RouteError as error:
                reply = error.reply
                if configured and reply.is_permanent:
                    self.log.error(
                        "The host {host} of the configuration cannot be found: {why}",
                        host=next_hop,
                        why=error.reason,
                    )
                    ours = own_reply("next-hop-unknown", "DNS", host=next_hop, problem=reply.text)
                    raise Unreachable(ours) from error
                said = RemoteReply(reply.code, reply.enhanced, reply.text, "", "DNS")
                raise Unreachable(said, reply.is_permanent) from error
            except TemporarilyUnavailable as error:
                raise Unreachable(
                    own_reply("dns-unavailable", "DNS", domain=next_hop, problem=error)
                ) from error
        if len(self._hosts) >= _REMEMBERED:
            self._hosts.clear()
        self._hosts[next_hop] = (now + HOSTS_TIME, found)
        return found

    def _ways(
        self, next_hop: str, hosts: Sequence[Exchanger], source: Source | None = None
    ) -> list[tuple[str, str, int]]:
        settings = self.settings
        named = _names_port(next_hop)
        ways = []
        for host in hosts:
            port = settings.port if host.port == 25 and not named else host.port
            for address in host.addresses:
                if (":" in address and not settings.ipv6) or self._bind(address, source) is None:
                    continue
                ways.append((host.name, address, port))
        now = self._reactor.seconds()
        if self._families.avoid(now):
            # Within a host only: which host comes first is its owner's decision.
            first = {name: number for number, (name, _, _) in reversed(list(enumerate(ways)))}
            ways.sort(key=lambda way: (first[way[0]], ":" in way[1]))
        if self._shunned:
            # Sorting is stable: among equals the order of preference stays.
            ways.sort(key=lambda way: self._is_shunned(way[1], way[2], source, now))
        return ways[:ADDRESSES]

    def _is_shunned(self, address: str, port: int, source: Source | None, now: float) -> bool:
        return self._shunned.get((address, port, self._bind(address, source) or ""), 0.0) > now

    def _bind(self, peer: str, source: Source | None) -> str | None:
        """Our address for a peer's; ``""``: the system chooses; ``None``: there is none of its family."""
        if source is not None:
            return source.address_for(peer) or None
        ours = self.settings.source_address
        return None if ours and (":" in ours) != (":" in peer) else ours

    # --- one address ----------------------------------------------------------------

    async def _unmet(self, next_hop: str, demand: TlsDemand) -> RemoteReply:
        """No host can meet the demand."""
        tls = f"not connected, demanded: {demand.words}"
        if self._demands is not None:
            found = await settle(self._demands.of_host(demand, next_hop, "", 0))
            result = "validation-failure" if found.result == "success" else found.result
            self._told(refused_unseen(found, "", result, demand.problem), tls)
        return own_reply("tls-unmet", "connect", tls, domain=next_hop, problem=demand.problem)

    async def _host_tls(
        self, next_hop: str, demand: TlsDemand | None, name: str, address: str, port: int
    ) -> HostTls:
        """What is demanded of a host.

        :raise Unready: if it must not be used.
        """
        if self._demands is None or (demand is not None and not demand.told):
            return HostTls(demand.level, demand.words) if demand is not None else HostTls()
        found = await settle(self._demands.of_host(demand, next_hop, name, port))
        if found.problem:
            # It is not even connected to.
            tls = f"not connected, demanded: {found.words}"
            result = "validation-failure" if found.result == "success" else found.result
            self._told(refused_unseen(found, name, result, found.problem), tls)
            words = "tlsa-unknown" if found.unknown else "remote-tls"
            label = _label(name, address, port)
            reply = own_reply(words, "connect", tls, host=label, problem=found.problem)
            raise Unready(Trouble(reply, "tls"))
        return found

    def _told(self, result: TlsResult | None, tls: str) -> None:
        if self._tell is not None and result is not None and result.domain:
            self._tell(result, tls)

    async def _reach(self, name: str, address: str, port: int, host: HostTls, call: _Call) -> ClientProtocol:
        policy = self._policy(host)
        try:
            return await self._open(name, address, port, policy, host, call)
        except Unready as unready:
            if policy != "opportunistic" or unready.trouble.kind != "handshake":
                raise
            self.log.info(
                "TLS with {name} failed, clear text is tried: {why}",
                name=name,
                why=unready.trouble.problem,
            )
            why = unready.trouble.problem
        return await self._open(name, address, port, "never", host, call, f"TLS failed: {why}")

    def _policy(self, host: HostTls) -> TlsPolicy:
        ours = self.settings.tls
        if host.level is None or ours == "implicit":
            # TLS from the first octet is how the smarthost's port speaks, and demands the most.
            return ours
        return _POLICIES[host.level]

    async def _open(
        self,
        name: str,
        address: str,
        port: int,
        policy: TlsPolicy,
        host: HostTls,
        call: _Call,
        clear: str = "",
    ) -> ClientProtocol:
        settings, source, credentials = self.settings, call.source, call.credentials
        bind = (self._bind(address, source) or "") if port else ""
        label = _label(name, address, port)
        session = ClientSession(
            helo=source.helo or settings.helo if source is not None else settings.helo,
            host=label,
            lmtp=settings.lmtp,
            tls=policy,
            credentials=credentials,
            demanded=host.words,
            clear=clear,
        )
        client = ClientProtocol(
            session,
            self._reactor,
            run_in_thread=self._run,
            tls=self._tls.peer(name, host) if self._tls is not None and policy != "never" else None,
            implicit=policy == "implicit",
            password=credentials.password if credentials is not None else "",
            patience=_patience(settings.patience, call.timeouts),
        )
        if source is not None and port:
            client.source = source.words(bind, settings.helo)
        factory = _OneClient(client, label)
        if port:
            wait = call.timeouts.connect if call.timeouts is not None else 0.0
            connector = self._reactor.connectTCP(
                address, port, factory, wait or settings.connect_timeout, (bind, 0) if bind else None
            )
        else:
            connector = self._reactor.connectUNIX(address, factory, settings.connect_timeout)
        opened = client.opened
        try:
            found = await opened
            self._families.reached(address)
            if policy != "never":
                self._told_of(name, address, host, client, None)
            return found
        except Unready as unready:
            if policy != "never":
                self._told_of(name, address, host, client, unready.trouble)
            self._missed(unready.trouble, factory, address, port, bind)
            if client.source:
                reply = replace(unready.trouble.reply, source=client.source)
                raise Unready(replace(unready.trouble, reply=reply)) from None
            raise
        finally:
            if client.transport is None:
                # Given up before it stood.
                connector.disconnect()

    def _missed(self, trouble: Trouble, factory: _OneClient, address: str, port: int, bind: str) -> None:
        """Remember what there is no connection to."""
        if factory.is_unbound:
            # That is no fault of the other side, nor of the network.
            self.log.error("{bind} is no address of this machine: nothing can leave from it", bind=bind)
        elif trouble.kind != "connect":
            self._families.reached(address)
        else:
            now = self._reactor.seconds()
            self._families.failed(address, factory.problem, now)
            if len(self._shunned) >= _REMEMBERED:
                self._shunned.clear()
            self._shunned[address, port, bind] = now + SHUN_TIME

    def _told_of(
        self, name: str, address: str, host: HostTls, client: ClientProtocol, trouble: Trouble | None
    ) -> None:
        """Tell how a connection ended; one in clear text that follows it is told with it."""
        if self._tell is not None and host.domain:
            tls = client.session.tls
            addresses = (client.local, address)
            self._told(
                of_session(host, name, addresses, client.found, trouble, tls, client.session.peer), tls
            )


class _OneClient(ClientFactory):
    """Connects one protocol, or tells it why not.

    :ivar problem: then, the system's number of it, if it has one.
    :ivar is_unbound: whether our own address was the trouble.
    """

    noisy = False

    def __init__(self, client: ClientProtocol, label: str) -> None:
        self.is_unbound = False
        self.problem: int | None = None
        self._client = client
        self._label = label

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        return self._client

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.problem = getattr(reason.value, "osError", None)
        self.is_unbound = reason.check(ConnectBindError) is not None
        opened: Deferred[ClientProtocol] = self._client.opened
        if not opened.called:
            reply = own_reply("connect-failed", "connect", host=self._label, problem=_words(reason))
            opened.errback(Unready(Trouble(reply, "connect")))


def _patience(usual: Patience, timeouts: Timeouts | None) -> Patience:
    """How long to wait at each stage."""
    if timeouts is None:
        return usual
    times = {
        "connect": timeouts.greeting,
        **dict.fromkeys(("EHLO", "HELO", "LHLO", "STARTTLS", "AUTH"), timeouts.hello),
        "MAIL": timeouts.mail,
        "RCPT": timeouts.recipient,
        "DATA": timeouts.data,
        "block": timeouts.block,
    }
    return Patience(
        usual.command, timeouts.end or usual.data, {name: time for name, time in times.items() if time}
    )


def _words(reason: Failure) -> str:
    """Why there is no connection; the system's own words are shorter than Twisted's around them."""
    number = getattr(reason.value, "osError", None)
    return os.strerror(number) if isinstance(number, int) else reason.getErrorMessage().rstrip(".")


def _label(name: str, address: str, port: int) -> str:
    """A host in words: ``mx.example.org [192.0.2.1]:25``."""
    if not port:
        return name
    return f"[{address}]:{port}" if name == address else f"{name} [{address}]:{port}"


def _names_port(next_hop: str) -> bool:
    """Whether a next hop has a port of its own."""
    return next_hop.rpartition("]")[2].rpartition(":")[2].isdigit()


def _literal(next_hop: str) -> Exchanger | None:
    """``192.0.2.1`` or ``192.0.2.1:25`` without brackets; nobody has to be asked."""
    host, colon, port = next_hop.partition(":")
    if colon and not port.isdigit():
        return None
    try:
        address = str(ip_address(host))
    except ValueError:
        return None
    return Exchanger(address, (address,), int(port) if colon else 25)
