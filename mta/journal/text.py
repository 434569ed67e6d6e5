"""One event as one line for a person, or as one object for a program; pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mta.journal import report_text, security_text, tenant_text
from mta.journal.mailbox_text import changed_words, folder_words, sorted_words
from mta.journal.words import (
    duration,
    iso_time,
    listed,
    local_time,
    pairs,
    printable,
    spoken,
    where_from,
)
from mta.model.event import (
    Automated,
    Bounced,
    Complained,
    Completed,
    Confirmed,
    DeferredTo,
    DeliveredTo,
    Discarded,
    Event,
    FailedTo,
    Notified,
    Operated,
    Received,
    Rejected,
    Server,
)
from mta.model.event_mailbox import FolderChanged, RulesChanged, Sorted


def event_json(event: Event) -> dict[str, Any]:
    """The event as JSON values; empty ones are left out."""
    facts: dict[str, Any] = {"at": event.at, "kind": event.kind}
    if event.message:
        facts["message"] = event.message
    if event.session:
        facts["session"] = event.session
    facts.update(event.payload())
    return facts


def event_line(event: Event) -> str:
    """The event in one line, without its time; controls in it are made visible."""
    tell = _TELLERS.get(type(event))
    words = tell(event) if tell else f"{event.kind} {event.payload()}"
    name = event.message or event.session
    return printable(f"{name}: {words}" if name else words)


def _received(event: Received) -> str:
    parts = [
        f"received from=<{event.sender}> to={listed(event.recipients)} size={event.size}",
        f"client={where_from(event)}",
    ]
    parts += pairs(with_=event.protocol, tls=event.tls, account=event.account, role=event.role)
    parts += pairs(message_id=event.message_id, session=event.session, held=event.held, junk=event.junk)
    priority = str(event.priority) if event.priority or event.asked else ""
    parts += pairs(priority=priority, asked=event.asked, tenant=event.tenant, claimed=event.claimed)
    parts += pairs(campaign=event.campaign, tags=",".join(event.tagged), batch=event.batch, key=event.key)
    parts += pairs(scheduled=iso_time(event.scheduled) if event.scheduled else "")
    return " ".join(parts)


def _rejected(event: Rejected) -> str:
    words = f"rejected at {event.stage}: {spoken(event.code, '', event.reply, '')}"
    parts = [f"client={where_from(event)}"]
    if event.sender or event.recipient:
        parts.append(f"from=<{event.sender}>")
    if event.recipient:
        parts.append(f"to=<{event.recipient}>")
    parts += pairs(rule=event.rule, name=event.name, account=event.account, role=event.role)
    return f"{words} ({' '.join(parts)})"


def _way(event: DeliveredTo | DeferredTo | FailedTo) -> str:
    way = f" by {event.transport}" if event.transport else ""
    if event.original and event.original != event.recipient:
        way = f" (for <{event.original}>){way}"
    if event.next_hop:
        way += f" to {event.next_hop}"
    if event.source:
        way += f" from {event.source}"
    return way


def _delivered(event: DeliveredTo) -> str:
    words = f"delivered to <{event.recipient}>{_way(event)} after {duration(event.delay)}"
    return f"{words}: {spoken(event.code, event.enhanced, event.reply, event.host)}"


def _deferred(event: DeferredTo) -> str:
    words = f"deferred <{event.recipient}>{_way(event)}, attempt {event.attempt}"
    if event.next_attempt:
        words += f", next {local_time(event.next_attempt)}"
    return f"{words}: {spoken(event.code, event.enhanced, event.reply, event.host)}"


def _failed(event: FailedTo) -> str:
    why = "expired" if event.expired else "failed"
    words = f"{why} <{event.recipient}>{_way(event)}"
    return f"{words}: {spoken(event.code, event.enhanced, event.reply, event.host)}"


def _notified(event: Notified) -> str:
    about = f"{event.action} for {listed(event.recipients)}"
    return f"notified <{event.to}>: {about}, as message {event.notification}"


def _discarded(event: Discarded) -> str:
    return f"{event.what or 'notification'} discarded: {event.reason} for {listed(event.recipients)}"


def _bounced(event: Bounced) -> str:
    what = "bounced" if event.action == "failed" else "delayed elsewhere"
    return f"{what} <{event.recipient}>{_reported(event)}"


def _confirmed(event: Confirmed) -> str:
    return f"confirmed as {event.action} <{event.recipient}>{_reported(event)}"


def _reported(event: Bounced | Confirmed) -> str:
    words = f" (there <{event.reported}>)" if event.reported else ""
    said = event.reply if event.status in event.reply else f"{event.status} {event.reply}".strip()
    said = f"{event.host} reports: {said}" if event.host and said else said
    return f"{words}{_notification(event)}{': ' if said else ''}{said}"


def _complained(event: Complained) -> str:
    words = f"complaint ({event.type}) by {f'<{event.recipient}>' if event.recipient else 'somebody'}"
    extra = " ".join(pairs(reporter=event.reporter, source=event.source))
    return f"{words}{_notification(event)}{': ' if extra else ''}{extra}"


def _notification(event: Bounced | Confirmed | Complained) -> str:
    # Its own message, where it was found to belong to no other.
    how = f", found by {event.matched}" if event.matched else ", which belongs to no message known"
    return f", as message {event.notification} tells{how}"


def _operated(event: Operated) -> str:
    words = f"{event.action} by {event.by or 'somebody'}"
    if event.target:
        # A suspension is of something; a message is moved to something.
        words += f" {'of' if event.action in ('suspend', 'resume') else 'to'} {event.target}"
    if event.until:
        words += f" {'until' if event.action == 'suspend' else 'to'} {local_time(event.until)}"
    words += f" for {listed(event.recipients)}" if event.recipients else ""
    return f"{words}: {event.reason}" if event.reason else words


def _automated(event: Automated) -> str:
    source = f" from {event.source}" if event.source else ""
    until = f" until {local_time(event.until)}" if event.until else ""
    why = f"{event.host} said: {event.reply}" if event.host else event.reply
    return f"{event.action} {event.site}{source} by rule {event.rule}: {event.effect}{until}, since {why}"


def _completed(event: Completed) -> str:
    return "completed, left the queue"


def _server(event: Server) -> str:
    return f"server {event.what}: {event.detail}" if event.detail else f"server {event.what}"


_TELLERS: dict[type[Event], Callable[[Any], str]] = {
    Received: _received,
    Rejected: _rejected,
    Sorted: sorted_words,
    RulesChanged: changed_words,
    FolderChanged: folder_words,
    Bounced: _bounced,
    Complained: _complained,
    Confirmed: _confirmed,
    DeliveredTo: _delivered,
    DeferredTo: _deferred,
    FailedTo: _failed,
    Notified: _notified,
    Discarded: _discarded,
    Operated: _operated,
    Automated: _automated,
    Completed: _completed,
    Server: _server,
    **report_text.TELLERS,
    **security_text.TELLERS,
    **tenant_text.TELLERS,
}
