"""A message's events as a page shows them: what happened, what was said, why, and what to do; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta.dashboard.line import TONES
from mta.dashboard.words import capital
from mta.journal.text import event_line
from mta.journal.words import duration, evidence_lines, printable, size, spoken, where_from
from mta.model.bounce_classes import BY_NAME
from mta.model.catalogue import REPLIES
from mta.model.event import (
    Bounced,
    Complained,
    Confirmed,
    DeferredTo,
    DeliveredTo,
    Event,
    FailedTo,
    Operated,
    Received,
    Rejected,
)
from mta.model.event_engagement import Clicked, Opened
from mta.tracking.telling import TOLD


@dataclass(frozen=True, slots=True)
class Why:
    """Cause and remedy of a reply.

    :ivar operator: what who runs this server can do; ``""``: nothing of their own.
    """

    title: str
    cause: str
    remedy: str
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Moment:
    """One event.

    :ivar what: in words.
    :ivar said: what a server said, as it stands.
    :ivar host: who said it.
    :ivar facts: name and value.
    """

    at: float
    tone: str
    kind: str
    what: str
    said: str = ""
    host: str = ""
    facts: Sequence[tuple[str, Any]] = field(default_factory=tuple)
    why: Why | None = None


def moments(events: Iterable[Event], confined: bool) -> list[Moment]:
    """Each event, the oldest first.

    :param confined: for a tenant: without what concerns who runs the server alone.
    """
    return [moment_of(event, confined) for event in events if not confined or event.kind in TOLD]


def moment_of(event: Event, confined: bool = False) -> Moment:
    """One event."""
    match event:
        case Received():
            return _received(event, confined)
        case DeliveredTo() | DeferredTo() | FailedTo():
            return _attempt(event, confined)
        case Bounced() | Confirmed() | Complained():
            return _came_back(event)
        case Rejected():
            return _rejected(event)
        case Operated():
            words = {
                "hold": "Held",
                "release": "Released",
                "retry": "Made due at once",
                "bounce": "Returned to its sender by a person",
                "remove": "Removed by a person",
                "reschedule": "Given another time",
                "move": "Sent another way",
                "again": f"Sent again, as message {event.target}",
            }.get(event.action, event.action)
            facts: tuple[tuple[str, Any], ...]
            facts = (("By", event.by), ("Why", event.reason), ("Recipients", ", ".join(event.recipients)))
            tone = "bad" if event.action in ("bounce", "remove") else "note"
            return Moment(event.at, tone, event.kind, words, facts=_kept(facts))
        case Opened() | Clicked():
            what = "Opened" if isinstance(event, Opened) else "A link in it was clicked"
            facts = (("By", event.recipient), ("Link", getattr(event, "target", "")))
            return Moment(event.at, "good", event.kind, what, facts=_kept(facts))
    words = event_line(event).removeprefix(f"{event.message or event.session}: ")
    return Moment(event.at, TONES.get(event.kind, ""), event.kind, capital(words))


def why_of(event: Event) -> Why | None:
    """Cause and remedy of what an event tells; ``None``: there is nothing to explain."""
    if isinstance(event, Rejected):
        return of_reply(event.name, _values(event))
    name = getattr(event, "bounce_class", "")
    of = BY_NAME.get(name)
    return None if of is None else Why(of.title, of.cause, of.remedy, of.operator)


def of_reply(name: str, values: Mapping[str, str]) -> Why | None:
    """Of a reply of our own."""
    try:
        entry = REPLIES[name]
    except KeyError:
        return None
    cause, remedy = entry.cause, entry.remedy
    for key, value in values.items():
        if value:
            cause, remedy = (text.replace(f"{{{key}}}", value) for text in (cause, remedy))
    return Why(name, cause, remedy)


def _values(event: Rejected) -> dict[str, str]:
    values = {name: str(value) for name, value in event.evidence.items() if isinstance(value, str)}
    more = {"ref": event.session, "address": event.recipient or event.sender, "account": event.account}
    return values | more


def _received(event: Received, confined: bool) -> Moment:
    way = f" by {event.protocol}" if event.protocol else ""
    facts: list[tuple[str, Any]] = [
        ("From", event.sender or "<>"),
        ("To", ", ".join(event.recipients)),
        ("Subject", event.subject),
        ("Size", size(event.size)),
        ("Message-ID", event.message_id),
        ("Campaign", event.campaign),
        ("Tags", ", ".join(event.tagged)),
        ("Batch", event.batch),
        ("Metadata", ", ".join(f"{name}={value}" for name, value in event.metadata.items())),
        ("Held by", event.held),
    ]
    if not confined:
        facts += [
            ("TLS", event.tls or ("none" if event.client else "")),
            ("Account", event.account),
            ("Tenant", event.tenant),
            ("Key", event.key),
            ("Session", event.session),
            ("Junk by", event.junk),
            *(("Evidence", line) for line in evidence_lines(event.tags)),
        ]
    what = f"Accepted{way} from {where_from(event)}"
    return Moment(event.at, "warn" if event.held else "note", event.kind, what, facts=_kept(facts))


def _attempt(event: DeliveredTo | DeferredTo | FailedTo, confined: bool) -> Moment:
    what = {"delivered": "Delivered to", "deferred": "Not yet delivered to", "failed": "Failed for"}[
        event.kind
    ]
    if isinstance(event, FailedTo) and event.expired:
        what = "Given up, for its time was over, for"
    facts: list[tuple[str, Any]] = [
        ("Asked for", event.original if event.original != event.recipient else ""),
        ("Way", f"{event.transport} to {event.next_hop}" if event.next_hop else event.transport),
        ("Attempt", event.attempt or ""),
        ("After", duration(event.delay) if event.delay else ""),
        ("TLS", event.tls),
        ("In answer to", event.command),
    ]
    if not confined:
        facts.append(("Left from", event.source))
    said = spoken(event.code, event.enhanced, event.reply, "")
    why = None if isinstance(event, DeliveredTo) else why_of(event)
    return Moment(
        event.at,
        TONES[event.kind],
        event.kind,
        f"{what} {event.recipient}",
        printable(said),
        event.host,
        _kept(facts),
        why,
    )


def _came_back(event: Bounced | Confirmed | Complained) -> Moment:
    if isinstance(event, Complained):
        facts = (("Kind", event.type), ("Told by", event.reporter))
        what = f"{event.recipient or 'The recipient'} called it spam"
        why = Why(
            "complaint",
            "The recipient pressed the button for spam, and their provider tells us.",
            "Take the address off the list; ask whether the recipients wanted this mail at all.",
        )
        return Moment(event.at, "bad", event.kind, what, facts=_kept(facts), why=why)
    who = event.recipient or event.reported
    if isinstance(event, Confirmed):
        what = f"The other side tells that it was {event.action} for {who}"
    else:
        how = "is delayed" if event.action == "delayed" else "came back: it could not be delivered"
        what = f"What was sent to {who} {how}"
    facts = (("Status", event.status), ("Told by notification", event.notification))
    return Moment(
        event.at,
        TONES[event.kind],
        event.kind,
        what,
        printable(event.reply),
        event.host,
        _kept(facts),
        why_of(event),
    )


def _rejected(event: Rejected) -> Moment:
    facts: list[tuple[str, Any]] = [
        ("From", event.sender),
        ("To", event.recipient),
        ("Account", event.account),
        ("Rule", event.rule),
        ("TLS", event.tls),
        ("Session", event.session),
        *(("Because", line) for line in evidence_lines(event.evidence)),
    ]
    what = f"Refused at {event.stage}: {where_from(event)}"
    return Moment(
        event.at,
        "bad",
        event.kind,
        what,
        printable(spoken(event.code, "", event.reply, "")),
        "this server",
        _kept(facts),
        why_of(event),
    )


def _kept(facts: Iterable[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, printable(str(value))) for name, value in facts if value not in ("", None))
