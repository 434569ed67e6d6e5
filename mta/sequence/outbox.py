"""What sequences want sent, promised in the transaction of the step, until it is on its way.

A message has its queue id already.  Whoever takes what another process has left asks the journal which of
the ids are there; the rest is sent under the same id, or, where another worker takes it, under one of its
own that is promised in place of it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from mta.registry.schema import Tables
from mta.sequence.enrolment import NEVER

TABLES = Tables(
    "sequence_outbox",
    (
        (
            """CREATE TABLE sequence_outbox (
                id TEXT PRIMARY KEY,
                way TEXT NOT NULL,
                tenant TEXT NOT NULL,
                sequence TEXT NOT NULL,
                version INTEGER NOT NULL,
                step TEXT NOT NULL,
                enrolment INTEGER NOT NULL,
                contact INTEGER NOT NULL,
                made REAL NOT NULL,
                due REAL NOT NULL,
                attempts INTEGER NOT NULL
            ) WITHOUT ROWID""",
            "CREATE INDEX sequence_outbox_due ON sequence_outbox (due, id)",
            "CREATE INDEX sequence_outbox_contact ON sequence_outbox (contact)",
        ),
    ),
)
_COLUMNS = "id, way, tenant, sequence, version, step, enrolment, contact, made, due, attempts"


@dataclass(frozen=True, slots=True)
class Promise:
    """Something that is to be sent.

    :ivar id: queue id of the message; of a post, what says that it is the same again.
    :ivar way: ``mail``, ``webhook`` (a notification to a person), or ``post`` (to an application).
    :ivar made: when the step was made, in seconds since 1970.
    :ivar due: when it is tried.
    :ivar attempts: that were made.
    """

    id: str
    way: str
    tenant: str
    sequence: str
    version: int
    step: str
    enrolment: int
    contact: int
    made: float
    due: float
    attempts: int = 0

    @property
    def group(self) -> tuple[str, str, int, str, str]:
        """What those have in common that are sent at once."""
        return (self.tenant, self.sequence, self.version, self.step, self.way)


def add(base: sqlite3.Connection, one: Promise) -> None:
    """Promise something."""
    base.execute(
        "INSERT INTO sequence_outbox VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            one.id,
            one.way,
            one.tenant,
            one.sequence,
            one.version,
            one.step,
            one.enrolment,
            one.contact,
            one.made,
            one.due,
            one.attempts,
        ),
    )


def due(base: sqlite3.Connection, now: float, limit: int, mail: bool) -> list[Promise]:
    """What is to be tried now: messages and notifications, or posts."""
    query = (
        f"SELECT {_COLUMNS} FROM sequence_outbox WHERE due <= ? AND (way = 'mail') = ?"  # noqa: S608
        " ORDER BY due, id LIMIT ?"
    )
    return [Promise(*row) for row in base.execute(query, (now, mail, limit))]


def next_due(base: sqlite3.Connection) -> float:
    """When something is to be tried next."""
    (found,) = base.execute("SELECT min(due) FROM sequence_outbox").fetchone()
    return NEVER if found is None else float(found)


def largest(base: sqlite3.Connection) -> str:
    """The largest queue id that is promised; ``""``: there is none."""
    (found,) = base.execute("SELECT max(id) FROM sequence_outbox WHERE way = 'mail'").fetchone()
    return found or ""


def done(base: sqlite3.Connection, identifiers: Iterable[str]) -> None:
    """These are on their way, or never will be."""
    base.executemany("DELETE FROM sequence_outbox WHERE id = ?", [(one,) for one in identifiers])


def put_off(base: sqlite3.Connection, identifiers: Iterable[str], until: float) -> None:
    """Try these again."""
    base.executemany(
        "UPDATE sequence_outbox SET due = ?, attempts = attempts + 1 WHERE id = ?",
        [(until, one) for one in identifiers],
    )


def renamed(base: sqlite3.Connection, old: str, new: str) -> None:
    """Promise it under another id."""
    base.execute("UPDATE sequence_outbox SET id = ? WHERE id = ?", (new, old))


def clock_set_back(base: sqlite3.Connection, now: float, longest: float) -> None:
    """Nothing waits longer than it would by the clock as it is."""
    base.execute("UPDATE sequence_outbox SET due = ?1 WHERE due > ?1 + ?2", (now, longest))
