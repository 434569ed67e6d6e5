"""Who is told of what: the rules of [[alert]].

list         all of them: what raises each, how it stands, and who is told
test NAME    tell everybody of a rule that you are trying it out
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from mta.cli.context import Context
from mta.journal.words import local_time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta alert list``."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    commands.add_parser("list", help="all of them", allow_abbrev=False)
    test = commands.add_parser("test", help="tell everybody of a rule", allow_abbrev=False)
    test.add_argument("name", metavar="NAME", help="of a rule")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do one of them; EX_UNAVAILABLE if somebody could not be told."""
    from mta.cli.control import ask_one

    if arguments.action == "list":
        return _list(ask_one(context.state, "GET", "/v1/alerts")["rules"], context)
    answer = ask_one(context.state, "POST", "/v1/alerts/test", {"rule": arguments.name})
    troubles = [one for one in answer["told"] if one["trouble"]]
    if context.out.as_json:
        context.out.json(answer)
    else:
        for one in answer["told"]:
            by = "posted to" if "://" in one["to"] else "a mail is on its way to"
            context.out.line(f"{one['to']}: {one['trouble']}" if one["trouble"] else f"{by} {one['to']}")
    return os.EX_UNAVAILABLE if troubles else os.EX_OK


def _list(rules: list[dict[str, Any]], context: Context) -> int:
    if context.out.as_json:
        context.out.json(rules)
        return os.EX_OK
    if not rules:
        context.out.line("There is no [[alert]]; docs/guides/alerts.rst has some to begin with.")
        return os.EX_OK
    context.out.table(
        ("rule", "raised by", "now", "raised", "told"),
        [
            (
                rule["rule"],
                rule["raised_by"],
                rule["found"],
                f"since {local_time(rule['since'])}" if rule["raised"] else "no",
                ", ".join(rule["to"]) + (f" ({local_time(rule['told'])})" if rule["told"] else ""),
            )
            for rule in rules
        ],
    )
    return os.EX_OK
