"""Makes the index anew by which the sending API finds messages; everything in it is in the journal.

    mta tracking rebuild

That may be done while the server runs; until it is finished, searches find less.
"""

from __future__ import annotations

import argparse
import os
from typing import Any

from mta.cli.context import CommandError, Context
from mta.interfaces import TemporarilyUnavailable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta tracking rebuild``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("rebuild", help="make it anew out of the journal")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Do it."""
    done: list[dict[str, Any]] = []
    for index in context.seams.indexes(context.state, context.load().settings.tracking.keep):
        try:
            done.append({"shard": index.shard, "events": index.rebuild()})
        except TemporarilyUnavailable as error:
            raise CommandError(str(error), os.EX_TEMPFAIL) from None
        finally:
            index.close()
    if context.out.as_json:
        context.out.json(done)
        return os.EX_OK
    for one in done:
        context.out.line(f"shard {one['shard']}: {one['events']} events")
    if not done:
        context.out.line("there is no journal yet")
    return os.EX_OK
