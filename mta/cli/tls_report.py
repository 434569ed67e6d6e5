"""TLS reports (RFC 8460): those that others sent us, and those that we send.

    list               reports that came
    show ID            one of them, with its failures
    sessions           our own sessions with others, as they are counted, by day
    sent               our own reports, and how each stands
    send --day DAY     send the reports of a day now, those that were not sent yet

DAY is 2026-01-31, today or yesterday, in UTC.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from mta.cli import daily_report
from mta.cli.context import CommandError, Context
from mta.journal.reader import JournalError
from mta.journal.text import event_json
from mta.journal.words import local_time, printable
from mta.model.event_report import TlsReportReceived


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta tls-report list``."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    daily_report.add_listing(commands)
    daily_report.add_own(commands, "sessions", "our sessions, as counted")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do one of them."""
    try:
        return _ACTIONS[arguments.action](arguments, context)
    except JournalError as error:
        raise CommandError(str(error), os.EX_NOINPUT) from None


def _list(arguments: argparse.Namespace, context: Context) -> int:
    found = daily_report.came(arguments, context, TlsReportReceived, arguments.limit)
    chosen = [event for event in found if event.failures or not arguments.failed]
    if context.out.as_json:
        context.out.json([event_json(event) for event in chosen])
        return os.EX_OK
    rows = [
        (
            daily_report.date(event.begins),
            ", ".join(event.domains[:3]) + (" ..." if len(event.domains) > 3 else ""),
            event.organization,
            event.successes,
            event.failures,
            event.report,
        )
        for event in chosen
    ]
    titles = ("day", "domain", "by", "succeeded", "failed", "id")
    context.out.table(titles, rows, right=("succeeded", "failed"))
    return os.EX_OK


def _show(arguments: argparse.Namespace, context: Context) -> int:
    event = daily_report.one(arguments.id, context, TlsReportReceived, "TLS report", "tls-report")
    if context.out.as_json:
        context.out.json(event_json(event))
        return os.EX_OK
    context.out.line(f"report {printable(event.report)} of {printable(event.organization or 'somebody')}")
    context.out.line(f"  came     {local_time(event.at)}, as message {event.message}")
    context.out.line(f"  signed   {printable(', '.join(event.signed)) or 'nobody knows by whom'}")
    context.out.line(f"  contact  {printable(event.contact or '-')}")
    context.out.line(f"  about    {daily_report.utc(event.begins)} to {daily_report.utc(event.ends)} (UTC)")
    for one in event.policies:
        policy, summary = one.get("policy", {}), one.get("summary", {})
        good = summary.get("total-successful-session-count", 0)
        bad = summary.get("total-failure-session-count", 0)
        name = f"{policy.get('policy-type', '')} of {policy.get('policy-domain', '')}"
        context.out.line(f"policy {printable(name)}: {good} succeeded, {bad} failed")
        for line in policy.get("policy-string", []):
            context.out.line(f"  | {printable(line)}")
        for failure in one.get("failure-details", []):
            context.out.line(f"  {_failure(failure)}")
    if event.cut:
        context.out.line(f"({event.cut} more policies or failures were not kept)")
    return os.EX_OK


def _failure(failure: dict[str, Any]) -> str:
    words = f"{failure.get('failed-session-count', 0)} x {failure.get('result-type', '')}"
    host, address = failure.get("receiving-mx-hostname", ""), failure.get("receiving-ip", "")
    if host or address:
        words += " at " + " ".join(filter(None, (host, f"[{address}]" if address else "")))
    if failure.get("sending-mta-ip"):
        words += f" from [{failure['sending-mta-ip']}]"
    reasons = (failure.get("failure-reason-code", ""), failure.get("additional-information", ""))
    reason = "; ".join(filter(None, reasons))
    return printable(f"{words}: {reason}" if reason else words)


def _sessions(arguments: argparse.Namespace, context: Context) -> int:
    ledger = context.seams.tls_ledger(context.state)
    names = ("day", "domain", "policy", "result", "sessions")
    domain = arguments.domain.lower()
    rows = [row for row in ledger.totals(daily_report.day(arguments.day)) if domain in ("", row[1])]
    return daily_report.counted(names, rows, ("sessions",), context)


def _sent(arguments: argparse.Namespace, context: Context) -> int:
    return daily_report.sent(arguments, context.seams.tls_ledger(context.state), context)


def _send(arguments: argparse.Namespace, context: Context) -> int:
    return daily_report.send(arguments, "/v1/tls-reports/send", context)


_ACTIONS = {"list": _list, "show": _show, "sessions": _sessions, "sent": _sent, "send": _send}
