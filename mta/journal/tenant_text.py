"""What becomes of what tenants have, in words: contacts, campaigns, sequences, links, suppressions; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mta.journal.words import listed, local_time
from mta.model.event import Administered, Event
from mta.model.event_audience import AudienceChanged
from mta.model.event_campaign import CampaignChanged
from mta.model.event_domain import DomainChecked
from mta.model.event_engagement import Clicked, LinksPut, Opened, Unsubscribed
from mta.model.event_sequence import SequenceChanged, SequenceStepped
from mta.model.event_suppression import SuppressedTo, SuppressionChanged
from mta.model.event_webhook import WebhookChanged
from mta.model.linked import linked_words


def _administered(event: Administered) -> str:
    words = f"{event.action} by {event.by or 'somebody'}: {event.target or event.tenant}"
    if event.target and event.tenant:
        words += f" of tenant {event.tenant}"
    return f"{words}: {event.reason}" if event.reason else words


def _suppression(event: SuppressionChanged) -> str:
    whose = f"of tenant {event.tenant}" if event.tenant else "of the server"
    by = f" by {event.by}" if event.by else ""
    if event.action == "imported":
        return f"{event.count} addresses imported to the suppression list {whose}{by}"
    to = "put on" if event.action == "added" else "taken off"
    words = f"<{event.recipient}> {to} the suppression list {whose}{by}: {event.reason or 'every reason'}"
    if event.list:
        words += f" of list {event.list}"
    said = event.evidence.get("reply") or event.evidence.get("note") or event.evidence.get("type")
    return f"{words}, {said}" if said else words


def _audience(event: AudienceChanged) -> str:
    by = f" by {event.by}" if event.by else ""
    of = f" of tenant {event.tenant}{by}"
    words = {
        "created": f"contact <{event.recipient}>{of} created",
        "changed": f"contact <{event.recipient}>{of} changed",
        "erased": f"a contact{of} erased",
        "readmitted": f"a contact who was erased may come back{of}",
        "joined": f"<{event.recipient}> put on the list {event.target}{of}",
        "asked": f"<{event.recipient}> is asked to confirm the list {event.target}{of}",
        "confirmed": f"<{event.recipient}> has confirmed the list {event.target}{of}",
        "left": f"<{event.recipient}> has left the list {event.target}{of}",
        "removed": f"<{event.recipient}> removed from the list {event.target}{of}",
        "imported": f"import {event.target}{of}: {event.count} contacts",
    }.get(event.action, f"{event.action} {event.target}{of}")
    if event.count and event.action != "imported":
        words += f": {event.count}"
    return f"{words}: {event.reason}" if event.reason else words


def _domain(event: DomainChecked) -> str:
    words = f"domain {event.domain} of tenant {event.tenant} {event.action}"
    words += f", without {listed(event.lacking)}" if event.lacking else ""
    return f"{words}: {event.reason}" if event.reason else words


def _campaign(event: CampaignChanged) -> str:
    words = f"campaign {event.campaign} of tenant {event.tenant}: {_CAMPAIGN.get(event.action, event.action)}"
    words += f" for {local_time(event.until)}" if event.until else ""
    words += f" by {event.by}" if event.by else ""
    words += f", {event.count} people" if event.count else ""
    return f"{words}: {event.reason}" if event.reason else words


_CAMPAIGN = {
    "schedule": "scheduled",
    "unschedule": "taken back to a draft",
    "start": "started",
    "pause": "paused",
    "halted": "it has paused by itself",
    "resume": "resumed",
    "stop": "stopped",
    "finish": "everybody had his turn",
    "tested": "a test message was sent",
    "decide": "what the rest gets is decided",
    "undecided": "the test shows no clear winner",
}


def _webhook(event: WebhookChanged) -> str:
    where = f" at {event.host}" if event.host else ""
    words = f"webhook {event.endpoint}{where} of tenant {event.tenant} {event.action}"
    return f"{words}: {event.reason}" if event.reason else words


def _suppressed(event: SuppressedTo) -> str:
    whose = "the server" if event.everybody else f"tenant {event.tenant}"
    since = f" since {local_time(event.since)}" if event.since else ""
    on = f"it is on the suppression list of {whose}{since}, {event.reason}"
    words = f"nothing is sent to <{event.recipient}>: {on}"
    said = event.evidence.get("reply") or event.evidence.get("note")
    return f"{words}: {said}" if said else words


_STEPPED = {
    "enter": "comes into",
    "send": "is sent a message by",
    "webhook": "is told of to an application by",
    "set": "gets attributes by",
    "add_to_list": "is added to a list by",
    "remove_from_list": "is taken off a list by",
    "branch": "goes on in",
    "wait": "waits in",
    "hold": "is held up in",
    "skip": "gets nothing by",
    "move": "is moved within",
    "post": "was told of by",
    "end": "leaves",
}


def _stepped(event: SequenceStepped) -> str:
    who = f"<{event.recipient}>" if event.recipient else "a contact"
    words = f"{who} {_STEPPED.get(event.action, event.action)} sequence {event.sequence}"
    words += f" of tenant {event.tenant}, version {event.version}"
    if event.step:
        words += f", step {event.step}"
    details = [event.way, event.reason]
    if event.until:
        details.append(f"until {local_time(event.until)}")
    if event.by:
        details.append(f"decided by {event.by}")
    found = ", ".join(detail for detail in details if detail)
    return f"{words}: {found}" if found else words


def _sequence_changed(event: SequenceChanged) -> str:
    words = f"sequence {event.sequence} of tenant {event.tenant} {event.action}"
    words += f", version {event.version}" if event.version else ""
    words += f" by {event.by}" if event.by else ""
    return f"{words}: {event.reason}" if event.reason else words


def _visitor(event: Opened | Clicked) -> str:
    if event.sort == "human":
        return ""
    name = f": {event.visitor}" if event.visitor else ""
    return f" ({'perhaps, by a' if event.sort == 'proxy' else 'by a'} {event.sort}{name})"


def _opened(event: Opened) -> str:
    by = f" by <{event.recipient}>" if event.recipient else ""
    return f"opened{by}{_visitor(event)}" + (f" from {event.client}" if event.client else "")


def _clicked(event: Clicked) -> str:
    by = f" by <{event.recipient}>" if event.recipient else ""
    client = f" from {event.client}" if event.client else ""
    return f"link followed{by}{_visitor(event)}{client}: {event.target}"


def _links(event: LinksPut) -> str:
    return f"links: {linked_words(event.links, event.opens, event.unsubscribe, event.why)}"


def _unsubscribed(event: Unsubscribed) -> str:
    what = "unsubscribed from" if event.action == "unsubscribe" else "subscribed again to"
    from_what = f"{event.list} of {event.tenant}" if event.list else f"all mail of {event.tenant}"
    way = {"one-click": " with one click of the mail program", "page": " on the page"}.get(event.way, "")
    return f"<{event.recipient}> {what} {from_what}{way}"


#: What tells of each kind of event.
TELLERS: dict[type[Event], Callable[[Any], str]] = {
    Clicked: _clicked,
    Opened: _opened,
    LinksPut: _links,
    Unsubscribed: _unsubscribed,
    Administered: _administered,
    AudienceChanged: _audience,
    SequenceChanged: _sequence_changed,
    SequenceStepped: _stepped,
    SuppressedTo: _suppressed,
    SuppressionChanged: _suppression,
    DomainChecked: _domain,
    CampaignChanged: _campaign,
    WebhookChanged: _webhook,
}
