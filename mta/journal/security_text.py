"""Who came in, and what a person is warned of, in words; pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mta.journal.words import evidence_lines, local_time, pairs
from mta.model.event import Authenticated, AuthenticationFailed, Event
from mta.model.event_access import Banned, Suspended
from mta.model.event_dashboard import DashboardSession
from mta.model.event_mailbox import MailboxSession
from mta.model.event_security import Alerted, CertificateSeen


def _authenticated(event: Authenticated) -> str:
    extra = " ".join(pairs(mechanism=event.mechanism, client=event.client, tls=event.tls))
    return f"authenticated {event.account} {extra}".rstrip()


def _authentication_failed(event: AuthenticationFailed) -> str:
    how = "could not be checked" if event.temporary else "failed"
    extra = " ".join(pairs(mechanism=event.mechanism, client=event.client, tls=event.tls))
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
        pairs(role=event.role, tenant=event.tenant, session=event.number, client=event.client, by=event.by)
    )
    said = f"{event.account} {words}" if event.action != "ended" else f"{words}: {event.account}"
    return f"{said}{': ' + event.reason if event.reason else ''} {extra}".rstrip()


def _mailbox_session(event: MailboxSession) -> str:
    by = event.role.removesuffix("s").upper() + (" over TLS" if event.role.endswith("s") else "")
    extra = " ".join(pairs(client=event.client, tls=event.tls, program=event.program))
    if event.action != "ended":
        words = "did not get the mailbox" if event.action == "refused" else "cannot use the mailbox"
        return f"{event.account} {words} by {by}: {event.reason} {extra}".rstrip()
    count = f"{event.fetched} of {event.messages}" if event.role.startswith("pop3") else str(event.fetched)
    did = f"{count} messages fetched ({event.octets} octets)"
    return (
        f"{event.account} left the mailbox ({event.reason}): {did}, {event.removed} removed {extra}".rstrip()
    )


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


#: What tells of each kind of event.
TELLERS: dict[type[Event], Callable[[Any], str]] = {
    Banned: _banned,
    Suspended: _suspended,
    Authenticated: _authenticated,
    AuthenticationFailed: _authentication_failed,
    DashboardSession: _dashboard_session,
    MailboxSession: _mailbox_session,
    Alerted: _alerted,
    CertificateSeen: _certificate,
}
