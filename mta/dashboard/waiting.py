"""Looks at the queues of all workers for the pages; blocks, so it runs in a thread."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

from mta.interfaces import TemporarilyUnavailable
from mta.model.ids import created_at, encode_id
from mta.model.message import Message
from mta.queue.reader import QueueReader

#: Recipients of a shard that are looked at for the list of destinations.
MOST = 300_000
#: Messages read at once.
_PAGE = 100


@dataclass(slots=True)
class Destination:
    """What waits for one transport and next hop, in all workers.

    :ivar due: when the first is due; 0: all are held.
    :ivar oldest: since when the oldest waits.
    :ivar in_flight: attempts under way.
    :ivar rests: until when nothing is tried; 0: it is.
    :ivar trouble: what was said last.
    :ivar advice: what follows from that, as ``class`` and ``action``.
    :ivar suspended: by whom and why a person lets nothing go there; ``""``: nobody does.
    """

    transport: str
    next_hop: str
    messages: int = 0
    recipients: int = 0
    held: int = 0
    due: float = 0.0
    attempts: int = 0
    oldest: float = 0.0
    in_flight: int = 0
    rests: float = 0.0
    trouble: str = ""
    advice: str = ""
    suspended: str = ""

    @property
    def name(self) -> str:
        """As a suspension's pattern names it."""
        return f"{self.transport}:{self.next_hop}"


@dataclass(slots=True)
class Look:
    """The queue at a moment.

    :ivar destinations: the fullest first.
    :ivar counts: ``messages``, ``addressees``, ``held``, ``octets`` of all.
    :ivar partly: whether there are more recipients than were looked at.
    :ivar silent: workers that do not answer.
    """

    destinations: list[Destination] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    in_flight: int = 0
    sessions: int = 0
    partly: bool = False
    silent: list[int] = field(default_factory=list)
    suspensions: list[dict[str, Any]] = field(default_factory=list)


def look(directories: Sequence[Path], statuses: dict[int, dict[str, Any] | None]) -> Look:
    """What waits, and how the lines stand.

    :param directories: of the shards.
    :param statuses: of the workers.
    :raise TemporarilyUnavailable: if a queue cannot be read.
    """
    found = Look(silent=[shard for shard, status in statuses.items() if status is None])
    by_way: dict[tuple[str, str], Destination] = {}

    def of(transport: str, next_hop: str) -> Destination:
        return by_way.setdefault((transport, next_hop), Destination(transport, next_hop))

    for directory in directories:
        with QueueReader(directory) as reader:
            try:
                counts = reader.count()
            except TemporarilyUnavailable as trouble:
                if _is_being_made(trouble):
                    continue
                raise
            for name, number in counts.items():
                found.counts[name] = found.counts.get(name, 0) + number
            if not counts["messages"]:
                continue
            found.partly = found.partly or counts["addressees"] > MOST
            for one in reader.waiting(MOST):
                line = of(one.transport, one.next_hop)
                line.messages += one.messages
                line.recipients += one.recipients
                line.held += one.held
                line.due = min(filter(None, (line.due, one.due)), default=0.0)
                line.attempts = max(line.attempts, one.attempts)
                since = created_at(encode_id(one.oldest))
                line.oldest = min(line.oldest or since, since)
    patterns: dict[str, dict[str, Any]] = {}
    for status in filter(None, statuses.values()):
        queue = status["queue"]
        found.in_flight += queue["in_flight"]
        found.sessions += sum(status["sessions"].values())
        patterns.update({one["pattern"]: one for one in queue["suspensions"]})
        for one in queue["destinations"]:
            _stand(of(one["transport"], one["next_hop"]), one)
    found.suspensions = list(patterns.values())
    for line in by_way.values():
        line.suspended = _suspended(line, found.suspensions)
    found.destinations = sorted(
        by_way.values(), key=lambda line: (-line.messages, -line.in_flight, line.next_hop)
    )
    return found


def _stand(line: Destination, told: dict[str, Any]) -> None:
    """How a line stands, as a worker tells it."""
    line.in_flight += told["in_flight"]
    line.rests = max(line.rests, told["rests_until"] or 0.0, (told["advice"] or {}).get("until") or 0.0)
    line.trouble = told["last_trouble"] or line.trouble
    if told["advice"]:
        line.advice = f"{told['advice']['class']}: {told['advice']['action']}"
    elif told["automation"]:
        line.advice = f"{told['automation']['rule']}: {told['automation']['action']}"


def _suspended(line: Destination, suspensions: Sequence[dict[str, Any]]) -> str:
    for one in suspensions:
        pattern = one["pattern"].lower()
        if fnmatchcase(line.name.lower(), pattern) or fnmatchcase(line.next_hop.lower(), pattern):
            words = " ".join(filter(None, ("by", one.get("by") or "somebody")))
            return f"{words}: {one['reason']}" if one.get("reason") else words
    return ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which messages of the queue are shown; ``""`` lets everything through."""

    after: str = ""
    sender: str = ""
    recipient: str = ""
    domain: str = ""
    state: str = ""
    way: tuple[str, str] | None = None


def messages(directories: Sequence[Path], chosen: Chosen, limit: int) -> tuple[list[Message], str]:
    """A page of the queue, the oldest first.

    :return: and the id behind which the next page begins; ``""``: this is the last.
    :raise ValueError: if ``after`` is no queue id.
    :raise TemporarilyUnavailable: if a queue cannot be read.
    """
    readers = [QueueReader(directory) for directory in directories]
    try:
        runs = [_run(reader, chosen) for reader in readers]
        found = list(islice(heapq.merge(*runs, key=lambda one: one.id), limit + 1))
    finally:
        for reader in readers:
            reader.close()
    return found[:limit], found[limit - 1].id if len(found) > limit else ""


def _is_being_made(trouble: TemporarilyUnavailable) -> bool:
    """Whether a worker that is just starting has no queue yet."""
    return "no such table" in str(trouble)


def _run(reader: QueueReader, chosen: Chosen) -> Iterator[Message]:
    after = chosen.after
    while True:
        try:
            found = reader.page(
                after,
                _PAGE,
                sender=chosen.sender,
                recipient=chosen.recipient,
                state=chosen.state,
                domain=chosen.domain,
                way=chosen.way,
            )
        except TemporarilyUnavailable as trouble:
            if _is_being_made(trouble):
                return
            raise
        yield from found
        if len(found) < _PAGE:
            return
        after = found[-1].id


def one(directories: Sequence[Path], identifier: str) -> Message | None:
    """A message that is in the queue.

    :raise ValueError: if it is no queue id.
    :raise TemporarilyUnavailable: if a queue cannot be read.
    """
    for directory in directories:
        with QueueReader(directory) as reader:
            try:
                message = reader.get(identifier)
            except TemporarilyUnavailable as trouble:
                if _is_being_made(trouble):
                    continue
                raise
        if message is not None:
            return message
    return None
