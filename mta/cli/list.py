"""Looks at lists and who is on them, and changes both.

mta list list --tenant shop
mta list put news --title "News of the shop" --double --from news@shop.example
mta list members news --only pending
mta list join news ann@example.org --source "asked by telephone"
mta list leave news ann@example.org
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from mta.cli.audience_asking import ask, pages, part, with_tenant
from mta.cli.context import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta list list|show|put|remove|members|join|leave|resend``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show all lists")
    show = actions.add_parser("show", help="show one, with how many are on it")
    put = actions.add_parser("put", help="make a list, or change it")
    remove = actions.add_parser("remove", help="remove a list; contacts stay")
    members = actions.add_parser("members", help="show who is on it")
    join = actions.add_parser("join", help="put somebody on it; with double opt-in they are asked")
    leave = actions.add_parser("leave", help="take somebody off it, as if they had left")
    resend = actions.add_parser("resend", help="ask somebody once more who has not confirmed")
    for act in (show, put, remove, members, join, leave, resend):
        act.add_argument("name", metavar="LIST")
    for act in (join, leave, resend):
        act.add_argument("address", metavar="ADDRESS")
    put.add_argument("--title", default="", help="for those who are on it")
    put.add_argument("--description", default="", help="likewise")
    put.add_argument("--double", action="store_true", help="who joins confirms it by mail")
    put.add_argument("--public", action="store_true", help="whoever has a link of the tenant's may join")
    put.add_argument("--from", dest="sender", default="", help="of the mail that asks")
    put.add_argument("--template", default="", help="of that mail")
    put.add_argument("--redirect", default="", help="where people are led to afterwards")
    members.add_argument("--only", choices=("pending", "subscribed", "unsubscribed"), default="")
    leave.add_argument("--forget", action="store_true", help="as if they had never been on it")
    join.add_argument("--confirmed", action="store_true", help="they have confirmed it elsewhere")
    join.add_argument("--source", default="", help="where consent came from")
    with_tenant(actions)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    act = {
        "list": _list,
        "show": _show,
        "put": _put,
        "remove": _remove,
        "members": _members,
        "join": _join,
        "leave": _leave,
        "resend": _resend,
    }
    return act[arguments.action](arguments, context)


def _list(arguments: argparse.Namespace, context: Context) -> int:
    found = list(pages(arguments, context, "/v1/lists", "lists"))
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    rows = [(one["name"], one["title"], one["opt_in"], "yes" if one["public"] else "no") for one in found]
    context.out.table(("name", "title", "opt-in", "public"), rows)
    return os.EX_OK


def _show(arguments: argparse.Namespace, context: Context) -> int:
    one = ask(arguments, context, "GET", _place(arguments))
    if context.out.as_json:
        context.out.json(one)
        return os.EX_OK
    for name, value in one.items():
        if value not in ("", {}, None):
            context.out.line(f"{name:14} {value}")
    return os.EX_OK


def _put(arguments: argparse.Namespace, context: Context) -> int:
    said = {"from": arguments.sender, "template": arguments.template, "redirect": arguments.redirect}
    body: dict[str, Any] = {
        "title": arguments.title,
        "description": arguments.description,
        "opt_in": "double" if arguments.double else "single",
        "public": arguments.public,
        "confirmation": {name: value for name, value in said.items() if value},
    }
    return _told(
        ask(arguments, context, "PUT", _place(arguments), body), f"{arguments.name} is kept", context
    )


def _remove(arguments: argparse.Namespace, context: Context) -> int:
    ask(arguments, context, "DELETE", _place(arguments))
    return _told({}, f"{arguments.name} is removed", context)


def _members(arguments: argparse.Namespace, context: Context) -> int:
    found = list(pages(arguments, context, f"{_place(arguments)}/members", "members", state=arguments.only))
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    rows = [(one["address"], one["name"], one["state"], one["since"]) for one in found]
    context.out.table(("address", "name", "state", "since"), rows)
    return os.EX_OK


def _join(arguments: argparse.Namespace, context: Context) -> int:
    body = {
        "address": arguments.address,
        "confirmed": arguments.confirmed,
        "source": arguments.source,
    }
    answer = ask(arguments, context, "POST", f"{_place(arguments)}/members", body)
    return _told(answer, _words(answer), context)


def _resend(arguments: argparse.Namespace, context: Context) -> int:
    answer = ask(arguments, context, "POST", f"{_place(arguments)}/members/{part(arguments.address)}/resend")
    return _told(answer, _words(answer), context)


def _leave(arguments: argparse.Namespace, context: Context) -> int:
    place = f"{_place(arguments)}/members/{part(arguments.address)}"
    ask(arguments, context, "DELETE", place, None, forget=arguments.forget)
    return _told({}, f"{arguments.address} is off the list {arguments.name}", context)


def _words(answer: dict[str, Any]) -> str:
    asked = {
        "": "",
        "sent": "; a mail asks to confirm it",
        "suppressed": "; nothing is sent to this address",
        "wait": "; there were enough mails for now",
        "later": "; a mail asks to confirm it soon",
    }.get(answer["confirmation"], f"; {answer['confirmation']}")
    return f"{answer['address']} is {answer['state']}{asked}"


def _place(arguments: argparse.Namespace) -> str:
    return f"/v1/lists/{part(arguments.name)}"


def _told(answer: dict[str, Any], words: str, context: Context) -> int:
    if context.out.as_json:
        context.out.json(answer)
    else:
        context.out.line(words)
    return os.EX_OK
