"""What sequences tell the journal, kept in the transaction of what it is about until it has been told."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from mta.model.event import Event, event_from
from mta.model.event_sequence import SequenceStepped
from mta.sequence.enrolment import Action, Enrolment

#: Who decides where nobody in particular does.
BY_ITSELF = "the sequence"


def stepped(
    run: Enrolment, action: Action, address: str, at: float, *, by: str = BY_ITSELF, message: str = ""
) -> SequenceStepped:
    """The event of an action."""
    return SequenceStepped(
        at=at,
        message=message,
        action=action.kind,
        tenant=run.tenant,
        recipient=address,
        sequence=run.sequence,
        version=run.version,
        step=action.step,
        way=action.way,
        reason=action.reason,
        until=action.until,
        by=by,
        enrolment=run.id,
    )


def tell(base: sqlite3.Connection, events: Iterable[Event]) -> None:
    """Keep events until they are told."""
    rows = [
        (json.dumps([one.kind, one.at, one.message, one.payload()], separators=(",", ":")),) for one in events
    ]
    base.executemany("INSERT INTO sequence_told VALUES (NULL, ?)", rows)


def untold(base: sqlite3.Connection, after: int, limit: int) -> tuple[list[Event], int]:
    """Events that are kept behind a number, and the number of the last of them."""
    query = "SELECT id, event FROM sequence_told WHERE id > ? ORDER BY id LIMIT ?"
    found: list[Event] = []
    for number, text in base.execute(query, (after, limit)):
        kind, at, message, payload = json.loads(text)
        found.append(event_from(kind, at, message, "", payload))
        after = number
    return found, after


def told(base: sqlite3.Connection, upto: int) -> None:
    """They are in the journal."""
    base.execute("DELETE FROM sequence_told WHERE id <= ?", (upto,))
