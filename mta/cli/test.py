"""Tells what would become of a message to an address, step by step, sending nothing.

With a client's address it is asked as a mail server on the internet would be,
otherwise as a program on this machine.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict
from typing import Any

from mta.cli.context import CommandError, Context
from mta.journal.words import evidence_lines, printable
from mta.model.address import AddressError, parse_address
from mta.model.supposition import Supposition


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta test ADDRESS``."""
    parser.add_argument("address", metavar="ADDRESS", help="the recipient")
    parser.add_argument("--from", dest="sender", default="", metavar="ADDRESS", help="the sender")
    parser.add_argument(
        "--client-ip", "--client", dest="client", default="", metavar="IP", help="where it would come from"
    )
    parser.add_argument("--account", default="", metavar="NAME", help="the account that would send it")
    parser.add_argument("--tenant", default="", metavar="NAME", help="whose mail it would be")
    parser.add_argument("--helo", default="", metavar="NAME", help="what the client would say after EHLO")
    parser.add_argument("--offline", action="store_true", help="do not ask the running server")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Ask the server, or with none running the configuration; EX_NOUSER if it would be refused."""
    from ipaddress import ip_address

    if arguments.client:
        try:
            ip_address(arguments.client)
        except ValueError:
            raise CommandError(f"--client-ip: {arguments.client!r} is no IP address", os.EX_USAGE) from None
    if arguments.sender not in ("", "<>"):
        try:
            parse_address(arguments.sender)
        except AddressError as error:
            raise CommandError(f"--from: {error}", os.EX_USAGE) from None
    supposed = Supposition(
        arguments.address,
        arguments.sender,
        arguments.client,
        arguments.helo,
        arguments.account,
        arguments.tenant,
    )
    answer = None if arguments.offline else _ask_server(supposed, context)
    where = "the running server"
    if answer is None:
        where = "the configuration (the server was not asked)"
        loaded = context.load()
        answer = context.seams.examine(loaded, supposed)
    accepted = bool(answer.get("accepted"))
    if context.out.as_json:
        context.out.json(answer)
    else:
        for line in _told(answer, where):
            context.out.line(printable(line))
    if accepted:
        return os.EX_OK
    return os.EX_TEMPFAIL if str(answer.get("reply", "")).startswith("4") else os.EX_NOUSER


def _ask_server(supposed: Supposition, context: Context) -> dict[str, Any] | None:
    """The answer of the first worker; ``None`` if no server runs that we may ask."""
    from mta.cli.control import ask_one

    try:
        return ask_one(context.state, "POST", "/v1/test", asdict(supposed))
    except CommandError as error:
        if error.status in (os.EX_UNAVAILABLE, os.EX_NOPERM):
            return None
        raise


def _told(answer: dict[str, Any], where: str) -> list[str]:
    lines = [f"<{answer.get('address', '')}>, by {where}:", ""]
    lines += [f"{number:3}. {step}" for number, step in enumerate(answer.get("steps") or (), 1)]
    lines.append("")
    if answer.get("accepted"):
        lines.append("It would be accepted.")
    else:
        reply = f": {answer['reply']}" if answer.get("reply") else "."
        lines.append(f"It would be refused{reply}")
    if answer.get("rule") and not answer.get("accepted"):
        lines.append(f"  rule      {answer['rule']}")
    lines += [f"  because   {line}" for line in evidence_lines(answer.get("evidence") or {})]
    if answer.get("name") and not answer.get("accepted"):
        lines.append(f"  remedy    mta explain {answer['name']}")
    return lines
