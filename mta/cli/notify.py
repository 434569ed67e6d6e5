"""Tells contacts something, each by the channel that they have chosen: mail, or a webhook of their own.

mta notify shipped ann@example.net --from "The Shop <shop@example.org>" --data '{"order": 4711}'
mta notify shipped ann@example.net --from shop@example.org --dry-run
mta notify --secret
mta notify --rotate-secret --overlap 1h
"""

from __future__ import annotations

import argparse
import json
import os
from typing import Any

from mta.cli.context import CommandError, Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta notify TEMPLATE ADDRESS...``."""
    parser.add_argument("template", metavar="TEMPLATE", nargs="?", help="whose live version is sent")
    parser.add_argument("addresses", metavar="ADDRESS", nargs="*", help="of contacts")
    parser.add_argument("--from", dest="sender", default="", metavar="SENDER", help="of mail")
    parser.add_argument("--reply-to", default="", metavar="ADDRESS", help="of mail")
    parser.add_argument("--subject", default="", help="in place of the template's")
    parser.add_argument("--data", default="{}", metavar="JSON", help="for the template")
    parser.add_argument("--list", default="", metavar="NAME", help="who is not subscribed gets nothing")
    parser.add_argument("--dry-run", action="store_true", help="only tell who would get it, and how")
    parser.add_argument(
        "--secret", action="store_true", help="show what posts to webhooks of people are signed with"
    )
    parser.add_argument("--rotate-secret", action="store_true", help="replace that; shows the new one")
    parser.add_argument("--overlap", default="1d", help="for how long the old one signs, too (default: 1d)")
    parser.add_argument("--tenant", default="default", help="whose (default: default)")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Tell them."""
    from mta.cli.application import Tenant
    from mta.config.values import parse_duration

    tenant = Tenant(context, arguments.tenant)
    if arguments.secret:
        context.out.line(str(tenant.ask("GET", "/v1/notifications/secret")["secret"]))
        return os.EX_OK
    if arguments.rotate_secret:
        try:
            overlap = int(parse_duration(arguments.overlap))
        except ValueError as error:
            raise CommandError(f"{arguments.overlap!r}: {error}", os.EX_USAGE) from None
        answer = tenant.ask("POST", "/v1/notifications/secret/rotate", {"overlap": overlap})
        context.out.line(str(answer["secret"]))
        return os.EX_OK
    if not arguments.template or not arguments.addresses or not arguments.sender:
        raise CommandError("name a template, addresses, and --from", os.EX_USAGE)
    try:
        data = json.loads(arguments.data)
    except ValueError as error:
        raise CommandError(f"--data is no JSON: {error}", os.EX_USAGE) from None
    body: dict[str, Any] = {
        "to": arguments.addresses,
        "template": arguments.template,
        "from": arguments.sender,
        "reply_to": arguments.reply_to,
        "subject": arguments.subject,
        "data": data,
        "list": arguments.list,
        "dry_run": arguments.dry_run,
    }
    answer = tenant.ask("POST", "/v1/notifications", body)
    if context.out.as_json:
        context.out.json(answer)
        return os.EX_OK
    rows = [
        (one["address"], one["channel"] or "none", one["id"] or "none", one["detail"])
        for one in answer["recipients"]
    ]
    context.out.table(("address", "channel", "id", "why not"), rows)
    return os.EX_OK
