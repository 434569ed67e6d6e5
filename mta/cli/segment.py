"""Looks at segments, tries conditions out, and saves them.

mta segment preview '{"attribute": "plan", "is": "pro"}'
mta segment put pros @pros.json --title "Paying customers"
mta segment members pros
"""

from __future__ import annotations

import argparse
import json
import os

from mta.cli.audience_asking import ask, pages, part, read_json, with_tenant
from mta.cli.context import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta segment list|show|preview|put|remove|members``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show all segments")
    show = actions.add_parser("show", help="show the condition of one")
    preview = actions.add_parser("preview", help="for how many a condition holds, and the first of them")
    put = actions.add_parser("put", help="save a segment")
    remove = actions.add_parser("remove", help="remove a segment")
    members = actions.add_parser("members", help="show who is in it now")
    for act in (show, put, remove, members):
        act.add_argument("name", metavar="SEGMENT")
    for act in (preview, put):
        act.add_argument("condition", metavar="CONDITION", help="JSON, or @FILE of JSON or TOML")
    put.add_argument("--title", default="", help="for people")
    with_tenant(actions)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    act = {
        "list": _list,
        "show": _show,
        "preview": _preview,
        "put": _put,
        "remove": _remove,
        "members": _members,
    }
    return act[arguments.action](arguments, context)


def _list(arguments: argparse.Namespace, context: Context) -> int:
    found = list(pages(arguments, context, "/v1/segments", "segments"))
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    rows = [(one["name"], one["title"], json.dumps(one["condition"])[:100]) for one in found]
    context.out.table(("name", "title", "condition"), rows)
    return os.EX_OK


def _show(arguments: argparse.Namespace, context: Context) -> int:
    one = ask(arguments, context, "GET", f"/v1/segments/{part(arguments.name)}")
    context.out.json(one if context.out.as_json else one["condition"])
    return os.EX_OK


def _preview(arguments: argparse.Namespace, context: Context) -> int:
    body = {"condition": read_json(arguments.condition, "the condition")}
    answer = ask(arguments, context, "POST", "/v1/segments/preview", body)
    if context.out.as_json:
        context.out.json(answer)
        return os.EX_OK
    context.out.line(f"{answer['count']} contacts")
    context.out.table(("address", "name"), [(one["address"], one["name"]) for one in answer["contacts"]])
    return os.EX_OK


def _put(arguments: argparse.Namespace, context: Context) -> int:
    body = {"title": arguments.title, "condition": read_json(arguments.condition, "the condition")}
    answer = ask(arguments, context, "PUT", f"/v1/segments/{part(arguments.name)}", body)
    if context.out.as_json:
        context.out.json(answer)
    else:
        context.out.line(f"{arguments.name} is kept")
    return os.EX_OK


def _remove(arguments: argparse.Namespace, context: Context) -> int:
    ask(arguments, context, "DELETE", f"/v1/segments/{part(arguments.name)}")
    context.out.line(f"{arguments.name} is removed")
    return os.EX_OK


def _members(arguments: argparse.Namespace, context: Context) -> int:
    found = list(pages(arguments, context, f"/v1/segments/{part(arguments.name)}/members", "contacts"))
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    context.out.table(("address", "name"), [(one["address"], one["name"]) for one in found])
    return os.EX_OK
