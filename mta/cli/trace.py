"""Tells what happened to a message, an address, or a client; refusals too.

WORD is a queue id, a session id (it stands in brackets at the end of our
replies), an address, a Message-ID, an account, or a client's IP address.
Works with or without a running server.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from mta.cli.context import CommandError, Context, moment
from mta.journal.reader import JournalError, JournalReader, Record
from mta.journal.text import event_json
from mta.journal.timeline import Story, refusal_lines, story
from mta.model.ids import decode_id


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta trace WORD``."""
    parser.add_argument("word", nargs="?", default="", metavar="WORD", help="what to look for")
    parser.add_argument("--rejected", action="store_true", help="only who was refused; needs no WORD")
    parser.add_argument("--since", default="", metavar="WHEN", help="such as 2h, 3d, 2026-01-31")
    parser.add_argument("--until", default="", metavar="WHEN", help="likewise")
    parser.add_argument("--limit", type=int, default=10, metavar="N", help="newest N at the most (10)")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Trace; EX_NOINPUT if nothing was found."""
    now = time.time()
    # As it stands in a reply.
    word = arguments.word.strip().strip("[]")
    if not word and not arguments.rejected:
        raise CommandError("say what to look for, or --rejected", os.EX_USAGE)
    if arguments.limit < 1:
        raise CommandError("--limit: at least 1", os.EX_USAGE)
    since = moment(arguments.since, now) if arguments.since else 0.0
    until = moment(arguments.until, now) if arguments.until else float("inf")
    journal = context.journal()
    try:
        found = _search(journal, word, since, until, arguments.rejected, arguments.limit)
        parts = _parts(found, journal, context, arguments.rejected, arguments.limit)
        if not found and not arguments.rejected:
            # It may have waited for longer than events are kept.
            waiting = filter(None, (_queued(context, name) for name in _spellings(word)))
            parts = [story([], message) for message in waiting]
    except JournalError as error:
        raise CommandError(str(error), os.EX_NOINPUT) from None
    if context.out.as_json:
        context.out.json([_json(part) for part in parts])
    else:
        for number, part in enumerate(parts):
            if number:
                context.out.line()
            for line in part.lines if isinstance(part, Story) else refusal_lines(part.event):
                context.out.line(line)
    if parts:
        return os.EX_OK
    if not context.out.as_json:
        what = f" of {word!r}" if word else ""
        context.out.error(
            f"there is nothing{what} in the journal{'' if not arguments.since else ' in that time'}; "
            "it keeps events for journal.keep"
        )
    return os.EX_NOINPUT


def _search(
    journal: JournalReader, word: str, since: float, until: float, rejected: bool, limit: int
) -> list[Record]:
    """Records from which the parts are made, newest first."""
    if not word:
        return journal.recent(since=since, until=until, rejected=True, limit=limit)
    for identifier in _spellings(word):
        records = journal.message(identifier)
        if records:
            return records[:1]
    found: list[Record] = []
    for spelling in dict.fromkeys((word, word.strip("<>"), f"<{word.strip('<>')}>")):
        # One message is several events under some words: more than the limit are read.
        found += journal.find(spelling, since=since, until=until, rejected=rejected, limit=limit * 4)
    return sorted(found, key=lambda record: record.order, reverse=True)


def _spellings(word: str) -> list[str]:
    """The word as a queue id, if it can be one."""
    name = word.strip("[]<>").partition("@")[0].lower()
    try:
        decode_id(name)
    except ValueError:
        return []
    return [name] if word.strip("[]<>").lower() == name else []


def _parts(
    records: list[Record], journal: JournalReader, context: Context, rejected: bool, limit: int
) -> list[Story | Record]:
    """A story for each message, and what belongs to no message; oldest first, so that the newest is seen."""
    seen: set[str] = set()
    parts: list[Story | Record] = []
    for record in records:
        event = record.event
        if not event.message or rejected:
            parts.append(record)
        elif event.message not in seen:
            seen.add(event.message)
            events = [item.event for item in journal.message(event.message)]
            parts.append(story(events, _queued(context, event.message)))
        if len(parts) >= limit:
            break
    return parts[::-1]


def _queued(context: Context, identifier: str) -> Any:
    for reader in context.queues():
        message = reader.get(identifier)
        if message is not None:
            return message
    return None


def _json(part: Story | Record) -> dict[str, Any]:
    return part.to_json() if isinstance(part, Story) else event_json(part.event)
