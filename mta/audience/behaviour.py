"""What an event of the journal says of what a contact did; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mta.model.event import Bounced, Complained, DeliveredTo, Event, FailedTo, Received
from mta.model.event_engagement import Clicked, Opened, Unsubscribed
from mta.registry.suppressions import folded

#: Events that may say something.
KINDS = ("received", "delivered", "failed", "bounced", "complained", "opened", "clicked", "unsubscribed")
#: The proxy that fetches the pictures of every message, looked at or not.
_FETCHES_ALL = "apple"


@dataclass(frozen=True, slots=True)
class Deed:
    """What somebody did, or what happened to what was sent to them.

    :ivar kind: of :data:`mta.audience.facts.KINDS`; ``resubscribed``: they want it again.
    """

    tenant: str
    address: str
    kind: str
    at: float
    name: str = ""
    message: str = ""
    campaign: str = ""
    list: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Origin:
    """What is remembered of a message.

    :ivar tenant: whose; ``""``: nobody's.
    """

    tenant: str = ""
    campaign: str = ""
    recipients: frozenset[str] = frozenset()


def origin(received: Received) -> Origin:
    """What is to be remembered of a message."""
    if not received.tenant:
        return Origin()
    return Origin(received.tenant, received.campaign, frozenset(one.lower() for one in received.recipients))


def deed(event: Event, of: Origin) -> Deed | None:
    """What an event says; ``None``: nothing.

    What programs do that look at all mail is nothing that a person did.

    :param of: the message that it is about.
    """
    found: tuple[str, str, str, Mapping[str, Any]] | None = None
    if isinstance(event, DeliveredTo):
        found = "delivered", event.original or event.recipient, "", {}
    elif isinstance(event, FailedTo):
        found = "bounced", event.original or event.recipient, event.bounce_class, {"reply": event.reply[:500]}
    elif isinstance(event, Bounced) and event.action == "failed" and _credible(event, of):
        found = "bounced", event.recipient, event.bounce_class, {"reply": event.reply[:500]}
    elif isinstance(event, Complained) and _credible(event, of):
        found = "complained", event.recipient, event.type[:100], {}
    elif isinstance(event, Opened) and event.sort != "scanner" and event.visitor != _FETCHES_ALL:
        found = "opened", event.recipient, "", {"by": event.visitor or event.sort}
    elif isinstance(event, Clicked) and event.sort == "human":
        found = "clicked", event.recipient, event.target, {}
    elif isinstance(event, Unsubscribed):
        kind = "unsubscribed" if event.action == "unsubscribe" else "resubscribed"
        found = kind, event.recipient, "", {"way": event.way, "client": event.client}
    if found is None:
        return None
    tenant = str(getattr(event, "tenant", "") or of.tenant)
    kind, address, name, properties = found
    if not tenant or "@" not in address:
        # Several at once, or something that is no address.
        return None
    return Deed(
        tenant,
        # It was checked when the message was taken.
        folded(address),
        kind,
        event.at,
        name,
        event.message,
        of.campaign,
        str(getattr(event, "list", "") or ""),
        {name: value for name, value in properties.items() if value},
    )


def _credible(event: Bounced | Complained, of: Origin) -> bool:
    """Whether a report can be about this recipient, as the suppression list decides it."""
    return event.matched == "token" or event.recipient.lower() in of.recipients
