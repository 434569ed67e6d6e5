"""Tells why an address, a client or a message was refused or marked: the rule, its facts, the way out.

WORD is a client's IP address, a mail address (of a sender, a recipient or an account), a session
id (in brackets at the end of our replies) or a queue id.  Bans and suspended accounts that stand
in its way now come first.  Works with or without a running server.
"""

from __future__ import annotations

import argparse
import os
import time
from ipaddress import ip_address, ip_network

from mta.cli.context import CommandError, Context, moment
from mta.journal.reader import JournalError
from mta.journal.reasons import reasons
from mta.journal.words import duration
from mta.model.ids import decode_id

#: Events that are looked at.
_MOST = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta why WORD``."""
    parser.add_argument("word", metavar="WORD", help="an address, an IP address, or an id")
    parser.add_argument("--since", default="", metavar="WHEN", help="such as 2h, 3d, 2026-01-31")


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Tell; EX_NOINPUT if nothing is known against it."""
    word = arguments.word.strip().strip("[]<>")
    if not word:
        raise CommandError("say of what", os.EX_USAGE)
    now = time.time()
    since = moment(arguments.since, now) if arguments.since else 0.0
    journal = context.journal()
    try:
        events = [record.event for record in journal.find(word, since=since, limit=_MOST)]
        if _is_id(word):
            events += [record.event for record in journal.message(word.lower())][::-1]
    except JournalError as error:
        raise CommandError(str(error), os.EX_NOINPUT) from None
    found = reasons(events, [*_bans(word, context, now), *_accounts(word, context)])
    if context.out.as_json:
        context.out.json(found.to_json())
        return os.EX_OK if found else os.EX_NOINPUT
    if not found:
        context.out.error(
            f"nothing speaks against {word!r}: it was not refused or marked, as far as the journal goes; "
            f"`mta trace {word}` tells what else is known, `mta test` what would become of a message"
        )
        return os.EX_NOINPUT
    for line in found.lines():
        context.out.line(line)
    return os.EX_OK


def _is_id(word: str) -> bool:
    try:
        decode_id(word.lower())
    except ValueError:
        return False
    return True


def _bans(word: str, context: Context, now: float) -> list[tuple[str, str, str]]:
    try:
        address = ip_address(word)
    except ValueError:
        return []
    found = []
    for network, value, end in context.seams.entries(context.state, "ban"):
        around = ip_network(network)
        if address.version == around.version and address in around and word not in value.get("spared", ()):
            ends = "" if end > 1e11 else f", for {duration(max(0.0, end - now))} more"
            what = f"{word} is not let in: {network} is banned by {value.get('by', 'somebody')}{ends}"
            found.append((what, value.get("reason") or "no reason was given", f"`mta ban lift {network}`"))
    return found


def _accounts(word: str, context: Context) -> list[tuple[str, str, str]]:
    found = []
    for account, value, _ in context.seams.entries(context.state, "suspended"):
        if account == word.lower():
            facts = "; ".join(f"{name} {fact}" for name, fact in value.get("facts", {}).items())
            what = f"the account {account} is suspended by {value.get('by', 'somebody')}"
            reason = value.get("reason", "") + (f" ({facts})" if facts else "")
            found.append((what, reason, f"`mta account resume {account}`, once its password is changed"))
    return found
