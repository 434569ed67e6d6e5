"""To which message of ours a report belongs, and to which of its recipients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from mta.feedback.report import Complaint, RecipientReport, Traces
from mta.feedback.token import Token
from mta.interfaces import IJournal
from mta.model.event import DeferredTo, DeliveredTo, Event, FailedTo, Received

How = Literal["token", "queue-id", "message-id"]


@dataclass(frozen=True, slots=True)
class Original:
    """The message that a report is about.

    :ivar message: its queue id.
    :ivar matched: by what it was found.  A token is signed; the others are known to everybody
        who got the message, or a report about it.
    :ivar people: everybody that the journal names: by address, and by the address that the
        sender used, in lower case: the final address.
    :ivar recipient: whom the token was made for; ``""`` without one.
    """

    message: str
    matched: How
    people: Mapping[str, str] = field(default_factory=dict)
    recipient: str = ""


async def find_original(
    journal: IJournal, token: Token | None, traces: Traces, own: str, named: Sequence[str]
) -> Original | None:
    """Look for it.

    :param token: of the address to which the report came.
    :param own: queue id of the report itself.
    :param named: recipients that the report names.
    """
    if token is not None:
        events = await journal.message(token.message)
        people = _people(events)
        return Original(token.message, "token", people, people.get(token.recipient(people), ""))
    for identifier in traces.queue_ids:
        if identifier == own:
            continue
        events = await journal.message(identifier)
        if any(isinstance(event, Received) for event in events):
            return Original(identifier, "queue-id", _people(events))
    wanted = {name.lower() for name in named}
    for message_id in traces.message_ids:
        found: list[Original] = []
        for event in await journal.find(message_id):
            if not isinstance(event, Received) or event.message == own or event.message_id != message_id:
                continue
            people = _people(await journal.message(event.message))
            found.append(Original(event.message, "message-id", people))
        # One Message-ID may have come in several messages, each for some of the recipients.
        best = next((one for one in found if not wanted.isdisjoint(one.people)), None)
        if found:
            return best or found[0]
    return None


def recipient_of(original: Original | None, report: RecipientReport) -> str:
    """Which recipient of ours a report speaks of; as the other side calls it, if that cannot be told."""
    if original is None:
        return report.recipient
    return original.recipient or _one_of(original, (report.original, report.recipient)) or report.recipient


def complainant(original: Original | None, complaint: Complaint, traces: Traces) -> str:
    """Who complains; ``""`` if that cannot be told."""
    named = complaint.recipients
    if original is None:
        return named[0] if named else ""
    return (
        original.recipient or _one_of(original, (*named, *traces.recipients)) or (named[0] if named else "")
    )


def _one_of(original: Original, named: Iterable[str]) -> str:
    for name in named:
        if name.lower() in original.people:
            return original.people[name.lower()]
    # The other side may have sent it on to an address that we never heard of.
    final = set(original.people.values()) if len(original.people) <= 2 else ()
    return next(iter(final)) if len(final) == 1 else ""


def _people(events: Iterable[Event]) -> dict[str, str]:
    """Recipients, as far as is known where they ended."""
    found: dict[str, str] = {}
    aliases: dict[str, str] = {}
    asked: list[str] = []
    for event in events:
        if isinstance(event, Received):
            asked += event.recipients
        elif isinstance(event, DeliveredTo | DeferredTo | FailedTo):
            found[event.recipient.lower()] = event.recipient
            aliases.setdefault((event.original or event.recipient).lower(), event.recipient)
    # An alias stands for the first of its members, unless it got the message itself.
    found = {**aliases, **found}
    return {**{address.lower(): address for address in asked}, **found}
