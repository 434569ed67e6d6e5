"""One event as one line for a person, or as one object for a program; pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from mta.journal.mailbox_text import changed_words, folder_words, sorted_words
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
    Server,
    TlsSession,
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
from mta.model.linked import linked_words


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


def printable(text: str) -> str:
    """``text`` with what is not printable written as ``\\xNN``: it may come from the network."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def evidence_lines(evidence: Mapping[str, Any], about: str = "") -> list[str]:
    """Facts as lines ``name: value``: of a list a line for each item, of what is nested each with its names.

    :param about: what stands before each name.
    """
    lines: list[str] = []
    for name, value in evidence.items():
        if isinstance(value, Mapping):
            lines += evidence_lines(value, f"{about}{name} ")
        elif isinstance(value, (list, tuple)):
            lines += [f"{about}{name}: {item}" for item in value]
        else:
            lines.append(f"{about}{name}: {value}")
    return lines


def local_time(at: float) -> str:
    """A time for a person, in local time.

    :param at: seconds since 1970.
    """
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def iso_time(at: float) -> str:
    """A time for a program, with its offset from UTC.

    :param at: seconds since 1970.
    """
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="milliseconds")


def duration(seconds: float) -> str:
    """``3.2 s``, ``5 m``, ``2 h 10 m``, ``3 d 4 h``."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} m" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def size(octets: float) -> str:
    """``512 B``, ``4.0 KiB``, ``1.5 MiB``."""
    if octets < 1024:
        return f"{octets:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        octets /= 1024
        if octets < 1024:
            return f"{octets:.1f} {unit}"
    return f"{octets / 1024:.1f} TiB"


def where_from(event: Received | Rejected) -> str:
    """``mx.example.org [192.0.2.1]``, ``[192.0.2.1]``, or ``this machine``."""
    if not event.client:
        return "this machine"
    # A client without a name says its address in brackets.
    named = event.helo and event.helo.strip("[]").lower().removeprefix("ipv6:") != event.client.lower()
    return f"{event.helo} [{event.client}]" if named else f"[{event.client}]"


def spoken(code: int, enhanced: str, reply: str, host: str) -> str:
    """A reply, and who gave it."""
    words = reply
    # Some replies are kept with their codes, some without.
    if code and not words.startswith(str(code)):
        words = " ".join(filter(None, (str(code), "" if words.startswith(enhanced) else enhanced, words)))
    return f"{host} said: {words}" if host else words


def _received(event: Received) -> str:
    parts = [
        f"received from=<{event.sender}> to={_list(event.recipients)} size={event.size}",
        f"client={where_from(event)}",
    ]
    parts += _pairs(with_=event.protocol, tls=event.tls, account=event.account, role=event.role)
    parts += _pairs(message_id=event.message_id, session=event.session, held=event.held, junk=event.junk)
    priority = str(event.priority) if event.priority or event.asked else ""
    parts += _pairs(priority=priority, asked=event.asked, tenant=event.tenant, claimed=event.claimed)
    parts += _pairs(campaign=event.campaign, tags=",".join(event.tagged), batch=event.batch, key=event.key)
    parts += _pairs(scheduled=iso_time(event.scheduled) if event.scheduled else "")
    return " ".join(parts)


def _rejected(event: Rejected) -> str:
    words = f"rejected at {event.stage}: {spoken(event.code, '', event.reply, '')}"
    parts = [f"client={where_from(event)}"]
    if event.sender or event.recipient:
        parts.append(f"from=<{event.sender}>")
    if event.recipient:
        parts.append(f"to=<{event.recipient}>")
    parts += _pairs(rule=event.rule, name=event.name, account=event.account, role=event.role)
    return f"{words} ({' '.join(parts)})"


def _authenticated(event: Authenticated) -> str:
    extra = " ".join(_pairs(mechanism=event.mechanism, client=event.client, tls=event.tls))
    return f"authenticated {event.account} {extra}".rstrip()


def _authentication_failed(event: AuthenticationFailed) -> str:
    how = "could not be checked" if event.temporary else "failed"
    extra = " ".join(_pairs(mechanism=event.mechanism, client=event.client, tls=event.tls))
    words = f"authentication of {event.account or 'somebody'} {how}"
    words += f": {event.reason}" if event.reason else ""
    return f"{words} {extra}".rstrip()


def _dashboard_session(event: DashboardSession) -> str:
    words = {
        "begun": "signed in to the dashboard",
        "ended": "session of the dashboard ended",
        "refused": "not let into the dashboard",
    }.get(event.action, event.action)
    extra = " ".join(
        _pairs(role=event.role, tenant=event.tenant, session=event.number, client=event.client, by=event.by)
    )
    said = f"{event.account} {words}" if event.action != "ended" else f"{words}: {event.account}"
    return f"{said}{': ' + event.reason if event.reason else ''} {extra}".rstrip()


def _mailbox_session(event: MailboxSession) -> str:
    by = event.role.removesuffix("s").upper() + (" over TLS" if event.role.endswith("s") else "")
    extra = " ".join(_pairs(client=event.client, tls=event.tls, program=event.program))
    if event.action != "ended":
        words = "did not get the mailbox" if event.action == "refused" else "cannot use the mailbox"
        return f"{event.account} {words} by {by}: {event.reason} {extra}".rstrip()
    count = f"{event.fetched} of {event.messages}" if event.role.startswith("pop3") else str(event.fetched)
    did = f"{count} messages fetched ({event.octets} octets)"
    return (
        f"{event.account} left the mailbox ({event.reason}): {did}, {event.removed} removed {extra}".rstrip()
    )


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
    about = f"{event.action} for {_list(event.recipients)}"
    return f"notified <{event.to}>: {about}, as message {event.notification}"


def _discarded(event: Discarded) -> str:
    return f"{event.what or 'notification'} discarded: {event.reason} for {_list(event.recipients)}"


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
    extra = " ".join(_pairs(reporter=event.reporter, source=event.source))
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
    words += f" for {_list(event.recipients)}" if event.recipients else ""
    return f"{words}: {event.reason}" if event.reason else words


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
    words += f", without {_list(event.lacking)}" if event.lacking else ""
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


def _automated(event: Automated) -> str:
    source = f" from {event.source}" if event.source else ""
    until = f" until {local_time(event.until)}" if event.until else ""
    why = f"{event.host} said: {event.reply}" if event.host else event.reply
    return f"{event.action} {event.site}{source} by rule {event.rule}: {event.effect}{until}, since {why}"


def _banned(event: Banned) -> str:
    by = f" by {event.by}" if event.by else ""
    if event.action != "banned":
        return f"ban of {event.network} {event.action}{by}" + (f": {event.reason}" if event.reason else "")
    until = f" until {local_time(event.until)}" if event.until else ""
    words = f"banned {event.network}{by}{until}" + (f": {event.reason}" if event.reason else "")
    return words + (f" (last client {event.client})" if event.client else "")


def _suspended(event: Suspended) -> str:
    words = f"account {event.account} {event.action}" + (f" by {event.by}" if event.by else "")
    words += f": {event.reason}" if event.reason else ""
    facts = "; ".join(evidence_lines(event.evidence))
    return f"{words} ({facts})" if facts else words


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


def _completed(event: Completed) -> str:
    return "completed, left the queue"


def _tls_session(event: TlsSession) -> str:
    peer = f"{event.host} [{event.receiving}]" if event.receiving else event.host or "no host"
    words = f"TLS to {peer} for {event.domain}, policy {event.policy}: {event.result}"
    extra = "; ".join(filter(None, (event.reason, event.tls)))
    return f"{words}: {extra}" if extra else words


def _tls_report_sent(event: TlsReportSent) -> str:
    about = f"on {event.day}: {event.successes} sessions succeeded, {event.failures} failed"
    to = f" to {event.target}" if event.target else ""
    words = f"TLS report for {event.domain} {event.action}{to} {about}"
    return f"{words}: {event.reason}" if event.reason else words


def _tls_report_received(event: TlsReportReceived) -> str:
    days = datetime.fromtimestamp(event.begins, UTC).strftime("%Y-%m-%d")
    about = ", ".join(event.domains[:10])
    return (
        f"TLS report {event.report} of {event.organization or 'somebody'} on {about}, "
        f"{days}: {event.successes} sessions succeeded, {event.failures} failed"
    )


def _certificate(event: CertificateSeen) -> str:
    about = f"certificate {event.file}" + (f" of {', '.join(event.names[:5])}" if event.names else "")
    if event.what == "unusable":
        return f"{about} cannot be used, the one before stays: {event.reason}"
    until = datetime.fromtimestamp(event.expires, UTC).strftime("%Y-%m-%d %H:%M UTC")
    if event.what == "expires":
        return f"{about} expires in {event.days} day{'s' * (event.days != 1)}, on {until}: renew it"
    if event.what == "expired":
        return f"{about} has expired on {until}: renew it, others may refuse it now"
    return f"{about} loaded, good until {until}"


def _alerted(event: Alerted) -> str:
    words = f"alert {event.rule} {event.action}: {event.text}"
    if event.action == "untold":
        return f"{words}; {', '.join(event.to)} could not be told: {event.reason}"
    told = f"told {', '.join(event.to)}" if event.to else event.reason
    return f"{words} ({told})" if told else words


def _dmarc_report_sent(event: DmarcReportSent) -> str:
    about = f"on {event.day}: {event.messages} messages, {event.failures} fail"
    to = f" to {event.target}" if event.target else ""
    words = f"DMARC report for {event.domain} {event.action}{to} {about}"
    return f"{words}: {event.reason}" if event.reason else words


def _dmarc_report_received(event: DmarcReportReceived) -> str:
    day = datetime.fromtimestamp(event.begins, UTC).strftime("%Y-%m-%d")
    return (
        f"DMARC report {event.report} of {event.organization or 'somebody'} on {event.domain}, "
        f"{day}: {event.messages} messages, {event.failures} fail"
    )


def _server(event: Server) -> str:
    return f"server {event.what}: {event.detail}" if event.detail else f"server {event.what}"


def _list(addresses: list[str]) -> str:
    shown = ",".join(f"<{address}>" for address in addresses[:10])
    return f"{shown} and {len(addresses) - 10} more" if len(addresses) > 10 else shown


def _pairs(**values: str) -> list[str]:
    return [f"{name.rstrip('_').replace('_', '-')}={value}" for name, value in values.items() if value]


_TELLERS: dict[type[Event], Callable[[Any], str]] = {
    Banned: _banned,
    Clicked: _clicked,
    Opened: _opened,
    LinksPut: _links,
    Unsubscribed: _unsubscribed,
    Suspended: _suspended,
    Received: _received,
    Rejected: _rejected,
    Authenticated: _authenticated,
    AuthenticationFailed: _authentication_failed,
    DashboardSession: _dashboard_session,
    MailboxSession: _mailbox_session,
    Sorted: sorted_words,
    RulesChanged: changed_words,
    FolderChanged: folder_words,
    Bounced: _bounced,
    Complained: _complained,
    Confirmed: _confirmed,
    DeliveredTo: _delivered,
    DmarcReportReceived: _dmarc_report_received,
    DmarcReportSent: _dmarc_report_sent,
    DeferredTo: _deferred,
    FailedTo: _failed,
    Notified: _notified,
    Discarded: _discarded,
    Operated: _operated,
    Administered: _administered,
    Automated: _automated,
    Alerted: _alerted,
    CertificateSeen: _certificate,
    Completed: _completed,
    Server: _server,
    AudienceChanged: _audience,
    SequenceChanged: _sequence_changed,
    SequenceStepped: _stepped,
    SuppressedTo: _suppressed,
    SuppressionChanged: _suppression,
    TlsReportReceived: _tls_report_received,
    TlsReportSent: _tls_report_sent,
    TlsSession: _tls_session,
    DomainChecked: _domain,
    CampaignChanged: _campaign,
    WebhookChanged: _webhook,
}
