"""Looks at what filters and people have had held, and lets it go on or takes it away.

`list` and `show` work with or without a running server; the others ask it.
"""

from __future__ import annotations

import argparse
import os
import time
from itertools import islice
from typing import Any

from mta.cli.context import CommandError, Context, confirm_ids, plural
from mta.cli.queue import _confirm, _content, _told
from mta.cli.queue_choice import add_choices, chosen, is_chosen
from mta.journal.quarantine import Held, held, is_held
from mta.journal.reader import JournalError, JournalReader
from mta.journal.words import duration, local_time, printable, size
from mta.model.message import Message


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta quarantine list``, ``mta quarantine release ID`` and so on."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show what is held, and why, oldest first")
    add_choices(listing)
    listing.add_argument("--limit", "-n", type=int, default=100, metavar="N", help="N at the most (100)")
    show = actions.add_parser("show", help="show everything about held messages, and their content")
    show.add_argument("ids", nargs="+", metavar="ID")
    for name, help in (
        ("release", "let messages go on to their recipients"),
        ("remove", "take messages away, and tell nobody"),
    ):
        act = actions.add_parser(name, help=help)
        act.add_argument("ids", nargs="*", metavar="ID")
        act.add_argument("--all", action="store_true", help="everything that is held")
        add_choices(act)
        act.add_argument("--yes", "-y", action="store_true", help="do not ask back")
        act.add_argument("--reason", default="", metavar="TEXT", help="for the journal")
        if name == "remove":
            act.add_argument("--notify", action="store_true", help="tell the senders")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    arguments.held = True
    if arguments.action == "list":
        return _list(arguments, context)
    if arguments.action == "show":
        return _show(arguments, context)
    return _act(arguments, context)


def _list(arguments: argparse.Namespace, context: Context) -> int:
    if arguments.limit < 1:
        raise CommandError("--limit: at least 1", os.EX_USAGE)
    journal = context.journal()
    found = [_held(journal, one) for one in islice(chosen(arguments, context), arguments.limit)]
    if context.out.as_json:
        context.out.json([one.to_json() for one in found])
        return os.EX_OK
    if not found:
        context.out.line("Nothing is held.")
        return os.EX_OK
    now = time.time()
    columns = ("id", "held for", "size", "from", "to", "subject", "reason")
    context.out.table(columns, [_row(one, now) for one in found], right=("held for", "size"))
    context.out.line(
        "`mta quarantine show ID` shows one; `release ID` and `remove ID` decide what becomes of it"
    )
    return os.EX_OK


def _held(journal: JournalReader, message: Message) -> Held:
    try:
        events = [record.event for record in journal.message(message.id)]
    except JournalError:
        events = []
    return held(message, events)


def _row(one: Held, now: float) -> tuple[str, ...]:
    message = one.message
    first = message.addressees[0].address if message.addressees else ""
    more = f" and {len(message.addressees) - 1} more" if len(message.addressees) > 1 else ""
    return (
        message.id,
        duration(max(0.0, now - one.since)),
        size(message.size),
        message.envelope.reverse_path or "<>",
        first + more,
        printable(one.subject[:60]),
        printable(one.reason[:120]),
    )


def _show(arguments: argparse.Namespace, context: Context) -> int:
    journal = context.journal()
    found, missing = _find(confirm_ids(arguments.ids), context)
    told = [_held(journal, message) for message in found]
    if context.out.as_json:
        context.out.json([{**one.to_json(), "content": _content(one.message)} for one in told])
    else:
        for number, one in enumerate(told):
            if number:
                context.out.line()
            lines = [*_told(one.message), f"held       {local_time(one.since)}: {one.reason}"]
            for line in lines:
                context.out.line(printable(line))
            context.out.line()
            context.out.line(_content(one.message))
    return _missed(missing, context) if missing else os.EX_OK


def _find(ids: list[str], context: Context) -> tuple[list[Message], list[str]]:
    """Those that are held, and the names of the others."""
    readers = context.queues()
    found: list[Message] = []
    missing: list[str] = []
    for identifier in ids:
        message = next(filter(None, (reader.get(identifier) for reader in readers)), None)
        if message is not None and is_held(message):
            found.append(message)
        else:
            missing.append(identifier)
    return found, missing


def _missed(missing: list[str], context: Context) -> int:
    for identifier in missing:
        context.out.error(f"{identifier} is not held; `mta trace {identifier}` tells what became of it")
    return os.EX_NOINPUT


def _act(arguments: argparse.Namespace, context: Context) -> int:
    from mta.cli.control import ask, sockets, user

    # Everything here is held, so that this alone chooses nothing.
    arguments.held = False
    filtered = arguments.all or is_chosen(arguments)
    arguments.held = True
    ids = confirm_ids(arguments.ids)
    if bool(ids) == bool(filtered):
        raise CommandError(
            "name messages by their ids, or choose them with --all, --from, --to and so on", os.EX_USAGE
        )
    sockets(context.state)
    missing: list[str] = []
    if filtered:
        ids = [message.id for message in chosen(arguments, context)]
        if ids and not arguments.yes and context.stdin.isatty():
            _confirm(f"{arguments.action} {plural(len(ids), 'message')}?", context)
    else:
        found, missing = _find(ids, context)
        ids = [message.id for message in found]
    body: dict[str, Any] = {"by": user(), "reason": arguments.reason}
    if arguments.action == "remove":
        body["notify"] = arguments.notify
    count = 0
    for start in range(0, len(ids), 10_000):
        some = {**body, "ids": ids[start : start + 10_000]}
        answers = ask(context, "POST", f"/v1/quarantine/{arguments.action}", some)
        count += sum(answer.get("count", 0) for answer in answers)
    if context.out.as_json:
        context.out.json({"count": count, "ids": ids})
    elif ids or filtered:
        context.out.line(f"{plural(count, 'message')} {arguments.action}d")
    return _missed(missing, context) if missing else os.EX_OK
