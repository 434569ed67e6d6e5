"""Batches of a tenant: how they were accepted, and what became of their messages.

    mta batch list --tenant shop
    mta batch show 0ammynj400000 --tenant shop
    mta batch recipients 0ammynj400000 --tenant shop --json

They work without a server, too.
"""

from __future__ import annotations

import argparse
import os

from mta.cli.application import Tenant, add_limit, part, short_time, take_tenant
from mta.cli.context import CommandError, Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta batch list|show|recipients``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add_limit(actions.add_parser("list", help="all batches, the last first"))
    show = actions.add_parser("show", help="how one was accepted, and how its messages stand")
    people = actions.add_parser("recipients", help="its recipients with their messages")
    add_limit(people, 10_000)
    for act in (show, people):
        act.add_argument("id", metavar="ID", help="as `mta batch list` shows it")
    take_tenant(actions)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    tenant = Tenant(context, arguments.tenant)
    {"list": _list, "show": _show, "recipients": _people}[arguments.action](arguments, context, tenant)
    return os.EX_OK


def _list(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    found = list(tenant.all("/v1/batches", "batches", arguments.limit))
    if context.out.as_json:
        context.out.json(found)
        return
    names = ("total", "accepted", "refused", "suppressed", "waiting")
    rows = [
        (one["id"], one["state"], short_time(one["created"]), *(one[name] for name in names)) for one in found
    ]
    context.out.table(("id", "state", "made", *names), rows, right=names)


def _show(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    batch = tenant.ask("GET", f"/v1/batches/{part(arguments.id)}")
    try:
        stands = tenant.ask("GET", f"/v1/batches/{part(arguments.id)}/status")
    except CommandError:
        # None of its messages was taken.
        stands = {"states": {}, "reached": {}}
    out = context.out
    if out.as_json:
        out.json({**batch, "states": stands["states"], "reached": stands["reached"]})
        return
    names = ("state", "total", "accepted", "refused", "suppressed", "waiting")
    rows = [(name, batch[name]) for name in names]
    rows += [(f"now {name}", count) for name, count in stands["states"].items()]
    out.table(("what", "value"), [("id", batch["id"]), ("made", short_time(batch["created"])), *rows])
    if batch["errors"]:
        out.line("")
        errors = [(one["place"], one["email"], one["kind"], one["detail"]) for one in batch["errors"]]
        out.table(("place", "recipient", "why", "detail"), errors, right=("place",))


def _people(arguments: argparse.Namespace, context: Context, tenant: Tenant) -> None:
    place = f"/v1/batches/{part(arguments.id)}/recipients"
    found = list(tenant.all(place, "recipients", arguments.limit))
    if context.out.as_json:
        context.out.json(found)
        return
    rows = [(one["id"].partition(".")[0], one["email"], one["state"]) for one in found]
    context.out.table(("message", "recipient", "was"), rows)
