"""Looks at the queue, and acts on the messages in it.

`list` and `show` work with or without a running server; the others ask it.
"""

from __future__ import annotations

import argparse
import os
import time
from itertools import islice
from typing import Any

from mta.cli.context import CommandError, Context, coming, confirm_ids, plural
from mta.cli.queue_choice import add_choices, chosen, is_chosen, sites_known
from mta.journal.words import duration, local_time, printable, size
from mta.model.message import Message
from mta.model.message_json import message_json, state_of
from mta.model.selection import TRAITS, summary

#: Columns of a summary that are numbers.
_NUMBERS = ("messages", "recipients", "held", "size", "oldest")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta queue list``, ``mta queue remove ID`` and so on."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="show what waits, oldest first")
    add_choices(listing)
    listing.add_argument("--limit", "-n", type=int, default=100, metavar="N", help="N at the most (100)")
    listing.add_argument("--after", default="", metavar="ID", help="only what came after this message")
    summing = actions.add_parser("summary", help="show what waits by destination, tenant and so on")
    summing.add_argument(
        "--by", choices=list(TRAITS), default="destination", help="what to tell apart (destination)"
    )
    add_choices(summing)
    summing.add_argument("--limit", "-n", type=int, default=50, metavar="N", help="N groups at the most (50)")
    show = actions.add_parser("show", help="show everything about messages")
    show.add_argument("ids", nargs="+", metavar="ID")
    show.add_argument("--content", action="store_true", help="print the message itself")
    for name, help in (
        ("hold", "keep messages from being delivered"),
        ("release", "end a hold; what is due is tried at once"),
        ("retry", "try messages now"),
        ("reschedule", "give messages another time"),
        ("move", "send messages another way"),
        ("bounce", "return messages to their senders, and tell them why"),
        ("remove", "take messages out of the queue, and tell nobody"),
    ):
        act = actions.add_parser(name, help=help)
        act.add_argument("ids", nargs="*", metavar="ID")
        act.add_argument("--all", action="store_true", help="every message")
        add_choices(act)
        act.add_argument("--yes", "-y", action="store_true", help="do not ask back")
        told = "for the journal, and the sender" if name in ("bounce", "remove") else "for the journal"
        act.add_argument("--reason", default="", required=name == "bounce", metavar="TEXT", help=told)
        if name == "reschedule":
            act.add_argument("--at", required=True, metavar="TIME", help="2h, or 2027-01-31 12:00")
        if name == "move":
            act.add_argument("--next-hop", required=True, metavar="HOP", help="where to: a domain, HOST:PORT")
            act.add_argument("--transport", default="", metavar="NAME", help="by which; by the same without")
        if name == "remove":
            act.add_argument("--notify", action="store_true", help="tell the senders")
    for name, help in (
        ("suspend", "let nothing go to a destination"),
        ("resume", "end a suspension"),
    ):
        act = actions.add_parser(name, help=help)
        act.add_argument("pattern", metavar="HOP", help="a next hop, or TRANSPORT:HOP; * for anything")
        act.add_argument("--reason", default="", metavar="TEXT", help="for the journal, and the next person")
        if name == "suspend":
            ends = act.add_mutually_exclusive_group()
            ends.add_argument(
                "--for", dest="span", default="", metavar="TIME", help="2h, 3d; else till resumed"
            )
            ends.add_argument("--until", default="", metavar="TIME", help="2027-01-31 12:00, or 12:00")
    actions.add_parser("flush", help="try everything now")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    action = arguments.action
    if action == "list":
        return _list(arguments, context)
    if action == "summary":
        return _summary(arguments, context)
    if action == "show":
        return _show(arguments, context)
    if action == "flush":
        return _flush(context)
    if action in ("suspend", "resume"):
        return _suspend(arguments, context)
    return _act(arguments, context)


# --- looking -----------------------------------------------------------------


def _list(arguments: argparse.Namespace, context: Context) -> int:
    if arguments.limit < 1:
        raise CommandError("--limit: at least 1", os.EX_USAGE)
    after = confirm_ids([arguments.after])[0] if arguments.after else ""
    messages = list(islice(chosen(arguments, context, after), arguments.limit))
    if context.out.as_json:
        context.out.json([message_json(message) for message in messages])
        return os.EX_OK
    now = time.time()
    if messages:
        columns = ("id", "age", "size", "from", "to", "state", "next try", "last reply")
        context.out.table(columns, [_row(message, now) for message in messages], right=("age", "size"))
    _totals(context, len(messages))
    return os.EX_OK


