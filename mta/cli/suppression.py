"""Looks at suppression lists and changes them: addresses to which a tenant sends nothing more.

    mta suppression list --tenant shop --reason bounce
    mta suppression add ann@example.org --tenant shop --note "asked by telephone"
    mta suppression remove ann@example.org --tenant shop
    mta suppression import sendgrid.csv --tenant shop --reason bounce
    mta suppression export --tenant shop --format ndjson > list.ndjson

With --server it is the list of the server, which counts for every tenant.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mta.cli.administering import administer
from mta.cli.context import CommandError, Context
from mta.journal.words import local_time

#: Lines that are sent at once.
_AT_ONCE = 5000
_REASONS = ("complaint", "bounce", "unsubscribe", "manual")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta suppression list|add|remove|import|export``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    look = actions.add_parser("list", help="show who is on the list, and why")
    look.add_argument("part", nargs="?", default="", help='part of the address, such as "@example.org"')
    look.add_argument("--limit", type=int, default=1000, help="entries, at the most (default: 1000)")
    add = actions.add_parser("add", help="put addresses on the list")
    add.add_argument("addresses", metavar="ADDRESS", nargs="+")
    add.add_argument("--note", default="", help="why, for people")
    remove = actions.add_parser("remove", help="take an address off the list")
    remove.add_argument("address", metavar="ADDRESS")
    take = actions.add_parser("import", help="add what a file lists: CSV, NDJSON, or an address in a line")
    take.add_argument("file", help='"-": standard input')
    export = actions.add_parser("export", help="write the list to standard output")
    export.add_argument("--format", choices=("csv", "ndjson"), default="csv")
    for act in actions.choices.values():
        act.add_argument("--reason", choices=_REASONS, default="", help="only of this reason, or for it")
        act.add_argument("--tenant", default="default", help="whose (default: default)")
        act.add_argument(
            "--server", dest="tenant", action="store_const", const="*", help="the list of the server"
        )
    for act in (add, remove):
        act.add_argument("--list", default=None, help="only of this list of mail")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    act = {"list": _list, "add": _add, "remove": _remove, "import": _import, "export": _export}
    return act[arguments.action](arguments, context)


def _list(arguments: argparse.Namespace, context: Context) -> int:
    asked = {"tenant": arguments.tenant, "reason": arguments.reason, "part": arguments.part}
    found: list[dict[str, Any]] = []
    after = None
    while len(found) < arguments.limit:
        limit = min(1000, arguments.limit - len(found))
        answer = administer(context, "suppression-list", {**asked, "limit": limit, "after": after})
        found += answer["suppressions"]
        after = answer["next"]
        if after is None:
            break
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    rows = []
    for one in found:
        evidence = one["evidence"]
        why = (
            evidence.get("reply") or evidence.get("note") or evidence.get("type") or evidence.get("way") or ""
        )
        rows.append((one["address"], one["reason"], one["list"], local_time(one["created"]), why))
    context.out.table(("address", "reason", "list", "since", "evidence"), rows)
    if after is not None:
        context.out.warn("there are more; see --limit")
    return os.EX_OK


def _add(arguments: argparse.Namespace, context: Context) -> int:
    answer = administer(
        context,
        "suppression-add",
        {
            "tenant": arguments.tenant,
            "addresses": arguments.addresses,
            "reason": arguments.reason or "manual",
            "list": arguments.list or "",
            "note": arguments.note,
        },
    )
    return _told(answer, f"{answer['added']} added, {answer['known']} were there before", context)


def _remove(arguments: argparse.Namespace, context: Context) -> int:
    asked = {"tenant": arguments.tenant, "address": arguments.address}
    answer = administer(
        context, "suppression-remove", {**asked, "reason": arguments.reason, "list": arguments.list}
    )
    reasons = ", ".join(one["reason"] for one in answer["removed"])
    return _told(answer, f"{arguments.address} is off the list, where it was for: {reasons}", context)


def _import(arguments: argparse.Namespace, context: Context) -> int:
    try:
        file = arguments.file
        text = context.stdin.read() if file == "-" else Path(file).read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise CommandError(f"{arguments.file}: {error}", os.EX_NOINPUT) from None
    total = {"added": 0, "known": 0, "wrong": 0}
    problems: list[dict[str, Any]] = []
    for before, part in _parts(text):
        asked = {"tenant": arguments.tenant, "text": part, "reason": arguments.reason or "manual"}
        answer = administer(context, "suppression-import", asked)
        for name in total:
            total[name] += answer[name]
        problems += [{**one, "line": one["line"] + before} for one in answer["problems"]]
    if context.out.as_json:
        context.out.json({**total, "problems": problems})
    else:
        for one in problems:
            context.out.warn(f"{arguments.file}:{one['line']}: {one['detail']}")
        context.out.line(
            f"{total['added']} added, {total['known']} were there before, {total['wrong']} lines are wrong"
        )
    return os.EX_DATAERR if total["wrong"] else os.EX_OK


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """A file in parts that each can be read alone, with how many lines to add to their numbers."""
    lines = text.splitlines(keepends=True)
    heading = lines[0] if lines and not lines[0].lstrip().startswith("{") and "@" not in lines[0] else ""
    begin = 1 if heading else 0
    part: list[str] = []
    quotes = 0
    for number, line in enumerate(lines[begin:], begin):
        part.append(line)
        quotes += line.count('"')
        # Not within a cell that has several lines.
        if len(part) >= _AT_ONCE and quotes % 2 == 0:
            yield number + 1 - len(part) - bool(heading), heading + "".join(part)
            part, quotes = [], 0
    if part:
        yield len(lines) - len(part) - bool(heading), heading + "".join(part)


def _export(arguments: argparse.Namespace, context: Context) -> int:
    after = None
    while True:
        asked = {"tenant": arguments.tenant, "reason": arguments.reason, "format": arguments.format}
        answer = administer(context, "suppression-export", {**asked, "after": after})
        context.out.content(answer["text"])
        after = answer["next"]
        if after is None:
            return os.EX_OK


def _told(answer: dict[str, Any], words: str, context: Context) -> int:
    if context.out.as_json:
        context.out.json(answer)
    else:
        context.out.line(words)
    return os.EX_OK
