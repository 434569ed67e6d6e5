"""Looks at contacts, changes, imports, exports and forgets them.

    mta contact list --tenant shop @example.org
    mta contact show ann@example.org
    mta contact put ann@example.org --name Ann --set plan=pro --set age=30 --list news
    mta contact import people.csv --list news
    mta contact export --segment readers --format ndjson > readers.ndjson
    mta contact erase ann@example.org --for-good

A value of --set is JSON if it is any, and a text otherwise.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

from mta.cli.audience_asking import ask, pages, part, read_json, with_query, with_tenant
from mta.cli.context import CommandError, Context

#: Seconds between looks at how far an import is.
_PAUSE = 0.3
#: Octets that are read at once.
_PIECE = 64 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta contact list|show|put|import|imports|export|erase|readmit``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    look = actions.add_parser("list", help="show contacts, by address")
    look.add_argument("part", nargs="?", default="", help='part of the address, such as "@example.org"')
    look.add_argument("--limit", type=int, default=1000, help="contacts, at the most (default: 1000)")
    show = actions.add_parser("show", help="show one, with its lists, how it came there, and what it did")
    put = actions.add_parser("put", help="make a contact, or change it")
    erase = actions.add_parser("erase", help="forget a person")
    back = actions.add_parser("readmit", help="let somebody come back who was erased for good")
    for act in (show, put, erase, back):
        act.add_argument("address", metavar="ADDRESS")
    put.add_argument("--name", default="")
    put.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="an attribute")
    put.add_argument("--time-zone", default="", help="such as Europe/Vienna")
    put.add_argument("--locale", default="", help="such as de-AT")
    put.add_argument("--webhook", default="", help="where notifications are posted to, instead of by mail")
    put.add_argument("--source", default="", help="where consent came from")
    put.add_argument("--list", dest="lists", action="append", default=[], help="to put them on")
    erase.add_argument("--for-good", action="store_true", help="and keep a hash: nobody imports them again")
    take = actions.add_parser("import", help="import a file: CSV or NDJSON")
    take.add_argument("file", help='"-": standard input')
    take.add_argument("--list", dest="lists", action="append", default=[], help="to put them on")
    take.add_argument("--update", choices=("merge", "replace", "skip"), default="merge")
    take.add_argument("--confirm", choices=("send", "done", "none"), default="send", help="double opt-in")
    take.add_argument("--columns", default="", help="JSON, or @FILE: heading to where the column goes")
    take.add_argument("--encoding", default="", help="(default: found out)")
    take.add_argument("--dry-run", action="store_true", help="show how it would be read")
    actions.add_parser("imports", help="show imports, the last first")
    export = actions.add_parser("export", help="write contacts to standard output")
    export.add_argument("--format", choices=("csv", "ndjson"), default="csv")
    export.add_argument("--list", default="", help="only who is subscribed to it")
    export.add_argument("--segment", default="", help="only who is in it")
    with_tenant(actions)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    act = {
        "list": _list,
        "show": _show,
        "put": _put,
        "erase": _erase,
        "readmit": _readmit,
        "import": _import,
        "imports": _imports,
        "export": _export,
    }
    return act[arguments.action](arguments, context)


def _list(arguments: argparse.Namespace, context: Context) -> int:
    found: list[dict[str, Any]] = []
    more = False
    for one in pages(arguments, context, "/v1/contacts", "contacts", address=arguments.part):
        if len(found) >= arguments.limit:
            more = True
            break
        found.append(one)
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    context.out.table(("address", "name", "attributes", "since"), [_row(one) for one in found])
    if more:
        context.out.warn("there are more; see --limit")
    return os.EX_OK


def _row(one: dict[str, Any]) -> tuple[str, str, str, str]:
    attributes = ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"
        for name, value in one["attributes"].items()
    )
    return one["address"], one["name"], attributes[:100], one["created"]


def _show(arguments: argparse.Namespace, context: Context) -> int:
    place = f"/v1/contacts/{part(arguments.address)}"
    one = ask(arguments, context, "GET", place)
    history = ask(arguments, context, "GET", f"{place}/history")["history"]
    activity = ask(arguments, context, "GET", f"{place}/activity", None, limit=20)["activity"]
    if context.out.as_json:
        context.out.json({**one, "history": history, "activity": activity})
        return os.EX_OK
    for name in ("address", "name", "time_zone", "locale", "channel", "webhook", "source", "consented"):
        if one[name]:
            context.out.line(f"{name:12} {one[name]}")
    for name, value in one["attributes"].items():
        context.out.line(f"{name:12} {json.dumps(value, ensure_ascii=False)}")
    for bar in one["suppressions"]:
        context.out.line(f"suppressed   {bar['reason']}{' of list ' + bar['list'] if bar['list'] else ''}")
    for title, rows, columns in (
        ("lists", one["lists"], ("list", "state", "since", "source")),
        ("how it came there", history, ("at", "list", "state", "by")),
        ("what it did", activity, ("at", "kind", "name", "message")),
    ):
        if rows:
            context.out.line("")
            context.out.line(f"{title}:")
            context.out.table(columns, [tuple(str(row[name] or "") for name in columns) for row in rows])
    return os.EX_OK


def _put(arguments: argparse.Namespace, context: Context) -> int:
    attributes = {}
    for text in arguments.set:
        name, sign, value = text.partition("=")
        if not sign:
            raise CommandError(f"--set {text!r}: it is NAME=VALUE", os.EX_USAGE)
        try:
            attributes[name] = json.loads(value)
        except ValueError:
            attributes[name] = value
    given = {
        "name": arguments.name,
        "attributes": attributes,
        "time_zone": arguments.time_zone,
        "locale": arguments.locale,
        "webhook": arguments.webhook,
        "channel": "webhook" if arguments.webhook else "",
        "source": arguments.source,
        "lists": arguments.lists,
    }
    body = {name: value for name, value in given.items() if value}
    answer = ask(arguments, context, "POST", "/v1/contacts", {"address": arguments.address, **body})
    if context.out.as_json:
        context.out.json(answer)
    else:
        on = ", ".join(f"{one['list']} ({one['state']})" for one in answer["lists"])
        context.out.line(f"{answer['address']} is kept{', on the lists ' + on if on else ''}")
    return os.EX_OK


def _erase(arguments: argparse.Namespace, context: Context) -> int:
    place = f"/v1/contacts/{part(arguments.address)}"
    ask(arguments, context, "DELETE", place, None, for_good=arguments.for_good)
    context.out.line("forgotten")
    return os.EX_OK


def _readmit(arguments: argparse.Namespace, context: Context) -> int:
    ask(arguments, context, "POST", f"/v1/contacts/{part(arguments.address)}/readmit")
    context.out.line("the person may come back")
    return os.EX_OK


def _import(arguments: argparse.Namespace, context: Context) -> int:
    from mta.cli.control import send_api

    columns = arguments.columns
    if columns:
        columns = json.dumps(read_json(columns, "--columns"))
    query = {
        "list": arguments.lists,
        "update": arguments.update,
        "confirm": arguments.confirm,
        "columns": columns,
        "encoding": arguments.encoding,
        "dry_run": arguments.dry_run,
    }
    try:
        with sys.stdin.buffer if arguments.file == "-" else open(arguments.file, "rb") as file:
            one = send_api(
                context.state,
                arguments.tenant,
                with_query("/v1/contacts/import", query),
                iter(lambda: file.read(_PIECE), b""),
            )
    except OSError as error:
        raise CommandError(f"{arguments.file}: {error.strerror}", os.EX_NOINPUT) from None
    while one["state"] == "running":
        time.sleep(_PAUSE)
        one = ask(arguments, context, "GET", f"/v1/imports/{one['id']}")
    problems = one["problems"]
    if one["id"]:
        problems = list(pages(arguments, context, f"/v1/imports/{one['id']}/problems", "problems"))
    if context.out.as_json:
        context.out.json({**one, "problems": problems})
    else:
        for problem in problems:
            context.out.warn(f"{arguments.file}:{problem['line']}: {problem['detail']}")
        if one["state"] == "dry":
            context.out.table(("address", "name", "attributes", "since"), [_row(c) for c in one["contacts"]])
        else:
            counts = ", ".join(f"{count} {name}" for name, count in one["counts"].items() if count)
            context.out.line(f"{one['id']} {one['state']}: {one['trouble'] or counts or 'nothing in it'}")
    return os.EX_DATAERR if problems or one["state"] == "failed" else os.EX_OK


def _imports(arguments: argparse.Namespace, context: Context) -> int:
    found = list(pages(arguments, context, "/v1/imports", "imports"))
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    rows = [
        (
            one["id"],
            one["state"],
            one["created"],
            str(one["line"]),
            str(one["counts"].get("wrong", 0)),
            one["by"],
        )
        for one in found
    ]
    context.out.table(("id", "state", "begun", "lines", "wrong", "by"), rows)
    return os.EX_OK


def _export(arguments: argparse.Namespace, context: Context) -> int:
    from mta.cli.control import stream_api

    query = {"format": arguments.format, "list": arguments.list, "segment": arguments.segment}
    for octets in stream_api(context.state, arguments.tenant, with_query("/v1/contacts/export", query)):
        if context.out.stream.isatty():
            context.out.content(octets.decode("utf-8", "replace"))
        else:
            sys.stdout.buffer.write(octets)
    sys.stdout.buffer.flush()
    return os.EX_OK
