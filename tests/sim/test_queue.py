"""A queue among unreliable destinations: whatever happens, every recipient has it or its sender knows.

Destinations are fast, slow, down for hours, choosy, or broken in ways that a
transport should not be; the server is stopped in the middle and started again.
Everything that is random comes from one seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import blake2b
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Queue
from mta.interfaces import Delivery, Route, RouteError, TemporarilyUnavailable
from mta.model.catalogue import REPLIES
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Completed, DeliveredTo, Discarded, FailedTo, Notified, Operated
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply
from mta.queue.manager import Manager
from tests.queue.fakes import CONTENT, NOW, MemorySpool

DAY = 86400.0


class Weather:
    """One destination: how long it takes, when it is down, whom it refuses."""

    def __init__(self, random: Random, name: str) -> None:
        self.delay = random.choice([0.0, 0.01, 0.2, 5.0, 40.0])
        self.refuses = random.choice([0.0, 0.05, 0.3])
        self.puts_off = random.choice([0.0, 0.1, 0.5])
        self.breaks = random.choice([0.0, 0.0, 0.02])
        self.down: list[tuple[float, float]] = []
        at = 0.0
        for _ in range(random.randrange(4)):
            at += random.uniform(0, 0.5 * DAY)
            long = random.choice([60.0, 3600.0, 0.4 * DAY])
            self.down.append((NOW + at, NOW + at + long))
            at += long
        self.host = f"mx.{name} [192.0.2.{random.randrange(1, 255)}]"


class Network:
    """A transport to all destinations."""

    def __init__(self, clock: Clock, random: Random) -> None:
        self.clock = clock
        self.random = random
        self.weather: dict[str, Weather] = {}
        self.deliveries = 0
        self.busy: Counter[str] = Counter()
        self.most = 0

    def concurrency(self, next_hop: str) -> int:
        return 4

    def deliver(self, delivery: Delivery) -> Any:
        self.deliveries += 1
        next_hop = delivery.addressees[0].next_hop
        weather = self.weather[next_hop]
        now = self.clock.seconds()
        self.busy[next_hop] += 1
        self.most = max(self.most, self.busy[next_hop])
        outcomes: Any
        delay = weather.delay * self.random.uniform(0.5, 1.5)
        if any(start <= now < end for start, end in weather.down):
            reply = RemoteReply(451, "4.4.1", f"No mail server of {next_hop} answers: timeout", "", "connect")
            outcomes, delay = [Postponed(reply)] * len(delivery.addressees), 30.0
        elif self.random.random() < weather.breaks:
            outcomes = self.random.choice([None, [], ZeroDivisionError()])
        else:
            outcomes = [self.outcome(weather) for _ in delivery.addressees]
        if not delay:
            return self.end(next_hop, outcomes)
        deferred: Deferred[Sequence[Outcome]] = Deferred()
        self.clock.callLater(delay, lambda: self.end(next_hop, outcomes).chainDeferred(deferred))
        return deferred

    def end(self, next_hop: str, outcomes: Any) -> Deferred[Any]:
        self.busy[next_hop] -= 1
        deferred: Deferred[Any] = Deferred()
        if isinstance(outcomes, Exception):
            deferred.errback(outcomes)
        else:
            deferred.callback(outcomes)
        return deferred

    def outcome(self, weather: Weather) -> Outcome:
        luck = self.random.random()
        if luck < weather.refuses:
            return Failed(RemoteReply(550, "5.1.1", "no such user", weather.host, "RCPT TO"))
        if luck < weather.refuses + weather.puts_off:
            return Postponed(RemoteReply(451, "4.7.1", "greylisted", weather.host, "RCPT TO"))
        return Delivered(RemoteReply(250, "2.0.0", "kept", weather.host, "end of data"))


class Simulation:
    """Some hundred messages over some days."""

    def __init__(self, seed: int, messages: int = 300) -> None:
        self.random = Random(seed)
        self.clock = Clock()
        self.clock.advance(NOW)
        self.spool = MemorySpool(self.clock, latency=0.002)
        self.network = Network(self.clock, self.random)
        self.local = Network(self.clock, self.random)
        self.settings = Queue(
            window_messages=50, retry=[60, 600, 3600, 14400], expire=DAY, warn_after=4 * 3600
        )
        self.domains = [f"d{number}.test" for number in range(8)]
        for name in self.domains:
            self.network.weather[name] = Weather(self.random, name)
        self.local.weather["/m"] = Weather(Random(0), "local")
        self.local.weather["/m"].down = []
        self.local.weather["/m"].delay = 0.001
        self.sent: dict[str, Message] = {}
        self.manager = self.new_manager()
        self.ids: list[str] = []
        times = sorted(self.random.uniform(0, 0.3 * DAY) for _ in range(messages // 2))
        times += [self.random.uniform(0, 5.0) for _ in range(messages - len(times))]
        for time in sorted(times):
            self.clock.callLater(time, self.send)
        for _ in range(20):
            self.clock.callLater(self.random.uniform(0, 0.5 * DAY), self.operate)
        for time in (3.0, 7000.0, 0.2 * DAY):
            self.clock.callLater(time, self.restart)

    def new_manager(self) -> Manager:
        manager = Manager(
            self.clock,
            self.spool,
            {"relay": self.network, "maildir": self.local},
            self.settings,
            hostname="mx.home.test",
            route=self.route,
            run_in_thread=lambda function, *arguments: succeed(function(*arguments)),
            uniform=self.random.random,
        )
        manager.start()
        return manager

    def route(self, address: str) -> Any:
        luck = self.random.random()
        if luck < 0.05:
            raise TemporarilyUnavailable("the directory is down")
        if address.startswith("gone"):
            raise RouteError(REPLIES.reply("mailbox-unknown", address=address, ref=""))
        return [Route(address, "maildir", "/m")]

    def send(self) -> None:
        random, now = self.random, self.clock.seconds()
        sender = random.choice(["a@home.test", "b@home.test", "gone@home.test", ""])
        addresses = [
            f"u{number}@{random.choice(self.domains)}" for number in range(random.choice([1, 1, 1, 2, 5]))
        ]
        notify = random.choice([frozenset(), frozenset(), frozenset({"SUCCESS", "FAILURE"})])
        message = Message(
            id=self.spool.new_id(),
            envelope=Envelope(sender, [Recipient(one) for one in addresses]),
            client=Client("s"),
            trace=b"",
            content=InlineContent(CONTENT),
            addressees=[
                Addressee(number, one, one, "relay", one.partition("@")[2], notify=notify, due=now)
                for number, one in enumerate(addresses)
            ],
            created=now,
            expires=now + self.settings.expire,
        )
        self.ids.append(message.id)
        self.sent[message.id] = message
        self.spool.put(message)
        self.manager.admitted(message)

    def operate(self) -> None:
        ids = self.random.sample(self.ids, min(10, len(self.ids)))
        act = self.random.choice(["hold", "retry", "remove", "flush"])
        if act == "hold":
            self.start(self.manager.hold(ids, "op"))
            self.clock.callLater(3600, lambda: self.start(self.manager.release(ids, "op")))
        elif act == "retry":
            self.start(self.manager.retry(ids, "op"))
        elif act == "remove":
            self.start(self.manager.remove(ids[:2], "op", notify=True))
        else:
            self.start(self.manager.flush("op"))

    def restart(self) -> None:
        stopped = self.start(self.manager.stop(1.0))
        stopped.addCallback(lambda _: setattr(self, "manager", self.new_manager()))

    def start(self, coroutine: Any) -> Deferred[Any]:
        return Deferred.fromCoroutine(coroutine)

    def run(self) -> None:
        """Go from one timer to the next until nothing is left."""
        until = NOW + 10 * DAY
        while self.clock.getDelayedCalls() and self.clock.seconds() < until:
            due = min(call.getTime() for call in self.clock.getDelayedCalls())
            self.clock.advance(max(0.0, due - self.clock.seconds()))

    def trace(self) -> str:
        """A digest of everything that happened."""
        digest = blake2b(digest_size=16)
        for event in self.spool.journal:
            digest.update(repr(event).encode())
        return digest.hexdigest()


class QueueSimulation(SynchronousTestCase):
    """Invariants that hold for any seed."""

    def simulate(self, seed: int) -> Simulation:
        simulation = Simulation(seed)
        simulation.run()
        self.flushLoggedErrors(ZeroDivisionError, TypeError)
        return simulation

    def check(self, seed: int) -> Simulation:
        simulation = self.simulate(seed)
        spool = simulation.spool
        self.assertEqual({}, spool.messages, f"seed {seed}: somebody waits for ever")
        ends: Counter[tuple[str, str, str]] = Counter()
        for event in spool.journal:
            if isinstance(event, DeliveredTo | FailedTo):
                ends[event.message, event.recipient, event.original] += 1
            elif isinstance(event, Operated) and event.action == "remove":
                for recipient in event.recipients:
                    ends[event.message, recipient, recipient] += 1
        expected = Counter(
            (message.id, one.address, one.address)
            for message in simulation.sent.values()
            for one in message.addressees
        )
        # Each recipient ends, and once.
        self.assertEqual(expected, Counter({key: n for key, n in ends.items() if key[0] in simulation.sent}))
        # Whoever did not get it is in a notification, or in the event that says why not.
        told: set[tuple[str, str]] = set()
        for event in spool.journal:
            if isinstance(event, Discarded) or (isinstance(event, Notified) and event.action == "failed"):
                told.update((event.message, recipient) for recipient in event.recipients)
        failed = {(event.message, event.recipient) for event in spool.of(FailedTo)}
        self.assertEqual(set(), failed - told)
        completed = [event.message for event in spool.of(Completed)]
        self.assertEqual(len(set(completed)), len(completed))
        self.assertLessEqual(set(simulation.sent), set(completed))
        self.assertEqual(0, simulation.manager.status()["window"]["messages"])
        self.assertEqual(0, simulation.manager.status()["window"]["octets"])
        self.assertEqual([], simulation.clock.getDelayedCalls())
        # A restart may leave a delivery that nobody waits for any more.
        self.assertLessEqual(simulation.network.most, 4 * 4)
        return simulation

    def test_everybody_ends(self) -> None:
        for seed in range(3):
            self.check(seed)

    def test_same_seed_same_trace(self) -> None:
        first, second = self.simulate(7), self.simulate(7)
        self.assertGreater(len(first.spool.journal), 400)
        self.assertEqual(first.trace(), second.trace())
        self.assertNotEqual(first.trace(), self.simulate(8).trace())
