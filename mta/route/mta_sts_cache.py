"""MTA-STS policies on disk, common to all workers (RFC 8461, 5).

A policy outlives every restart: whoever cut the domain off from us for a moment must not
find us without it.  That a policy could not be had is kept, too, so that a thousand messages
do not ask a thousand times.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from mta.model.mta_sts import StsPolicy
from mta.write_ahead import use_write_ahead

#: Seconds between two refreshes at the most (RFC 8461, 10.2: once a day).
REFRESH = 86400.0
#: Seconds after which a refresh that did not succeed is tried again.
AGAIN = 3600.0
#: Seconds without mail to a domain after which its policy is left to run out.
FORGOTTEN = 30 * 86400.0
#: Seconds for which it is remembered that a policy could not be had.
_FAILURES = 7 * 86400.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS policy (
    domain TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    body BLOB NOT NULL,
    fetched REAL NOT NULL,
    expires REAL NOT NULL,
    refresh REAL NOT NULL,
    used REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS failure (
    domain TEXT PRIMARY KEY,
    id TEXT NOT NULL,
    tried REAL NOT NULL,
    result TEXT NOT NULL,
    why TEXT NOT NULL
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Kept:
    """A policy that may be believed.

    :ivar id: of the TXT record that led to it.
    :ivar used: when mail last went by it, in seconds since 1970, to the day.
    """

    id: str
    policy: StsPolicy
    used: float


@dataclass(frozen=True, slots=True)
class Missed:
    """A policy that could not be had.

    :ivar id: of the TXT record that promised it.
    :ivar tried: when, in seconds since 1970.
    :ivar result: as TLS reports call it.
    :ivar why: in words.
    """

    id: str
    tried: float
    result: str
    why: str


class StsCache:
    """See the module.  Every method blocks for the disk, and is for threads.

    :param path: the file; ``None``: nothing outlives the process.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def get(self, domain: str, now: float) -> tuple[Kept | None, Missed | None]:
        """What is known of a domain.

        :raise sqlite3.Error: if the file cannot be read.
        """
        with self._lock:
            database = self._open()
            row = database.execute(
                "SELECT id, body, used FROM policy WHERE domain = ? AND expires > ?", (domain, now)
            ).fetchone()
            miss = database.execute(
                "SELECT id, tried, result, why FROM failure WHERE domain = ?", (domain,)
            ).fetchone()
            kept = None if row is None else Kept(row[0], StsPolicy.parse(row[1]), row[2])
            if kept is not None and now - kept.used > REFRESH:
                with database:
                    database.execute("UPDATE policy SET used = ? WHERE domain = ?", (now, domain))
        return kept, None if miss is None else Missed(*miss)

    def put(self, domain: str, id: str, policy: StsPolicy, now: float, used: bool = True) -> None:
        """Keep a policy that was fetched just now.

        :param used: whether mail goes by it, rather than that it is refreshed.
        """
        body = "\n".join((*policy.lines, "")).encode()
        refresh = now + min(REFRESH, policy.max_age / 2)
        with self._lock, self._open() as database:
            database.execute(
                "INSERT INTO policy VALUES (:domain, :id, :body, :now, :expires, :refresh, :now) "
                "ON CONFLICT (domain) DO UPDATE SET id = :id, body = :body, fetched = :now, "
                "expires = :expires, refresh = :refresh, used = CASE WHEN :used THEN :now ELSE used END",
                {
                    "domain": domain,
                    "id": id,
                    "body": body,
                    "now": now,
                    "expires": now + policy.max_age,
                    "refresh": refresh,
                    "used": used,
                },
            )
            database.execute("DELETE FROM failure WHERE domain = ?", (domain,))

    def miss(self, domain: str, missed: Missed) -> None:
        """Keep that a policy could not be had; one that is there stays."""
        with self._lock, self._open() as database:
            database.execute(
                "INSERT OR REPLACE INTO failure VALUES (?, ?, ?, ?, ?)",
                (domain, missed.id, missed.tried, missed.result, missed.why),
            )

    def due(self, now: float, limit: int = 100) -> list[tuple[str, str]]:
        """Domains, and ids, whose policies this process shall refresh now; no other gets the same.

        What is over is forgotten.
        """
        with self._lock, self._open() as database:
            database.execute("DELETE FROM policy WHERE expires <= ?", (now,))
            database.execute("DELETE FROM failure WHERE tried <= ?", (now - _FAILURES,))
            found: list[tuple[str, str]] = database.execute(
                "UPDATE policy SET refresh = ? WHERE domain IN "
                "(SELECT domain FROM policy WHERE refresh <= ? AND used > ? ORDER BY expires LIMIT ?) "
                "RETURNING domain, id",
                (now + AGAIN, now, now - FORGOTTEN, limit),
            ).fetchall()
        return found

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._database is not None:
                self._database.close()
                self._database = None

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            database = sqlite3.connect(self._path or ":memory:", timeout=10, check_same_thread=False)
            use_write_ahead(database)
            database.executescript(_SCHEMA)
            if self._path is not None:
                self._path.chmod(0o600)
            self._database = database
        return self._database