def _summary(arguments: argparse.Namespace, context: Context) -> int:
    if arguments.limit < 1:
        raise CommandError("--limit: at least 1", os.EX_USAGE)
    now = time.time()
    sites = sites_known(context) if arguments.by == "site" else None
    groups = summary(chosen(arguments, context), arguments.by, now, sites)
    if context.out.as_json:
        context.out.json([group.to_json() for group in groups[: arguments.limit]])
        return os.EX_OK
    if not groups:
        context.out.line("Nothing waits.")
        return os.EX_OK
    rows = [
        (
            group.key or "-",
            group.messages,
            group.recipients,
            group.held or "",
            size(group.octets),
            duration(max(0.0, now - group.oldest)),
            _next(group.next_try, now),
        )
        for group in groups[: arguments.limit]
    ]
    context.out.table((arguments.by, *_NUMBERS, "next try"), rows, right=_NUMBERS)
    if len(groups) > len(rows):
        context.out.line(f"and {len(groups) - len(rows)} more; --limit shows them")
    return os.EX_OK


def _next(due: float | None, now: float) -> str:
    if due is None:
        return ""
    return "now" if due <= now else f"in {duration(due - now)}"


def _totals(context: Context, shown: int) -> None:
    counts: dict[str, int] = {}
    for reader in context.queues():
        for name, value in reader.count().items():
            counts[name] = counts.get(name, 0) + value
    total = counts.get("messages", 0)
    if not total:
        context.out.line("The queue is empty.")
        return
    held = f", {counts['held']} held" if counts.get("held") else ""
    more = f"{shown} of " if shown < total else ""
    context.out.line(
        f"{more}{plural(total, 'message')} to {plural(counts.get('addressees', 0), 'recipient')}{held}, "
        f"{size(counts.get('octets', 0))}"
    )


def _row(message: Message, now: float) -> tuple[str, ...]:
    waiting = message.addressees
    first = waiting[0].address if waiting else ""
    more = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
    queued = [addressee for addressee in waiting if addressee.state == "queued"]
    following = _next(min((addressee.due for addressee in queued), default=None), now)
    reply = next((addressee.last_reply for addressee in waiting if addressee.last_reply), "")
    return (
        message.id,
        duration(max(0.0, now - message.created)),
        size(message.size),
        message.envelope.reverse_path or "<>",
        first + more,
        state_of(message),
        following,
        reply if len(reply) <= 120 else reply[:119] + "…",
    )


def _show(arguments: argparse.Namespace, context: Context) -> int:
    ids = confirm_ids(arguments.ids)
    readers = context.queues()
    found: list[Message] = []
    missing: list[str] = []
    for identifier in ids:
        message = next(filter(None, (reader.get(identifier) for reader in readers)), None)
        if message is None:
            missing.append(identifier)
        else:
            found.append(message)
    if context.out.as_json:
        context.out.json([_with_content(message, arguments.content) for message in found])
    else:
        for number, message in enumerate(found):
            if number:
                context.out.line()
            for line in _told(message):
                context.out.line(printable(line))
            if arguments.content:
                context.out.line()
                context.out.line(_content(message))
    for identifier in missing:
        context.out.error(
            f"{identifier} is not in the queue; `mta trace {identifier}` tells what became of it"
        )
    return os.EX_NOINPUT if missing else os.EX_OK


def _with_content(message: Message, wanted: bool) -> dict[str, Any]:
    value = message_json(message)
    if wanted:
        value["content"] = _content(message)
    return value


def _content(message: Message) -> str:
    """The message; control characters but line ends and tabs are shown as escapes."""
    text = (message.trace + message.content.read()).decode("utf-8", "backslashreplace")
    return "\n".join("\t".join(map(printable, line.split("\t"))) for line in text.split("\r\n"))


