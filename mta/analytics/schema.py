"""The tables of one shard's numbers, and how the database is opened.

``places`` tells up to which event of each journal was read, in the transaction of what was made of it; a
crash of the machine may take the last moments, places included, which are then read once more.

``spans`` tells of each hour and journal which event was the first to count in it: whether the journal
still has all of the hour.  ``frozen`` are hours of which it has not, while the rest is made anew.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mta.analytics.rollup import EVERYBODY, OTHER
from mta.private_file import make_private, uri_of
from mta.write_ahead import use_write_ahead

#: The name of the database in a shard's directory.
DATABASE = "analytics.db"

#: Each entry brings the schema from version ``index`` to ``index + 1``.  Never change one that was
#: released; append.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE places (journal INTEGER PRIMARY KEY, event INTEGER NOT NULL)",
        """CREATE TABLE spans (
            journal INTEGER NOT NULL, hour INTEGER NOT NULL, first INTEGER NOT NULL,
            PRIMARY KEY (journal, hour)
        ) WITHOUT ROWID""",
        """CREATE TABLE frozen (
            journal INTEGER NOT NULL, hour INTEGER NOT NULL, upto INTEGER NOT NULL,
            PRIMARY KEY (journal, hour)
        ) WITHOUT ROWID""",
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
        "CREATE TABLE names (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)",
        "CREATE TABLE tenants (id INTEGER PRIMARY KEY)",
        """CREATE TABLE counts (
            tenant INTEGER NOT NULL, dimension INTEGER NOT NULL, width INTEGER NOT NULL,
            bucket INTEGER NOT NULL, journal INTEGER NOT NULL, value INTEGER NOT NULL,
            measure INTEGER NOT NULL, number INTEGER NOT NULL,
            PRIMARY KEY (tenant, dimension, width, bucket, journal, value, measure)
        ) WITHOUT ROWID""",
        # What messages are counted by; those without any are not here.
        "CREATE TABLE labels (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE)",
        "CREATE TABLE labelled (message INTEGER PRIMARY KEY, labels INTEGER NOT NULL)",
        # The first time that a recipient opened, or followed a link.
        """CREATE TABLE engaged (
            message INTEGER NOT NULL, recipient INTEGER NOT NULL, kind INTEGER NOT NULL,
            at REAL NOT NULL, journal INTEGER NOT NULL, event INTEGER NOT NULL,
            PRIMARY KEY (message, recipient, kind)
        ) WITHOUT ROWID""",
    ),
    # Days whose sums are those of their hours.
    ("CREATE TABLE summed (day INTEGER PRIMARY KEY)",),
)


class NewerDatabase(Exception):
    """A newer program has written it."""


def open_numbers(path: Path) -> sqlite3.Connection:
    """Open for writing, and bring the schema up to date.

    :raise NewerDatabase: if its version is newer than this program.
    :raise sqlite3.Error: if it cannot be opened.
    :raise OSError: likewise.
    """
    make_private(path)
    base = sqlite3.connect(
        uri_of(path, "rw"), uri=True, timeout=20.0, isolation_level=None, check_same_thread=False
    )
    try:
        base.execute("PRAGMA auto_vacuum = INCREMENTAL")
        use_write_ahead(base)
        # What a crash of the machine takes, places included, is read out of the journal once more.
        base.execute("PRAGMA synchronous = NORMAL")
        base.execute("PRAGMA temp_store = MEMORY")
        # It stays with the process, also when the database is closed.
        base.execute("PRAGMA cache_size = -1024")
        base.execute("PRAGMA journal_size_limit = 16777216")
        (version,) = base.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise NewerDatabase(
                f"{path} has version {version}, this program knows {len(MIGRATIONS)}: use a newer mta"
            )
        if version < len(MIGRATIONS):
            _migrate(base)
    except BaseException:
        base.close()
        raise
    return base


def _migrate(base: sqlite3.Connection) -> None:
    base.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been first.
        (version,) = base.execute("PRAGMA user_version").fetchone()
        for number in range(version, len(MIGRATIONS)):
            for statement in MIGRATIONS[number]:
                base.execute(statement)
            if number == 0:
                names = ((0, ""), (1, OTHER), (2, EVERYBODY))
                base.executemany("INSERT INTO names VALUES (?, ?)", names)
            base.execute(f"PRAGMA user_version = {number + 1}")
        base.execute("COMMIT")
    except BaseException:
        if base.in_transaction:
            base.execute("ROLLBACK")
        raise


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open for questions.

    :raise sqlite3.Error: if it cannot be.
    """
    base = sqlite3.connect(
        uri_of(path, "rw"), uri=True, timeout=5.0, isolation_level=None, check_same_thread=False
    )
    base.execute("PRAGMA query_only = ON")
    return base
