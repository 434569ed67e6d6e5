"""What the writer is asked to keep, as rows; made in the reactor thread, so that nobody changes it later."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred

from mta.interfaces import Result
from mta.model.event import Event
from mta.model.event_rows import EventRow, event_keys, event_row
from mta.model.ids import decode_id
from mta.model.message import Message
from mta.queue.rows import STATES, addressee_row, message_row, retimed_row

#: Roughly what a row of an event weighs in memory, in octets.
EVENT_WEIGHT = 512


class Work:
    """One admit, one record, or some events: kept in one transaction, or not at all.

    :ivar deferred: fires when it is on disk; ``None`` if nobody waits.
    :ivar essential: whether it waits in memory until the disk is well again; an
        admit does not, because the client still has its copy.
    :ivar messages: rows to be inserted.
    :ivar addressees: rows to be inserted.
    :ivar changed: by (message, number): the new row, or ``None`` to delete it.
    :ivar retimed: what a message that got another time has now: expiry, facts, number.
    :ivar complete: the message to be deleted, with all its addressees.
    :ivar rows: rows of events.
    :ivar keys: the keys of each of ``rows``.
    :ivar first: the number of the first event, once it is on disk; 0: it was not told.
    :ivar events: what sinks are told afterwards.
    :ivar octets: about how much it writes.
    :ivar error: why it was not kept; ``None`` if it was.
    :ivar answered: whether that is decided, and told.
    """

    __slots__ = (
        "addressees",
        "answered",
        "changed",
        "complete",
        "deferred",
        "error",
        "essential",
        "events",
        "first",
        "keys",
        "messages",
        "octets",
        "retimed",
        "rows",
    )

    def __init__(self, essential: bool, deferred: Deferred[None] | None) -> None:
        self.deferred = deferred
        self.essential = essential
        self.messages: list[tuple[Any, ...]] = []
        self.addressees: list[tuple[Any, ...]] = []
        self.changed: dict[tuple[int, int], tuple[Any, ...] | None] | None = None
        self.complete: int | None = None
        self.retimed: tuple[float, str, int] | None = None
        self.rows: list[EventRow] = []
        self.keys: list[tuple[int, ...]] = []
        self.first = 0
        self.events: list[Event] = []
        self.octets = EVENT_WEIGHT
        self.error: Exception | None = None
        self.answered = False

    def add_message(self, message: Message) -> None:
        """Insert a message with its addressees.

        :raise KeyError: if an addressee has ended already.
        :raise ValueError: if the id is no queue id.
        """
        row = message_row(message)
        number = row[0]
        self.messages.append(row)
        for addressee in message.addressees:
            self.addressees.append(addressee_row(number, addressee))
        data = row[-1]
        if data is not None:
            self.octets += len(data)

    def add_events(self, events: Iterable[Event]) -> None:
        """Insert events.

        :raise ValueError: if one names a message that is no queue id.
        """
        for event in events:
            self.rows.append(event_row(event))
            self.keys.append(event_keys(event))
            self.events.append(event)
        self.octets += EVENT_WEIGHT * len(self.events)


def admission(message: Message, events: Iterable[Event]) -> Work:
    """Keep a new message."""
    work = Work(False, Deferred())
    work.add_message(message)
    work.add_events(events)
    return work


def recording(result: Result) -> Work:
    """Keep what became of an attempt."""
    work = Work(True, Deferred())
    number = decode_id(result.message)
    if result.complete:
        work.complete = number
    elif result.changed:
        work.changed = {
            (number, addressee.number): addressee_row(number, addressee)
            if addressee.state in STATES
            else None
            for addressee in result.changed
        }
    if result.retimed is not None and not result.complete:
        work.retimed = retimed_row(result.retimed)
    for message in result.admit:
        work.add_message(message)
    work.add_events(result.events)
    return work


def notes(events: Iterable[Event]) -> Work:
    """Keep events that belong to no message's state."""
    work = Work(True, None)
    work.add_events(events)
    return work
