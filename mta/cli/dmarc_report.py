"""DMARC reports (RFC 9990): those that others sent us, and those that we send.

    list               reports that came
    show ID            one of them, row by row
    summary            who sends in our name, added up: by domain and address
    counted            what came here in the name of others, by day
    sent               our own reports, and how each stands
    send --day DAY     send the reports of a day now, those that were not sent yet

DAY is 2026-01-31, today or yesterday, in UTC.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from typing import Any

from mta.cli import daily_report
from mta.cli.context import CommandError, Context
from mta.journal.dmarc_summary import sources
from mta.journal.reader import JournalError
from mta.journal.text import event_json
from mta.journal.words import local_time, printable
from mta.model.event_report import DmarcReportReceived

#: Reports that are added up at the most.
_MOST = 10_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta dmarc-report summary``."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    daily_report.add_listing(commands)
    summary = commands.add_parser("summary", help="who sends in our name", allow_abbrev=False)
    daily_report.add_since(summary)
    summary.add_argument("--domain", default="", help="only this one and those below it")
    summary.add_argument("--failed", action="store_true", help="only addresses of which something fails")
    summary.add_argument("--limit", type=int, default=50, metavar="N", help="lines at the most (50)")
    daily_report.add_own(commands, "counted", "what came here in the name of others")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do one of them."""
    try:
        return _ACTIONS[arguments.action](arguments, context)
    except JournalError as error:
        raise CommandError(str(error), os.EX_NOINPUT) from None


def _list(arguments: argparse.Namespace, context: Context) -> int:
    found = daily_report.came(arguments, context, DmarcReportReceived, arguments.limit)
    chosen = [event for event in found if event.failures or not arguments.failed]
    if context.out.as_json:
        context.out.json([event_json(event) for event in chosen])
        return os.EX_OK
    rows = [
        (
            daily_report.date(event.begins),
            event.domain,
            event.organization,
            event.messages - event.failures,
            event.failures,
            event.report,
        )
        for event in chosen
    ]
    context.out.table(("day", "domain", "by", "pass", "fail", "id"), rows, right=("pass", "fail"))
    return os.EX_OK


def _show(arguments: argparse.Namespace, context: Context) -> int:
    event = daily_report.one(arguments.id, context, DmarcReportReceived, "DMARC report", "dmarc-report")
    if context.out.as_json:
        context.out.json(event_json(event))
        return os.EX_OK
    out = context.out
    policy = event.published
    asks = ", ".join(
        f"{tag}={policy[name]}"
        for tag, name in (("p", "policy"), ("sp", "subdomains"), ("np", "nonexistent"), ("t", "testing"))
        if policy.get(name)
    )
    out.line(f"report {printable(event.report)} of {printable(event.organization or 'somebody')}")
    out.line(f"  came     {local_time(event.at)}, as message {event.message}")
    out.line(f"  believed {_believed(event.authenticated)}")
    out.line(f"  contact  {printable(event.contact or '-')}")
    out.line(f"  about    {daily_report.utc(event.begins)} to {daily_report.utc(event.ends)} (UTC)")
    out.line(f"  policy   {printable(event.domain)}: {printable(asks)}")
    if event.error:
        out.line(f"  error    {printable(event.error)}")
    out.line(f"{event.messages} messages, of which {event.failures} fail")
    for row in event.rows:
        out.line(f"  {printable(_row(row))}")
    if event.cut:
        out.line(f"({event.cut} more rows were not kept)")
    return os.EX_OK


def _believed(result: str) -> str:
    if result == "pass":
        return "the mail that brought it passes DMARC"
    return f"nobody knows: DMARC says {result}" if result else "nobody knows: no judge has looked (dmarc)"


def _row(row: dict[str, Any]) -> str:
    aligned = [name for name in ("dkim", "spf") if row.get(name)]
    verdict = f"pass ({', '.join(aligned)})" if aligned else "fail"
    words = f"{row.get('count', 0)} x {row.get('source', '')} as {row.get('author', '')}: {verdict}"
    words += f", {row.get('disposition', 'none')}"
    found = [
        f"dkim={one.get('result', '')} {one.get('domain', '')} ({one.get('selector', '')})"
        for one in row.get("signatures", ())
    ]
    found += [f"spf={one.get('result', '')} {one.get('domain', '')}" for one in row.get("senders", ())]
    found += [" ".join(filter(None, (one.get("type"), one.get("comment")))) for one in row.get("reasons", ())]
    return "; ".join((words, *found))


def _summary(arguments: argparse.Namespace, context: Context) -> int:
    if arguments.limit < 1:
        raise CommandError("--limit: at least 1", os.EX_USAGE)
    events = daily_report.came(arguments, context, DmarcReportReceived, _MOST)
    found = sources(events, arguments.domain.lower(), arguments.failed)
    if context.out.as_json:
        context.out.json([one.to_json() for one in found[: arguments.limit]])
        return os.EX_OK
    titles = ("domain", "from", "pass", "fail", "dkim", "spf", "became", "known as", "by")
    rows = [
        (
            one.domain,
            one.source,
            one.passed,
            one.failed,
            one.dkim,
            one.spf,
            _most(one.dispositions),
            _most(one.identities) or "-",
            _most(one.reporters),
        )
        for one in found[: arguments.limit]
    ]
    context.out.table(titles, rows, right=("pass", "fail", "dkim", "spf"))
    if len(found) > arguments.limit:
        context.out.line(f"({len(found) - arguments.limit} more; --limit)")
    return os.EX_OK


def _most(counts: Counter[str]) -> str:
    """The most frequent ones."""
    names = [name for name, _ in counts.most_common(3)]
    return ", ".join(names) + (" ..." if len(counts) > 3 else "")


def _counted(arguments: argparse.Namespace, context: Context) -> int:
    ledger = context.seams.dmarc_ledger(context.state)
    domain = arguments.domain.lower()
    rows = [row for row in ledger.totals(daily_report.day(arguments.day)) if domain in ("", row[1])]
    return daily_report.counted(("day", "domain", "pass", "fail"), rows, ("pass", "fail"), context)


def _sent(arguments: argparse.Namespace, context: Context) -> int:
    return daily_report.sent(arguments, context.seams.dmarc_ledger(context.state), context)


def _send(arguments: argparse.Namespace, context: Context) -> int:
    return daily_report.send(arguments, "/v1/dmarc-reports/send", context)


_ACTIONS = {
    "list": _list,
    "show": _show,
    "summary": _summary,
    "counted": _counted,
    "sent": _sent,
    "send": _send,
}
