"""Events of rules of mailboxes in words."""

from __future__ import annotations

from mta.model.event_mailbox import RulesChanged, Sorted


def sorted_words(event: Sorted) -> str:
    """What rules did with a copy."""
    did = []
    if event.dropped:
        did.append("not kept")
    elif event.folder:
        did.append(f"put into {event.folder}")
    if event.flags:
        did.append(f"flagged {' '.join(event.flags)}")
    did += [f"forwarded to <{to}>" for to in event.forwarded]
    if event.answered:
        did.append(f"answered <{event.answered}>")
    if event.queued:
        did.append(f"as {', '.join(event.queued)}")
    by = f" ({', '.join(event.rules)})" if event.rules else ""
    return f"rules of {event.account}{by}: {'; '.join([*did, *event.notes]) or 'nothing to do'}"


def changed_words(event: RulesChanged) -> str:
    """Who changed them."""
    return f"rules of {event.account} {event.action} by {event.by}"
