"""What is to be posted and what was, on disk: one database for each shard, ``webhooks.db``.

A delivery is one event for one endpoint.  It waits until it was taken or given up; of the deliveries
of one message to one endpoint only the first that waits is tried, so that they come in order.
Functions of a connection; whoever calls them says in which thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mta.registry.schema import Tables

#: The name of the database in a shard's directory.
DATABASE = "webhooks.db"

WAITING, DELIVERED, GIVEN_UP = 0, 1, 2
#: As the API calls them.
STATES = ("waiting", "delivered", "failed")
#: Characters of an answer that are kept.
_MOST_REPLY = 500

TABLES = Tables(
    "outbox",
    (
        (
            "CREATE TABLE place (one INTEGER PRIMARY KEY CHECK (one = 1), event INTEGER NOT NULL)",
            """CREATE TABLE deliveries (
                number INTEGER PRIMARY KEY AUTOINCREMENT,
                id TEXT NOT NULL,
                endpoint TEXT NOT NULL,
                message TEXT NOT NULL,
                type TEXT NOT NULL,
                body BLOB NOT NULL,
                created REAL NOT NULL,
                state INTEGER NOT NULL,
                due REAL NOT NULL,
                attempts INTEGER NOT NULL
            )""",
            "CREATE UNIQUE INDEX deliveries_id ON deliveries (endpoint, id)",
            "CREATE INDEX deliveries_waiting ON deliveries (endpoint, due) WHERE state = 0",
            "CREATE INDEX deliveries_order ON deliveries (endpoint, message, number) WHERE state = 0",
            "CREATE INDEX deliveries_created ON deliveries (created)",
            """CREATE TABLE attempts (
                delivery INTEGER NOT NULL,
                at REAL NOT NULL,
                seconds REAL NOT NULL,
                status INTEGER NOT NULL,
                reply TEXT NOT NULL,
                PRIMARY KEY (delivery, at)
            ) WITHOUT ROWID""",
            "CREATE TABLE troubles (endpoint TEXT PRIMARY KEY, since REAL NOT NULL) WITHOUT ROWID",
        ),
        (
            # With a hundred thousand that wait for one endpoint, everything is found in well under 1 ms.
            "CREATE INDEX deliveries_turn ON deliveries (endpoint, number) WHERE state = 0",
            "CREATE INDEX deliveries_page ON deliveries (endpoint, created, id)",
            "CREATE INDEX deliveries_ended ON deliveries (created) WHERE state <> 0",
            "DROP INDEX deliveries_created",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint.

    :ivar id: the ``webhook-id``.
    :ivar message: queue id, in whose order it stands; ``""``: none.
    :ivar due: when it is tried, in seconds since 1970.
    """

    number: int
    id: str
    endpoint: str
    message: str
    type: str
    body: bytes
    created: float
    state: int
    due: float
    attempts: int


@dataclass(frozen=True, slots=True)
class Attempt:
    """One post.

    :ivar at: when it ended.
    :ivar seconds: how long it took.
    :ivar status: of HTTP; 0: there was no answer.
    :ivar reply: the start of the answer, or why there was none.
    """

    at: float
    seconds: float
    status: int
    reply: str


@dataclass(frozen=True, slots=True)
class New:
    """An event to be delivered."""

    id: str
    endpoint: str
    message: str
    type: str
    body: bytes


_COLUMNS = "number, id, endpoint, message, type, body, created, state, due, attempts"


def place(base: sqlite3.Connection) -> int | None:
    """Up to which event the journal was read."""
    row = base.execute("SELECT event FROM place").fetchone()
    return None if row is None else int(row[0])


def put(base: sqlite3.Connection, some: Iterable[New], event: int, now: float) -> int:
    """Take deliveries, and remember up to where the journal was read; how many are new."""
    count = 0
    for new in some:
        count += insert(base, new, now)
    base.execute("INSERT OR REPLACE INTO place VALUES (1, ?)", (event,))
    return count


def insert(base: sqlite3.Connection, new: New, now: float) -> int:
    """Take one delivery, unless it is there; how many are new."""
    done = base.execute(
        "INSERT OR IGNORE INTO deliveries (id, endpoint, message, type, body, created, state, due, attempts)"
        " VALUES (?, ?, ?, ?, ?, ?, 0, ?, 0)",
        (new.id, new.endpoint, new.message, new.type, new.body, now, now),
    )
    return done.rowcount


def due(base: sqlite3.Connection, endpoint: str, now: float, limit: int) -> list[Delivery]:
    """What may be tried now, the oldest first: of each message the first that waits."""
    rows = base.execute(
        f"SELECT {_COLUMNS} FROM deliveries AS one WHERE endpoint = ? AND state = 0 AND +due <= ?"  # noqa: S608
        " AND (message = '' OR NOT EXISTS (SELECT 1 FROM deliveries AS other WHERE"
        " other.endpoint = one.endpoint AND other.message = one.message AND other.state = 0"
        " AND other.number < one.number)) ORDER BY number LIMIT ?",
        (endpoint, now, limit),
    )
    return [Delivery(*row) for row in rows]


def next_due(base: sqlite3.Connection, endpoint: str) -> float | None:
    """When the next one is due; ``None``: nothing waits."""
    (at,) = base.execute(
        "SELECT min(due) FROM deliveries AS one WHERE endpoint = ? AND state = 0"
        " AND (message = '' OR NOT EXISTS (SELECT 1 FROM deliveries AS other WHERE"
        " other.endpoint = one.endpoint AND other.message = one.message AND other.state = 0"
        " AND other.number < one.number))",
        (endpoint,),
    ).fetchone()
    return None if at is None else float(at)


