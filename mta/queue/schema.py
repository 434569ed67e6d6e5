"""The tables of one shard's database, and how connections to it are opened.

``messages`` rows are written once and deleted once; everything that changes is
in ``addressees``.  The content is the last column, so that reading what stands
before it does not touch the pages that it overflows to.

``counters`` has one row: totals of the queue (so that no start needs to scan
it); ``serial``, the number of the last transaction, by which the writer finds
out after an I/O error in COMMIT whether it took effect; ``events``, the number
given to the last event; and ``indexed``.

``events`` and ``event_keys`` are the journal (:mod:`mta.model.event_rows`).
Keys are written in bulk, a few thousand at once and whenever the writer is
idle, because writing them with each event would dirty more pages than the
messages themselves.  So **events numbered above ``counters.indexed`` are not yet
in ``event_keys``**: they are a few thousand at the most, and a reader that looks
for a word goes through them itself (read ``indexed`` first, or in one
transaction).  After a crash the writer makes up for what was not written.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mta.private_file import make_private, uri_of
from mta.write_ahead import use_write_ahead

#: The name of the database in a shard's directory.
DATABASE = "queue.db"

QUEUED = 0
HELD = 1

#: Each entry brings the schema from version ``index`` to ``index + 1``.  Never change
#: an entry that was released; append.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE messages (
            id INTEGER PRIMARY KEY,
            created REAL NOT NULL,
            expires REAL NOT NULL,
            size INTEGER NOT NULL,
            sender TEXT NOT NULL,
            file TEXT,
            facts TEXT NOT NULL,
            trace BLOB NOT NULL,
            data BLOB
        )""",
        """CREATE TABLE addressees (
            message INTEGER NOT NULL,
            number INTEGER NOT NULL,
            state INTEGER NOT NULL,
            due REAL NOT NULL,
            attempts INTEGER NOT NULL,
            warned INTEGER NOT NULL,
            address TEXT NOT NULL,
            transport TEXT NOT NULL,
            next_hop TEXT NOT NULL,
            facts TEXT NOT NULL,
            last_reply TEXT NOT NULL,
            PRIMARY KEY (message, number)
        ) WITHOUT ROWID""",
        "CREATE INDEX addressees_due ON addressees (due) WHERE state = 0",
        "CREATE INDEX addressees_held ON addressees (message) WHERE state = 1",
        """CREATE TABLE events (
            id INTEGER PRIMARY KEY,
            at REAL NOT NULL,
            kind TEXT NOT NULL,
            message INTEGER,
            session TEXT,
            payload TEXT NOT NULL
        )""",
        "CREATE INDEX events_message ON events (message) WHERE message IS NOT NULL",
        """CREATE TABLE event_keys (
            bucket INTEGER NOT NULL,
            key INTEGER NOT NULL,
            event INTEGER NOT NULL,
            PRIMARY KEY (bucket, key, event)
        ) WITHOUT ROWID""",
        """CREATE TABLE counters (
            one INTEGER PRIMARY KEY CHECK (one = 1),
            serial INTEGER NOT NULL,
            messages INTEGER NOT NULL,
            addressees INTEGER NOT NULL,
            octets INTEGER NOT NULL,
            events INTEGER NOT NULL,
            indexed INTEGER NOT NULL
        )""",
        "INSERT INTO counters VALUES (1, 0, 0, 0, 0, 0, 0)",
    ),
)


class SchemaError(Exception):
    """The database was written by a newer program."""


def open_writer(path: Path) -> sqlite3.Connection:
    """Open for writing, and bring the schema up to date.

    :param path: the database; made if it is not there.
    :raise SchemaError: if its version is newer than this program.
    :raise sqlite3.Error: if it cannot be opened.
    :raise OSError: likewise.
    """
    # Mail is nobody else's business; the log's files get the mode of the database.
    make_private(path)
    connection = sqlite3.connect(
        path, timeout=10.0, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        # Before the first page is written; later it has no effect.
        connection.execute("PRAGMA page_size = 4096")
        # A drained queue gives its space back, when there is nothing else to do.
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        use_write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = OFF")
        # Zeroing freed pages would write every deleted message once more.
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("PRAGMA cache_size = -16384")
        connection.execute("PRAGMA temp_store = MEMORY")
        # 8 MiB of log between checkpoints: short stalls, few rewrites of the same page.
        connection.execute("PRAGMA wal_autocheckpoint = 2000")
        # After a burst (or a long reader) the log file shrinks to this.
        connection.execute("PRAGMA journal_size_limit = 67108864")
        migrate(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the schema up to date, each step in one transaction.

    :raise SchemaError: if its version is newer than this program.
    """
    version = check_version(connection)
    for number in range(version, len(MIGRATIONS)):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise


def open_reader(path: Path) -> sqlite3.Connection:
    """Open for reading only, beside a running server or without one.

    :raise SchemaError: if its version is newer than this program.
    :raise sqlite3.Error: if there is no such database, or it cannot be read.
    """
    try:
        return _open_reader(path, "rw")
    except sqlite3.OperationalError:
        # Somebody who may read but not write: works as long as the log's index is there.
        return _open_reader(path, "ro")


def _open_reader(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        uri_of(path, mode),
        uri=True,
        timeout=10.0,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA cache_size = -4096")
        check_version(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def check_version(connection: sqlite3.Connection) -> int:
    """The version of the schema.

    :raise SchemaError: if it is newer than this program.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise SchemaError(
            f"the database has version {version}, this program knows {len(MIGRATIONS)}: use a newer mta"
        )
    return int(version)
