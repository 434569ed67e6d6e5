"""What an event says of who is to get nothing more; pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from mta.model.event import Bounced, Complained, Event, FailedTo, Received
from mta.model.event_engagement import Unsubscribed
from mta.registry.suppressions import Suppression, checked_address

#: Events that may say so.
KINDS = ("failed", "bounced", "complained", "unsubscribed")
#: Feedback types (RFC 5965, 3.1 and 7.3; RFC 6430) by which somebody wants no more of it.
_UNWANTED = frozenset({"abuse", "fraud", "opt-out", "opt-out-list"})


def suppression(
    event: Event, received: Received | None, classes: Collection[str], complaints: bool
) -> tuple[Suppression | None, bool]:
    """What follows from an event.

    Only mail that belongs to a tenant has a list; what a person sends is their own affair.

    :param received: how the message came; ``None``: it is not known here.
    :param classes: of bounces that count.
    :param complaints: whether those count.
    :return: an entry, and whether it is to be put on the list (or taken off).
    """
    if isinstance(event, Unsubscribed):
        evidence: dict[str, Any] = {"message": event.message, "event": event.kind, "way": event.way}
        found = _entry(event.tenant, event.recipient, "unsubscribe", event.list, event.at, evidence)
        return found, event.action == "unsubscribe"
    if received is None or not received.tenant:
        return None, True
    evidence = {"message": event.message, "event": event.kind}
    if isinstance(event, FailedTo):
        if event.expired or event.bounce_class not in classes:
            return None, True
        said = f"{event.code} {event.enhanced} {event.reply}".replace("  ", " ").strip()
        evidence |= {"class": event.bounce_class, "reply": said, "host": event.host}
        return _entry(received.tenant, event.recipient, "bounce", "", event.at, evidence), True
    if isinstance(event, Bounced):
        if event.action != "failed" or event.bounce_class not in classes or not _credible(event, received):
            return None, True
        evidence |= {"class": event.bounce_class, "reply": event.reply, "host": event.host}
        evidence["notification"] = event.notification
        return _entry(received.tenant, event.recipient, "bounce", "", event.at, evidence), True
    if isinstance(event, Complained):
        if not complaints or event.type.lower() not in _UNWANTED or not _credible(event, received):
            return None, True
        evidence |= {"type": event.type, "reporter": event.reporter, "notification": event.notification}
        return _entry(received.tenant, event.recipient, "complaint", "", event.at, evidence), True
    return None, True


def _credible(event: Bounced | Complained, received: Received) -> bool:
    """Whether a report can be about this recipient.

    Where it came to an address that we have signed, it is.  Otherwise it was found by what everybody
    knows who has the message: then it counts for the message's own recipients alone.
    """
    if event.matched == "token":
        return True
    return event.recipient.lower() in {recipient.lower() for recipient in received.recipients}


def _entry(
    tenant: str, address: str, reason: str, mailing: str, at: float, evidence: dict[str, Any]
) -> Suppression | None:
    try:
        name = checked_address(address)
    except ValueError:
        return None
    return Suppression(name, reason, mailing, at, evidence, tenant)
