"""Who is to be asked by mail whether they want to be on a list, and how often they were."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Literal

from mta.registry.schema import Tables

TABLES = Tables(
    "confirmations",
    (
        (
            """CREATE TABLE confirmations (
                list INTEGER NOT NULL,
                contact INTEGER NOT NULL,
                tenant TEXT NOT NULL,
                count INTEGER NOT NULL,
                unanswered INTEGER NOT NULL,
                last REAL NOT NULL,
                due REAL NOT NULL,
                PRIMARY KEY (list, contact)
            ) WITHOUT ROWID""",
            "CREATE INDEX confirmations_due ON confirmations (due) WHERE due > 0",
            "CREATE INDEX confirmations_contact ON confirmations (contact)",
        ),
    ),
)
#: Seconds for which whoever has taken one to send it has time.
CLAIM = 300.0
_DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """How often somebody may be asked.

    :ivar pause: seconds between two mails for one list.
    :ivar most: mails a day for one list, until the person does something.
    :ivar of_all: mails a day of one tenant to one person, for all lists.
    """

    pause: float = 600.0
    most: int = 3
    of_all: int = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """One mail to be sent.

    :ivar count: of those that were sent before, ever: no two have the same name.
    """

    list: int
    contact: int
    tenant: str
    count: int


def ask(
    base: sqlite3.Connection,
    tenant: str,
    list_id: int,
    contact: int,
    now: float,
    limits: Limits,
    claim: bool = True,
) -> Literal["due", "waiting", "wait"]:
    """Have somebody asked.

    :param claim: whether the caller sends it; otherwise whoever looks for what is due does.
    :return: ``due``: it is to be sent; ``waiting``: that is so already; ``wait``: there were enough.
    """
    row = base.execute(
        "SELECT count, unanswered, last, due FROM confirmations WHERE list = ? AND contact = ?",
        (list_id, contact),
    ).fetchone()
    count, unanswered, last, due = row or (0, 0, -_DAY, 0.0)
    if due:
        return "waiting"
    if now - last >= _DAY:
        unanswered = 0
    if now - last < limits.pause or unanswered >= limits.most:
        return "wait"
    (today,) = base.execute(
        "SELECT count(*) FROM confirmations WHERE contact = ? AND last > ?", (contact, now - _DAY)
    ).fetchone()
    if today >= limits.of_all:
        return "wait"
    base.execute(
        "INSERT OR REPLACE INTO confirmations VALUES (?, ?, ?, ?, ?, ?, ?)",
        (list_id, contact, tenant, count, unanswered, last, now + CLAIM if claim else now),
    )
    return "due"


def claimed(base: sqlite3.Connection, now: float, limit: int) -> list[Asked]:
    """Some that are due, which nobody else takes for a while."""
    query = (
        "SELECT list, contact, tenant, count FROM confirmations WHERE due > 0 AND due <= ?"
        " ORDER BY due LIMIT ?"
    )
    found = [Asked(*row) for row in base.execute(query, (now, limit)).fetchall()]
    base.executemany(
        "UPDATE confirmations SET due = ? WHERE list = ? AND contact = ?",
        [(now + CLAIM, one.list, one.contact) for one in found],
    )
    return found


def next_due(base: sqlite3.Connection) -> float | None:
    """When the next one is due."""
    (due,) = base.execute("SELECT min(due) FROM confirmations WHERE due > 0").fetchone()
    return None if due is None else float(due)


def sent(base: sqlite3.Connection, list_id: int, contact: int, now: float, went: bool = True) -> None:
    """One was sent, or never will be.

    :param went: whether somebody gets it: only such count for how often they may be asked.
    """
    base.execute(
        "UPDATE confirmations SET count = count + 1, unanswered = unanswered + ?1, due = 0,"
        " last = CASE ?1 WHEN 1 THEN ?2 ELSE last END WHERE list = ?3 AND contact = ?4",
        (went, now, list_id, contact),
    )


def settled(base: sqlite3.Connection, list_id: int, contact: int) -> None:
    """The person has done something: they may be asked anew."""
    base.execute(
        "UPDATE confirmations SET unanswered = 0, due = 0 WHERE list = ? AND contact = ?", (list_id, contact)
    )


def erase(base: sqlite3.Connection, tenant: str, contact: int) -> None:
    """Forget all of a contact that is forgotten."""
    base.execute("DELETE FROM confirmations WHERE contact = ?", (contact,))
