"""Where messages of the window wait for their turn: one line for each next hop.

A destination starts as many deliveries at once as its transport allows.  Three
rules keep one that is slow or dead from being everybody's trouble:

- It may fill the free room of the window by half at the most, a second slow one by
  half of what is then left, and so on: some room is free always.  One that is known
  to be fast may fill all of it, since it empties it within ``PATIENCE``.
- What is due on disk beyond that share is put off to when its turn may come, going
  by the pace of the destination, so that what is due behind it is reached.
- After some failures to connect, one after the other, nothing is tried for a while;
  then one delivery tries whether the destination is there again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from twisted.logger import Logger

from mta.model.outcome import Outcome, Postponed, RemoteReply
from mta.queue.lanes import Lanes
from mta.queue.window import Job, Window

#: Seconds within which a fast destination empties its line.
PATIENCE = 10.0
#: Seconds by which a message is put off because of its destination's pace, at the most.
HORIZON = 1800.0
#: Failures to connect after which a destination is taken to be down.
FAILURES = 3
#: Seconds for which nothing is tried then, at the most; it begins with the first retry delay.
LONGEST_PAUSE = 900.0
#: Destinations remembered without anything to do.
_IDLE = 2048

#: No connection, and no answer of the DNS: these are not about one message.
_UNREACHABLE = frozenset({"4.4.1", "4.4.3"})


def is_unreachable(outcomes: Sequence[Outcome]) -> bool:
    """Whether the attempt did not come as far as to talk about the message."""
    for outcome in outcomes:
        if not isinstance(outcome, Postponed):
            return False
        reply = outcome.reply
        if reply.enhanced not in _UNREACHABLE or (reply.host and reply.command != "connect"):
            return False
    return bool(outcomes)


class Destination:
    """One next hop of one transport.

    :ivar queue: jobs that wait.
    :ivar running: deliveries under way.
    :ivar limit: how many there may be just now.
    :ivar ready: whether it stands in the ring of those that could start one.
    :ivar resume: until when nothing is tried, in seconds since 1970; 0 if it is not down.
    :ivar reply: what the last failure to connect said.
    :param transport: provides ``ITransport``; ``None`` if the name is not configured.
    """

    __slots__ = (
        "_failures",
        "_full",
        "_horizon",
        "_interval",
        "_pause",
        "_progress",
        "limit",
        "name",
        "next_hop",
        "queue",
        "ready",
        "reply",
        "resume",
        "running",
        "transport",
    )

    log = Logger()

    def __init__(self, name: str, next_hop: str, transport: Any) -> None:
        self.name = name
        self.next_hop = next_hop
        self.queue = Lanes()
        self.running = 0
        self.ready = False
        self.resume = 0.0
        self.reply: RemoteReply | None = None
        self._failures = 0
        self._pause = 0.0
        self._horizon = 0.0
        self._interval = -1.0
        self._progress = 0.0
        self.adopt(transport)

    def adopt(self, transport: Any) -> None:
        """Use this transport from now on."""
        self.transport = transport
        self._full = 1
        if transport is not None:
            try:
                self._full = max(1, transport.concurrency(self.next_hop))
            except Exception:
                self.log.failure(
                    "The transport {transport} does not say its concurrency", transport=self.name
                )
        self.limit = self._full if self._failures < FAILURES else 1

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits and nothing is under way."""
        return not self.queue and not self.running

    def status(self) -> dict[str, Any]:
        """For an operator, JSON values."""
        return {
            "transport": self.name,
            "next_hop": self.next_hop,
            "waiting": len(self.queue),
            "in_flight": self.running,
            "in_flight_limit": self.limit,
            "rests_until": self.resume or None,
            "last_trouble": "" if self.reply is None else str(self.reply),
        }

    # --- the line ------------------------------------------------------------

    def put(self, job: Job) -> None:
        """Let a job wait."""
        self.queue.put(job)

    def take(self) -> Job:
        """The job whose turn it is."""
        return self.queue.take()

    # --- its pace ------------------------------------------------------------

    def began(self, now: float) -> None:
        """A delivery has begun."""
        if not self.running:
            self._progress = now
        self.running += 1

    def ended(self, now: float) -> None:
        """A delivery has ended, however."""
        self.running -= 1
        if self.queue:
            sample = now - self._progress
            known = self._interval
            self._interval = sample if known < 0.0 else known + (sample - known) * 0.1
        elif self._interval < 0.0:
            self._interval = (now - self._progress) / self._full
        self._progress = now

    def is_fast(self, now: float) -> bool:
        """Whether what waits is gone within ``PATIENCE``, as far as can be known."""
        if self.running and now - self._progress > PATIENCE:
            return False
        return 0.0 <= self._interval * len(self.queue) <= PATIENCE

    def has_share(self, window: Window, octets: int, now: float) -> bool:
        """Whether one more job may come into the window."""
        queue = self.queue
        if not queue:
            return True
        if len(queue) < window.free_messages and queue.octets + octets <= window.free_octets:
            return True
        return self.is_fast(now)

    def slot(self, now: float, random: Callable[[], float]) -> float:
        """When a message that finds no room may have its turn."""
        step = max(self._interval, 0.01)
        if self.running:
            step = max(step, (now - self._progress) / self._full)
        # Of whose pace nothing is known yet, it will be known soon.
        known = self._interval >= 0.0 or (self.running and now - self._progress > 1.0)
        self._horizon = max(self._horizon, now + (PATIENCE if known else 1.0)) + step
        if self._horizon > now + HORIZON:
            self._horizon = now + HORIZON
            return now + HORIZON * (0.5 + 0.5 * random())
        return self._horizon

    # --- whether it is there -------------------------------------------------

    @property
    def is_suspect(self) -> bool:
        """Whether the last attempt did not reach it."""
        return self._failures > 0

    def reached(self) -> None:
        """It is there, or an operator wants to know whether it is."""
        self._failures = 0
        self._pause = 0.0
        self.resume = 0.0
        self.limit = self._full

    def missed(self, now: float, reply: RemoteReply, first: float) -> None:
        """It could not be reached.

        :param reply: how so.
        :param first: seconds of the first pause.
        """
        self._failures += 1
        self.reply = reply
        if self._failures >= FAILURES and now >= self.resume:
            self._pause = min(self._pause * 2.0 or first, LONGEST_PAUSE)
            self.resume = now + self._pause
            self.limit = 1


