"""Fifty providers with limits, outages, greylisting and slow hosts, and mail for all of them.

Everything random comes from one seed; time is a clock that jumps from timer to timer, so a
day takes as long as its deliveries take to compute.  What is kept in memory is what waits.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from random import Random
from typing import Any

from twisted.internet.base import DelayedCall
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from mta.config.settings import Egress as Source
from mta.config.settings import EgressPool, Queue, Shape
from mta.interfaces import Delivery, ISites, ISpool, ITransport, Result
from mta.model.envelope import Client, Envelope
from mta.model.event import DeliveredTo, Event, FailedTo
from mta.model.ids import IdSource
from mta.model.limits import Rate
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply
from mta.model.rest import Rest, Way
from mta.queue.manager import Manager
from mta.route.egress import Egress
from mta.route.shaping import Shaping

NOW = 1.8e9
HOUR = 3600.0


class HeapClock(Clock):
    """``task.Clock`` for a million timers: they are in a heap instead of a sorted list."""

    def __init__(self) -> None:
        super().__init__()
        self._heap: list[tuple[float, int, Any]] = []
        self._count = 0

    def callLater(self, when: float, what: Callable[..., object], *a: object, **kw: object) -> Any:
        """As the reactor."""
        call = DelayedCall(self.seconds() + when, what, a, kw, lambda _: None, self._push, self.seconds)
        self._push(call)
        return call

    def _push(self, call: Any) -> None:
        self._count += 1
        heapq.heappush(self._heap, (call.getTime(), self._count, call))

    def run(self) -> None:
        """Go from timer to timer until there is none."""
        while self._heap:
            due, _, call = heapq.heappop(self._heap)
            if not call.active() or call.getTime() != due:
                continue  # It was called off, or stands at another place.
            self.rightNow = max(self.rightNow, due)
            call.called = 1
            call.func(*call.args, **call.kw)


@implementer(ISpool)
class Shelf:
    """A spool in memory that counts instead of keeping a journal, and claims in order of due time."""

    def __init__(self, clock: HeapClock, latency: float, ended: Callable[[Event], None]) -> None:
        self.clock = clock
        self.latency = latency
        self.messages: dict[str, Message] = {}
        self._ended = ended
        self._due: list[tuple[float, str]] = []
        self._ways: dict[Way, dict[str, None]] = {}
        self._ids = IdSource()

    def _later(self, answer: Any) -> Deferred[Any]:
        deferred: Deferred[Any] = Deferred()
        self.clock.callLater(self.latency, deferred.callback, answer)
        return deferred

    def new_id(self) -> str:
        """As a spool."""
        return self._ids.next(self.clock.seconds())

    def put(self, message: Message) -> None:
        """Keep a message; all of its addressees go one way."""
        self.messages[message.id] = message
        addressee = message.addressees[0]
        heapq.heappush(self._due, (addressee.due, message.id))
        self._ways.setdefault((addressee.transport, addressee.next_hop), {})[message.id] = None

    def record(self, result: Result) -> Deferred[None]:
        """As a spool."""
        message = self.messages[result.message]
        one = message.addressees[0]
        way = one.transport, one.next_hop
        message.addressees = [one for one in message.addressees if one.state == "queued"]
        assert result.complete == (not message.addressees)
        if result.complete:
            del self.messages[result.message], self._ways[way][result.message]
        else:
            heapq.heappush(self._due, (min(one.due for one in message.addressees), message.id))
        for event in result.events:
            self._ended(event)
        return self._later(None)

    def note(self, events: Iterable[Event]) -> None:
        """As a spool."""

    def claim(self, now: float, limit: int, octets: int, exclude: Any) -> Deferred[list[Message]]:
        """As a spool."""
        found: list[Message] = []
        kept: list[tuple[float, str]] = []
        while self._due and self._due[0][0] <= now and len(found) < limit:
            due, identifier = heapq.heappop(self._due)
            message = self.messages.get(identifier)
            if message is None or min(one.due for one in message.addressees) > due:
                continue
            # Until it is recorded it is due on disk as it stands.
            kept.append((due, identifier))
            if identifier not in exclude:
                found.append(message)
        for item in kept:
            heapq.heappush(self._due, item)
        return self._later(found)

    def put_off(self, rests: Mapping[Way, Rest], now: float, warn_after: float) -> Deferred[int]:
        """As a spool."""
        return self._later(sum(self._move(way, rest, now, True) for way, rest in rests.items()))

    def call_back(self, rests: Mapping[Way, Rest], now: float, step: float) -> Deferred[int]:
        """As a spool."""
        return self._later(sum(self._move(way, rest, now, False) for way, rest in rests.items()))

    def _move(self, way: Way, rest: Rest, now: float, off: bool) -> int:
        """Put off what waits for a way, or call it back."""
        count = 0
        for identifier in self._ways.get(way, ()):
            message = self.messages[identifier]
            addressee = message.addressees[0]
            if addressee.due < rest.before if off else addressee.last_reply == rest.words:
                due = min(rest.until, message.expires) if off else now
                addressee.due, addressee.last_reply = due, rest.words
                heapq.heappush(self._due, (due, identifier))
                count += 1
        return count

    def next_due(self) -> Deferred[float | None]:
        """As a spool."""
        return self._later(self._due[0][0] if self._due else None)


class Site:
    """One provider: its domains, what it takes at once and in a time, and how it is today."""

    def __init__(self, random: Random, number: int, sick: bool) -> None:
        self.number = number
        self.sick = sick
        self.hosts = (f"mx1.p{number}.test", f"mx2.p{number}.test")
        self.domains = [f"d{index}.p{number}.test" for index in range(random.choice([1, 3, 20]))]
        self.most = random.choice([2, 5, 10])
        self.rate: Rate = random.choice([(20, 1.0), (100, 1.0), (1200, 60.0)])
        self.delay = random.choice([0.02, 0.1, 0.3])
        self.refuses = random.choice([0.0, 0.02])
        self.greylists = False
        self.down: list[tuple[float, float]] = []
        # For each source that mail comes from, as a provider counts.
        self.busy: Counter[str] = Counter()
        self.passed: dict[str, deque[float]] = {}
        self.excess = 0
        self.seen: set[str] = set()
        if sick:
            kind = random.choice(["down", "slow", "grey", "flaps"])
            if kind == "down":
                self.down = [(NOW, NOW + random.uniform(1, 6) * HOUR)]
            elif kind == "slow":
                self.delay = random.uniform(20.0, 60.0)
            elif kind == "grey":
                self.greylists = True
            else:
                self.down = [(NOW + hour * HOUR, NOW + (hour + 0.5) * HOUR) for hour in range(6)]

    def arrives(self, now: float, source: str) -> None:
        """Somebody connects with a message: is that more than is allowed?"""
        count, seconds = self.rate
        passed = self.passed.setdefault(source, deque())
        passed.append(now)
        while now - passed[0] >= seconds - 1e-5:
            passed.popleft()
        if self.busy[source] > self.most or len(passed) > count:
            self.excess += 1


@implementer(ITransport, ISites)
class Providers:
    """The transport to all sites.

    :ivar days: messages of each day, since 1970, from each source.
    """

    def __init__(self, clock: HeapClock, random: Random, sites: Sequence[Site]) -> None:
        self._clock = clock
        self._random = random
        self._sites = {domain: site for site in sites for domain in site.domains}
        self.days: Counter[tuple[int, str]] = Counter()

    def concurrency(self, next_hop: str) -> int:
        """As a relay with ten connections."""
        return 20

    def site(self, next_hop: str) -> Sequence[str]:
        """The provider's hosts."""
        return self._sites[next_hop].hosts

    def deliver(self, delivery: Delivery) -> Deferred[Sequence[Outcome]]:
        """Takes as long as the site takes."""
        now = self._clock.seconds()
        site = self._sites[delivery.addressees[0].next_hop]
        source = delivery.source.name if delivery.source is not None else ""
        site.busy[source] += 1
        done: Deferred[Sequence[Outcome]] = Deferred()
        if any(start <= now < end for start, end in site.down):
            reply = RemoteReply(451, "4.4.1", "timeout", "", "connect")
            outcomes: list[Outcome] = [Postponed(reply)] * len(delivery.addressees)
            delay = 30.0
        else:
            site.arrives(now, source)
            self.days[int(now // 86400), source] += 1
            outcomes = [self._outcome(site, one) for one in delivery.addressees]
            delay = site.delay * self._random.uniform(0.5, 1.5)
        self._clock.callLater(delay, self._end, site, source, done, outcomes)
        return done

    @staticmethod
    def _end(site: Site, source: str, done: Deferred[Sequence[Outcome]], outcomes: list[Outcome]) -> None:
        site.busy[source] -= 1
        done.callback(outcomes)

    def _outcome(self, site: Site, addressee: Addressee) -> Outcome:
        host = f"{site.hosts[0]} [192.0.2.1]"
        if site.greylists and addressee.address not in site.seen:
            site.seen.add(addressee.address)
            return Postponed(RemoteReply(450, "4.7.1", "greylisted", host, "RCPT TO"))
        if self._random.random() < site.refuses:
            return Failed(RemoteReply(550, "5.1.1", "no such user", host, "RCPT TO"))
        return Delivered(RemoteReply(250, "2.0.0", "kept", host, "end of data"))


class Simulation:
    """So many recipients at fifty sites.

    :param seed: of everything random.
    :param recipients: how many.
    :param sick: whether the sick sites take part; without, only the healthy ones get mail.
    :param sources: tables of ``[[egress]]``, among which all mail is spread.
    :ivar providers: the transport.
    :ivar delays: seconds that messages to persons took.
    :ivar ends: when the last recipient of each site ended, by its number.
    """

    def __init__(self, seed: int, recipients: int, sick: bool = True, sources: Sequence[Source] = ()) -> None:
        random = Random(seed)
        self.clock = HeapClock()
        self.clock.advance(NOW)
        self.sites = [Site(random, number, number % 5 < 2) for number in range(50)]
        self.ends: dict[int, float] = {}
        self.ended: Counter[str] = Counter()
        self.delays: dict[str, float] = {}
        self._digest = blake2b(digest_size=16)
        self.spool = Shelf(self.clock, 0.002, self._event)
        settings = Queue(retry=[300, 900, 3600], expire=86400.0, warn_after=0.0, jitter=0.1)  # type: ignore[call-arg]
        shapes = [_shape(site) for site in self.sites]
        self._luck = Random(seed + 1)
        self.providers = Providers(self.clock, self._luck, self.sites)
        shaping = Shaping(shapes)
        weights = {one.name: 1.0 for one in sources}
        pools = [EgressPool(name="all", sources=weights, sender=["*"])] if sources else []
        self.manager = Manager(
            self.clock,
            self.spool,
            {"relay": self.providers},
            settings,
            hostname="mx.home.test",
            route=lambda address: None,
            shaping=shaping,
            egress=Egress(shaping, sources, pools),
            run_in_thread=lambda function, *arguments: succeed(function(*arguments)),
            uniform=self._luck.random,
        )
        self._content = InlineContent(b"Subject: x\r\n\r\nx\r\n")
        self._envelope, self._client = Envelope(""), Client("s")
        # The same recipients whether the sick ones take part or not.
        domains = [(domain, site) for site in self.sites for domain in site.domains]
        self.expected = 0
        for number in range(recipients):
            domain, site = domains[random.randrange(len(domains))]
            campaign = random.choice(["a", "b", "c"])
            if sick or not site.sick:
                self.expected += 1
                self._send(f"u{number}@{domain}", domain, campaign)
        self.manager.start()

    def _send(self, address: str, domain: str, campaign: str) -> Message:
        now = self.clock.seconds()
        message = Message(
            self.spool.new_id(),
            self._envelope,
            self._client,
            b"",
            self._content,
            [Addressee(0, address, address, "relay", domain, due=now)],
            now,
            now + 86400.0,
            {"campaign": campaign},
        )
        self.spool.put(message)
        return message

    def send(self, address: str, campaign: str) -> None:
        """A message comes in now."""
        self.manager.admitted(self._send(address, address.rpartition("@")[2], campaign))

    def _event(self, event: Event) -> None:
        if isinstance(event, DeliveredTo | FailedTo):
            self.ended[event.kind] += 1
            number = int(event.recipient.rpartition(".p")[2].partition(".")[0])
            self.ends[number] = event.at
            if event.recipient.startswith("person"):
                self.delays[event.recipient] = event.delay
        self._digest.update(f"{event.at:.3f}{event.kind}{event.message}".encode())

    def run(self) -> None:
        """Until nobody waits."""
        self.clock.run()

    def healthy(self) -> float:
        """Seconds until the last recipient of a healthy site had ended."""
        return max(self.ends[site.number] for site in self.sites if not site.sick) - NOW

    def trace(self) -> str:
        """A digest of everything that happened."""
        return self._digest.hexdigest()


def _shape(site: Site) -> Shape:
    """What the provider says that it takes."""
    rate = f"{site.rate[0]}/{int(site.rate[1])}s"
    mx = [f"*.p{site.number}.test"]
    return Shape(mx=mx, connections=site.most, messages=[rate])  # type: ignore[call-arg]
