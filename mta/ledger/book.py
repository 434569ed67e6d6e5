"""The entries, as one transaction sees them.

An entry has a kind (``grey``, ``bucket``, ``ban``, ...), a key, a JSON value and a time at
which it is forgotten.  Nothing is kept without such a time but what a person has said.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mta.private_file import make_private, uri_of
from mta.write_ahead import use_write_ahead

#: Brings the schema from version ``index`` to ``index + 1``.  Append; never change.
_MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE entries (
            kind TEXT NOT NULL,
            key TEXT NOT NULL,
            value TEXT NOT NULL,
            expires REAL NOT NULL,
            PRIMARY KEY (kind, key)
        ) WITHOUT ROWID""",
        "CREATE INDEX entries_expires ON entries (expires)",
        # How often a kind has changed that workers hold in memory.
        "CREATE TABLE serials (kind TEXT PRIMARY KEY, serial INTEGER NOT NULL) WITHOUT ROWID",
    ),
)

#: What a person has said is kept until they say otherwise.
FOREVER = 1e12
#: Characters of a key: longer ones are cut, whoever made them.
_LONGEST = 600
#: Entries removed in one transaction.
_SWEEP = 2000


class NewerLedger(Exception):
    """The database was written by a newer program."""


class Book:
    """Reads and writes entries.

    :param connection: of the database.
    :param now: seconds since 1970.
    :ivar changed: kinds that were written to.
    """

    def __init__(self, connection: sqlite3.Connection, now: float) -> None:
        self._connection = connection
        self.now = now
        self.changed: set[str] = set()

    def get(self, kind: str, key: str) -> Any:
        """The value of an entry; ``None`` if there is none, or its time is over."""
        row = self._connection.execute(
            "SELECT value, expires FROM entries WHERE kind = ? AND key = ?", (kind, _cut(key))
        ).fetchone()
        return json.loads(row[0]) if row is not None and row[1] > self.now else None

    def put(self, kind: str, key: str, value: Any, seconds: float = FOREVER) -> None:
        """Write an entry.

        :param value: of JSON, not ``None``.
        :param seconds: for which it is kept.
        """
        self._connection.execute(
            "INSERT INTO entries (kind, key, value, expires) VALUES (?, ?, ?, ?) "
            "ON CONFLICT (kind, key) DO UPDATE SET value = excluded.value, expires = excluded.expires",
            (kind, _cut(key), json.dumps(value, separators=(",", ":")), min(self.now + seconds, FOREVER)),
        )
        self.changed.add(kind)

    def delete(self, kind: str, key: str) -> bool:
        """Forget an entry; whether there was one."""
        done = self._connection.execute("DELETE FROM entries WHERE kind = ? AND key = ?", (kind, _cut(key)))
        self.changed.add(kind)
        return done.rowcount > 0

    def entries(self, kind: str) -> Iterator[tuple[str, Any, float]]:
        """Key, value and end of all entries of a kind, by key."""
        rows = self._connection.execute(
            "SELECT key, value, expires FROM entries WHERE kind = ? AND expires > ? ORDER BY key",
            (kind, self.now),
        )
        for key, value, expires in rows:
            yield key, json.loads(value), expires


def _cut(key: str) -> str:
    """A key as SQLite can keep it."""
    return key[:_LONGEST] if key.isascii() else key[:_LONGEST].encode("utf-8", "replace").decode()


def open_book(path: Path) -> sqlite3.Connection:
    """Open for writing, and bring the schema up to date.

    :param path: made if it is not there.
    :raise NewerLedger: if this program is too old for it.
    :raise sqlite3.Error: if it cannot be used.
    :raise OSError: likewise.
    """
    make_private(path)
    # Other workers hold the lock for less than a millisecond.
    connection = sqlite3.connect(path, timeout=1.0, isolation_level=None, check_same_thread=False)
    try:
        use_write_ahead(connection)
        # Survives whatever becomes of the process; a power cut may take the last moments.
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
        _migrate(connection)
        if path.stat().st_size < 64 << 20:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                raise sqlite3.DatabaseError(f"malformed: {said}")
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(_MIGRATIONS):
        raise NewerLedger(f"it has version {version}, this program knows {len(_MIGRATIONS)}")
    if version == len(_MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        # Another worker may have been faster.
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        for number in range(version, len(_MIGRATIONS)):
            for statement in _MIGRATIONS[number]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def bump(connection: sqlite3.Connection, kind: str) -> None:
    """Tell other workers that a kind has changed."""
    connection.execute(
        "INSERT INTO serials VALUES (?, 1) ON CONFLICT (kind) DO UPDATE SET serial = serial + 1", (kind,)
    )


def serials(connection: sqlite3.Connection) -> dict[str, int]:
    """How often each kind has changed."""
    return dict(connection.execute("SELECT kind, serial FROM serials").fetchall())


def sweep(connection: sqlite3.Connection, now: float, most: int) -> int:
    """Remove what is over, and, of more than ``most`` entries, what would be over soonest.

    What a stranger makes on purpose is over sooner than what has stood the test.

    :return: how many were removed; if there may be more, it is to be called again.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        gone = _remove(connection, "WHERE expires <= ?", (now,))
        if gone < _SWEEP:
            (count,) = connection.execute("SELECT count(*) FROM entries").fetchone()
            if count > most:
                where = "WHERE expires < ? ORDER BY expires"
                gone += _remove(connection, where, (FOREVER,), min(count - most, _SWEEP))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return gone


def _remove(
    connection: sqlite3.Connection, where: str, values: tuple[float, ...], limit: int = _SWEEP
) -> int:
    chosen = f"SELECT kind, key FROM entries {where} LIMIT {limit}"  # noqa: S608
    return connection.execute(
        f"DELETE FROM entries WHERE (kind, key) IN ({chosen})",  # noqa: S608
        values,
    ).rowcount


def read_entries(path: Path, kind: str, now: float) -> list[tuple[str, Any, float]]:
    """Entries of a kind, beside a running server or without one; none without a database.

    :raise OSError: if it cannot be read.
    """
    path.stat()  # Tells who may not even look.
    try:
        connection = sqlite3.connect(uri_of(path, "rw"), uri=True, timeout=5.0)
        try:
            connection.execute("PRAGMA query_only = ON")
            return list(Book(connection, now).entries(kind))
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise OSError(f"{path} cannot be read: {error}") from error