def waiting(base: sqlite3.Connection) -> list[str]:
    """The endpoints for which something waits."""
    rows = base.execute(
        "WITH RECURSIVE one(name) AS (SELECT min(endpoint) FROM deliveries WHERE state = 0"
        " UNION ALL SELECT (SELECT min(endpoint) FROM deliveries WHERE state = 0 AND endpoint > name)"
        " FROM one WHERE name IS NOT NULL) SELECT name FROM one WHERE name IS NOT NULL"
    )
    return [name for (name,) in rows]


def tried(base: sqlite3.Connection, delivery: Delivery, attempt: Attempt, state: int, due: float) -> float:
    """Keep what came of an attempt; since when the endpoint has taken nothing, 0 if it took this."""
    base.execute(
        "UPDATE deliveries SET state = ?, due = ?, attempts = attempts + 1 WHERE number = ?",
        (state, due, delivery.number),
    )
    base.execute(
        "INSERT OR REPLACE INTO attempts VALUES (?, ?, ?, ?, ?)",
        (delivery.number, attempt.at, attempt.seconds, attempt.status, attempt.reply[:_MOST_REPLY]),
    )
    if state == DELIVERED:
        base.execute("DELETE FROM troubles WHERE endpoint = ?", (delivery.endpoint,))
        return 0.0
    base.execute("INSERT OR IGNORE INTO troubles VALUES (?, ?)", (delivery.endpoint, attempt.at))
    (since,) = base.execute("SELECT since FROM troubles WHERE endpoint = ?", (delivery.endpoint,)).fetchone()
    return float(since)


def hasten(base: sqlite3.Connection, endpoint: str, now: float) -> None:
    """An endpoint is well again: what waits for it waits no longer."""
    base.execute(
        "UPDATE deliveries SET due = ? WHERE endpoint = ? AND state = 0 AND due > ?", (now, endpoint, now)
    )
    base.execute("DELETE FROM troubles WHERE endpoint = ?", (endpoint,))


def forget(base: sqlite3.Connection, endpoint: str) -> None:
    """An endpoint is gone."""
    base.execute(
        "DELETE FROM attempts WHERE delivery IN (SELECT number FROM deliveries WHERE endpoint = ?)",
        (endpoint,),
    )
    base.execute("DELETE FROM deliveries WHERE endpoint = ?", (endpoint,))
    base.execute("DELETE FROM troubles WHERE endpoint = ?", (endpoint,))


def has_old(base: sqlite3.Connection, before: float) -> bool:
    """Whether there is anything for :func:`clear`."""
    query = "SELECT 1 FROM deliveries WHERE created < ? AND state <> 0 LIMIT 1"
    return base.execute(query, (before,)).fetchone() is not None


def clear(base: sqlite3.Connection, before: float, limit: int = 2000) -> int:
    """Forget some of what has ended long ago, and of what waits for nobody; how many."""
    rows = base.execute(
        "SELECT number FROM deliveries WHERE created < ? AND state <> 0 LIMIT ?", (before, limit)
    ).fetchall()
    base.executemany("DELETE FROM attempts WHERE delivery = ?", rows)
    base.executemany("DELETE FROM deliveries WHERE number = ?", rows)
    return len(rows)


# --- what the API asks ---------------------------------------------------------


def page(
    base: sqlite3.Connection,
    endpoint: str,
    before: tuple[float, str] | None,
    limit: int,
    state: int | None = None,
) -> list[Delivery]:
    """Deliveries to an endpoint, the newest first.

    :param before: time and id of the last one of the page before.
    """
    at, identity = before or (1e18, "")
    rows = base.execute(
        f"SELECT {_COLUMNS} FROM deliveries WHERE endpoint = ? AND (created, id) < (?, ?)"  # noqa: S608
        " AND (? IS NULL OR state = ?) ORDER BY created DESC, id DESC LIMIT ?",
        (endpoint, at, identity, state, state, limit),
    )
    return [Delivery(*row) for row in rows]


def find(base: sqlite3.Connection, endpoint: str, identity: str) -> tuple[Delivery, list[Attempt]] | None:
    """One delivery with its attempts."""
    row = base.execute(
        f"SELECT {_COLUMNS} FROM deliveries WHERE endpoint = ? AND id = ?",  # noqa: S608
        (endpoint, identity),
    ).fetchone()
    if row is None:
        return None
    found = Delivery(*row)
    rows = base.execute(
        "SELECT at, seconds, status, reply FROM attempts WHERE delivery = ? ORDER BY at", (found.number,)
    )
    return found, [Attempt(*one) for one in rows]


def again(base: sqlite3.Connection, endpoint: str, identity: str, now: float) -> bool:
    """Have one delivered once more, as if it was new; whether there is one."""
    done = base.execute(
        "UPDATE deliveries SET state = 0, due = ?, attempts = 0 WHERE endpoint = ? AND id = ?",
        (now, endpoint, identity),
    )
    return bool(done.rowcount)


def recover(
    base: sqlite3.Connection, endpoint: str, since: float, until: float, states: Sequence[int], now: float
) -> int:
    """The same for all of a time; how many."""
    marks = ",".join("?" * len(states))
    done = base.execute(
        "UPDATE deliveries SET state = 0, due = ?, attempts = 0"  # noqa: S608
        f" WHERE endpoint = ? AND created >= ? AND created <= ? AND state IN ({marks})",
        (now, endpoint, since, until, *states),
    )
    return done.rowcount
