"""What an application is told of an event; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from mta.model.event import Event, Received
from mta.model.event_rows import encode_json

#: Types by kinds of the journal.
TYPES: Mapping[str, str] = {
    "received": "message.received",
    "delivered": "message.delivered",
    "deferred": "message.deferred",
    "failed": "message.failed",
    "bounced": "message.bounced",
    "confirmed": "message.confirmed",
    "complained": "message.complained",
    "suppressed": "message.suppressed",
    "discarded": "message.discarded",
    "opened": "message.opened",
    "clicked": "message.clicked",
    "unsubscribed": "message.unsubscribed",
    "suppression": "suppression.changed",
    "audience": "contact.changed",
}
#: What is sent to try an endpoint out.
TEST = "webhook.test"
#: What a filter may name.
PATTERNS = ("*", "message.*", "suppression.*", "contact.*", "webhook.*", TEST, *TYPES.values())

#: What is nothing for a tenant: our filters' findings, who handed it over, and other tenants' names.
_INTERNAL = frozenset(
    {"tags", "authentication", "session", "client", "helo", "tls", "account", "claimed", "asked", "source"}
)
#: Of opens and clicks the client is what they are about.
_ENGAGED = frozenset({"opened", "clicked", "unsubscribed"})


def tenant_of(event: Event, received: Received | None) -> str:
    """Whose an event is; ``""``: nobody's."""
    if received is not None and received.tenant:
        return received.tenant
    return str(getattr(event, "tenant", "") or "")


def data_of(event: Event, received: Received | None) -> dict[str, Any]:
    """What is told of it, JSON values."""
    hidden = _INTERNAL - {"client"} if event.kind in _ENGAGED else _INTERNAL
    found: dict[str, Any] = {"message": event.message} if event.message else {}
    if received is not None:
        # Tags and so on are those that the application gave it.
        facts = {
            "message_id": received.message_id,
            "subject": received.subject,
            "tags": received.tagged,
            "metadata": received.metadata,
            "batch": received.batch,
        }
        found |= {name: value for name, value in facts.items() if value}
    found |= {
        name: value
        for name, value in event.payload().items()
        if name not in hidden and name not in found and name not in ("tagged", "key")
    }
    return found


def body_of(kind: str, at: float, data: Mapping[str, Any]) -> bytes:
    """The body of a post.

    :param kind: of :data:`TYPES`, or :data:`TEST`.
    """
    stamp = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return encode_json({"type": kind, "timestamp": stamp, "data": dict(data)}).encode()


def identity_of(shard: int, number: int, at: float) -> str:
    """The ``webhook-id`` of an event: the same whenever it is read again from the journal."""
    return f"evt_{shard}_{number}_{int(at * 1000):x}"


def shard_of(identity: str) -> int | None:
    """In which shard's outbox it is; ``None``: it is no id of ours."""
    parts = identity.split("_")
    if len(parts) != 4 or parts[0] != "evt" or not (parts[1].isascii() and parts[1].isdigit()):
        return None
    return int(parts[1]) if len(parts[1]) < 6 else None
