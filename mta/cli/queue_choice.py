"""Choosing messages of the queue by what they are: options that ``mta queue`` has in common."""

from __future__ import annotations

import argparse
import heapq
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mta.cli.context import CommandError, Context, moment
from mta.model.message import Message
from mta.model.selection import Selection, Way, reply_pattern, ways_to

#: Messages read at once.
_PAGE = 200
_OPTIONS = (
    ("--destination", "destination", "HOP", "that go to this next hop, or TRANSPORT:HOP; * for anything"),
    ("--site", "site", "HOST", "that go to this MX host, or one like *.HOST; a server has to run"),
    ("--tenant", "tenant", "NAME", "of this tenant"),
    ("--campaign", "campaign", "NAME", "of this campaign"),
    ("--last-reply", "reply", "REGEX", "whose last reply has this in it"),
    ("--older", "older", "TIME", "accepted before: 2h ago, or 2026-01-31 12:00"),
    ("--newer", "newer", "TIME", "accepted since"),
)


def add_choices(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--from",
        dest="sender",
        default="",
        metavar="ADDRESS",
        help="from this sender, or @domain; <> for bounces",
    )
    parser.add_argument(
        "--to", dest="recipient", default="", metavar="ADDRESS", help="to this recipient, or @domain"
    )
    for option, name, metavar, help in _OPTIONS:
        aliases = ("--mx",) if name == "site" else ()
        parser.add_argument(option, *aliases, dest=name, default="", metavar=metavar, help=help)
    parser.add_argument(
        "--priority", type=int, metavar="N", help="of this priority, from -9 to 9; most have 0"
    )
    parser.add_argument("--held", action="store_true", help="only what is held")
    parser.add_argument("--deferred", action="store_true", help="only what was tried before")
    parser.add_argument("--scheduled", action="store_true", help="only what waits for its time")


def is_chosen(arguments: argparse.Namespace) -> bool:
    """Whether there is an option that chooses."""
    names = ("sender", "recipient", "held", "deferred", "scheduled", *(name for _, name, _, _ in _OPTIONS))
    return arguments.priority is not None or any(getattr(arguments, name) for name in names)


def chosen(arguments: argparse.Namespace, context: Context, after: str = "") -> Iterator[Message]:
    """What fits, oldest first, of all shards together.

    :raise CommandError: if an option makes no sense.
    """
    sites = sites_known(context) if arguments.site else {}
    selection = _selection(arguments, sites)
    pages = [_pages(reader, arguments, after) for reader in context.queues()]
    return filter(selection.fits, heapq.merge(*pages, key=lambda item: item.id))


def sites_known(context: Context) -> dict[Way, list[str]]:
    """Names of the hosts behind each next hop of the queue, as the server finds them.

    :raise CommandError: if no server runs.
    """
    from mta.cli.control import ask

    return {
        (one["transport"], one["next_hop"]): one["hosts"]
        for answer in ask(context, "GET", "/v1/queue/sites")
        for one in answer["sites"]
    }


def _selection(arguments: argparse.Namespace, sites: Mapping[Way, Sequence[str]]) -> Selection:
    now = time.time()
    try:
        reply = reply_pattern(arguments.reply)
    except ValueError as error:
        raise CommandError(f"--last-reply: {error}", os.EX_USAGE) from None
    return Selection(
        sender_domain=arguments.sender[1:] if arguments.sender.startswith("@") else "",
        destination=arguments.destination,
        tenant=arguments.tenant,
        campaign=arguments.campaign,
        priority=arguments.priority,
        reply=reply,
        before=moment(arguments.older, now) if arguments.older else float("inf"),
        since=moment(arguments.newer, now) if arguments.newer else 0.0,
        deferred=arguments.deferred,
        # What is scheduled is tried before its time only by whoever says so.
        ways=ways_to(arguments.site, sites) if arguments.site else None,
        scheduled=True if arguments.scheduled else False if arguments.action == "retry" else None,
    )


def _pages(reader: Any, arguments: argparse.Namespace, after: str) -> Iterator[Message]:
    whole = arguments.recipient.startswith("@")
    filters = {
        "sender": "" if arguments.sender.startswith("@") else arguments.sender,
        "recipient": "" if whole else arguments.recipient,
        "domain": arguments.recipient[1:] if whole else "",
        "state": "held" if arguments.held else "queued" if arguments.deferred or arguments.scheduled else "",
    }
    while True:
        found = reader.page(after, _PAGE, **filters)
        yield from found
        if len(found) < _PAGE:
            return
        after = found[-1].id
