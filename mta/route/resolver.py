"""Asks the DNS without blocking.

Why not ``twisted.names.client.Resolver``: it takes an answer under the right
id from any address and about any question, offers no EDNS so that every long
TXT or MX set costs a TCP connection, and asks one server only over TCP.  Why
not dnspython's own resolver: it blocks, or wants asyncio.  So dnspython reads
and writes the messages (:mod:`~mta.route.dns_message`), Twisted carries them
(:mod:`~mta.route.dns_exchange`), and what lies between is here: which server,
how long, how often, and what is remembered.

A question goes to the servers in their order, in two rounds: a short one that
finds a live server quickly, then one for what is left of the time.  NOERROR
and NXDOMAIN are answers.  SERVFAIL, REFUSED, silence and rubbish are not: the
next server is asked, and if none answers that is remembered for a few seconds
(RFC 9520), so that a dead domain with a thousand recipients costs one wait.

While nobody answers, what was known before goes on (RFC 8767): what is there, such
as the MX records of a domain, never that something is not.  What is asked for often
is asked for anew just before its time is over, so that nobody waits for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import implementer

from mta.interfaces import IReloadable, IResolver, NoSuchDomain, TemporarilyUnavailable, Validated
from mta.route.cache import TtlCache
from mta.route.dns_exchange import Exchange, Server
from mta.route.dns_message import EdnsUnknown, Question, Records, ServerTrouble, reverse_name
from mta.route.domain_name import domain_name, query_name
from mta.route.next_hop import as_address
from mta.route.system_files import SystemFiles, interleaved, parse_server, special_name

#: CNAMEs that are followed from one answer to the next.
MAX_ALIASES = 8
_NEGATIVE = 3600.0
_log = Logger()


@implementer(IResolver, IReloadable)
class Resolver:
    """See the module.

    :param reactor: sockets, time and threads.
    :param servers: ``address`` or ``address:port``; empty for those of
        /etc/resolv.conf, which is read again when it changes.
    :param timeout: seconds for a question, over all servers.
    :param stale: seconds for which an answer may be used after its TTL while no server
        answers; 0: not at all.
    :param trusted: whether the AD bit of a server at an address is believed; by default
        at loopback addresses, where nobody can change it on its way.
    :param exchange: carries questions; for tests.
    :param files: /etc/resolv.conf and /etc/hosts.
    :param size: answers remembered at the most.
    :raise ValueError: if a server is no address.
    """

    #: Questions under way at once; each has a socket.
    concurrency = 200
    #: Seconds for which a question that nobody answered is not asked again.
    failure_ttl = 5.0
    #: Seconds after which a stale answer is better than waiting (RFC 8767, 5).
    stale_after = 1.8
    #: Seconds for which nobody is asked anew while a stale answer is used (RFC 8767, 5).
    recheck = 30.0
    #: Seconds for which a silent server is asked last.
    penalty = 30.0
    #: Seconds between looks at the machine's files.
    look_every = 5.0

    def __init__(
        self,
        reactor: Any,
        servers: Sequence[str] = (),
        timeout: float = 10.0,
        *,
        stale: float = 0.0,
        trusted: Callable[[str], bool] | None = None,
        exchange: Any = None,
        files: SystemFiles | None = None,
        size: int = 10_000,
    ) -> None:
        self._reactor = reactor
        self._configured = tuple(parse_server(server) for server in servers)
        self._timeout = timeout
        self._exchange = exchange or Exchange(reactor)
        self._files = files or SystemFiles()
        self._names = self._files.read()
        self._looked = reactor.seconds()
        self._stale = stale
        self._trusted = trusted or is_loopback
        self._cache: TtlCache[Records] = TtlCache(size)
        self._failures: TtlCache[str] = TtlCache(size)
        self._flights: dict[tuple[str, str], list[Deferred[Records]]] = {}
        self._free = DeferredSemaphore(self.concurrency)
        self._penalties: dict[Server, float] = {}

    # --- IResolver, IReloadable ----------------------------------------------

    async def mx(self, domain: str) -> Sequence[tuple[int, str]]:
        """See :class:`~mta.interfaces.IResolver`."""
        name = _name(domain)
        special = special_name(name)
        if special is not None:
            if not special:
                raise NoSuchDomain(name)
            return ()
        records = await self._ask(name, "MX")
        if not records.exists and name not in self._names.hosts:
            raise NoSuchDomain(name)
        return records.values

    async def addresses(self, host: str) -> Sequence[str]:
        """See :class:`~mta.interfaces.IResolver`; IPv6 and IPv4 in turn (RFC 8305)."""
        literal = as_address(host)
        if literal is not None:
            return (literal,)
        name = _name(host)
        self._look()
        known = self._names.hosts.get(name) or special_name(name)
        if known is not None:
            if not known:
                raise NoSuchDomain(name)
            return interleaved([a for a in known if ":" in a], [a for a in known if ":" not in a])
        # Both at once; waiting for the first does not hold up the second.
        pending = [self._begin(name, kind) for kind in ("AAAA", "A")]
        found: list[Records] = []
        trouble: TemporarilyUnavailable | None = None
        try:
            for answer in pending:
                try:
                    found.append(await answer)
                except TemporarilyUnavailable as error:
                    trouble = error
        finally:
            for answer in pending:
                # Who asked may have gone after the first: then nobody hears of the second.
                answer.addErrback(lambda _: None)
                answer.cancel()
        if any(records.values for records in found):
            six, four = (
                [v for r in found for v in r.values if (":" in v) is wanted] for wanted in (True, False)
            )
            return interleaved(six, four)
        if trouble is not None and all(records.exists for records in found):
            raise trouble
        if any(records.stale for records in found):
            # What was not there once may be there now.
            raise TemporarilyUnavailable(f"{name}: no server of the DNS answers")
        if not all(records.exists for records in found):
            raise NoSuchDomain(name)
        return ()

    async def reverse(self, address: str) -> Sequence[str]:
        """See :class:`~mta.interfaces.IResolver`."""
        return await self._values(reverse_name(address.partition("%")[0]), "PTR")

    async def text(self, name: str) -> Sequence[bytes]:
        """See :class:`~mta.interfaces.IResolver`."""
        return await self._values(_name(name), "TXT")

    async def validated(self, name: str, kind: str) -> Validated:
        """See :class:`~mta.interfaces.IResolver`."""
        try:
            asked = query_name(name)
        except ValueError as error:
            raise NoSuchDomain(str(error)) from None
        if special_name(asked) is not None:
            return Validated((), False, asked)
        records = await self._ask(asked, kind)
        # What a file of this machine says instead, DNSSEC does not prove.
        secure = records.secure and asked not in self._names.hosts
        return Validated(records.values, secure, records.name or asked)

    async def reload(self) -> None:
        """Forget everything, and read the machine's files again.

        Whoever waits for a question under way gets its answer; nobody else does, since what was said
        before may be what somebody has just mended.
        """
        self._cache.clear()
        self._failures.clear()
        self._flights = {}
        self._penalties.clear()
        self._looked = float("-inf")
        self._look()

    # --- asking --------------------------------------------------------------

    async def _values(self, name: str, kind: str) -> tuple[Any, ...]:
        records = await self._ask(name, kind)
        if not records.exists:
            raise NoSuchDomain(name)
        return records.values

    def _begin(self, name: str, kind: str) -> Deferred[Records]:
        return Deferred.fromCoroutine(self._ask(name, kind))

    async def _ask(self, name: str, kind: str) -> Records:
        """The records at the end of all CNAMEs.

        :raise TemporarilyUnavailable: if nobody answers, or the CNAMEs have no end.
        """
        records = await self._one(name, kind)
        followed, secure = 0, records.secure
        while records.alias:
            end = records.alias
            followed += 1
            if followed > MAX_ALIASES:
                raise TemporarilyUnavailable(f"{name}: more than {MAX_ALIASES} CNAMEs behind one another")
            records = await self._one(end, kind)
            secure = secure and records.secure
            records = replace(records, secure=secure, name=records.name or end)
        return records

    async def _one(self, name: str, kind: str) -> Records:
        """From what is remembered, from a question under way, or from the servers."""
        key, now = (name, kind), self._reactor.seconds()
        kept = self._cache.get(key, now)
        if kept is not None:
            # If that failed a moment ago, it has time until the end.
            failed = self._failures.get(key, now) is not None
            if self._cache.is_worn(key, now) and key not in self._flights and not failed:
                self._begin_flight(key)
            return kept
        stale = self._stale_records(key, now)
        failure = self._failures.get(key, now)
        if failure is not None:
            if stale is not None:
                return stale
            raise TemporarilyUnavailable(failure)
        if key not in self._flights:
            waiting: Deferred[Records] = Deferred()
            self._begin_flight(key, waiting)
        else:
            waiting = Deferred()
            self._flights[key].append(waiting)
        return await waiting if stale is None else await self._or_stale(waiting, stale)

    def _stale_records(self, key: tuple[str, str], now: float) -> Records | None:
        """What was known before, if it may be used.

        That there are no addresses of one family may, where the other has some; whoever
        asks for both sees to that.
        """
        known = self._cache.stale(key, now)
        if known is None or not (known.values or known.alias or key[1] in ("A", "AAAA")):
            return None
        return replace(known, stale=True)

    async def _or_stale(self, waiting: Deferred[Records], stale: Records) -> Records:
        """What comes soon, or else what was known before (RFC 8767, 5); the question goes on."""
        timer = self._reactor.callLater(self.stale_after, waiting.cancel)
        try:
            return await waiting
        except TemporarilyUnavailable:
            return stale
        except CancelledError:
            if timer.active():
                raise
            return stale
        finally:
            if timer.active():
                timer.cancel()

    def _begin_flight(self, key: tuple[str, str], *waiting: Deferred[Records]) -> None:
        self._flights[key] = list(waiting)
        Deferred.fromCoroutine(self._fly(key))

    async def _fly(self, key: tuple[str, str]) -> None:
        """Ask the servers, keep what they say, and tell whoever waits.  Never raises.

        It goes on when nobody waits any more: what comes is kept for the next, unless all was to be
        forgotten meanwhile.
        """
        flights = self._flights
        try:
            await self._free.acquire()
            try:
                records = await self._from_servers(*key)
            finally:
                self._free.release()
        except Exception as error:
            # Whoever waits must not wait for ever, whatever happened.
            waiting = flights.pop(key)
            now = self._reactor.seconds()
            if isinstance(error, TemporarilyUnavailable):
                known = self._cache.stale(key, now) is not None
                if known and self._cache.get(key, now) is None:
                    _log.info("{trouble}; what it said before is used", trouble=str(error))
                if flights is self._flights:
                    self._failures.put(key, str(error), now, self.recheck if known else self.failure_ttl)
                text = str(error)
            else:
                _log.failure("asking for {key} failed", key=key)
                text = f"{key[0]} {key[1]}: trouble on our side"
            for deferred in waiting:
                deferred.errback(TemporarilyUnavailable(text))
            return
        if flights is self._flights:
            self._keep(key, records)
        for deferred in flights.pop(key):
            deferred.callback(records)

    def _keep(self, key: tuple[str, str], records: Records) -> None:
        now = self._reactor.seconds()
        if records.values or records.alias:
            self._cache.put(key, records, now, records.ttl, self._stale)
        else:
            # That there is no such name is believed for its time and no longer: mail is returned for it.
            ttl = min(records.ttl, _NEGATIVE)
            self._cache.put(key, records, now, ttl, self._stale if records.exists else 0.0)

    async def _from_servers(self, name: str, kind: str) -> Records:
        self._look()
        troubles: dict[Server, ServerTrouble] = {}
        servers = self._servers()
        for share in (0.25, 0.75):
            for server in servers:
                said = troubles.get(server)
                if said is not None and said.final:
                    continue
                try:
                    records = await self._from(
                        server, Question(name, kind), self._timeout * share / len(servers)
                    )
                except ServerTrouble as trouble:
                    troubles[server] = trouble
                    if not trouble.final:
                        self._penalties[server] = self._reactor.seconds() + self.penalty
                    continue
                self._penalties.pop(server, None)
                return records
        said_all = "; ".join(f"{_shown(server)} {trouble}" for server, trouble in troubles.items())
        raise TemporarilyUnavailable(f"{name} {kind}: {said_all}")

    async def _from(self, server: Server, question: Question, patience: float) -> Records:
        octets = await self._exchange.udp(server, question, patience)
        if question.is_truncated(octets):
            octets = await self._exchange.tcp(server, question, patience)
        try:
            records = question.read(octets)
        except EdnsUnknown:
            plain = Question(question.name, question.kind, edns=False)
            return await self._from(server, plain, patience)
        if records.secure and not self._trusted(server[0]):
            return replace(records, secure=False)
        return records

    def _servers(self) -> list[Server]:
        servers = self._configured or tuple((address, 53) for address in self._names.servers)
        now = self._reactor.seconds()
        return sorted(servers, key=lambda server: self._penalties.get(server, 0.0) > now)

    # --- the machine's files -------------------------------------------------

    def _look(self) -> None:
        """Have a thread see, now and then, whether the files changed; never wait for it."""
        now = self._reactor.seconds()
        if now < self._looked + self.look_every or not hasattr(self._reactor, "getThreadPool"):
            return
        self._looked = now
        Deferred.fromCoroutine(self._refresh())

    async def _refresh(self) -> None:
        try:
            pool = self._reactor.getThreadPool()
            fresh = await deferToThreadPool(self._reactor, pool, self._files.read_if_changed)
        except Exception as error:
            _log.error("cannot read resolv.conf or hosts: {error}", error=str(error))
            return
        if fresh is not None:
            self._names = fresh


def is_loopback(address: str) -> bool:
    """Whether an address is one of this machine's own."""
    return ip_address(address.partition("%")[0]).is_loopback


def _name(text: str) -> str:
    """:raise NoSuchDomain: if no name in the DNS can be spelt so."""
    try:
        return domain_name(text)
    except ValueError as error:
        raise NoSuchDomain(str(error)) from None


def _shown(server: Server) -> str:
    host, port = server
    if port == 53:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
