"""Adds, lists and changes tenants of the sending API: each has keys, domains and limits of its own.

    mta tenant add shop --domain shop.example --per-day 50000
    mta tenant list
    mta tenant set shop --suspend "unpaid"
    mta tenant domain add shop news.shop.example

The tenant "default" exists always; the domains of the configuration are its.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from mta.cli.administering import administer
from mta.cli.context import Context
from mta.journal.words import local_time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta tenant add|list|set|remove|domain``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="make a tenant")
    add.add_argument("tenant", metavar="NAME")
    add.add_argument("--domain", dest="domains", action="append", default=[], help="that it sends from")
    change = actions.add_parser("set", help="change limits, or suspend")
    change.add_argument("tenant", metavar="NAME")
    change.add_argument("--suspend", dest="suspended", metavar="REASON", help="let it send nothing more")
    change.add_argument(
        "--resume", dest="suspended", action="store_const", const="", help="let it send again"
    )
    for act in (add, change):
        act.add_argument("--per-second", type=float, help="recipients a second; 0: as [api] says")
        act.add_argument("--per-day", type=int, help="recipients in a day of UTC; 0: as [api] says")
    actions.add_parser("remove", help="forget a tenant without keys and domains").add_argument(
        "tenant", metavar="NAME"
    )
    actions.add_parser("list", help="show all tenants")
    domain = actions.add_parser("domain", help="give a tenant a domain, or take it")
    domain.add_argument("what", choices=("add", "remove"))
    domain.add_argument("tenant", metavar="NAME")
    domain.add_argument("domain")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    action = arguments.action
    if action == "list":
        return _list(administer(context, "tenant-list", {}), context)
    if action == "domain":
        asked = {"tenant": arguments.tenant, "domain": arguments.domain}
        answer = administer(context, f"domain-{arguments.what}", asked)
        done = "now belongs to" if arguments.what == "add" else "does not belong any more to"
        return _done(answer, f"{answer.get('domain')} {done} {arguments.tenant}", context)
    asked = {"tenant": arguments.tenant}
    for name in ("per_second", "per_day", "domains", "suspended"):
        if getattr(arguments, name, None) not in (None, []):
            asked[name] = getattr(arguments, name)
    answer = administer(context, f"tenant-{action}", asked)
    words = {"add": "was made", "set": "was changed", "remove": "was removed"}[action]
    hint = f"; `mta key create --tenant {arguments.tenant} --scope messages:send` makes a key"
    return _done(answer, f"{arguments.tenant} {words}{hint if action == 'add' else ''}", context)


def _done(answer: dict[str, Any], words: str, context: Context) -> int:
    if context.out.as_json:
        context.out.json(answer)
    else:
        context.out.line(words)
    return os.EX_OK


def _list(answer: dict[str, Any], context: Context) -> int:
    if context.out.as_json:
        context.out.json(answer["tenants"])
        return os.EX_OK
    rows = [
        (
            one["tenant"],
            ", ".join(one["domains"]),
            one["keys"],
            one["per_second"] or "",
            one["per_day"] or "",
            local_time(one["created"]) if one["created"] else "",
            one["suspended"],
        )
        for one in answer["tenants"]
    ]
    titles = ("tenant", "domains", "keys", "a second", "a day", "since", "suspended")
    context.out.table(titles, rows, right=("keys", "a second", "a day"))
    return os.EX_OK
