"""Events as Postmark's webhooks tell them; pure.

Postmark tells of less: what it knows nothing of has no counterpart, and is not posted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from mta.model.bounce_classes import CLASSES
from mta.model.event import Bounced, Complained, DeferredTo, DeliveredTo, Event, FailedTo, Received
from mta.model.event_engagement import Clicked, Opened, Unsubscribed
from mta.model.event_suppression import SuppressionChanged
from mta.model.message_uuid import uuid_of

#: Types of bounces with their numbers, and what they are called.
_TYPES = {
    "HardBounce": (1, "Hard bounce"),
    "Transient": (2, "Message delayed"),
    "DnsError": (256, "DNS error"),
    "SoftBounce": (4096, "Soft bounce"),
    "Blocked": (100006, "ISP block"),
    "SpamComplaint": (100001, "Spam complaint"),
    "DMARCPolicy": (100009, "DMARC Policy"),
}
#: By class of the reply, where it is no soft bounce.
_BY_CLASS = {
    "bad-mailbox": "HardBounce",
    "bad-domain": "HardBounce",
    "inactive-mailbox": "HardBounce",
    "dns": "DnsError",
    "authentication": "DMARCPolicy",
    **dict.fromkeys(
        (
            "spam",
            "content",
            "policy",
            "reputation",
            "refused-by-recipient",
            "relay-denied",
            "bad-sender",
            "host-name",
            "credentials",
        ),
        "Blocked",
    ),
}
_CAUSES = {one.name: one.cause for one in CLASSES}
#: What a suppression is for.
_REASONS = {"bounce": "HardBounce", "complaint": "SpamComplaint", "manual": "ManualSuppression"}


def told(identity: str, event: Event, received: Received | None) -> dict[str, Any] | None:
    """What is posted; ``None``: there is no such event at Postmark.

    :param identity: the ``webhook-id``.
    :param received: the message's acceptance.
    """
    tell = _TOLD.get(type(event))
    found = None if tell is None else tell(event, identity, received)
    return None if found is None else {**_message(event, received), **found}


def test(at: float) -> dict[str, Any]:
    """What is posted to try an endpoint."""
    return {"RecordType": "Test", "ReceivedAt": _moment(at), "Metadata": {}}


def _message(event: Event, received: Received | None) -> dict[str, Any]:
    found: dict[str, Any] = {"ServerID": 0, "MessageStream": "outbound", "Metadata": {}, "Tag": ""}
    if event.message:
        found["MessageID"] = uuid_of(event.message)
    if received is not None:
        found["MessageStream"] = received.campaign or "outbound"
        found["Metadata"] = dict(received.metadata)
        found["Tag"] = received.tagged[0] if received.tagged else ""
    return found


def _delivered(event: DeliveredTo, identity: str, received: Received | None) -> dict[str, Any]:
    return {
        "RecordType": "Delivery",
        "Recipient": event.original or event.recipient,
        "DeliveredAt": _moment(event.at),
        "Details": _reply(event.code, event.enhanced, event.reply),
    }


def _bounce(
    kind: str, event: Any, address: str, details: str, identity: str, received: Received | None
) -> dict[str, Any]:
    code, name = _TYPES[kind]
    return {
        "RecordType": "SpamComplaint" if kind == "SpamComplaint" else "Bounce",
        "ID": int.from_bytes(blake2b(identity.encode(), digest_size=8).digest(), "big") >> 11,
        "Type": kind,
        "TypeCode": code,
        "Name": name,
        "Description": _CAUSES.get(getattr(event, "bounce_class", ""), name),
        "Details": details,
        "Email": address,
        "From": "" if received is None else received.sender,
        "Subject": "" if received is None else received.subject,
        "BouncedAt": _moment(event.at),
        # Postmark's words for: nothing more is sent there, and it can be taken off the list.
        "Inactive": kind in ("HardBounce", "SpamComplaint"),
        "CanActivate": kind != "SpamComplaint",
        "DumpAvailable": False,
    }


def _deferred(event: DeferredTo, identity: str, received: Received | None) -> dict[str, Any]:
    reply = _reply(event.code, event.enhanced, event.reply)
    return _bounce("Transient", event, event.original or event.recipient, reply, identity, received)


def _failed(event: FailedTo, identity: str, received: Received | None) -> dict[str, Any]:
    kind = "SoftBounce" if event.expired else _BY_CLASS.get(event.bounce_class, "SoftBounce")
    reply = _reply(event.code, event.enhanced, event.reply)
    return _bounce(kind, event, event.original or event.recipient, reply, identity, received)


def _bounced(event: Bounced, identity: str, received: Received | None) -> dict[str, Any]:
    kind = "Transient" if event.action == "delayed" else _BY_CLASS.get(event.bounce_class, "SoftBounce")
    details = " ".join(filter(None, (event.status, event.reply)))
    return _bounce(kind, event, event.recipient or event.reported, details, identity, received)


def _complained(event: Complained, identity: str, received: Received | None) -> dict[str, Any]:
    return _bounce("SpamComplaint", event, event.recipient, event.type, identity, received)


def _engaged(event: Opened | Clicked) -> dict[str, Any]:
    return {
        "Recipient": event.recipient,
        "ReceivedAt": _moment(event.at),
        "UserAgent": event.agent,
        "Platform": "Unknown",
        "Client": {},
        "OS": {},
        "Geo": {"IP": event.client},
    }


def _opened(event: Opened, identity: str, received: Received | None) -> dict[str, Any] | None:
    # A scanner's look at a message is no opening, and Postmark cannot say whose it was.
    return None if event.sort == "scanner" else {"RecordType": "Open", **_engaged(event)}


def _clicked(event: Clicked, identity: str, received: Received | None) -> dict[str, Any] | None:
    if event.sort == "scanner":
        return None
    return {
        "RecordType": "Click",
        "OriginalLink": event.target,
        "ClickLocation": "HTML",
        **_engaged(event),
    }


def _change(address: str, at: float, stops: bool, reason: str) -> dict[str, Any]:
    return {
        "RecordType": "SubscriptionChange",
        "Recipient": address,
        "ChangedAt": _moment(at),
        "SuppressSending": stops,
        "SuppressionReason": reason if stops else None,
        "Origin": "Recipient" if reason in ("SpamComplaint", "ManualSuppression") else "System",
    }


def _unsubscribed(event: Unsubscribed, identity: str, received: Received | None) -> dict[str, Any]:
    return _change(event.recipient, event.at, event.action != "resubscribe", "ManualSuppression")


def _suppression(
    event: SuppressionChanged, identity: str, received: Received | None
) -> dict[str, Any] | None:
    reason = _REASONS.get(event.reason)
    # Unsubscribing is told by its own event, and of an import Postmark says nothing.
    if reason is None or not event.recipient or event.action not in ("added", "removed"):
        return None
    return _change(event.recipient, event.at, event.action == "added", reason)


_TOLD: Mapping[type[Event], Callable[[Any, str, Received | None], dict[str, Any] | None]] = {
    DeliveredTo: _delivered,
    DeferredTo: _deferred,
    FailedTo: _failed,
    Bounced: _bounced,
    Complained: _complained,
    Opened: _opened,
    Clicked: _clicked,
    Unsubscribed: _unsubscribed,
    SuppressionChanged: _suppression,
}


def _reply(code: int, enhanced: str, text: str) -> str:
    words = [str(code) if code else "", "" if text.startswith(enhanced) else enhanced, text]
    return " ".join(filter(None, words))


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
