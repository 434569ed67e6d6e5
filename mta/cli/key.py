"""Makes, lists, rotates and revokes keys of the sending API.

    mta key create --scope messages:send --name shop
    mta key rotate ID --overlap 1h
    mta key revoke ID

A key is shown once; the server keeps only a hash of it.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from mta.cli.administering import administer
from mta.cli.context import CommandError, Context
from mta.journal.words import duration, local_time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta key create|list|rotate|revoke``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    create = actions.add_parser("create", help="make a key, and show it once")
    create.add_argument(
        "--scope", dest="scopes", action="append", default=[], help="what it is for; repeat it"
    )
    create.add_argument("--name", default="", help="for people")
    rotate = actions.add_parser("rotate", help="make a key in place of another")
    rotate.add_argument("--overlap", default="1d", help="for how long the old one is good still")
    revoke = actions.add_parser("revoke", help="refuse a key from now on")
    for act in (rotate, revoke):
        act.add_argument("id", metavar="ID")
    for act in (create, rotate):
        act.add_argument("--expires", default="", help='after so long, as in "90d"')
    actions.add_parser("list", help="show the keys of a tenant")
    for act in actions.choices.values():
        act.add_argument("--tenant", default="default", help="whose (default: default)")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    asked: dict[str, Any] = {"tenant": arguments.tenant}
    action = arguments.action
    if action == "create":
        asked |= {"name": arguments.name, "scopes": arguments.scopes or ["messages:send"]}
    elif action in ("rotate", "revoke"):
        asked["id"] = arguments.id
    if action == "rotate":
        asked["overlap"] = _seconds(arguments.overlap)
    if getattr(arguments, "expires", ""):
        asked["expires_in"] = _seconds(arguments.expires)
    answer = administer(context, f"key-{action}", asked)
    if context.out.as_json:
        context.out.json(answer.get("keys", answer))
    elif action == "list":
        _list(answer["keys"], context)
    elif action == "revoke":
        context.out.line(f"{answer['revoked']} is refused from now on")
    else:
        until = f", until {local_time(answer['expires'])}" if answer["expires"] else ""
        context.out.line(answer["key"])
        context.out.line(f"for {', '.join(answer['scopes'])} of {answer['tenant']}{until}; shown only now")
    return os.EX_OK


def _seconds(text: str) -> float:
    from mta.config.settings import parse_duration

    try:
        return float(parse_duration(text))
    except ValueError as error:
        raise CommandError(f"{text!r}: {error}", os.EX_USAGE) from None


def _list(keys: list[dict[str, Any]], context: Context) -> None:
    now = time.time()
    rows = []
    for key in keys:
        left = ""
        if key["expires"]:
            left = f"in {duration(key['expires'] - now)}" if key["expires"] > now else "expired"
        rows.append((key["id"], key["name"], ", ".join(key["scopes"]), local_time(key["created"]), left))
    context.out.table(("id", "name", "scopes", "made", "expires"), rows)
