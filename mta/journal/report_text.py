"""Sessions with TLS, and reports of them and of DMARC, in words; pure."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from mta.model.event import Event, TlsSession
from mta.model.event_report import DmarcReportReceived, DmarcReportSent, TlsReportReceived, TlsReportSent


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


#: What tells of each kind of event.
TELLERS: dict[type[Event], Callable[[Any], str]] = {
    DmarcReportReceived: _dmarc_report_received,
    DmarcReportSent: _dmarc_report_sent,
    TlsReportReceived: _tls_report_received,
    TlsReportSent: _tls_report_sent,
    TlsSession: _tls_session,
}
