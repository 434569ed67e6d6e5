"""An event of a message as its tenant is told of it: what concerns the operator alone is left out; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mta.journal.text import event_line
from mta.model.event import Event

_ATTEMPT = ("original", "transport", "tls", "attempt", "delay")
_BACK = ("action", "reported", "status", "format", "bounce_class")
_ENGAGED = ("sort", "visitor", "client", "agent")

#: By kind: what is told besides recipient and reply.
TOLD: Mapping[str, tuple[str, ...]] = {
    "received": (
        "sender",
        "recipients",
        "size",
        "message_id",
        "subject",
        "scheduled",
        "held",
        "priority",
        "campaign",
        "batch",
        "template",
        "tagged",
        "metadata",
    ),
    "delivered": _ATTEMPT,
    "deferred": (*_ATTEMPT, "next_attempt", "bounce_class"),
    "failed": (*_ATTEMPT, "expired", "bounce_class"),
    "notified": ("action", "recipients"),
    "discarded": ("reason", "recipients", "what"),
    "bounced": _BACK,
    "confirmed": _BACK,
    "complained": ("type",),
    "operated": ("action", "reason", "until", "recipients"),
    "suppressed": ("reason", "list", "since"),
    "links": ("links", "opens", "unsubscribe", "why"),
    "opened": _ENGAGED,
    "clicked": (*_ENGAGED, "target"),
    "unsubscribed": ("list", "action", "way"),
    "completed": (),
}
#: Names that are other ones outside.
_OUTSIDE = {"tagged": "tags", "tls": "security"}
_TIMES = frozenset({"scheduled", "next_attempt", "until", "since"})


def moment(at: float) -> str:
    """A time as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def reply_of(event: Event) -> dict[str, Any] | None:
    """What another server said; ``None``: nothing."""
    text, code = getattr(event, "reply", ""), getattr(event, "code", 0)
    if not (text or code):
        return None
    return {
        "code": code,
        "enhanced": getattr(event, "enhanced", "") or getattr(event, "status", ""),
        "text": text,
        "host": getattr(event, "host", ""),
        "command": getattr(event, "command", ""),
    }


def told(event: Event, identifier: str) -> dict[str, Any]:
    """The event as JSON values.

    :param event: of a kind in :data:`TOLD`.
    :param identifier: by which it is known for ever.
    """
    details = {}
    for name in TOLD[event.kind]:
        value = getattr(event, name, None)
        if value:
            details[_OUTSIDE.get(name, name)] = moment(value) if name in _TIMES else value
    return {
        "id": identifier,
        "type": event.kind,
        "at": moment(event.at),
        "message": event.message,
        "recipient": getattr(event, "recipient", "") or None,
        "reply": reply_of(event),
        "details": details,
        "words": event_line(event).removeprefix(f"{event.message or event.session}: "),
    }
