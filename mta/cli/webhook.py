"""Webhooks: where a tenant's events are posted to, and what came of it.

    mta webhook add https://app.example.org/hooks --tenant shop --event message.bounced
    mta webhook test we_0123456789abcdef --tenant shop
    mta webhook attempts we_0123456789abcdef --tenant shop --only failed
    mta webhook redeliver we_0123456789abcdef --tenant shop --since 2h
    mta webhook rotate we_0123456789abcdef --tenant shop --overlap 1h

A secret is shown once, when it is made.  What only looks works without a server, too.
"""

from __future__ import annotations

import argparse
import os
import time
from datetime import UTC, datetime
from typing import Any

from mta.cli.application import Tenant, add_limit, part, short_time, take_tenant
from mta.cli.context import CommandError, Context, moment

_FORMATS = ("standard", "postmark", "sendgrid")
#: Seconds for which the answer to a test is waited for, and between two looks.
_PATIENCE, _PAUSE = 15.0, 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta webhook list|show|add|change|test|attempts|redeliver|rotate|remove``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show all endpoints of a tenant")
    show = actions.add_parser("show", help="show one endpoint")
    add = actions.add_parser("add", help="post events to a URL from now on; shows the secret, once")
    add.add_argument("url", metavar="URL")
    change = actions.add_parser("change", help="change an endpoint; what is not named stays")
    test = actions.add_parser("test", help="post a test event, and tell what was answered")
    attempts = actions.add_parser("attempts", help="show what was posted, and what was answered")
    again = actions.add_parser("redeliver", help="post events once more")
    rotate = actions.add_parser("rotate", help="give an endpoint another secret; shows it, once")
    remove = actions.add_parser("remove", help="forget an endpoint")
    for act in (show, change, test, attempts, again, rotate, remove):
        act.add_argument("id", metavar="ID", help="as `mta webhook list` shows it")
    change.add_argument("--url")
    for act in (add, change):
        act.add_argument(
            "--event",
            dest="events",
            action="append",
            help='such as message.bounced or "message.*"; repeat it',
        )
        act.add_argument("--tag", dest="tags", action="append", help="only of messages with it; repeat it")
        act.add_argument("--description", help="for people")
        act.add_argument("--format", choices=_FORMATS, help="as whose webhooks events are written")
    change.add_argument("--all-tags", action="store_true", help="of all messages, whatever their tags")
    switch = change.add_mutually_exclusive_group()
    switch.add_argument("--enable", dest="enabled", action="store_const", const=True, help="post to it again")
    switch.add_argument("--disable", dest="enabled", action="store_const", const=False, help="post nothing")
    for act in (attempts, again):
        act.add_argument("delivery", metavar="DELIVERY", nargs="?", help="only this one, by its webhook-id")
    attempts.add_argument("--only", choices=("waiting", "delivered", "failed"), help="only those")
    add_limit(attempts)
    again.add_argument("--since", metavar="TIME", help="those that failed since: 2h ago, or a date")
    again.add_argument("--until", metavar="TIME", help="and before")
    again.add_argument("--delivered", action="store_true", help="those that were delivered, too")
    rotate.add_argument("--overlap", default="1d", help="for how long the old one signs, too (default: 1d)")
    take_tenant(actions)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    tenant = Tenant(context, arguments.tenant)
    return _ACTS[arguments.action](arguments, context, tenant) or os.EX_OK


