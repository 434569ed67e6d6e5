"""The story of a message, or of a session that was refused, from its events; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta.journal.text import event_json, event_line
from mta.journal.words import duration, evidence_lines, local_time, printable, size, spoken, where_from
from mta.model.bounce_classes import BY_NAME
from mta.model.catalogue import REPLIES
from mta.model.event import (
    Administered,
    Authenticated,
    AuthenticationFailed,
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
)
from mta.model.event_access import Banned, Suspended
from mta.model.event_audience import AudienceChanged
from mta.model.event_campaign import CampaignChanged
from mta.model.event_dashboard import DashboardSession
from mta.model.event_domain import DomainChecked
from mta.model.event_engagement import Clicked, LinksPut, Opened, Unsubscribed
from mta.model.event_mailbox import FolderChanged, MailboxSession, RulesChanged, Sorted
from mta.model.event_report import DmarcReportReceived, DmarcReportSent, TlsReportReceived, TlsReportSent
from mta.model.event_security import Alerted, CertificateSeen
from mta.model.event_sequence import SequenceChanged, SequenceStepped
from mta.model.event_suppression import SuppressedTo, SuppressionChanged
from mta.model.event_webhook import WebhookChanged
from mta.model.message import Message


@dataclass(slots=True)
class Standing:
    """How one recipient stands.

    :ivar address: the final address.
    :ivar original: what the client asked for, if it is another.
    :ivar state: ``waiting``, ``deferred``, ``held``, ``delivered``, ``failed``, ``expired``, ``removed``,
        or ``bounced`` by a server that had taken it.
    :ivar attempts: attempts made.
    :ivar due: when the next one is due; 0.0 if unknown or none.
    :ivar why: the last reply, and who gave it.
    """

    address: str
    original: str = ""
    state: str = "waiting"
    attempts: int = 0
    due: float = 0.0
    why: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "address": self.address,
            "original": self.original or self.address,
            "state": self.state,
            "attempts": self.attempts,
            "due": self.due or None,
            "why": self.why,
        }

    def line(self, when: Callable[[float], str]) -> str:
        """One line for a person."""
        words = f"<{self.address}> {self.state}"
        if self.original and self.original != self.address:
            words = f"<{self.address}> (for <{self.original}>) {self.state}"
        if self.state in ("waiting", "deferred") and self.due:
            words += f", next attempt {when(self.due)}"
        if self.attempts:
            words += f", {self.attempts} attempt{'s' if self.attempts != 1 else ''}"
        return f"{words}: {self.why}" if self.why else words


@dataclass(slots=True)
class Story:
    """Everything about one message.

    :ivar message: queue id; ``""`` for a session that got no message accepted.
    :ivar state: in a word: ``queued``, ``held``, ``delivered``, ``failed``, ``partly delivered``,
        ``bounced``, ``removed``, ``discarded``, ``rejected``, or ``unknown`` when its beginning is not in the
        journal any more.
    :ivar standings: each recipient's.
    :ivar lines: the whole story, for a person.
    :ivar events: what it is made of.
    """

    message: str
    state: str
    standings: list[Standing]
    lines: list[str]
    events: list[Event] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "message": self.message,
            "state": self.state,
            "recipients": [standing.to_json() for standing in self.standings],
            "events": [event_json(event) for event in self.events],
        }


def story(
    events: Iterable[Event], queued: Message | None = None, when: Callable[[float], str] = local_time
) -> Story:
    """What happened to one message, and how it stands.

    :param events: all of this one message, oldest first.
    :param queued: the message, if it is in the queue now: then that is how it stands.
    :param when: writes a time.
    """
    told = list(events)
    name = next((event.message for event in told if event.message), queued.id if queued else "")
    standings = _standings(told, queued)
    complete = queued is None and any(isinstance(event, Completed) for event in told)
    state = _state(told, standings, queued)
    lines = [f"message {name}: {state}"]
    for event in told:
        lines.extend(_tell(event, when))
    if not any(isinstance(event, Received) for event in told) and not queued:
        lines.append(
            "  (how it came in is not in the journal any more; see journal.keep and journal.max_size)"
        )
    if not complete and standings:
        lines.append("now:")
        lines.extend(f"  {standing.line(when)}" for standing in standings)
        if state == "held":
            lines.append(f"  It waits for a person: `mta queue release {name}` or `mta queue remove {name}`.")
    return Story(name, state, standings, [printable(line) for line in lines], told)


def _urgency(event: Received) -> str:
    if event.asked:
        # Why, and where that is said.
        return f"{event.priority}; {event.asked} was asked for, which is above submission.priority_ceilings"
    return str(event.priority) if event.priority else ""


def refusal_lines(event: Event, when: Callable[[float], str] = local_time) -> list[str]:
    """A refusal: who, at which stage, with which reply, by which rule, and what to do."""
    if isinstance(event, AuthenticationFailed):
        return [printable(line) for line in _failed_login(event, when)]
    if not isinstance(event, Rejected):
        return [printable(f"{when(event.at)}  {event_line(event)}")]
    lines = [f"session {event.session}: refused at {event.stage}" if event.session else "refused"]
    lines.append(f"  {when(event.at)}  from {where_from(event)}{_extra(role=event.role, tls=event.tls)}")
    if event.account:
        lines.append(f"  account  {event.account}")
    if event.sender or event.recipient:
        target = f" to <{event.recipient}>" if event.recipient else ""
        lines.append(f"  mail     from <{event.sender}>{target}")
    lines.append(f"  reply    {spoken(event.code, '', event.reply, '')}")
    if event.rule:
        lines.append(f"  rule     {event.rule}")
    lines.extend(f"  because  {line}" for line in evidence_lines(event.evidence))
    values = {name: str(value) for name, value in event.evidence.items() if isinstance(value, str)}
    values |= {"ref": event.session, "address": event.recipient or event.sender, "account": event.account}
    lines += _advice(event.name, values)
    return [printable(line) for line in lines]


def _failed_login(event: AuthenticationFailed, when: Callable[[float], str]) -> list[str]:
    how = "could not be checked" if event.temporary else "failed"
    session = f"session {event.session}: " if event.session else ""
    lines = [f"{session}authentication of {event.account or 'somebody'} {how}"]
    client = f"[{event.client}]" if event.client else "a client"
    lines.append(f"  {when(event.at)}  from {client}{_extra(mechanism=event.mechanism, tls=event.tls)}")
    if event.reply:
        lines.append(f"  reply    {spoken(event.code, '', event.reply, '')}")
    if event.reason:
        lines.append(f"  because  {event.reason}")
    return lines + _advice(event.name, {"ref": event.session})


def _advice(name: str, values: dict[str, str]) -> list[str]:
    """Cause and remedy of a reply of ours."""
    try:
        entry = REPLIES[name]
    except KeyError:
        return []
    return [f"  cause    {_filled(entry.cause, values)}", f"  remedy   {_filled(entry.remedy, values)}"]


def session_lines(events: Sequence[Event], when: Callable[[float], str] = local_time) -> list[str]:
    """Events that belong to no message: log-ins, refusals."""
    lines: list[str] = []
    for event in events:
        lines.extend(refusal_lines(event, when))
    return lines


def _filled(text: str, values: dict[str, str]) -> str:
    for key, value in values.items():
        if value:
            text = text.replace(f"{{{key}}}", value)
    return text


def _extra(**values: str) -> str:
    shown = [f"{name} {value}" for name, value in values.items() if value]
    return f" ({', '.join(shown)})" if shown else ""


def _tell(event: Event, when: Callable[[float], str]) -> list[str]:
    """One event as lines of the story."""
    if isinstance(event, Received):
        way = f" by {event.protocol}" if event.protocol else ""
        lines = [
            f"{when(event.at)}  accepted{way} from {where_from(event)}{_extra(role=event.role)}, "
            f"{size(event.size)}",
            f"    from <{event.sender}>",
        ]
        lines += [f"    to   <{recipient}>" for recipient in event.recipients]
        facts = (
            ("TLS", event.tls or ("none" if event.client else "")),
            ("account", event.account),
            ("Message-ID", event.message_id),
            ("session", event.session),
            ("held by", event.held),
            ("junk by", event.junk),
            ("priority", _urgency(event)),
            ("tenant", event.tenant),
            ("tenant claimed, and not believed (submission.tenant_field_from):", event.claimed),
            ("campaign", event.campaign),
            ("subject", event.subject),
            ("tags", ", ".join(event.tagged)),
            ("metadata", ", ".join(f"{name}={value}" for name, value in event.metadata.items())),
            ("batch", event.batch),
            ("template", event.template),
            ("key", event.key),
            ("scheduled for", when(event.scheduled) if event.scheduled else ""),
        )
        lines += [f"    {name} {value}" for name, value in facts if value]
        lines += [f"    {line}" for line in evidence_lines(event.tags)]
        return lines
    if isinstance(event, (DeliveredTo, DeferredTo, FailedTo)):
        return _attempt(event, when)
    if isinstance(event, Rejected):
        return refusal_lines(event, when)
    line = event_line(event).removeprefix(f"{event.message or event.session}: ")
    if isinstance(event, _PLAIN):
        lines = [f"{when(event.at)}  {line}"]
        return lines + _class(event.bounce_class) if isinstance(event, Bounced) else lines
    return [f"{when(event.at)}  {event.kind}: {line}"]


#: Events of which the line says everything.
_PLAIN = (
    Alerted,
    Administered,
    Automated,
    CertificateSeen,
    Banned,
    Suspended,
    AudienceChanged,
    SequenceChanged,
    SequenceStepped,
    SuppressedTo,
    SuppressionChanged,
    CampaignChanged,
    WebhookChanged,
    DomainChecked,
    Clicked,
    LinksPut,
    Opened,
    Unsubscribed,
    Notified,
    Discarded,
    Operated,
    Completed,
    Authenticated,
    AuthenticationFailed,
    DashboardSession,
    MailboxSession,
    Sorted,
    RulesChanged,
    FolderChanged,
    Bounced,
    Complained,
    Confirmed,
    DmarcReportReceived,
    DmarcReportSent,
    TlsReportReceived,
    TlsReportSent,
)


def _attempt(event: DeliveredTo | DeferredTo | FailedTo, when: Callable[[float], str]) -> list[str]:
    what = {"delivered": "delivered to", "deferred": "deferred for", "failed": "failed for"}[event.kind]
    if isinstance(event, FailedTo) and event.expired:
        what = "expired for"
    words = f"{when(event.at)}  {what} <{event.recipient}>"
    if event.original and event.original != event.recipient:
        words += f" (for <{event.original}>)"
    facts = []
    if event.transport:
        facts.append(f"by {event.transport}" + (f" to {event.next_hop}" if event.next_hop else ""))
    if event.source:
        facts.append(f"from {event.source}")
    if event.attempt:
        facts.append(f"attempt {event.attempt}")
    if event.delay:
        facts.append(f"after {duration(event.delay)}")
    if event.tls:
        facts.append(event.tls)
    lines = [f"{words} {', '.join(facts)}".rstrip()]
    said = spoken(event.code, event.enhanced, event.reply, event.host)
    if said:
        lines.append(f"    {said}" + (f" (to {event.command})" if event.command else ""))
    if isinstance(event, (DeferredTo, FailedTo)):
        lines += _class(event.bounce_class)
    if isinstance(event, DeferredTo) and event.next_attempt:
        lines.append(f"    next attempt {when(event.next_attempt)}")
    return lines


def _class(name: str) -> list[str]:
    """What a reply was read as."""
    return [f"    read as {name}: {BY_NAME[name].title}"] if name in BY_NAME else []


def _standings(events: list[Event], queued: Message | None) -> list[Standing]:
    """How each recipient stands: by its last attempt, and by the queue if it is there."""
    found: dict[tuple[str, str], Standing] = {}
    held = False
    for event in events:
        if isinstance(event, Received):
            held = bool(event.held)
            for recipient in event.recipients:
                found[recipient, recipient] = Standing(recipient)
        elif isinstance(event, (DeliveredTo, DeferredTo, FailedTo)):
            original = event.original or event.recipient
            # An alias gives way to the addresses that it stands for.
            alias = found.get((original, original))
            if alias is not None and original != event.recipient and not alias.attempts:
                del found[original, original]
            state = event.kind
            if isinstance(event, FailedTo) and event.expired:
                state = "expired"
            due = event.next_attempt if isinstance(event, DeferredTo) else 0.0
            why = spoken(event.code, event.enhanced, event.reply, event.host)
            found[event.recipient, original] = Standing(
                event.recipient, original, state, event.attempt, due, why
            )
        elif isinstance(event, Bounced) and event.action == "failed":
            for standing in found.values():
                if standing.address.lower() == event.recipient.lower():
                    standing.state, standing.why = "bounced", event.reply or event.status
        elif isinstance(event, Discarded) and event.what == "message":
            for standing in found.values():
                standing.state, standing.why = "discarded", event.reason
        elif isinstance(event, Operated):
            held = _operate(event, found, held)
    if held:
        for standing in found.values():
            if standing.state in ("waiting", "deferred"):
                standing.state = "held"
    if queued is not None:
        _look(queued, found)
    return list(found.values())


def _operate(event: Operated, found: dict[tuple[str, str], Standing], held: bool) -> bool:
    """What a person's act changes; answers whether the message is held now."""
    if event.action == "remove":
        for standing in found.values():
            concerned = not event.recipients or standing.address in event.recipients
            if concerned and standing.state in ("waiting", "deferred", "held"):
                standing.state, standing.why = "removed", event.reason
    return event.action == "hold" or (held and event.action not in ("release", "bounce", "remove"))


def _look(queued: Message, found: dict[tuple[str, str], Standing]) -> None:
    """Replace what events say by what the queue has."""
    for item in queued.addressees:
        found.pop((item.original, item.original), None)
        state = "held" if item.state == "held" else "deferred" if item.attempts else "waiting"
        found[item.address, item.original] = Standing(
            item.address, item.original, state, item.attempts, item.due, item.last_reply
        )


def _state(events: list[Event], standings: list[Standing], queued: Message | None) -> str:
    states = {standing.state for standing in standings}
    if not states:
        return "rejected" if any(isinstance(event, Rejected) for event in events) else "unknown"
    if "held" in states:
        return "held"
    if states & {"waiting", "deferred"}:
        finished = queued is None and any(isinstance(event, Completed) for event in events)
        return "completed" if finished else "queued"
    if states == {"delivered"}:
        return "delivered"
    if "delivered" in states:
        return "partly delivered"
    if states == {"bounced"}:
        return "bounced"
    return next(iter(states)) if states in ({"removed"}, {"discarded"}) else "failed"
