"""What people do with their mailboxes, their folders and rules, in words."""

from __future__ import annotations

from mta.model.event_mailbox import FolderChanged, RulesChanged, Sorted


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


def folder_words(event: FolderChanged) -> str:
    """Who did what to a folder."""
    did = {"subscribed": "subscribed to", "unsubscribed": "is no more subscribed to"}
    if event.action == "renamed" and event.folder == "INBOX":
        words = f"{event.account} moved all messages of the inbox"
    else:
        words = f"{event.account} {did.get(event.action, event.action)} the folder {event.folder}"
    if event.to:
        words += f" to {event.to}"
    if event.action == "removed":
        words += f" with {event.messages} message{'' if event.messages == 1 else 's'}"
    extra = (("client", event.client), ("program", event.program))
    return " ".join([words, *(f"{name}={value}" for name, value in extra if value)])
