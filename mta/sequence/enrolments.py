"""Enrolments on disk: where each contact is in each run, and when it is looked at next.

``due`` is the timer: an instant, in an index; ``NULL`` where it waits for something to happen, or its
sequence is paused.  Functions of a connection, for the transactions of whoever calls them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from mta.registry.schema import Tables
from mta.sequence import ended
from mta.sequence.enrolment import NEVER, Enrolment

#: Runs of one contact in one sequence that may be under way at once.
MOST_AT_ONCE = 100
#: Seconds for which it is remembered when something was sent to a contact: the longest span of a cap.
REMEMBERED = 93 * 86400.0

TABLES = Tables(
    "enrolments",
    (
        (
            """CREATE TABLE enrolments (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                tenant TEXT NOT NULL,
                sequence TEXT NOT NULL,
                version INTEGER NOT NULL,
                contact INTEGER NOT NULL,
                step TEXT NOT NULL,
                phase TEXT NOT NULL,
                since REAL NOT NULL,
                until REAL,
                due REAL,
                entered REAL NOT NULL,
                ended REAL NOT NULL,
                outcome TEXT NOT NULL,
                reason TEXT NOT NULL,
                fact INTEGER NOT NULL,
                properties TEXT NOT NULL,
                messages TEXT NOT NULL
            )""",
            "CREATE INDEX enrolments_due ON enrolments (due) WHERE outcome = '' AND due IS NOT NULL",
            "CREATE INDEX enrolments_contact ON enrolments (contact, sequence)",
            "CREATE INDEX enrolments_sequence ON enrolments (tenant, sequence, outcome, step)",
            """CREATE TABLE sequence_sends (
                contact INTEGER NOT NULL,
                at REAL NOT NULL,
                id TEXT NOT NULL,
                PRIMARY KEY (contact, at, id)
            ) WITHOUT ROWID""",
            "CREATE INDEX sequence_sends_at ON sequence_sends (at)",
            # How far facts and memberships were read; the last time that was seen.
            "CREATE TABLE sequence_places (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID",
            # Who was seen in a segment that lets contacts in.
            """CREATE TABLE sequence_seen (
                tenant TEXT NOT NULL,
                sequence TEXT NOT NULL,
                segment TEXT NOT NULL,
                contact INTEGER NOT NULL,
                PRIMARY KEY (tenant, sequence, segment, contact)
            ) WITHOUT ROWID""",
            "CREATE INDEX sequence_seen_contact ON sequence_seen (contact)",
            # Whose attributes are changed, by whomever, may have met a condition.
            """CREATE TRIGGER enrolments_contact AFTER UPDATE ON contacts BEGIN
                UPDATE enrolments SET due = NEW.changed WHERE contact = NEW.id AND outcome = ''
                    AND (due IS NULL OR due > NEW.changed)
                    AND NOT EXISTS (SELECT 1 FROM sequences s WHERE s.tenant = enrolments.tenant
                        AND s.name = enrolments.sequence AND s.paused <> '');
            END""",
            # What is to be told to the journal.
            "CREATE TABLE sequence_told (id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL)",
        ),
        (
            # How many have gone which way (mta.sequence.ways).
            """CREATE TABLE sequence_ways (
                tenant TEXT NOT NULL,
                sequence TEXT NOT NULL,
                step TEXT NOT NULL,
                way TEXT NOT NULL,
                count INTEGER NOT NULL,
                PRIMARY KEY (tenant, sequence, step, way)
            ) WITHOUT ROWID""",
        ),
        (
            # How many that are forgotten had ended how (mta.sequence.ended).
            """CREATE TABLE sequence_ended (
                tenant TEXT NOT NULL,
                sequence TEXT NOT NULL,
                outcome TEXT NOT NULL,
                count INTEGER NOT NULL,
                PRIMARY KEY (tenant, sequence, outcome)
            ) WITHOUT ROWID""",
            "CREATE INDEX enrolments_ended ON enrolments (ended, id) WHERE outcome <> ''",
        ),
    ),
)
_COLUMNS = (
    "id, tenant, sequence, version, contact, step, phase, since, until, entered, ended, outcome, reason,"
    " fact, properties, messages"
)


def _enrolment(row: tuple[Any, ...]) -> Enrolment:
    values = list(row)
    values[8] = NEVER if values[8] is None else values[8]
    values[14], values[15] = json.loads(values[14]), json.loads(values[15])
    return Enrolment(*values)


def _values(one: Enrolment) -> tuple[Any, ...]:
    until = None if one.until == NEVER else one.until
    due = until if one.active else None
    return (
        one.tenant,
        one.sequence,
        one.version,
        one.contact,
        one.step,
        one.phase,
        one.since,
        until,
        due,
        one.entered,
        one.ended,
        one.outcome,
        one.reason,
        one.fact,
        json.dumps(one.properties, separators=(",", ":")),
        json.dumps(one.messages, separators=(",", ":")),
    )


def add(base: sqlite3.Connection, one: Enrolment) -> int:
    """Keep a new one; answers with its number."""
    marks = ", ".join("?" * 16)
    done = base.execute(f"INSERT INTO enrolments VALUES (NULL, {marks})", _values(one))  # noqa: S608
    return int(done.lastrowid or 0)


def write(base: sqlite3.Connection, one: Enrolment) -> None:
    """Keep how one is now; it is looked at again when it has waited long enough."""
    base.execute(
        "UPDATE enrolments SET tenant = ?, sequence = ?, version = ?, contact = ?, step = ?, phase = ?,"
        " since = ?, until = ?, due = ?, entered = ?, ended = ?, outcome = ?, reason = ?, fact = ?,"
        " properties = ?, messages = ? WHERE id = ?",
        (*_values(one), one.id),
    )


def name_message(base: sqlite3.Connection, one: Enrolment, step: str, message: str) -> None:
    """What a step has sent has another id; the timer stays."""
    messages = json.dumps({**one.messages, step: message}, separators=(",", ":"))
    base.execute("UPDATE enrolments SET messages = ? WHERE id = ?", (messages, one.id))


def get(base: sqlite3.Connection, identifier: int) -> Enrolment | None:
    """One by its number."""
    query = f"SELECT {_COLUMNS} FROM enrolments WHERE id = ?"  # noqa: S608
    row = base.execute(query, (identifier,)).fetchone()
    return None if row is None else _enrolment(row)


def due(base: sqlite3.Connection, now: float, limit: int) -> list[Enrolment]:
    """Those that are to be looked at, the longest overdue first."""
    query = (
        f"SELECT {_COLUMNS} FROM enrolments WHERE outcome = '' AND due IS NOT NULL AND due <= ?"  # noqa: S608
        " ORDER BY due LIMIT ?"
    )
    return [_enrolment(row) for row in base.execute(query, (now, limit))]


def next_due(base: sqlite3.Connection) -> float:
    """When the next one is to be looked at; never, if none is."""
    query = "SELECT min(due) FROM enrolments WHERE outcome = '' AND due IS NOT NULL"
    (found,) = base.execute(query).fetchone()
    return NEVER if found is None else float(found)


def of(base: sqlite3.Connection, tenant: str, contact: int, sequence: str = "") -> list[Enrolment]:
    """Those of a contact, the last first."""
    query = (
        f"SELECT {_COLUMNS} FROM enrolments WHERE contact = ?1 AND tenant = ?2"  # noqa: S608
        " AND (?3 = '' OR sequence = ?3) ORDER BY id DESC LIMIT 1000"
    )
    return [_enrolment(row) for row in base.execute(query, (contact, tenant, sequence))]


def page(
    base: sqlite3.Connection, tenant: str, sequence: str, after: int, limit: int, state: str = ""
) -> list[Enrolment]:
    """Those in a sequence, by number.

    :param state: ``active``, or an outcome; ``""``: all.
    """
    query = (
        f"SELECT {_COLUMNS} FROM enrolments WHERE tenant = ?1 AND sequence = ?2 AND id > ?3"  # noqa: S608
        " AND (?4 = '' OR outcome = CASE ?4 WHEN 'active' THEN '' ELSE ?4 END) ORDER BY id LIMIT ?5"
    )
    return [_enrolment(row) for row in base.execute(query, (tenant, sequence, after, state, limit))]


def counts(base: sqlite3.Connection, tenant: str, sequence: str) -> tuple[dict[str, int], dict[str, int]]:
    """How many are at each step, and how many have ended how."""
    query = (
        "SELECT outcome, step, count(*) FROM enrolments WHERE tenant = ? AND sequence = ?"
        " GROUP BY outcome, step"
    )
    steps: dict[str, int] = {}
    outcomes = ended.counts(base, tenant, sequence)
    for outcome, step, count in base.execute(query, (tenant, sequence)):
        if outcome:
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        else:
            steps[step] = count
    return steps, outcomes


def wake(base: sqlite3.Connection, contact: int, now: float) -> int:
    """Have those of a contact looked at, since something has happened; how many are."""
    query = (
        "UPDATE enrolments SET due = ?1 WHERE contact = ?2 AND outcome = '' AND (due IS NULL OR due > ?1)"
        # Not those of a sequence that is paused: they are looked at when it goes on.
        " AND NOT EXISTS (SELECT 1 FROM sequences s WHERE s.tenant = enrolments.tenant"
        " AND s.name = enrolments.sequence AND s.paused <> '')"
    )
    return base.execute(query, (now, contact)).rowcount


def park(base: sqlite3.Connection, identifiers: Iterable[int]) -> None:
    """Look at these no more until their sequence goes on."""
    base.executemany("UPDATE enrolments SET due = NULL WHERE id = ?", [(one,) for one in identifiers])


def put_off(base: sqlite3.Connection, identifier: int, until: float) -> None:
    """Look at one later, whatever it waits for."""
    base.execute("UPDATE enrolments SET due = ? WHERE id = ?", (until, identifier))


def unpark(base: sqlite3.Connection, tenant: str, sequence: str, now: float) -> int:
    """Have those of a sequence looked at that goes on; how many are."""
    query = (
        "UPDATE enrolments SET due = coalesce(until, ?1)"
        " WHERE tenant = ?2 AND sequence = ?3 AND outcome = '' AND due IS NULL"
    )
    return base.execute(query, (now, tenant, sequence)).rowcount


def clock_set_back(base: sqlite3.Connection, now: float) -> int:
    """Have those looked at that came to their step in what is the future again; how many are."""
    query = "UPDATE enrolments SET due = ?1 WHERE outcome = '' AND due IS NOT NULL AND since > ?1"
    return base.execute(query, (now,)).rowcount


# --- what was sent, and how far something was read ---------------------------------


def sent(base: sqlite3.Connection, contact: int, since: float) -> list[float]:
    """When something was sent to a contact, in order."""
    query = "SELECT at FROM sequence_sends WHERE contact = ? AND at > ? ORDER BY at"
    return [at for (at,) in base.execute(query, (contact, since))]


def note_sent(base: sqlite3.Connection, contact: int, at: float, identifier: str) -> None:
    """Something is sent to a contact."""
    base.execute("INSERT OR REPLACE INTO sequence_sends VALUES (?, ?, ?)", (contact, at, identifier))


def not_sent(base: sqlite3.Connection, contact: int, identifier: str) -> None:
    """It was not, after all."""
    base.execute("DELETE FROM sequence_sends WHERE contact = ? AND id = ?", (contact, identifier))


def forget_sent(base: sqlite3.Connection, before: float, limit: int = 1000) -> None:
    """Forget some that no cap counts any more."""
    base.execute(
        "DELETE FROM sequence_sends WHERE (contact, at, id) IN"
        " (SELECT contact, at, id FROM sequence_sends WHERE at < ? LIMIT ?)",
        (before, limit),
    )


def place(base: sqlite3.Connection, name: str) -> float | None:
    """A number that was remembered."""
    row = base.execute("SELECT value FROM sequence_places WHERE name = ?", (name,)).fetchone()
    return None if row is None else float(row[0])


def remember(base: sqlite3.Connection, name: str, value: float) -> None:
    """Remember a number."""
    base.execute("INSERT OR REPLACE INTO sequence_places VALUES (?, ?)", (name, value))


# --- who is gone ------------------------------------------------------------------


def erase(base: sqlite3.Connection, tenant: str, contact: int) -> None:
    """Forget a person who is erased."""
    for table in ("enrolments", "sequence_sends", "sequence_seen", "sequence_outbox"):
        base.execute(f"DELETE FROM {table} WHERE contact = ?", (contact,))  # noqa: S608


def remove(base: sqlite3.Connection, tenant: str, sequence: str) -> None:
    """Forget all runs of a sequence that is gone."""
    for table in ("enrolments", "sequence_seen", "sequence_outbox", "sequence_ways", "sequence_ended"):
        base.execute(f"DELETE FROM {table} WHERE tenant = ? AND sequence = ?", (tenant, sequence))  # noqa: S608


def empty(base: sqlite3.Connection, tenant: str) -> None:
    """Forget all of a tenant that is gone."""
    for table in ("enrolments", "sequence_seen", "sequence_outbox", "sequence_ways", "sequence_ended"):
        base.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))  # noqa: S608


def active_of(runs: Sequence[Enrolment]) -> int:
    """How many of these are under way."""
    return sum(one.active for one in runs)
