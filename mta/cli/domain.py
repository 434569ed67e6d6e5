"""Domains that a tenant sends from: what they must publish, and whether they do.

    mta domain add news.shop.example --tenant shop
    mta domain show news.shop.example --tenant shop --zone
    mta domain verify news.shop.example --tenant shop
    mta domain remove news.shop.example --tenant shop

A domain that the tenant adds is good when its records are seen; `mta tenant domain` gives it one unseen.
What only looks works without a server, too.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from mta.cli.application import Tenant, part, short_time, take_tenant
from mta.cli.context import Context
from mta.cli.zone_file import quoted_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta domain list|add|show|verify|remove``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show all domains of a tenant")
    add = actions.add_parser("add", help="make keys for a domain, and show what to publish")
    add.add_argument(
        "--tracking", metavar="HOST", help="host of links in its mail, such as links.example.org"
    )
    show = actions.add_parser("show", help="show what a domain must publish, and what was seen")
    verify = actions.add_parser("verify", help="ask the DNS now")
    remove = actions.add_parser("remove", help="send nothing more from a domain")
    for act in (add, show, verify, remove):
        act.add_argument("domain", metavar="DOMAIN")
    for act in (add, show, verify):
        act.add_argument("--zone", action="store_true", help="print the records as a zone file has them")
    take_tenant(actions)


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    tenant = Tenant(context, arguments.tenant)
    if arguments.action == "list":
        return _list(context, tenant)
    place = f"/v1/domains/{part(arguments.domain)}"
    if arguments.action == "remove":
        tenant.ask("DELETE", place)
        if context.out.as_json:
            context.out.json({"removed": arguments.domain})
        else:
            context.out.line(f"{arguments.tenant} sends nothing more from {arguments.domain}")
        return os.EX_OK
    if arguments.action == "add":
        body = {"domain": arguments.domain}
        if arguments.tracking:
            body["tracking"] = arguments.tracking
        found = tenant.ask("POST", "/v1/domains", body)
    elif arguments.action == "verify":
        found = tenant.ask("POST", f"{place}/verify")
    else:
        found = tenant.ask("GET", place)
    _told(found, arguments, context)
    # A script waits for it to be good.
    return os.EX_TEMPFAIL if arguments.action == "verify" and not found["sending"] else os.EX_OK


def _list(context: Context, tenant: Tenant) -> int:
    found = tenant.ask("GET", "/v1/domains")["domains"]
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    rows = [
        (
            one["domain"],
            "yes" if one["sending"] else "no",
            ", ".join(f"{record['purpose']} {record['state']}" for record in _lacking(one)),
            short_time(one["checked"]),
        )
        for one in found
    ]
    context.out.table(("domain", "may send", "lacks", "looked at"), rows)
    return os.EX_OK


def _lacking(one: dict[str, Any]) -> list[dict[str, Any]]:
    return [record for record in one["records"] if record["required"] and record["state"] != "good"]


def _told(one: dict[str, Any], arguments: argparse.Namespace, context: Context) -> None:
    out = context.out
    if out.as_json:
        out.json(one)
        return
    if arguments.zone:
        for record in one["records"]:
            value = record["value"]
            out.line(
                f"{record['name']}. IN {record['type']} "
                f"{quoted_text(value) if record['type'] == 'TXT' else value}"
            )
        return
    columns = ("purpose", "name", "type", "value", "state", "needed", "found")
    rows = [
        (
            record["purpose"],
            record["name"],
            record["type"],
            record["value"],
            record["state"],
            "yes" if record["required"] else "",
            record["said"],
        )
        for record in one["records"]
    ]
    if rows:
        out.table(columns, rows)
        out.line("")
    lacking = len(_lacking(one))
    if one["sending"]:
        out.line(f"{arguments.tenant} may send from {one['domain']}")
    elif one["checked"]:
        out.line(
            f"{arguments.tenant} may not send from {one['domain']} yet: {lacking} of the records that it "
            "needs are not there"
        )
    else:
        out.line(f"publish these, then `mta domain verify {one['domain']} --tenant {arguments.tenant}`")
