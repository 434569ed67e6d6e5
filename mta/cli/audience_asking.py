"""Asks the server about contacts, lists and segments, for the commands that are about those."""

from __future__ import annotations

import argparse
import json
import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from mta.cli.context import CommandError, Context


def ask(
    arguments: argparse.Namespace,
    context: Context,
    method: str,
    path: str,
    body: dict[str, Any] | None = None,
    **query: Any,
) -> dict[str, Any]:
    """Ask as the operator, for the tenant of the arguments.

    :raise CommandError: if it is refused, or there is no server.
    """
    from mta.cli.control import ask_api

    return ask_api(context.state, arguments.tenant, method, with_query(path, query), body)


def with_query(path: str, query: dict[str, Any]) -> str:
    """A path with a query; what is empty is left out."""
    items = {name: value for name, value in query.items() if value not in ("", None, [], False)}
    items = {name: "true" if value is True else value for name, value in items.items()}
    return f"{path}?{urlencode(items, doseq=True)}" if items else path


def pages(
    arguments: argparse.Namespace, context: Context, path: str, name: str, **query: Any
) -> Iterator[dict[str, Any]]:
    """All that a list has, page by page."""
    cursor = ""
    while True:
        answer = ask(arguments, context, "GET", path, None, limit=1000, cursor=cursor, **query)
        yield from answer[name]
        cursor = answer["next"] or ""
        if not cursor:
            return


def part(name: str) -> str:
    """A part of a path."""
    return quote(name, safe="")


def read_json(text: str, what: str) -> Any:
    """JSON on the command line, or in a file (``@FILE``), which may be TOML (``@FILE.toml``).

    :raise CommandError: if it is none.
    """
    try:
        if not text.startswith("@"):
            return json.loads(text)
        content = Path(text[1:]).read_text("utf-8")
        return tomllib.loads(content) if text.endswith(".toml") else json.loads(content)
    except OSError as error:
        raise CommandError(f"{text[1:]}: {error.strerror}", os.EX_NOINPUT) from None
    except ValueError as error:
        raise CommandError(f"{what}: {error}", os.EX_DATAERR) from None


def with_tenant(actions: Any) -> None:
    """Take ``--tenant`` with every action."""
    for act in actions.choices.values():
        act.add_argument("--tenant", default="default", help="whose (default: default)")