class Destinations:
    """All of them, and the ring of those that could start a delivery.

    :param transports: by name.
    """

    __slots__ = ("_all", "_sweep", "ready", "transports")

    def __init__(self, transports: dict[str, Any]) -> None:
        self.transports = transports
        self.ready: deque[Destination] = deque()
        self._all: dict[tuple[str, str], Destination] = {}
        self._sweep = 2 * _IDLE

    def __iter__(self) -> Iterator[Destination]:
        return iter(self._all.values())

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
            self._all[name, next_hop] = found
        return found

    def peek(self, name: str, next_hop: str) -> Destination | None:
        """The destination, if it is known."""
        return self._all.get((name, next_hop))

    def replace(self, transports: dict[str, Any]) -> None:
        """Use these from now on; what is under way ends where it began."""
        self.transports = transports
        for destination in self._all.values():
            destination.adopt(transports.get(destination.name))

    def make_ready(self, destination: Destination) -> None:
        """Put it into the ring, if it could start a delivery."""
        if not destination.ready and destination.queue and destination.running < destination.limit:
            destination.ready = True
            self.ready.append(destination)

    def _forget_idle(self) -> None:
        idle = [key for key, destination in self._all.items() if destination.is_idle]
        # The oldest go; the younger half keeps what is known about it.
        for key in idle[: max(len(idle) - _IDLE // 2, 0)]:
            del self._all[key]
        self._sweep = max(2 * _IDLE, 2 * len(self._all))
