"""Accounts that are suspended, because they sent as if they were stolen, or because somebody decided so.

    list                 all of them, with the reason
    suspend ACCOUNT      hold, put off or refuse its mail, as [abuse] has it
    resume ACCOUNT       take its mail again

What is held stays held: `mta queue list --held --from ACCOUNT`.
"""

from __future__ import annotations

import argparse
import os

from mta.cli.context import CommandError, Context
from mta.journal.words import evidence_lines, local_time


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta account list``."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    commands.add_parser("list", help="those that are suspended", allow_abbrev=False)
    for name, text in (("suspend", "take its mail no more"), ("resume", "take its mail again")):
        one = commands.add_parser(name, help=text, allow_abbrev=False)
        one.add_argument("account", metavar="ACCOUNT", help="as it logs in")
        one.add_argument("--reason", default="", metavar="TEXT", help="stands in the journal")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do one of them."""
    if arguments.action == "list":
        return _list(context)
    from mta.cli.control import ask_one, user

    body = {"account": arguments.account, "by": user(), "reason": arguments.reason}
    answer = ask_one(context.state, "POST", f"/v1/account/{arguments.action}", body)
    if context.out.as_json:
        context.out.json(answer)
    elif answer["count"]:
        done = {"suspend": "suspended", "resume": "resumed"}[arguments.action]
        context.out.line(f"{arguments.account} is {done}")
        if arguments.action == "resume":
            context.out.line(f"`mta queue list --held --from {arguments.account}` shows what is still held")
    if answer["count"]:
        return os.EX_OK
    state = "is not suspended" if arguments.action == "resume" else "is suspended already"
    raise CommandError(f"{arguments.account} {state}; see `mta account list`", os.EX_NOINPUT)


def _list(context: Context) -> int:
    found = context.seams.entries(context.state, "suspended")
    if context.out.as_json:
        context.out.json([{"account": key, **value} for key, value, _ in found])
    elif not found:
        context.out.line("No account is suspended.")
    else:
        rows = [
            (
                key,
                value.get("by", ""),
                local_time(value.get("since", 0.0)),
                value.get("action", ""),
                value.get("reason", ""),
                "; ".join(evidence_lines(value.get("facts", {}))),
            )
            for key, value, _ in found
        ]
        context.out.table(("account", "by", "since", "its mail is", "reason", "facts"), rows)
    return os.EX_OK
