"""What of the queue is in memory: a bounded number of messages, each for one round.

A *round* is one attempt for every addressee that is due.  An :class:`Entry` is
a message during its round; a :class:`Job` is that part of it that goes one way
in one :class:`~mta.interfaces.Delivery`.  Whatever is in the window is on disk
too: to forget an entry loses nothing but the work of reading it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred

from mta.model.message import Addressee, InlineContent, Message

if TYPE_CHECKING:
    from mta.queue.destination import Destination
    from mta.queue.settlement import Report

#: Recipients in one delivery at the most (RFC 5321, 4.5.3.1.8 lets a server refuse more).
RECIPIENTS = 100

#: Octets that a message and an addressee take in memory besides their content, roughly.
_MESSAGE_COST = 2048
_ADDRESSEE_COST = 512


def cost_of(message: Message) -> int:
    """Octets of memory that a message takes; content in a file takes none."""
    content = message.content
    inline = len(content.data) if isinstance(content, InlineContent) else 0
    return _MESSAGE_COST + _ADDRESSEE_COST * len(message.addressees) + len(message.trace) + inline


class Job:
    """One delivery to be made.

    :ivar entry: the message's round.
    :ivar destination: whose turn it waits for.
    :ivar addressees: whom it is for.
    :ivar sender: who is told what becomes of it: its reverse-path, unless the addressees'
        options have another ``return_path``.
    :ivar octets: its part of the message's memory.
    :ivar attempt: the attempt's Deferred once it is under way.
    :ivar began: when it was begun.
    """

    __slots__ = ("addressees", "attempt", "began", "destination", "entry", "octets", "sender")

    def __init__(
        self,
        entry: Entry,
        destination: Destination,
        addressees: list[Addressee],
        sender: str,
        octets: int,
    ) -> None:
        self.entry = entry
        self.destination = destination
        self.addressees = addressees
        self.sender = sender
        self.octets = octets
        self.attempt: Any = None
        self.began = 0.0


class Entry:
    """One message during its round.

    :ivar message: the message, with everybody who waits.
    :ivar fresh: whether it was admitted by this process, and this is its first round.
    :ivar doubtful: whether there may have been an attempt of which nothing is on disk: by a
        process that is gone, or one that could not be recorded.
    :ivar octets: memory it takes.
    :ivar jobs: how many jobs have not ended.
    :ivar parts: all jobs of the round.
    :ivar records: records that the spool has not confirmed.
    :ivar waiting: addressees that have not ended, those not due included.
    :ivar reports: what the sender is to be told when the round ends.
    :ivar ended: fires when the round has ended, where somebody waits for that.
    """

    __slots__ = (
        "doubtful",
        "ended",
        "fresh",
        "jobs",
        "message",
        "octets",
        "parts",
        "records",
        "reports",
        "waiting",
    )

    def __init__(self, message: Message, fresh: bool, octets: int, doubtful: bool = False) -> None:
        self.message = message
        self.fresh = fresh
        self.doubtful = doubtful
        self.octets = octets
        self.jobs = 0
        self.parts: Sequence[Job] = ()
        self.records = 0
        self.waiting = len(message.addressees)
        self.reports: list[Report] | None = None
        self.ended: Deferred[None] | None = None


class Window:
    """The entries, and how much room there is for more.

    :ivar entries: by queue id.
    :ivar octets: memory that they take.
    :param messages: how many there may be.
    :param limit: octets of memory that they may take.
    """

    __slots__ = ("entries", "limit", "messages", "octets")

    def __init__(self, messages: int, limit: int) -> None:
        self.messages = messages
        self.limit = limit
        self.octets = 0
        self.entries: dict[str, Entry] = {}

    def has_room(self, octets: int = 0) -> bool:
        """Whether a message of so many octets fits; an empty window takes any."""
        count = len(self.entries)
        return count < self.messages and (self.octets + octets <= self.limit or not count)

    @property
    def free_messages(self) -> int:
        """How many more may come."""
        return max(0, self.messages - len(self.entries))

    @property
    def free_octets(self) -> int:
        """How much memory is left."""
        return max(0, self.limit - self.octets)

    def add(self, entry: Entry) -> None:
        """Take an entry in."""
        self.entries[entry.message.id] = entry
        self.octets += entry.octets

    def remove(self, entry: Entry) -> None:
        """Forget an entry."""
        # It and its jobs know each other: the garbage collector would have to find them.
        entry.parts = ()
        del self.entries[entry.message.id]
        self.octets -= entry.octets


def ways(
    message: Message, addressees: Iterable[Addressee]
) -> dict[tuple[str, str, str, str | None], list[Addressee]]:
    """Addressees by the way that they go: (transport, next hop, sender, reverse-path if it is another).

    :param addressees: some of the message's.
    """
    found: dict[tuple[str, str, str, str | None], list[Addressee]] = {}
    reverse_path = message.envelope.reverse_path
    for addressee in addressees:
        options = addressee.options
        key = (
            addressee.transport,
            addressee.next_hop,
            options.get("sender", reverse_path),
            options.get("return_path"),
        )
        found.setdefault(key, []).append(addressee)
    return found
