"""What keeps messages: the spool of one shard, and a file of it for a large one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from zope.interface import Attribute, Interface

from mta.model.delivery import Result
from mta.model.event import Event
from mta.model.message import Content, Message
from mta.model.rest import Rest, Way


class ISpool(Interface):
    """Keeps messages and the journal, without blocking; everything it answers is on disk."""

    def start() -> Awaitable[None]:
        """Open, migrate, recover: in constant time.

        :raise TemporarilyUnavailable: with a text for the operator.
        """

    def stop() -> Awaitable[None]:
        """Write what is under way, and close."""

    def new_id() -> str:
        """A queue id that is not in use."""

    def create_file(name: str) -> Any:
        """A :class:`ISpoolFile` for content that is too large for a row."""

    def admit(message: Message, events: Iterable[Event]) -> Awaitable[None]:
        """Keep a message; answers after the commit.

        :raise TemporarilyUnavailable: nothing was kept, unless it is :class:`Undecided`.
        """

    def record(result: Result) -> Awaitable[None]:
        """Keep what became of an attempt.  Retried inside until it is kept."""

    def note(events: Iterable[Event]) -> None:
        """Put events into the journal with the next commit; lost only with the disk."""

    def claim(
        now: float, limit: int, octets: int, exclude: frozenset[str] | set[str]
    ) -> Awaitable[list[Message]]:
        """Messages with an addressee due by ``now``, earliest first.

        :param limit: messages at the most.
        :param octets: content in memory at the most (at least one message comes).
        :param exclude: ids that are in the window already.
        """

    def next_due() -> Awaitable[float | None]:
        """When the next addressee is due; ``None`` if nobody waits."""

    def reschedule(due: float) -> Awaitable[int]:
        """Make every queued addressee that is due later due then; answers how many were.

        Those of messages that are scheduled for a later time keep to it.
        """

    def put_off(rests: Mapping[Way, Rest], now: float, warn_after: float) -> Awaitable[int]:
        """Let what is due on these ways before their rest is over wait on disk till then.

        It is no attempt.  Nobody waits beyond expiry, or ``warn_after`` seconds from the start (0: no bound).

        :return: how many addressees it were.
        """

    def call_back(rests: Mapping[Way, Rest], now: float, step: float) -> Awaitable[int]:
        """Make due, ``step`` seconds apart, what was put off with these words; answers how many it were."""

    def waiting_with(beginning: str) -> Awaitable[Sequence[tuple[Way, str, float]]]:
        """Who waits with a reply that begins so: the way, the reply, and when the last of them is due."""

    def get(identifier: str) -> Awaitable[Message | None]:
        """One queued message, with all its waiting addressees."""

    def count() -> Awaitable[dict[str, int]]:
        """``messages``, ``addressees``, ``held``, ``octets`` in the queue."""

    def subscribe(sink: Any) -> Callable[[], None]:
        """Tell an :class:`IEventSink` of every batch; returns how to end that."""


class ISpoolFile(Interface):
    """A file in the making, written by a thread."""

    path = Attribute("Where it is.")

    def write(block: bytes) -> None:
        """Append; never blocks."""

    def watch(see: Callable[[bytes], None]) -> None:
        """Have something see every block, in order, in the thread that writes; before the first."""

    def register(producer: Any) -> None:
        """An ``IPushProducer`` to pause while more than 1 MiB waits for the disk."""

    def finish() -> Awaitable[Content]:
        """Write everything, fsync file and directory, and answer.

        :raise SpoolFull: there is no space; the file is gone.
        :raise TemporarilyUnavailable: an I/O error; the file is gone.
        """

    def abort() -> None:
        """Remove it."""
