"""Has the running server read its configuration, users, aliases and certificates anew."""

from __future__ import annotations

import argparse
import os

from mta.cli.context import Context, plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Reload every shard; EX_CONFIG, and nothing is changed, if there are errors."""
    from mta.cli.control import ask

    answers = ask(context, "POST", "/v1/reload")
    if context.out.as_json:
        context.out.json(answers)
        return os.EX_OK
    notes = dict.fromkeys(note for answer in answers for note in answer.get("notes") or ())
    context.out.line(f"reloaded ({plural(len(answers), 'worker')})")
    for note in notes:
        context.out.line(f"  note: {note}")
    return os.EX_OK
