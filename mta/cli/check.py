"""Finds everything that is wrong with the configuration and the files that it names."""

from __future__ import annotations

import argparse
import os

from mta.cli.context import CommandError, Context, plural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta check [FILE]``."""
    parser.add_argument("file", nargs="?", metavar="FILE", help="the configuration, as --config")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Check; EX_CONFIG if there is an error, EX_OK with warnings only."""
    from pathlib import Path

    out = context.out
    path = Path(arguments.file) if arguments.file else context.config
    if path is not None and not path.exists():
        raise CommandError(f"{path}: there is no such file; `mta init` writes one", os.EX_NOINPUT)
    problems = context.seams.check(path, context.state_option or None)
    errors = [problem for problem in problems if problem.severity == "error"]
    if out.as_json:
        out.json({"ok": not errors, "problems": [problem.to_json() for problem in problems]})
        return os.EX_CONFIG if errors else os.EX_OK
    for problem in problems:
        place = f"{problem.file or '(defaults)'}" + (f":{problem.line}" if problem.line else "")
        key = f"{problem.key}: " if problem.key else ""
        out.line(f"{place}: {problem.severity}: {key}{problem.what}")
        if problem.remedy:
            out.line(f"    {problem.remedy}")
    if errors:
        rest = len(problems) - len(errors)
        out.line(plural(len(errors), "error") + (f" and {plural(rest, 'warning')}" if rest else ""))
        return os.EX_CONFIG
    out.line(f"no errors, {plural(len(problems), 'warning')}" if problems else "no errors")
    return os.EX_OK
