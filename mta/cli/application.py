"""Asks the application API as the operator, for a tenant: the server, or the disk while none runs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

from mta.cli.context import CommandError, Context
from mta.cli.control import ask_api

#: Entries of one page.
_PAGE = 200


class Tenant:
    """The API, for one tenant.

    :param context: of the command.
    :param name: of the tenant.
    """

    def __init__(self, context: Context, name: str) -> None:
        self._context = context
        self.name = name

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask; what only looks is read from the disk while no server runs.

        :raise CommandError: with what is wrong.
        """
        try:
            return ask_api(self._context.state, self.name, method, path, body)
        except CommandError as error:
            if error.status != os.EX_UNAVAILABLE or method != "GET":
                raise
        found: dict[str, Any] = self._read(path)
        return found

    def content(self, path: str) -> str:
        """What is no JSON, such as a message."""
        try:
            return str(ask_api(self._context.state, self.name, "GET", path, whole=True)["content"])
        except CommandError as error:
            if error.status != os.EX_UNAVAILABLE:
                raise
        return str(self._read(path))

    def all(self, path: str, member: str, most: int, **query: Any) -> Iterator[dict[str, Any]]:
        """The entries of a list, page after page.

        :param member: of the answer in which they are.
        :param most: entries.
        :param query: what narrows it; ``None`` and ``""`` are left out.
        """
        cursor, left = "", most
        while left > 0:
            asked = {**query, "limit": min(_PAGE, left), "cursor": cursor}
            words = urlencode({name: value for name, value in asked.items() if value not in (None, "")})
            answer = self.ask("GET", f"{path}?{words}")
            yield from answer[member]
            left -= len(answer[member])
            cursor = answer["next"] or ""
            if not cursor:
                return

    def _read(self, path: str) -> Any:
        from mta.cli.administering import owned

        owned(self._context.state)
        return self._context.seams.read_api(self._context.load(), self.name, path)


def take_tenant(actions: Any) -> None:
    """Give every action the option ``--tenant``."""
    for act in actions.choices.values():
        act.add_argument("--tenant", default="default", help="whose (default: default)")


def add_limit(parser: argparse.ArgumentParser, default: int = 100) -> None:
    """The option ``--limit``."""
    parser.add_argument(
        "--limit", type=int, default=default, help=f"entries, at the most (default: {default})"
    )


def part(text: str) -> str:
    """Something as it stands in a path."""
    return quote(text, safe="")


def short_time(text: str | None) -> str:
    """A time of the API, for a table."""
    from datetime import datetime

    from mta.journal.words import local_time

    return local_time(datetime.fromisoformat(text).timestamp()) if text else ""
