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
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mta.interfaces import Answer, IShaping
from mta.model.limits import NO_LIMITS, Gate, Limits
from mta.model.rest import Way
from mta.queue.destination import Destination
from mta.queue.meter import Rates
from mta.queue.window import Job


@implementer(IShaping)
class Unshaped:
    """Sets no limits besides those of the transports."""

    def limits(self, transport: str, next_hop: str, hosts: Sequence[str]) -> Limits:
        """See :class:`~mta.interfaces.IShaping`."""
        return NO_LIMITS

    def gates(self, transport: str, next_hop: str, hosts: Sequence[str], tenant: str) -> Sequence[Gate]:
        """See :class:`~mta.interfaces.IShaping`."""
        return ()

    def retry(self, transport: str, next_hop: str, hosts: Sequence[str], tenant: str) -> Sequence[float]:
        """See :class:`~mta.interfaces.IShaping`."""
        return ()

    def has_gates(self, transport: str) -> bool:
        """See :class:`~mta.interfaces.IShaping`."""
        return False


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
    :ivar resolved: told of a destination of which it has become known which site it is.
    """

    log = Logger()

    def __init__(self, reactor: Any, transports: dict[str, Any], shaping: IShaping | None = None) -> None:
        self._reactor = reactor
        self.transports = transports
        self.ready: deque[Destination] = deque()
        self.resolved: Callable[[Destination], None] = self.make_ready
        self._all: dict[tuple[str, str], Destination] = {}
        self._sites: dict[tuple[str, tuple[str, ...]], Destination] = {}
        self._shaping = shaping or Unshaped()
        self._gates: dict[tuple[str, ...], Rates] = {}
        self._sweep = 2 * _IDLE

    def __iter__(self) -> Iterator[Destination]:
        return iter(dict.fromkeys([*self._all.values(), *self._sites.values()]))

    def __len__(self) -> int:
        return len(self._all)

    def get(self, name: str, next_hop: str) -> Destination:
        """The destination, made if it is not known.

        :param name: of the transport.
        """
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

    def peek(self, name: str, next_hop: str) -> Destination | None:
        """The destination, if it is known."""
        return self._all.get((name, next_hop))

    def ways_of(self, destination: Destination) -> list[Way]:
        """All ways that lead to a site, as far as they are known."""
        return [way for way, found in self._all.items() if found is destination]

    def replace(self, transports: dict[str, Any]) -> None:
        """Use these from now on, and what shaping says now; what is under way ends where it began."""
        self.transports = transports
        self._gates.clear()
        for destination in self:
            destination.adopt(transports.get(destination.name))
            destination.unshape()
            destination.shape(self._shaping.limits(destination.name, destination.next_hop, destination.hosts))
            gated = self._shaping.has_gates(destination.name)
            destination.gates = self._rates if gated else None

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
        if not destination.site or now < destination.known_until:
            return
        first = not destination.known_until
        destination.known_until = now + _KNOWN
        if first:
            return
        for key in [key for key, found in self._all.items() if found is destination]:
            del self._all[key]

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
        (first or destination).shape(self._shaping.limits(destination.name, destination.next_hop, hosts))
        if first is None or first is destination:
            if hosts:
                self._sites[key] = destination
            destination.resolve(hosts)
            return destination
        self._all[destination.name, destination.next_hop] = first
        for job in list(destination.queue):
            destination.queue.withdraw(job)
            job.destination = first
            first.put(job)
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
        idle = [destination for destination in self if destination.is_idle]
        # The oldest go; the younger half keeps what is known about it.
        gone = set(idle[: max(len(idle) - _IDLE // 2, 0)])
        self._all = {key: found for key, found in self._all.items() if found not in gone}
        self._sites = {key: found for key, found in self._sites.items() if found not in gone}
        self._sweep = max(2 * _IDLE, 2 * len(self._all))


def _facts(job: Job) -> tuple[str, str, Sequence[str], str]:
    """What shaping goes by: transport, next hop, hosts, tenant."""
    destination = job.destination
    tenant = str(job.entry.message.attributes.get("tenant", ""))
    return destination.name, job.addressees[0].next_hop, destination.hosts, tenant


async def _awaited(answer: Awaitable[Sequence[str]]) -> Sequence[str]:
    return await answer
