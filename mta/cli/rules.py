"""Rules of mailboxes: what becomes of mail that is delivered into them (rules.toml in the Maildir).

    show ADDRESS         print them
    check FILE           find what is wrong with a file, before it is used
    set ADDRESS FILE     use the rules of a file from the next message on; "-" reads standard input
    remove ADDRESS       use none

No server needs to run, and a running one needs no reload.  Who changes them stands in the journal (mta log).
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from mta.cli.context import CommandError, Context
from mta.config.problem import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta rules show ADDRESS`` and so on."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for name, text in (("show", "print them"), ("remove", "use none")):
        actions.add_parser(name, help=text).add_argument("address", metavar="ADDRESS")
    check = actions.add_parser("check", help="find what is wrong with a file")
    check.add_argument("file", metavar="FILE", help='"-": standard input')
    put = actions.add_parser("set", help="use those of a file from now on")
    put.add_argument("address", metavar="ADDRESS")
    put.add_argument("file", metavar="FILE", help='"-": standard input')


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    act, loaded = arguments.action, context.load()
    text = _read(arguments.file, context) if act in ("check", "set") else None
    name = arguments.file if act == "check" else arguments.address.lower()
    found = None
    try:
        if text is not None:
            context.seams.rules(
                loaded, "check", "rules.toml" if arguments.file == "-" else arguments.file, text
            )
        if act == "show":
            found = context.seams.rules(loaded, "get", name, None)
        elif act != "check":
            _change(context, name, text)
    except ConfigurationError as error:
        if context.out.as_json:
            context.out.json({"ok": False, "problems": [one.to_json() for one in error.problems]})
        else:
            for problem in error.problems:
                context.out.line(str(problem))
        return os.EX_DATAERR
    except LookupError as error:
        raise CommandError(str(error), os.EX_NOUSER) from None
    except ValueError as error:
        raise CommandError(f"the rules of {name}: {error}", os.EX_DATAERR) from None
    if act == "show":
        if context.out.as_json:
            context.out.json({"address": name, "toml": found or ""})
        elif found is None:
            context.out.error(f"{name} has no rules; `mta rules set {name} FILE` gives it some")
        else:
            context.out.line(found.rstrip("\n"))
        return os.EX_OK
    if context.out.as_json:
        context.out.json({"ok": True, "problems": []})
    else:
        words = {"check": "no errors", "set": f"{name} has other rules", "remove": f"{name} has no rules"}
        context.out.line(words[act])
    return os.EX_OK


def _change(context: Context, name: str, text: str | None) -> None:
    """Ask the server, or do it where none runs."""
    from mta.cli.administering import owned
    from mta.cli.control import ask_one, user

    asked = {"address": name, "toml": text, "by": user()}
    try:
        answer = ask_one(context.state, "POST", "/v1/rules", asked)
    except CommandError as error:
        if error.status != os.EX_UNAVAILABLE:
            raise
        owned(context.state)
        context.seams.rules(context.load(), "put", name, text, user())
    else:
        if answer.get("missing"):
            raise LookupError(answer["missing"])


def _read(name: str, context: Context) -> str:
    try:
        return context.stdin.read() if name == "-" else Path(name).read_text("utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{name}: it is not UTF-8", os.EX_DATAERR) from None
