"""What the commands about reports have in common: days, our own reports, and finding one that came."""

from __future__ import annotations

import argparse
import os
import time
from datetime import UTC, datetime
from typing import Any, TypeVar

from mta.cli.context import CommandError, Context, moment
from mta.journal.words import local_time
from mta.model.event import Event

E = TypeVar("E", bound=Event)
_STATES = {"ask": "waiting", "send": "waiting", "unwanted": "not wanted"}


def add_listing(commands: Any) -> None:
    """The actions ``list`` and ``show``."""
    listing = commands.add_parser("list", help="reports that came", allow_abbrev=False)
    add_since(listing)
    listing.add_argument("--failed", action="store_true", help="only those that tell of failures")
    listing.add_argument("--limit", type=int, default=100, metavar="N", help="newest N at the most (100)")
    show = commands.add_parser("show", help="one of them", allow_abbrev=False)
    show.add_argument("id", metavar="ID", help="its report-id, or the queue id of its message")


def add_since(parser: argparse.ArgumentParser) -> None:
    """From when on."""
    parser.add_argument("--since", default="30d", metavar="WHEN", help="such as 2h, 3d, 2026-01-31 (30d)")


def add_own(commands: Any, counts: str, help_text: str) -> None:
    """The actions about our own reports: what was counted, ``sent`` and ``send``."""
    for name, text in ((counts, help_text), ("sent", "our own reports")):
        one = commands.add_parser(name, help=text, allow_abbrev=False)
        one.add_argument("--day", default="", help="only of this day")
        one.add_argument("--domain", default="", help="only for this domain")
    send = commands.add_parser("send", help="send the reports of a day now", allow_abbrev=False)
    send.add_argument("--day", default="yesterday", help="which (yesterday)")
    send.add_argument("--domain", default="", help="only for this domain")


def came(arguments: argparse.Namespace, context: Context, kind: type[E], limit: int) -> list[E]:
    """Reports of a kind that came, the newest first."""
    if limit < 1:
        raise CommandError("--limit: at least 1", os.EX_USAGE)
    since = moment(arguments.since, time.time())
    records = context.journal().recent(since=since, kinds=(kind.kind,), limit=limit)
    return [record.event for record in records if isinstance(record.event, kind)]


def one(name: str, context: Context, kind: type[E], what: str, command: str) -> E:
    """A report by its id, or that of its message."""
    journal = context.journal()
    try:
        records = journal.message(name.lower())
    except ValueError:
        records = []
    records = records or journal.find(name)
    for record in records:
        if isinstance(record.event, kind):
            return record.event
    raise CommandError(f"there is no {what} {name!r}; `mta {command} list` shows them", os.EX_NOINPUT)


def counted(
    names: tuple[str, ...], rows: list[tuple[Any, ...]], right: tuple[str, ...], context: Context
) -> int:
    """Print what was counted."""
    if context.out.as_json:
        context.out.json([dict(zip(names, row, strict=True)) for row in rows])
    else:
        context.out.table(names, rows, right=right)
    return os.EX_OK


def sent(arguments: argparse.Namespace, ledger: Any, context: Context) -> int:
    """Print how our own reports stand."""
    tasks = ledger.tasks(day(arguments.day), arguments.domain.lower())
    return _tell([{name: getattr(task, name) for name in task.__slots__} for task in tasks], context)


def send(arguments: argparse.Namespace, path: str, context: Context) -> int:
    """Have the server send its reports of a day."""
    from mta.cli.control import ask_one, user

    body = {"day": day(arguments.day), "domain": arguments.domain, "by": user()}
    answer = ask_one(context.state, "POST", path, body)
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


def day(text: str) -> str:
    """A day as the ledger has it; ``""`` stays."""
    if text in ("today", "yesterday"):
        return date(time.time() - 86400 * (text == "yesterday"))
    try:
        return datetime.strptime(text, "%Y-%m-%d").strftime("%Y-%m-%d") if text else ""
    except ValueError:
        raise CommandError(
            f"--day: {text!r} is no day: say 2026-01-31, today or yesterday", os.EX_USAGE
        ) from None


def date(at: float) -> str:
    """The day of a time, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def utc(at: float) -> str:
    """A time, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")
