"""Networks that are not let in.

    list                 all of them, with the reason and the end of each
    add NETWORK          let no one in from there, in any worker, for --for a time or until lifted
    lift NETWORK         let them in again; of an address, whatever keeps it out

NETWORK is an address or a network: 192.0.2.1, 192.0.2.0/24, 2001:db8::/64.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from mta.cli.context import CommandError, Context, coming
from mta.journal.words import duration, local_time

#: An end that no clock will see.
_NEVER = 1e11


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta ban list``."""
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    commands.add_parser("list", help="all of them", allow_abbrev=False)
    for name, text in (("add", "let no one in from there"), ("lift", "let them in again")):
        one = commands.add_parser(name, help=text, allow_abbrev=False)
        one.add_argument("network", metavar="NETWORK", help="such as 192.0.2.1 or 192.0.2.0/24")
        one.add_argument("--reason", default="", metavar="TEXT", help="stands in the journal and the reply")
        if name == "add":
            one.add_argument("--for", dest="span", default="", metavar="TIME", help="such as 2h, 7d")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do one of them."""
    if arguments.action == "list":
        return _list(context)
    from mta.cli.control import ask_one, user

    body: dict[str, Any] = {"network": arguments.network, "by": user(), "reason": arguments.reason}
    if getattr(arguments, "span", ""):
        body["until"] = coming(arguments.span, time.time())
    if arguments.action == "add":
        answer = ask_one(context.state, "POST", "/v1/ban", body)
        said = f"{answer['network']} is banned; `mta ban lift {answer['network']}` ends it"
    else:
        answer = ask_one(context.state, "POST", "/v1/ban/lift", body)
        said = f"lifted: {', '.join(answer['lifted'])}"
        if not answer["lifted"]:
            raise CommandError(f"{arguments.network} is not banned; see `mta ban list`", os.EX_NOINPUT)
    if context.out.as_json:
        context.out.json(answer)
    else:
        context.out.line(said)
    return os.EX_OK


def _list(context: Context) -> int:
    found = context.seams.entries(context.state, "ban")
    if context.out.as_json:
        context.out.json(
            [{"network": key, **value, "until": None if end > _NEVER else end} for key, value, end in found]
        )
        return os.EX_OK
    if not found:
        context.out.line("Nobody is banned.")
        return os.EX_OK
    now = time.time()
    rows = [
        (
            key,
            value.get("by", ""),
            local_time(value.get("since", 0.0)),
            "when lifted" if end > _NEVER else f"in {duration(max(0.0, end - now))}",
            value.get("reason", ""),
        )
        for key, value, end in sorted(found, key=lambda item: item[1].get("since", 0.0))
    ]
    context.out.table(("network", "by", "since", "ends", "reason"), rows)
    return os.EX_OK
