"""Where messages of the window wait for their turn: one line for each site.

A site is all next hops that lead to the same hosts, where the transport can tell; else a
next hop by itself.  Until it is known which site a next hop is, its jobs wait in a line of
their own that begins nothing; then that becomes the site's, or joins it.

A site starts as many deliveries at once as its transport allows and its replies advise.
Three rules keep one that is slow or dead from being everybody's trouble:

- One that is known to be fast may fill the window, since it empties it within ``PATIENCE``;
  one that is known to be slow has no more there than follows on its connections.  Of whose
  pace nothing is known may fill half of the free room, a second one half of what is then
  left, and so on: some room is free always.
- What is due on disk beyond that share is put off to when its turn may come, going
  by the pace of the site, so that what is due behind it is reached.
- After some failures to connect, one after the other, nothing is tried for a while;
  then one delivery tries whether the site is there again.

Where mail leaves from several sources (``[[egress]]``), a site has a line for each of them, with
limits, pace and verdict of its own: a provider counts and judges the addresses that it sees.
Which source a message has, is known once its site is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mta.interfaces import Answer, IEgress, IShaping
from mta.model.bounce_data import provider_of
from mta.model.egress import Source
from mta.model.message import Message
from mta.model.rest import Way
from mta.queue.budget import Budget, Budgets
from mta.queue.destination import Destination
from mta.queue.meter import Rates
from mta.queue.unshaped import Unshaped
from mta.queue.window import Job

#: Destinations remembered without anything to do.
_IDLE = 2048
#: Seconds for which nobody waits longer to know which site a next hop is.
_PATIENCE = 60.0
#: Seconds after which it is asked again which site a next hop is.
_KNOWN = 600.0


class Destinations:
    """All of them, and the ring of those that could start a delivery.

    :param reactor: gives timers.
    :param transports: by name.
    :param shaping: knows what they are given at the most; ``None``: what transports allow.
    :param egress: knows from where messages leave; ``None``: it is the transports' own affair.
    :ivar made: told of each new line of a site, and of the site.
    :ivar budgets: what sources may send that warm up; ``None``: as much as there is.
    :ivar resolved: told of a destination of which it has become known which site it is.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        transports: dict[str, Any],
        shaping: IShaping | None = None,
        egress: IEgress | None = None,
    ) -> None:
        self._reactor = reactor
        self.transports = transports
        self.ready: deque[Destination] = deque()
        self.resolved: Callable[[Destination], None] = self.make_ready
        self._all: dict[tuple[str, str], Destination] = {}
        self._sites: dict[tuple[str, tuple[str, ...]], Destination] = {}
        self._shaping = shaping or Unshaped()
        self._egress = egress
        self.made: Callable[[Destination, Destination], None] = lambda line, site: None
        self.budgets: Budgets | None = None
        # Of sites that have a line for each source: by next hop, and by site.
        self._by_hop: dict[tuple[str, str, str], Destination] = {}
        self._sourced: dict[tuple[str, str, str], Destination] = {}
        self._gates: dict[tuple[str, ...], Rates] = {}
        self._sweep = 2 * _IDLE

    def __iter__(self) -> Iterator[Destination]:
        return iter(dict.fromkeys([*self._all.values(), *self._sites.values(), *self._sourced.values()]))

    def __len__(self) -> int:
        return len(self._all)

    def get(self, name: str, next_hop: str, message: Message | None = None, sender: str = "") -> Destination:
        """The destination, made if it is not known.

        :param name: of the transport.
        :param message: what is to go there; ``None``: nothing, as yet.
        :param sender: its reverse-path.
        """
        found = self._get(name, next_hop)
        egress = self._egress
        if egress is None or message is None or not found.is_resolved or not egress.covers(name):
            return found
        tenant = tenant_of(message)
        choice = egress.choose(name, next_hop, found.hosts, message.id, sender, tenant)
        if choice is None or not choice.sources:
            return found
        now = self._reactor.seconds()
        lines = []
        for source in choice.sources:
            line = self._from(found, next_hop, source)
            if line.budget is None or not line.budget.is_spent(now):
                return line
            lines.append(line)
        # All of them warm up, and have sent what they may: it waits for the first that may again.
        return min(lines, key=lambda line: 0.0 if line.budget is None else line.budget.until(now))

    def _get(self, name: str, next_hop: str) -> Destination:
        found = self._all.get((name, next_hop))
        if found is None:
            if len(self._all) >= self._sweep:
                self._forget_idle()
            found = Destination(name, next_hop, self.transports.get(name))
            if self._shaping.has_gates(name):
                found.gates = self._rates
            self._all[name, next_hop] = found
            found = self._resolve(found)
        return found

    def peek(self, name: str, next_hop: str) -> list[Destination]:
        """The destinations of a next hop that are known: one, or one for each source."""
        found = [one for (by, hop, _), one in self._by_hop.items() if (by, hop) == (name, next_hop)]
        first = self._all.get((name, next_hop))
        return found if first is None else [first, *found]

    def lines_of(self, destination: Destination) -> list[Destination]:
        """All lines of a site: for what has no source, and from each source."""
        base = destination.base or destination
        return [base, *(one for one in self._sourced.values() if one.base is base)]

    def ways_of(self, destination: Destination) -> list[Way]:
        """All ways that lead to a site, or from its source there, as far as they are known."""
        if destination.source is not None:
            return [(name, hop) for (name, hop, _), found in self._by_hop.items() if found is destination]
        return [way for way, found in self._all.items() if found is destination]

    def replace(self, transports: dict[str, Any]) -> None:
        """Use these from now on, and what shaping says now; what is under way ends where it began."""
        self.transports = transports
        self._gates.clear()
        for destination in self:
            destination.adopt(transports.get(destination.name))
            destination.unshape()
            self._shape(destination, destination.next_hop, destination.hosts)
            gated = self._shaping.has_gates(destination.name)
            destination.gates = self._rates if gated else None
        self._look_for_sources()

    def make_ready(self, destination: Destination) -> None:
        """Put it into the ring, if it could start a delivery."""
        if (
            not destination.ready
            and destination.queue
            and destination.running < destination.limit
            and destination.alarm is None
        ):
            destination.ready = True
            self.ready.append(destination)

    def doubt(self, destination: Destination, now: float) -> None:
        """Ask again, for what comes from now on, which site its next hops are, if that was long ago."""
        destination = destination.base or destination
        if not destination.site or now < destination.known_until:
            return
        first = not destination.known_until
        destination.known_until = now + _KNOWN
        if first:
            return
        for key in [key for key, found in self._all.items() if found is destination]:
            del self._all[key]
        for hop in [hop for hop, found in self._by_hop.items() if found.base is destination]:
            del self._by_hop[hop]

    # --- from where ----------------------------------------------------------

    def _from(self, base: Destination, next_hop: str, source: Source) -> Destination:
        """The line of a site for what leaves from one source."""
        found = self._by_hop.get((base.name, next_hop, source.name))
        if found is not None:
            return found
        key = base.name, base.site or base.next_hop, source.name
        found = self._sourced.get(key)
        if found is None:
            found = self._sourced[key] = Destination(base.name, base.next_hop, base.transport, source)
            found.resolve(base.hosts)
            found.gates = base.gates
            self.made(found, base)
        found.base = base
        found.budget = self._budget(found)
        self._by_hop[base.name, next_hop, source.name] = found
        self._shape(found, next_hop, base.hosts)
        return found

    def _budget(self, destination: Destination) -> Budget | None:
        """What its source may send there, if it warms up."""
        if self._egress is None or self.budgets is None or destination.source is None:
            return None
        warming = self._egress.find(destination.source.name)
        if warming is None or warming.plan is None:
            return None
        site = provider_of(destination.hosts) or destination.site or destination.next_hop
        return self.budgets.get(warming.source.name, site, warming.plan)

    def _look_for_sources(self) -> None:
        """What sources are now; whatever waits for one that is gone takes another."""
        for destination in list(self._sourced.values()):
            assert self._egress is not None and destination.source is not None
            found = self._egress.find(destination.source.name)
            if found is not None:
                destination.source = found.source
                destination.budget = self._budget(destination)
                continue
            self._sourced = {key: one for key, one in self._sourced.items() if one is not destination}
            self._by_hop = {key: one for key, one in self._by_hop.items() if one is not destination}
            self._replace_all(destination)

    def _replace_all(self, destination: Destination) -> None:
        """Find for each job that waits here the line in which it should."""
        for job in list(destination.queue):
            other = self.get(destination.name, job.addressees[0].next_hop, job.entry.message, job.sender)
            if other is destination:
                continue
            destination.queue.withdraw(job)
            job.destination = other
            other.put(job)
            self.make_ready(other)

    def _shape(self, destination: Destination, next_hop: str, hosts: Sequence[str]) -> None:
        destination.shape(self._shaping.limits(destination.name, next_hop, hosts, destination.source))

    # --- which site ----------------------------------------------------------

    def _resolve(self, destination: Destination) -> Destination:
        """Find out which site it is; answers with that, or with itself as long as nobody knows."""
        ask = getattr(destination.transport, "site", None)
        if ask is None:
            return self._found(destination, ())
        try:
            answer: Answer[Sequence[str]] = ask(destination.next_hop)
        except Exception:
            self._wonder(destination)
            return self._found(destination, ())
        if not isinstance(answer, Awaitable):
            return self._found(destination, answer)
        destination.await_site()
        asked: Deferred[Any] = Deferred.fromCoroutine(_awaited(answer))
        asked.addTimeout(_PATIENCE, self._reactor)
        asked.addErrback(self._unknown, destination)
        asked.addCallback(self._found_later, destination)
        return destination

    def _unknown(self, failure: Failure, destination: Destination) -> Sequence[str]:
        self._wonder(destination, failure)
        return ()

    def _found_later(self, hosts: Sequence[str], destination: Destination) -> None:
        self.resolved(self._found(destination, hosts))

    def _wonder(self, destination: Destination, failure: Failure | None = None) -> None:
        self.log.failure(
            "The transport {transport} does not say which site {next_hop} is",
            failure,
            transport=destination.name,
            next_hop=destination.next_hop,
        )

    def _found(self, destination: Destination, hosts: Sequence[str]) -> Destination:
        """Its hosts are known: it is the first of its site, or joins the one that is there."""
        hosts = sorted(set(hosts))
        key = destination.name, tuple(hosts)
        first = self._sites.get(key) if hosts else None
        self._shape(first or destination, destination.next_hop, hosts)
        if first is None or first is destination:
            if hosts:
                self._sites[key] = destination
            destination.resolve(hosts)
            if destination.queue and self._egress is not None:
                self._replace_all(destination)
            return destination
        self._all[destination.name, destination.next_hop] = first
        self._replace_all(destination)
        return first

    def retry(self, job: Job) -> Sequence[float]:
        """The retry schedule of its own that a job's way has; empty for the usual one."""
        return self._shaping.retry(*_facts(job))

    def _rates(self, job: Job) -> list[Rates]:
        """The rates that a job shares with others by its domain or tenant."""
        found = []
        for gate in self._shaping.gates(*_facts(job)):
            rates = self._gates.get(gate.key)
            if rates is None:
                rates = self._gates[gate.key] = Rates(gate.messages, gate.recipients)
            found.append(rates)
        return found

    def _forget_idle(self) -> None:
        # What a rule holds back or slows down would be forgotten with it.
        idle = [one for one in self if one.is_idle and one.automation is None]
        # The oldest go; the younger half keeps what is known about it.
        gone = set(idle[: max(len(idle) - _IDLE // 2, 0)])
        self._all = {key: found for key, found in self._all.items() if found not in gone}
        self._sites = {key: found for key, found in self._sites.items() if found not in gone}
        self._by_hop = {key: found for key, found in self._by_hop.items() if found not in gone}
        self._sourced = {key: found for key, found in self._sourced.items() if found not in gone}
        self._sweep = max(2 * _IDLE, 2 * len(self._all))


def tenant_of(message: Message) -> str:
    """Whose message it is."""
    return str(message.attributes.get("tenant", ""))


def _facts(job: Job) -> tuple[str, str, Sequence[str], str, Source | None]:
    """What shaping goes by: transport, next hop, hosts, tenant, source."""
    to = job.destination
    return to.name, job.addressees[0].next_hop, to.hosts, tenant_of(job.entry.message), to.source


async def _awaited(answer: Awaitable[Sequence[str]]) -> Sequence[str]:
    return await answer
