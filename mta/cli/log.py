"""Shows events of the journal, the newest last; with --follow those to come.

Works with or without a running server, and for all workers together.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable

from mta.cli.context import CommandError, Context, moment
from mta.journal.reader import JournalError, JournalReader, Record
from mta.journal.text import event_json, event_line
from mta.journal.words import local_time

#: Seconds between two looks with ``--follow``.
PAUSE = 0.25
#: What an event is worth as a log entry; nothing new is in it.
_QUIET = frozenset({"completed"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta log --follow``."""
    parser.add_argument("--follow", "-f", action="store_true", help="go on until interrupted")
    parser.add_argument("--since", default="", metavar="WHEN", help="such as 10m, 2h, 2026-01-31")
    parser.add_argument("--limit", "-n", type=int, default=0, metavar="N", help="newest N at the most")
    parser.add_argument("--rejected", action="store_true", help="only who was refused")
    parser.add_argument("--kind", action="append", default=[], metavar="KIND", help="such as deferred")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show; the last 50 without ``--since``, none of them with ``--follow`` and ``--limit 0``."""
    return show(arguments, context, time.sleep)


def show(arguments: argparse.Namespace, context: Context, sleep: Callable[[float], None]) -> int:
    """As :func:`run`.

    :param sleep: waits between two looks; raises KeyboardInterrupt to end.
    """
    from mta.config.problem import nearest
    from mta.journal.reader import REFUSALS
    from mta.model.event import event_kinds

    now = time.time()
    known = event_kinds()
    for kind in arguments.kind:
        if kind not in known:
            like = nearest(kind, known)
            hint = f"; did you mean {like!r}?" if like else ""
            raise CommandError(
                f"--kind: there is no {kind!r}{hint}; there are {', '.join(sorted(known))}", os.EX_USAGE
            )
    since = moment(arguments.since, now) if arguments.since else 0.0
    limit = arguments.limit or (100_000 if arguments.since else 50)
    kinds = set(arguments.kind or (REFUSALS if arguments.rejected else known - _QUIET))
    try:
        journal = context.journal()
        ends = journal.ends()
        for record in reversed(journal.recent(since=since, kinds=kinds, limit=limit)):
            # What was written since the ends were taken comes below.
            if not arguments.follow or record.number <= ends[record.shard]:
                _print(record, context)
        if arguments.follow:
            context.out.stream.flush()
            _follow(journal, ends, kinds, context, sleep)
    except JournalError as error:
        raise CommandError(str(error), os.EX_NOINPUT) from None
    except KeyboardInterrupt:
        pass
    return os.EX_OK


def _follow(
    journal: JournalReader,
    ends: tuple[int, ...],
    kinds: set[str],
    context: Context,
    sleep: Callable[[float], None],
) -> None:
    while True:
        records, ends = journal.tail(ends)
        for record in records:
            if record.event.kind in kinds:
                _print(record, context)
        context.out.stream.flush()
        if not records:
            sleep(PAUSE)


def _print(record: Record, context: Context) -> None:
    if context.out.as_json:
        context.out.json_line(event_json(record.event))
    else:
        context.out.line(f"{local_time(record.event.at)} {event_line(record.event)}")
