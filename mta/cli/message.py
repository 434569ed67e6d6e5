"""Messages of a tenant: what became of them, and what is to become of those that wait.

    mta message list --tenant shop --only bounced --since 2h
    mta message show 0ammynj400000 --tenant shop
    mta message cancel 0ammynj400000 --tenant shop --reason "a mistake"
    mta message reschedule 0ammynj400000 --tenant shop --at "2027-01-31 12:00"

`mta queue` and `mta trace` show them as the operator sees them, with those of everybody else.  What only
looks works without a server, too.
"""

from __future__ import annotations

import argparse
import os
import time
from datetime import UTC, datetime
from typing import Any

from mta.cli.application import Tenant, add_limit, part, short_time, take_tenant
from mta.cli.context import Context, coming, moment

_STATES = (
    "scheduled",
    "queued",
    "held",
    "deferred",
    "delivered",
    "bounced",
    "expired",
    "removed",
    "suppressed",
    "opened",
    "clicked",
    "complained",
    "unsubscribed",
)
_SEARCHES = ("address", "sender", "message-id", "subject", "tag", "batch", "campaign")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta message list|show|content|counts|cancel|hold|release|retry|reschedule``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    look = actions.add_parser("list", help="search messages; all that is given must fit")
    for name in _SEARCHES:
        look.add_argument(f"--{name}", default="")
    look.add_argument("--only", choices=_STATES, help="of at least one recipient")
    for name in ("since", "until"):
        look.add_argument(f"--{name}", metavar="TIME", help="2h ago, or 2026-01-31 12:00")
    add_limit(look)
    counts = actions.add_parser("counts", help="how many recipients are in each state")
    counts.add_argument("--tag", default="", help="of messages with it")
    acts = [
        actions.add_parser("show", help="one message, with its whole time line"),
        actions.add_parser("content", help="the message itself, while it is kept"),
    ]
    for name, help in (
        ("cancel", "take a message back, as far as it was not delivered"),
        ("hold", "keep a message until `release`"),
        ("release", "end a hold"),
        ("retry", "try a message now"),
        ("reschedule", "give a message another time"),
    ):
        act = actions.add_parser(name, help=help)
        act.add_argument("--reason", default="", help="stands in the journal")
        acts.append(act)
    acts[-1].add_argument("--at", required=True, metavar="TIME", help='"2027-01-31 12:00", or 2h from now')
    for act in acts:
        act.add_argument("id", metavar="ID", help="as the answer to sending it has it")
    take_tenant(actions)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    tenant = Tenant(context, arguments.tenant)
    {"list": _list, "show": _show, "content": _content, "counts": _counts}.get(arguments.action, _act)(
        arguments, context, tenant
    )
    return os.EX_OK


def _list(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    query = {name.replace("-", "_"): getattr(arguments, name.replace("-", "_")) for name in _SEARCHES}
    for name in ("since", "until"):
        text = getattr(arguments, name)
        query[name] = _moment(moment(text, time.time())) if text else ""
    some = list(tenant.all("/v1/messages", "messages", arguments.limit, **query, state=arguments.only))
    if context.out.as_json:
        context.out.json(some)
        return
    rows = [
        (
            one["id"],
            short_time(one["received"]),
            one["sender"],
            _people(one["recipients"]),
            one["subject"],
            ", ".join(sorted({person["state"] for person in one["recipients"]})),
        )
        for one in some
    ]
    context.out.table(("id", "received", "from", "to", "subject", "state"), rows)


def _people(people: list[dict[str, Any]]) -> str:
    first = people[0]["address"] if people else ""
    return f"{first} and {len(people) - 1} more" if len(people) > 1 else first


def _show(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    place = f"/v1/messages/{part(arguments.id)}"
    message = tenant.ask("GET", place)
    events = tenant.ask("GET", f"{place}/events")["events"]
    out = context.out
    if out.as_json:
        out.json({**message, "events": events})
        return
    facts = (
        ("id", message["id"]),
        ("received", short_time(message["received"])),
        ("from", message["sender"]),
        ("subject", message["subject"]),
        ("Message-ID", message["message_id"]),
        ("batch", message["batch"]),
        ("campaign", message["campaign"]),
        ("tags", ", ".join(message["tags"])),
        ("metadata", ", ".join(f"{name}={value}" for name, value in message["metadata"].items())),
        ("scheduled", short_time(message["scheduled"])),
    )
    out.table(("what", "value"), [fact for fact in facts if fact[1]])
    out.line("")
    out.table(
        ("recipient", "state", "since", "attempts", "next", "last reply"),
        [
            (
                one["address"],
                one["state"],
                short_time(one["at"]),
                one["attempts"],
                short_time(one["next_attempt"]),
                one["reply"]["text"] if one["reply"] else "",
            )
            for one in message["recipients"]
        ],
        right=("attempts",),
    )
    out.line("")
    out.table(("at", "what happened"), [(short_time(event["at"]), event["words"]) for event in events])


def _content(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    text = tenant.content(f"/v1/messages/{part(arguments.id)}/content")
    if context.out.as_json:
        context.out.json({"content": text})
    else:
        context.out.content(text.replace("\r\n", "\n").rstrip("\n") + "\n")


def _counts(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    found = tenant.ask("GET", f"/v1/tags/{part(arguments.tag)}" if arguments.tag else "/v1/counts")
    if context.out.as_json:
        context.out.json(found)
        return
    rows = [("recipients", found["recipients"], "")]
    rows += [(name, count, "") for name, count in found["states"].items()]
    rows += [(name, "", count) for name, count in found["reached"].items()]
    context.out.table(("what", "now", "ever"), rows, right=("now", "ever"))


def _act(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    body: dict[str, Any] = {"reason": arguments.reason}
    if arguments.action == "reschedule":
        body["send_at"] = _moment(coming(arguments.at, time.time()))
    found = tenant.ask("POST", f"/v1/messages/{part(arguments.id)}/{arguments.action}", body)
    if context.out.as_json:
        context.out.json(found)
        return
    done = {"cancel": "cancelled", "hold": "held", "release": "released", "retry": "tried now"}
    word = done.get(arguments.action) or f"scheduled for {short_time(found['send_at'])}"
    context.out.line(f"{arguments.id} is {word}, for {', '.join(found['recipients'])}")


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
