"""One event of each sort, about one message."""

from __future__ import annotations

from typing import Any

from mta.model.event import Bounced, Complained, Confirmed, DeferredTo, DeliveredTo, Event, FailedTo, Received
from mta.model.event_audience import AudienceChanged
from mta.model.event_engagement import Clicked, Opened, Unsubscribed
from mta.model.event_suppression import SuppressedTo, SuppressionChanged

ID = "01a2b3c4d5e6f"
ANN = "ann@example.net"
RECEIVED = Received(
    at=1.0,
    message=ID,
    tenant="shop",
    sender="shop@example.org",
    recipients=[ANN, "ben@example.net"],
    subject="Hi",
    message_id=f"<{ID}@example.org>",
    campaign="news",
    tagged=["order", "spring"],
    metadata={"order": "17", "event": "hidden"},
)


def _tried(kind: type[Any], **more: Any) -> Event:
    reply: dict[str, Any] = {"code": 550, "enhanced": "5.1.1", "reply": "no such user", "attempt": 2}
    found: Event = kind(at=2.0, message=ID, recipient=ANN, **{**reply, **more})
    return found


def _of(kind: type[Any], **more: Any) -> Event:
    found: Event = kind(at=2.0, message=ID, recipient=ANN, **more)
    return found


EVENTS: dict[str, Event] = {
    "received": RECEIVED,
    "delivered": _tried(DeliveredTo, code=250, enhanced="2.0.0", reply="2.0.0 ok"),
    "delivered to an alias": _tried(
        DeliveredTo, original="list@example.net", code=250, enhanced="", reply="ok"
    ),
    "deferred": _tried(DeferredTo, code=451, enhanced="4.7.1", reply="later"),
    "failed": _tried(FailedTo, bounce_class="bad-mailbox"),
    "failed as spam": _tried(FailedTo, enhanced="5.7.1", reply="spam", bounce_class="spam"),
    "failed of time": _tried(
        FailedTo, code=451, enhanced="4.2.2", reply="full", bounce_class="full", expired=True
    ),
    "bounced": _of(Bounced, status="5.1.1", reply="gone", bounce_class="bad-mailbox"),
    "delayed": _of(Bounced, action="delayed", status="4.0.0", reply="later"),
    "confirmed": _of(Confirmed),
    "complained": _of(Complained),
    "opened": _of(Opened, agent="Mail/1", client="192.0.2.1"),
    "opened by a proxy": _of(Opened, sort="proxy", agent="Proxy/1"),
    "opened by a scanner": _of(Opened, sort="scanner"),
    "clicked": _of(Clicked, target="https://example.org/", agent="Mail/1"),
    "clicked by a scanner": _of(Clicked, sort="scanner", target="https://example.org/"),
    "unsubscribed": _of(Unsubscribed),
    "subscribed again": _of(Unsubscribed, action="resubscribe"),
    "suppressed": _of(SuppressedTo, reason="bounce"),
    "suppression": SuppressionChanged(at=2.0, action="added", tenant="shop", recipient=ANN, reason="bounce"),
    "contact": AudienceChanged(at=2.0, action="confirmed", tenant="shop", recipient=ANN, target="news"),
    "imported": SuppressionChanged(at=2.0, action="imported", tenant="shop", count=5, reason="manual"),
}
