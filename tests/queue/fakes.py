"""A spool in memory and a transport by script, for tests of the manager."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from mta.config.settings import Queue
from mta.interfaces import Delivery, ISpool, ITransport, Result, Route
from mta.model.envelope import Client, Envelope, Recipient
from mta.model.event import Event
from mta.model.ids import IdSource
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply
from mta.model.rest import Rest, Way
from mta.queue.manager import Manager

NOW = 1.8e9
CONTENT = b"From: <a@home.test>\r\nSubject: Lunch\r\nMessage-ID: <m1@home.test>\r\n\r\nHello\r\n"

OK = Delivered(RemoteReply(250, "2.0.0", "kept", "mx.far.test [192.0.2.1]", "end of data"))
LATER = Postponed(RemoteReply(451, "4.2.0", "come again", "mx.far.test [192.0.2.1]", "RCPT TO"))
NEVER = Failed(RemoteReply(550, "5.1.1", "no such user", "mx.far.test [192.0.2.1]", "RCPT TO"))
#: Routes: the sender of most messages is here.
HOME = {"a@home.test": [Route("a@home.test", "maildir", "/m/a")]}
DOWN = Postponed(RemoteReply(451, "4.4.1", "No mail server of far.test answers: refused", "", "connect"))


@implementer(ISpool)
class MemorySpool:
    """What a spool promises, without a disk; answers come after ``latency`` seconds."""

    def __init__(self, clock: Clock, latency: float = 0.0) -> None:
        self.clock = clock
        self.latency = latency
        self.messages: dict[str, Message] = {}
        self.journal: list[Event] = []
        self.claims: list[list[str]] = []
        self.put_offs: list[dict[Way, Rest]] = []
        self.call_backs: list[dict[Way, Rest]] = []
        self.records = 0
        self.largest = 0
        self.broken: Exception | None = None
        self.stuck = False
        self._ids = IdSource()

    def _later(self, answer: Any) -> Deferred[Any]:
        if not self.latency:
            return succeed(answer)
        deferred: Deferred[Any] = Deferred()
        self.clock.callLater(self.latency, deferred.callback, answer)
        return deferred

    def new_id(self) -> str:
        return self._ids.next(self.clock.seconds())

    def put(self, message: Message) -> None:
        """Keep a message at once."""
        self.messages[message.id] = replace(message, addressees=deepcopy(message.addressees))

    def admit(self, message: Message, events: Iterable[Event]) -> Deferred[None]:
        self.put(message)
        self.journal.extend(events)
        return self._later(None)

    def record(self, result: Result) -> Deferred[None]:
        if self.broken is not None:
            from twisted.internet.defer import fail

            return fail(self.broken)
        if self.stuck:
            return Deferred()
        self.records += 1
        message = self.messages[result.message]
        rows = {addressee.number: addressee for addressee in message.addressees}
        for addressee in result.changed:
            assert addressee.number in rows, "an addressee ended twice"
            if addressee.state in ("queued", "held"):
                rows[addressee.number] = deepcopy(addressee)
            else:
                del rows[addressee.number]
        message.addressees = list(rows.values())
        assert result.complete == (not rows), (result, rows)
        if result.complete:
            del self.messages[result.message]
        if result.retimed is not None:
            message.expires = result.retimed.expires
            message.attributes = dict(result.retimed.attributes)
        self.journal.extend(result.events)
        for admitted in result.admit:
            self.put(admitted)
        return self._later(None)

    def note(self, events: Iterable[Event]) -> None:
        self.journal.extend(events)

    def claim(self, now: float, limit: int, octets: int, exclude: Any) -> Deferred[list[Message]]:
        found: list[tuple[float, str]] = []
        for message in self.messages.values():
            due = [one.due for one in message.addressees if one.state == "queued" and one.due <= now]
            if due and message.id not in exclude:
                found.append((min(due), message.id))
        found.sort()
        claimed: list[Message] = []
        for _, identifier in found[:limit]:
            message = self.messages[identifier]
            octets -= message.content.size
            if octets < 0 and claimed:
                break
            claimed.append(replace(message, addressees=deepcopy(message.addressees)))
        self.claims.append([message.id for message in claimed])
        return self._later(claimed)

    def next_due(self) -> Deferred[float | None]:
        dues = [one.due for m in self.messages.values() for one in m.addressees if one.state == "queued"]
        return self._later(min(dues, default=None))

    def reschedule(self, due: float) -> Deferred[int]:
        count = 0
        for message in self.messages.values():
            for addressee in message.addressees:
                if message.starts > due and addressee.attempts * (addressee.due - message.starts) == 0:
                    continue
                if addressee.state == "queued" and addressee.due > due:
                    addressee.due = due
                    count += 1
        return self._later(count)

    def put_off(self, rests: Mapping[Way, Rest], now: float, warn_after: float) -> Deferred[int]:
        count = 0
        for message in self.messages.values():
            for addressee in message.addressees:
                rest = rests.get((addressee.transport, addressee.next_hop))
                if rest is not None and addressee.state == "queued" and addressee.due < rest.before:
                    # Apart, as the spool spreads them.
                    addressee.due = min(rest.until + count * 30 / len(self.messages), message.expires)
                    if warn_after and not addressee.warned and message.created + warn_after > now:
                        addressee.due = min(addressee.due, message.created + warn_after)
                    addressee.last_reply = rest.words
                    count += 1
        self.put_offs.append(dict(rests))
        return self._later(count)

    def call_back(self, rests: Mapping[Way, Rest], now: float, step: float) -> Deferred[int]:
        count = 0
        for message in self.messages.values():
            for addressee in message.addressees:
                rest = rests.get((addressee.transport, addressee.next_hop))
                if rest is not None and addressee.last_reply == rest.words and addressee.due > now:
                    addressee.due = now
                    count += 1
        self.call_backs.append(dict(rests))
        return self._later(count)

    def waiting_with(self, beginning: str) -> Deferred[list[tuple[Way, str, float]]]:
        found: dict[tuple[Way, str], float] = {}
        for message in self.messages.values():
            for one in message.addressees:
                if one.state == "queued" and one.last_reply.startswith(beginning):
                    place = (one.transport, one.next_hop), one.last_reply
                    found[place] = max(one.due, found.get(place, 0.0))
        return self._later([(way, words, due) for (way, words), due in found.items()])

    def get(self, identifier: str) -> Deferred[Message | None]:
        message = self.messages.get(identifier)
        if message is not None:
            message = replace(message, addressees=deepcopy(message.addressees))
        return self._later(message)

    def of(self, kind: type[Event]) -> list[Any]:
        """Events of one kind."""
        return [event for event in self.journal if type(event) is kind]


@implementer(ITransport)
class Scripted:
    """Answers as it is told: by address, else ``default``; ``None`` keeps it waiting."""

    def __init__(self, default: Any = OK, concurrency: int = 5) -> None:
        self.default = default
        self.answers: dict[str, Any] = {}
        self.deliveries: list[Delivery] = []
        self.seen: list[Any] = []
        self.waiting: list[tuple[Delivery, Deferred[Sequence[Outcome]]]] = []
        self.cancelled = 0
        self.busy = 0
        self._concurrency = concurrency

    def concurrency(self, next_hop: str) -> int:
        return self._concurrency

    def answer(self, delivery: Delivery) -> Any:
        return [self.answers.get(one.address, self.default) for one in delivery.addressees]

    def deliver(self, delivery: Delivery) -> Any:
        self.deliveries.append(delivery)
        self.seen.append((delivery.message.id, [one.address for one in delivery.addressees]))
        found = self.answer(delivery)
        if isinstance(found, list) and None not in found:
            return succeed(found)
        deferred: Deferred[Sequence[Outcome]] = Deferred(self._cancelled)
        self.waiting.append((delivery, deferred))
        return deferred

    def _cancelled(self, deferred: Deferred[Any]) -> None:
        self.cancelled += 1

    def end(self, outcome: Outcome = OK, index: int = 0) -> None:
        """Answer a delivery that waits."""
        delivery, deferred = self.waiting.pop(index)
        deferred.callback([outcome] * len(delivery.addressees))


def table_route(table: dict[str, Any]) -> Callable[[str], Any]:
    """A ``route`` by a table; exceptions in it are raised."""

    def route(address: str) -> Any:
        found = table.get(address)
        if isinstance(found, Exception):
            raise found
        return found

    return route


class Bench:
    """A manager among fakes, and the means to make messages."""

    def __init__(
        self,
        route: dict[str, Any] | None = None,
        latency: float = 0.0,
        shaping: Any = None,
        egress: Any = None,
        tally: Any = None,
        uniform: Callable[[], float] = lambda: 0.5,
        **settings: Any,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.spool = MemorySpool(self.clock, latency)
        self.relay = Scripted()
        self.local = Scripted()
        self.settings = Queue(**{"jitter": 0.0, **settings})
        self.routes: dict[str, Any] = {} if route is None else route
        self.sign: Callable[[bytes, float], Any] = lambda data, now: b""
        self._made = partial(
            Manager,
            self.clock,
            self.spool,
            {"relay": self.relay, "maildir": self.local},
            self.settings,
            hostname="mx.home.test",
            route=table_route(self.routes),
            shaping=shaping,
            egress=egress,
            tally=tally,
            run_in_thread=lambda function, *arguments: succeed(function(*arguments)),
            uniform=uniform,
            sign=lambda data, now: self.sign(data, now),
        )
        self.manager = self._made()

    def restart(self) -> None:
        """Another manager, which knows what is on disk."""
        done = Deferred.fromCoroutine(self.manager.stop(1))
        self.run(5)
        assert done.called
        self.manager = self._made(suspensions=self.manager._rests.suspensions)
        self.manager.start()

    def message(self, *addresses: str, sender: str = "a@home.test", **facts: Any) -> Message:
        """A message to these; ``x@far.test`` goes by relay to ``far.test``.

        :param facts: ``notify``, ``orcpt``, ``options``, ``state``, ``due`` of the
            addressees; the rest is for the message.
        """
        now = self.clock.seconds()
        own = {name: facts.pop(name) for name in ("notify", "orcpt", "options", "state") if name in facts}
        due = facts.pop("due", now)
        envelope = facts.pop("envelope", None) or Envelope(sender, [Recipient(one) for one in addresses])
        return Message(
            **{
                "id": self.spool.new_id(),
                "envelope": envelope,
                "client": Client("s1", account="a"),
                "trace": b"Received: by mx.home.test; now\r\n",
                "content": InlineContent(CONTENT),
                "addressees": [
                    Addressee(
                        number=number,
                        address=address,
                        original=address,
                        transport="relay",
                        next_hop=address.partition("@")[2],
                        due=due,
                        **own,
                    )
                    for number, address in enumerate(addresses)
                ],
                "created": now,
                "expires": now + self.settings.expire,
                **facts,
            }
        )

    def send(self, *addresses: str, **facts: Any) -> Message:
        """Admit a message as a session does."""
        message = self.message(*addresses, **facts)
        self.spool.put(message)
        self.manager.admitted(message)
        return message

    def run(self, seconds: float, step: float = 1.0) -> None:
        """Let time go by, in small steps."""
        until = self.clock.seconds() + seconds
        while self.clock.seconds() < until:
            self.clock.advance(min(step, until - self.clock.seconds()))