def _list(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    found = tenant.ask("GET", "/v1/webhooks")["webhooks"]
    if context.out.as_json:
        context.out.json(found)
        return
    rows = [
        (one["id"], one["url"], ", ".join(one["events"]), ", ".join(one["tags"]), one["format"], _state(one))
        for one in found
    ]
    context.out.table(("id", "url", "events", "tags", "format", "state"), rows)


def _state(one: dict[str, Any]) -> str:
    if one["enabled"]:
        return "enabled"
    return f"disabled: {one['disabled']}" if one["disabled"] else "disabled"


def _show(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    _told(tenant.ask("GET", _place(arguments)), context)


def _told(one: dict[str, Any], context: Context) -> None:
    if context.out.as_json:
        context.out.json(one)
        return
    facts = (
        ("id", one["id"]),
        ("url", one["url"]),
        ("events", ", ".join(one["events"])),
        ("tags", ", ".join(one["tags"])),
        ("description", one["description"]),
        ("format", one["format"]),
        ("state", _state(one)),
        ("made", short_time(one["created"])),
        ("secrets", one["secrets"]),
        ("verification key", one["verification_key"]),
    )
    context.out.table(("what", "value"), [fact for fact in facts if fact[1]])
    if "secret" in one:
        context.out.line("")
        context.out.line(one["secret"])
        context.out.line("signs what is posted; shown only now")


def _add(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    _told(tenant.ask("POST", "/v1/webhooks", {"url": arguments.url, **_given(arguments)}), context)


def _given(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("events", "tags", "description", "format", "enabled")
    return {name: value for name in names if (value := getattr(arguments, name, None)) is not None}


def _change(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    body = _given(arguments)
    if arguments.url is not None:
        body["url"] = arguments.url
    if arguments.all_tags:
        body["tags"] = []
    if not body:
        raise CommandError("there is nothing to change; `mta webhook change --help` tells what", os.EX_USAGE)
    _told(tenant.ask("PATCH", _place(arguments), body), context)


def _test(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> int:
    place = _place(arguments)
    delivery = tenant.ask("POST", f"{place}/test")
    until = time.monotonic() + _PATIENCE
    while True:
        found = tenant.ask("GET", f"{place}/deliveries/{part(delivery['id'])}")
        if found["log"] or time.monotonic() > until:
            break
        time.sleep(_PAUSE)
    if context.out.as_json:
        context.out.json(found)
    elif not found["log"]:
        context.out.line(f"{found['id']} waits; `mta webhook attempts {arguments.id}` tells what came of it")
    else:
        context.out.line(f"{found['id']}: {_answer(found['log'][-1])}")
    good = bool(found["log"]) and 200 <= found["log"][-1]["status"] < 300
    return os.EX_OK if good else os.EX_TEMPFAIL


def _answer(attempt: dict[str, Any]) -> str:
    said = f": {attempt['reply']}" if attempt["reply"] else ""
    if not attempt["status"]:
        return f"there was no answer{said}"
    return f"{attempt['status']} after {attempt['seconds']:.2f} s{said}"


def _attempts(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    place = f"{_place(arguments)}/deliveries"
    if arguments.delivery:
        found = tenant.ask("GET", f"{place}/{part(arguments.delivery)}")
        if context.out.as_json:
            context.out.json(found)
            return
        rows = [
            (short_time(one["at"]), one["status"] or "", f"{one['seconds']:.2f}", one["reply"])
            for one in found["log"]
        ]
        context.out.table(("at", "status", "seconds", "answer"), rows, right=("status", "seconds"))
        return
    some = list(tenant.all(place, "deliveries", arguments.limit, state=arguments.only))
    if context.out.as_json:
        context.out.json(some)
        return
    columns = ("id", "type", "message", "state", "made", "attempts", "next")
    context.out.table(
        columns,
        [
            (
                one["id"],
                one["type"],
                one["message"] or "",
                one["state"],
                short_time(one["created"]),
                one["attempts"],
                short_time(one["next_attempt"]),
            )
            for one in some
        ],
        right=("attempts",),
    )


def _redeliver(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    place = _place(arguments)
    if bool(arguments.delivery) == bool(arguments.since):
        raise CommandError("name a delivery, or a time with --since", os.EX_USAGE)
    if arguments.delivery:
        found = tenant.ask("POST", f"{place}/deliveries/{part(arguments.delivery)}/redeliver")
        words = f"{found['id']} is posted once more"
    else:
        body: dict[str, Any] = {"since": _moment(arguments.since)}
        if arguments.until:
            body["until"] = _moment(arguments.until)
        if arguments.delivered:
            body["states"] = ["failed", "delivered"]
        found = tenant.ask("POST", f"{place}/redeliver", body)
        words = f"{found['count']} are posted once more"
    _done(found, words, context)


def _moment(text: str) -> str:
    return datetime.fromtimestamp(moment(text, time.time()), UTC).isoformat()


def _rotate(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    from mta.config.settings import parse_duration

    try:
        overlap = int(parse_duration(arguments.overlap))
    except ValueError as error:
        raise CommandError(f"{arguments.overlap!r}: {error}", os.EX_USAGE) from None
    _told(tenant.ask("POST", f"{_place(arguments)}/rotate", {"overlap": overlap}), context)


def _remove(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    tenant.ask("DELETE", _place(arguments))
    _done({"removed": arguments.id}, f"{arguments.id} gets nothing more", context)


def _done(answer: dict[str, Any], words: str, context: Context) -> None:
    if context.out.as_json:
        context.out.json(answer)
    else:
        context.out.line(words)


def _place(arguments: argparse.Namespace) -> str:
    return f"/v1/webhooks/{part(arguments.id)}"


_ACTS: dict[str, Any] = {
    "list": _list,
    "show": _show,
    "add": _add,
    "change": _change,
    "test": _test,
    "attempts": _attempts,
    "redeliver": _redeliver,
    "rotate": _rotate,
    "remove": _remove,
}
