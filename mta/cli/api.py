"""Asks the sending API anything, as the operator and without a key; prints the answer.

    mta api GET /v1/engagement --tenant shop
    mta api PUT /v1/engagement --tenant shop --data '{"clicks": true}'
    mta api POST /v1/messages --tenant shop --data @message.json
    mta api GET /v1/openapi.json

What only looks works without a server, too.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

from mta.cli.application import Tenant
from mta.cli.context import CommandError, Context

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta api METHOD PATH``."""
    parser.add_argument("method", metavar="METHOD", type=str.upper, choices=_METHODS)
    parser.add_argument("path", metavar="PATH", help="with its query, such as /v1/messages?limit=10")
    parser.add_argument("--data", metavar="JSON", help='the body; "@FILE" reads it, "@-" from standard input')
    parser.add_argument("--tenant", default="default", help="for whom (default: default)")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Ask, and print."""
    path = arguments.path if arguments.path.startswith("/") else f"/{arguments.path}"
    body = None if arguments.data is None else _body(arguments.data, context)
    if arguments.method == "GET" and body is not None:
        raise CommandError("GET has no body: what narrows it stands in the path", os.EX_USAGE)
    answer = Tenant(context, arguments.tenant).ask(arguments.method, path, body)
    if answer:
        context.out.json(answer)
    return os.EX_OK


def _body(text: str, context: Context) -> Any:
    try:
        if text.startswith("@"):
            text = context.stdin.read() if text == "@-" else Path(text[1:]).read_text("utf-8")
        return json.loads(text)
    except (OSError, UnicodeError) as error:
        raise CommandError(f"{text[:200]}: {error}", os.EX_NOINPUT) from None
    except ValueError as error:
        raise CommandError(f"the body is no JSON: {error}", os.EX_DATAERR) from None