def _told(message: Message) -> list[str]:
    client, envelope = message.client, message.envelope
    origin = f"{client.helo} [{client.address}]" if client.address else "this machine"
    lines = [
        f"message    {message.id}",
        f"state      {state_of(message)}",
        f"from       <{envelope.reverse_path}>",
        f"size       {size(message.size)}",
        f"accepted   {local_time(message.created)}, from {origin} by {client.protocol} ({client.role})",
        f"expires    {local_time(message.expires)}",
    ]
    if message.starts > message.created:
        lines.append(f"scheduled  {local_time(message.starts)}")
    facts = (
        ("session", client.session),
        ("tls", f"{client.tls_version} {client.tls_cipher}".strip()),
        ("account", client.account),
        ("envid", envelope.envid),
        *((name, str(message.attributes.get(name) or "")) for name in ("tenant", "campaign", "priority")),
        ("body", envelope.body if envelope.body != "7BIT" else ""),
    )
    lines += [f"{name:10} {value}" for name, value in facts if value]
    for item in message.addressees:
        way = f"{item.transport} to {item.next_hop}" if item.next_hop else item.transport
        lines.append(f"to         <{item.address}>  {item.state}, by {way}")
        if item.original != item.address:
            lines.append(f"           for <{item.original}>")
        tried = f"{plural(item.attempts, 'attempt')}, " if item.attempts else ""
        if item.state == "queued":
            lines.append(f"           {tried}next {local_time(item.due)}")
        if item.last_reply:
            lines.append(f"           {item.last_reply}")
    return lines


# --- acting ------------------------------------------------------------------


def _flush(context: Context) -> int:
    from mta.cli.control import ask, user

    answers = ask(context, "POST", "/v1/queue/flush", {"by": user()})
    count = sum(answer.get("count", 0) for answer in answers)
    if context.out.as_json:
        context.out.json({"count": count})
    else:
        context.out.line(f"{plural(count, 'recipient')} due now")
    return os.EX_OK


def _suspend(arguments: argparse.Namespace, context: Context) -> int:
    from mta.cli.control import ask_one, user
    from mta.config.settings import parse_duration

    body: dict[str, Any] = {"pattern": arguments.pattern, "by": user(), "reason": arguments.reason}
    if getattr(arguments, "span", ""):
        try:
            body["until"] = time.time() + float(parse_duration(arguments.span))
        except ValueError as error:
            raise CommandError(f"--for: {error}", os.EX_USAGE) from None
    if getattr(arguments, "until", ""):
        body["until"] = coming(arguments.until, time.time())
    # What one worker writes, all go by.
    answer = ask_one(context.state, "POST", f"/v1/queue/{arguments.action}", body)
    if context.out.as_json:
        context.out.json(answer)
    elif arguments.action == "suspend":
        until = f" until {local_time(body['until'])}" if "until" in body else ""
        context.out.line(f"{arguments.pattern} is suspended{until}")
    elif answer["count"]:
        context.out.line(f"`mta queue retry --destination '{arguments.pattern}'` tries at once what waits")
    if answer["count"]:
        return os.EX_OK
    context.out.error("nothing is suspended under this name; see `mta status`")
    return os.EX_NOINPUT


def _act(arguments: argparse.Namespace, context: Context) -> int:
    from mta.cli.control import ask, sockets, user

    filtered = arguments.all or is_chosen(arguments)
    ids = confirm_ids(arguments.ids)
    if bool(ids) == bool(filtered):
        raise CommandError(
            "name messages by their ids, or choose them with --all, --from, --to, --destination and so on",
            os.EX_USAGE,
        )
    sockets(context.state)
    at = coming(arguments.at, time.time()) if arguments.action == "reschedule" else 0.0
    if filtered:
        ids = [message.id for message in chosen(arguments, context)]
        if ids and not arguments.yes and context.stdin.isatty():
            _confirm(f"{arguments.action} {plural(len(ids), 'message')}?", context)
    body: dict[str, Any] = {"by": user()}
    for name in ("reason", "notify", "next_hop", "transport"):
        if hasattr(arguments, name):
            body[name] = getattr(arguments, name)
    if at:
        body["at"] = at
    count = 0
    for start in range(0, len(ids), 10_000):
        some = {**body, "ids": ids[start : start + 10_000]}
        count += sum(
            answer.get("count", 0) for answer in ask(context, "POST", f"/v1/queue/{arguments.action}", some)
        )
    if context.out.as_json:
        context.out.json({"count": count, "ids": ids})
    else:
        done = {
            "hold": "held",
            "release": "released",
            "retry": "due now",
            "reschedule": f"to be sent on {local_time(at)}",
            "move": "moved",
            "bounce": "returned",
            "remove": "removed",
        }
        context.out.line(f"{plural(count, 'message')} {done[arguments.action]}")
    if count or filtered:
        return os.EX_OK
    context.out.error("none of these is in the queue, or there is nothing to change; see `mta queue list`")
    return os.EX_NOINPUT


def _confirm(question: str, context: Context) -> None:
    print(f"{question} [y/N] ", end="", file=context.out.errors, flush=True)
    if context.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was done", os.EX_OK)
