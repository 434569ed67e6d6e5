"""Events as SendGrid's event webhook tells them, and its signature; pure.

A post is a list.  SendGrid tells of less: what it knows nothing of is not posted.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from mta.model.bounce_classes import CLASSES
from mta.model.event import Bounced, Complained, DeferredTo, DeliveredTo, Event, FailedTo, Received
from mta.model.event_engagement import Clicked, Opened, Unsubscribed
from mta.model.event_suppression import SuppressedTo

Told = list[dict[str, Any]]

_SCOPES = {one.name: one.scope for one in CLASSES}
#: Why it sends nothing to an address.
_DROPPED = {
    "bounce": "Bounced Address",
    "complaint": "Spam Reporting Address",
    "unsubscribe": "Unsubscribed Address",
    "manual": "Blocked",
}
#: The order of the group of P-256 (SEC 2, 2.4.2).
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def told(identity: str, event: Event, received: Received | None) -> Told | None:
    """What is posted; ``None``: there is no such event at SendGrid.

    :param identity: the ``webhook-id``.
    :param received: the message's acceptance.
    """
    tell = _TOLD.get(type(event))
    found = None if tell is None else tell(event, received)
    if not found:
        return None
    several = len(found) > 1
    return [
        {
            # Metadata come first: they do not hide what the event says.
            **(received.metadata if received is not None else {}),
            **one,
            **_message(event, received),
            "timestamp": int(event.at),
            "sg_event_id": f"{identity}.{place}" if several else identity,
        }
        for place, one in enumerate(found)
    ]


def test(identity: str, at: float) -> Told:
    """What is posted to try an endpoint."""
    return [{"event": "test", "email": "example@test.com", "timestamp": int(at), "sg_event_id": identity}]


def signature(secret: bytes, stamp: str, body: bytes) -> str:
    """For ``X-Twilio-Email-Event-Webhook-Signature``: ECDSA over time and body, in base64.

    :param stamp: what stands in ``X-Twilio-Email-Event-Webhook-Timestamp``.
    """
    signed = _key(secret).sign(stamp.encode() + body, ec.ECDSA(hashes.SHA256()))
    return base64.b64encode(signed).decode()


def verification_key(secret: bytes) -> str:
    """The public key with which an application checks signatures, as SendGrid shows it."""
    public = _key(secret).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return base64.b64encode(public.public_bytes(serialization.Encoding.DER, form)).decode()


@lru_cache(256)
def _key(secret: bytes) -> ec.EllipticCurvePrivateKey:
    """The private key that belongs to an endpoint's secret."""
    number = int.from_bytes(hmac.digest(secret, b"sendgrid event webhook", "sha512"), "big")
    return ec.derive_private_key(number % (_ORDER - 1) + 1, ec.SECP256R1())


def _message(event: Event, received: Received | None) -> dict[str, Any]:
    if received is None:
        return {"sg_message_id": event.message} if event.message else {}
    # It begins with what X-Message-Id said.
    found: dict[str, Any] = {"sg_message_id": f"{received.batch or event.message}.{event.message}"}
    if received.message_id:
        found["smtp-id"] = received.message_id
    if received.tagged:
        found["category"] = list(received.tagged)
    return found


def _received(event: Received, received: Received | None) -> Told:
    more = {"send_at": int(event.scheduled)} if event.scheduled else {}
    return [{"event": "processed", "email": one, **more} for one in event.recipients]


def _delivered(event: DeliveredTo, received: Received | None) -> Told:
    return [{"event": "delivered", "email": event.original or event.recipient, "response": _reply(event)}]


def _deferred(event: DeferredTo, received: Received | None) -> Told:
    return [
        {
            "event": "deferred",
            "email": event.original or event.recipient,
            "response": _reply(event),
            "attempt": str(event.attempt),
        }
    ]


def _failed(event: FailedTo, received: Received | None) -> Told:
    kind = "expired" if event.expired else _kind(event.bounce_class)
    return [
        {
            "event": "bounce",
            "email": event.original or event.recipient,
            "type": kind,
            "status": event.enhanced,
            "reason": _reply(event),
        }
    ]


def _bounced(event: Bounced, received: Received | None) -> Told:
    email = event.recipient or event.reported
    if event.action == "delayed":
        return [{"event": "deferred", "email": email, "response": event.reply}]
    kind = _kind(event.bounce_class)
    return [{"event": "bounce", "email": email, "type": kind, "status": event.status, "reason": event.reply}]


def _kind(bounce_class: str) -> str:
    """``bounce``: of the recipient; ``blocked``: of this message or of who sends."""
    return "bounce" if _SCOPES.get(bounce_class, "recipient") == "recipient" else "blocked"


def _suppressed(event: SuppressedTo, received: Received | None) -> Told:
    return [{"event": "dropped", "email": event.recipient, "reason": _DROPPED.get(event.reason, "Blocked")}]


def _complained(event: Complained, received: Received | None) -> Told:
    return [{"event": "spamreport", "email": event.recipient}]


def _engaged(event: Opened | Clicked) -> dict[str, Any]:
    return {"email": event.recipient, "ip": event.client, "useragent": event.agent}


def _opened(event: Opened, received: Received | None) -> Told | None:
    if event.sort == "scanner":
        return None
    return [{"event": "open", "sg_machine_open": event.sort != "human", **_engaged(event)}]


def _clicked(event: Clicked, received: Received | None) -> Told | None:
    return None if event.sort == "scanner" else [{"event": "click", "url": event.target, **_engaged(event)}]


def _unsubscribed(event: Unsubscribed, received: Received | None) -> Told:
    kind = "group_resubscribe" if event.action == "resubscribe" else "unsubscribe"
    return [{"event": kind, "email": event.recipient}]


_TOLD: Mapping[type[Event], Callable[[Any, Received | None], Told | None]] = {
    Received: _received,
    DeliveredTo: _delivered,
    DeferredTo: _deferred,
    FailedTo: _failed,
    Bounced: _bounced,
    SuppressedTo: _suppressed,
    Complained: _complained,
    Opened: _opened,
    Clicked: _clicked,
    Unsubscribed: _unsubscribed,
}


def _reply(event: Any) -> str:
    text = event.reply
    words = [str(event.code) if event.code else "", "" if text.startswith(event.enhanced) else event.enhanced]
    return " ".join(filter(None, (*words, text)))
