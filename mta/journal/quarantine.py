"""What is held, and why: the queue and the history together."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from typing import Any

from mta.model.event import Event, Operated, Received
from mta.model.header import field_value, header_section
from mta.model.message import Message
from mta.model.message_json import message_json


@dataclass(frozen=True, slots=True)
class Held:
    """One message that waits for a person.

    :ivar message: the message.
    :ivar since: when it was held, in seconds since 1970.
    :ivar reason: why: a judge's rule and reason, or who did it, and their reason.
    :ivar author: the From field.
    :ivar subject: the Subject field.
    """

    message: Message
    since: float
    reason: str
    author: str
    subject: str

    def to_json(self) -> dict[str, Any]:
        """For a program."""
        own = {"since": self.since, "reason": self.reason, "author": self.author, "subject": self.subject}
        return {**message_json(self.message), **own}


def held(message: Message, events: Iterable[Event]) -> Held:
    """What is to be said of a message that is held.  Reads the start of its content.

    :param events: its history, oldest first; may be incomplete.
    """
    since, reason = message.created, str(message.attributes.get("held", "")) or "held when it came"
    for event in events:
        if isinstance(event, Received) and event.held:
            reason = event.held
        elif isinstance(event, Operated) and event.action == "hold":
            since, reason = event.at, f"by {event.by or 'somebody'}" + (event.reason and f": {event.reason}")
    header = header_section(next(iter(message.content.blocks()), b""))
    return Held(message, since, reason, _text(header, b"from"), _text(header, b"subject"))


def _text(header: bytes, name: bytes) -> str:
    """A field in words (RFC 2047), or as it stands there if nobody can read it."""
    value = (field_value(header, name) or b"").decode("utf-8", "replace")[:2000]
    with suppress(HeaderParseError, LookupError, ValueError):
        value = str(make_header(decode_header(value)))
    return " ".join(value.split())[:200]


def is_held(message: Message) -> bool:
    """Whether anybody's copy is held."""
    return any(addressee.state == "held" for addressee in message.addressees)
