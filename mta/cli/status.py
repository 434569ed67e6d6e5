"""Numbers about the running server, one column for each worker."""

from __future__ import annotations

import argparse
import os
from typing import Any

from mta.cli.context import Context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Print them."""
    from mta.cli.control import ask

    answers = ask(context, "GET", "/v1/status")
    if context.out.as_json:
        context.out.json(answers)
        return os.EX_OK
    columns = [dict(_flat(answer)) for answer in answers]
    names = dict.fromkeys(name for column in columns for name in column)
    headings = ["", *(f"worker {number}" for number in range(len(columns)))]
    rows = [(name, *(_cell(column.get(name, "")) for column in columns)) for name in names]
    context.out.table(headings, rows, right=headings[1:])
    return os.EX_OK


def _flat(value: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """``{"a": {"b": 1}}`` as ``("a.b", 1)``."""
    found: list[tuple[str, Any]] = []
    for name, item in value.items():
        if isinstance(item, dict):
            found += _flat(item, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", item))
    return found


def _cell(value: Any) -> Any:
    """A list in a line is read by nobody: its length, and the rest with ``--json``."""
    return len(value) if isinstance(value, list) else "" if value is None else value
