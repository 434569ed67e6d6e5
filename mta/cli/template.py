"""Lists, pushes and previews templates of the sending API.

    mta template push DIRECTORY
    mta template list
    mta template preview welcome --locale de --data data.json

A directory has templates/, layouts/ and partials/, with NAME.html, NAME.txt, NAME.toml (subject and so
on), NAME.LOCALE.html for other languages, and NAME.json with data for previews.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mta.cli.application import Tenant
from mta.cli.context import CommandError, Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta template list|push|preview``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", help="show templates, layouts and partials")
    push = actions.add_parser("push", help="keep what is new in a directory as new versions")
    push.add_argument("directory", metavar="DIRECTORY", type=Path)
    push.add_argument(
        "--no-activate", dest="activate", action="store_false", help="keep it, and use the earlier ones still"
    )
    push.add_argument("--note", default="", help="what is said of these versions")
    preview = actions.add_parser("preview", help="render a template, and send nothing")
    preview.add_argument("name", metavar="NAME")
    preview.add_argument("--data", type=Path, help="a file of JSON (default: sample data)")
    preview.add_argument("--locale", default="", help="of the recipient")
    preview.add_argument("--version", type=int, default=0, help="which (default: the live one)")
    preview.add_argument("--html", action="store_true", help="print the HTML instead of the text")
    for act in actions.choices.values():
        act.add_argument("--tenant", default="default", help="whose (default: default)")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do what ``action`` says."""
    return {"list": _list, "push": _push, "preview": _preview}[arguments.action](arguments, context)


def _ask(
    arguments: argparse.Namespace,
    context: Context,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return Tenant(context, arguments.tenant).ask(method, path, body)


def _list(arguments: argparse.Namespace, context: Context) -> int:
    from mta.cli.template_files import FOLDERS

    found = []
    for folder in reversed(FOLDERS):
        cursor = ""
        while True:
            answer = _ask(arguments, context, "GET", f"/v1/{folder}?limit=1000&cursor={cursor}")
            found += [{"kind": folder[:-1], **one} for one in answer["templates"]]
            cursor = answer["next"] or ""
            if not cursor:
                break
    if context.out.as_json:
        context.out.json(found)
        return os.EX_OK
    rows = [(one["kind"], one["name"], one["live"] or "none", one["latest"], one["created"]) for one in found]
    context.out.table(("kind", "name", "live", "latest", "made"), rows)
    return os.EX_OK


def _push(arguments: argparse.Namespace, context: Context) -> int:
    from mta.cli.template_files import read

    waiting = read(arguments.directory)
    told: list[dict[str, Any]] = []
    # What includes another one of its kind must come after it; whatever goes, goes.
    while waiting:
        failed: list[tuple[Any, CommandError]] = []
        for one in waiting:
            body = {**one.body, "activate": arguments.activate, "note": arguments.note}
            try:
                answer = _ask(arguments, context, "PUT", f"/v1/{one.folder}/{quote(one.name, safe='')}", body)
            except CommandError as error:
                if error.status != os.EX_DATAERR:
                    raise
                failed.append((one, error))
                continue
            told.append({"kind": one.folder[:-1], "name": one.name, "version": answer["version"]})
            if not context.out.as_json:
                context.out.line(f"{one.folder}/{one.name}: version {answer['version']}")
        if len(failed) == len(waiting):
            lines = [f"{one.folder}/{one.name}: {error}" for one, error in failed]
            raise CommandError("\n".join(lines), os.EX_DATAERR)
        waiting = [one for one, _ in failed]
    if context.out.as_json:
        context.out.json(told)
    return os.EX_OK


def _preview(arguments: argparse.Namespace, context: Context) -> int:
    body: dict[str, Any] = {"locale": arguments.locale, "version": arguments.version}
    if arguments.data is not None:
        try:
            body["data"] = json.loads(arguments.data.read_text("utf-8"))
        except OSError as error:
            raise CommandError(f"{arguments.data}: {error.strerror}", os.EX_NOINPUT) from None
        except ValueError as error:
            raise CommandError(f"{arguments.data}: {error}", os.EX_DATAERR) from None
    name = quote(arguments.name, safe="")
    answer = _ask(arguments, context, "POST", f"/v1/templates/{name}/preview", body)
    if context.out.as_json:
        context.out.json(answer)
        return os.EX_OK
    context.out.line(f"Subject: {answer['subject']}")
    if answer["missing"]:
        context.out.warn(f"not in the data: {', '.join(answer['missing'])}")
    context.out.line("")
    context.out.content((answer["html"] if arguments.html else answer["text"]).rstrip("\n") + "\n")
    return os.EX_OK
