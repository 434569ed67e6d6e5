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
import time
from datetime import UTC, datetime
from typing import Any

from mta.cli.context import CommandError, Context, moment
from mta.journal.reader import JournalError
from mta.journal.text import event_json, local_time, printable
from mta.model.event import TlsReportReceived


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta tls-report list``."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = commands.add_parser("list", help="reports that came", allow_abbrev=False)
    listing.add_argument("--since", default="30d", metavar="WHEN", help="such as 2h, 3d, 2026-01-31 (30d)")
    listing.add_argument("--failed", action="store_true", help="only those that tell of failures")
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="newest N at the most (100)")
    show = commands.add_parser("show", help="one of them", allow_abbrev=False)
    show.add_argument("id", metavar="ID", help="its report-id, or the queue id of its message")
    for name, help_text in (("sessions", "our sessions, as counted"), ("sent", "our own reports")):
        one = commands.add_parser(name, help=help_text, allow_abbrev=False)
        one.add_argument("--day", default="", help="only of this day")
        one.add_argument("--domain", default="", help="only for this domain")
    send = commands.add_parser("send", help="send the reports of a day now", allow_abbrev=False)
    send.add_argument("--day", default="yesterday", help="which (yesterday)")
    send.add_argument("--domain", default="", help="only for this domain")
    for act in commands.choices.values():
        act.add_argument("--json", action="store_true", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        act.add_argument("--config", "-c", default=argparse.SUPPRESS, help=argparse.SUPPRESS)
        act.add_argument("--state", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do one of them."""
    try:
        return _ACTIONS[arguments.action](arguments, context)
    except JournalError as error:
        raise CommandError(str(error), os.EX_NOINPUT) from None


def _list(arguments: argparse.Namespace, context: Context) -> int:
    if arguments.limit < 1:
        raise CommandError("--limit: at least 1", os.EX_USAGE)
    since = moment(arguments.since, time.time())
    records = context.journal().recent(since=since, kinds=(TlsReportReceived.kind,), limit=arguments.limit)
    found = [record.event for record in records if isinstance(record.event, TlsReportReceived)]
    chosen = [event for event in found if event.failures or not arguments.failed]
    if context.out.as_json:
        context.out.json([event_json(event) for event in chosen])
        return os.EX_OK
    rows = [
        (
            _date(event.begins),
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
    journal = context.journal()
    try:
        records = journal.message(arguments.id.lower())
    except ValueError:
        records = []
    records = records or journal.find(arguments.id)
    found = [record.event for record in records if isinstance(record.event, TlsReportReceived)]
    if not found:
        raise CommandError(
            f"there is no TLS report {arguments.id!r}; `mta tls-report list` shows them", os.EX_NOINPUT
        )
    event = found[0]
    if context.out.as_json:
        context.out.json(event_json(event))
        return os.EX_OK
    context.out.line(f"report {printable(event.report)} of {printable(event.organization or 'somebody')}")
    context.out.line(f"  came     {local_time(event.at)}, as message {event.message}")
    context.out.line(f"  signed   {printable(', '.join(event.signed)) or 'nobody knows by whom'}")
    context.out.line(f"  contact  {printable(event.contact or '-')}")
    context.out.line(f"  about    {_utc(event.begins)} to {_utc(event.ends)} (UTC)")
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
    rows = [row for row in ledger.totals(_day(arguments.day)) if domain in ("", row[1])]
    if context.out.as_json:
        context.out.json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        context.out.table(names, rows, right=("sessions",))
    return os.EX_OK


def _sent(arguments: argparse.Namespace, context: Context) -> int:
    ledger = context.seams.tls_ledger(context.state)
    tasks = ledger.tasks(_day(arguments.day), arguments.domain.lower())
    return _tell([{name: getattr(task, name) for name in task.__slots__} for task in tasks], context)


def _send(arguments: argparse.Namespace, context: Context) -> int:
    from mta.cli.control import ask_one, user

    body = {"day": _day(arguments.day), "domain": arguments.domain, "by": user()}
    answer = ask_one(context.state, "POST", "/v1/tls-reports/send", body)
    return _tell(answer.get("reports", []), context)


def _tell(tasks: list[dict[str, Any]], context: Context) -> int:
    if context.out.as_json:
        context.out.json(tasks)
        return os.EX_OK
    rows = [
        (
            task["day"],
            task["domain"],
            _STATES.get(task["state"], task["state"]),
            task["target"] or "-",
            local_time(task["due"]) if task["state"] in ("ask", "send") else "",
            task["message"],
            task["detail"],
        )
        for task in tasks
    ]
    context.out.table(("day", "domain", "state", "to", "due", "message", "detail"), rows)
    return os.EX_OK


_STATES = {"ask": "waiting", "send": "waiting", "unwanted": "not wanted"}
_ACTIONS = {"list": _list, "show": _show, "sessions": _sessions, "sent": _sent, "send": _send}


def _day(text: str) -> str:
    """A day as the ledger has it; ``""`` stays."""
    now = datetime.now(UTC)
    if text in ("today", "yesterday"):
        return datetime.fromtimestamp(now.timestamp() - 86400 * (text == "yesterday"), UTC).strftime(
            "%Y-%m-%d"
        )
    try:
        return datetime.strptime(text, "%Y-%m-%d").strftime("%Y-%m-%d") if text else ""
    except ValueError:
        raise CommandError(
            f"--day: {text!r} is no day: say 2026-01-31, today or yesterday", os.EX_USAGE
        ) from None


def _date(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def _utc(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
