"""In which format an endpoint is told of events: ours, Postmark's or SendGrid's; pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mta.model.event import Event, Received
from mta.model.event_rows import encode_json
from mta.webhook import postmark, sendgrid
from mta.webhook.content import TEST, TYPES, body_of, data_of


def posted(format: str, identity: str, event: Event, received: Received | None) -> bytes | None:
    """The body of a post; ``None``: the format knows no such event.

    :param format: of :data:`mta.registry.endpoints.FORMATS`.
    :param identity: the ``webhook-id``.
    """
    found: Any
    if format == "postmark":
        found = postmark.told(identity, event, received)
    elif format == "sendgrid":
        found = sendgrid.told(identity, event, received)
    else:
        return body_of(TYPES[event.kind], event.at, data_of(event, received))
    return None if found is None else encode_json(found).encode()


def tried(format: str, identity: str, at: float, data: Mapping[str, Any]) -> bytes:
    """The body of a post that tries an endpoint."""
    if format == "postmark":
        return encode_json(postmark.test(at)).encode()
    if format == "sendgrid":
        return encode_json(sendgrid.test(identity, at)).encode()
    return body_of(TEST, at, data)


def signed(format: str, secrets: list[bytes], stamp: int, body: bytes) -> dict[str, str]:
    """Header fields that the format has besides those of Standard Webhooks."""
    if format != "sendgrid" or not secrets:
        return {}
    # There is one signature here, and so the newest secret makes it.
    return {
        "X-Twilio-Email-Event-Webhook-Signature": sendgrid.signature(secrets[0], str(stamp), body),
        "X-Twilio-Email-Event-Webhook-Timestamp": str(stamp),
    }


def verification_key(format: str, secret: bytes) -> str:
    """The public key of the format's signatures; ``""``: it has none."""
    return sendgrid.verification_key(secret) if format == "sendgrid" else ""
