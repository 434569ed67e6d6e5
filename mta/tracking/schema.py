"""The tables of one shard's index, and how it is opened.

A message is in the index of the shard in which it was received, whichever worker hears of what
becomes of it.  What is here can be made again, so a crash of the machine may cost the last moments:
``places``, up to which event of each journal was read, goes back with the rest.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from mta.private_file import make_private, uri_of
from mta.tracking.state import STATE_SQL
from mta.write_ahead import use_write_ahead

#: The name of the database in a shard's directory.
DATABASE = "tracking.db"

VERSION = 2

#: Kinds of labels: what messages are counted and found by.
ALL, BATCH, CAMPAIGN, TAG = range(4)

_SCHEMA = f"""
CREATE TABLE places (journal TEXT PRIMARY KEY, event INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE tenants (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE messages (
    id INTEGER PRIMARY KEY, tenant INTEGER NOT NULL, at REAL NOT NULL, sender TEXT NOT NULL,
    subject TEXT NOT NULL, message_id TEXT NOT NULL, batch TEXT NOT NULL, campaign TEXT NOT NULL,
    tags TEXT NOT NULL, metadata TEXT NOT NULL, key TEXT NOT NULL, size INTEGER NOT NULL,
    scheduled REAL NOT NULL
);
CREATE INDEX messages_tenant ON messages (tenant, id);
CREATE INDEX messages_message_id ON messages (tenant, message_id, id) WHERE message_id <> '';
CREATE TABLE labels (
    tenant INTEGER NOT NULL, sort INTEGER NOT NULL, name TEXT NOT NULL, message INTEGER NOT NULL,
    PRIMARY KEY (tenant, sort, name, message)
) WITHOUT ROWID;
CREATE INDEX labels_message ON labels (message);
CREATE TABLE recipients (
    message INTEGER NOT NULL, address TEXT NOT NULL, tenant INTEGER NOT NULL, final TEXT NOT NULL,
    delivery INTEGER NOT NULL, marks INTEGER NOT NULL, at REAL NOT NULL, attempts INTEGER NOT NULL,
    due REAL NOT NULL, code INTEGER NOT NULL, enhanced TEXT NOT NULL, reply TEXT NOT NULL,
    host TEXT NOT NULL, bounce_class TEXT NOT NULL, turned REAL NOT NULL,
    state INTEGER GENERATED ALWAYS AS ({STATE_SQL}) VIRTUAL,
    PRIMARY KEY (message, address)
) WITHOUT ROWID;
CREATE INDEX recipients_address ON recipients (tenant, address, message);
CREATE INDEX recipients_state ON recipients (tenant, state, message);
CREATE TABLE counts (
    tenant INTEGER NOT NULL, sort INTEGER NOT NULL, name TEXT NOT NULL, day INTEGER NOT NULL,
    delivery INTEGER NOT NULL, marks INTEGER NOT NULL, number INTEGER NOT NULL,
    PRIMARY KEY (tenant, sort, name, day, delivery, marks)
) WITHOUT ROWID;
CREATE VIRTUAL TABLE subjects USING fts5(owner, subject, content='', columnsize=0, detail=column,
    tokenize='unicode61 remove_diacritics 2');
"""

_TEMPORARY = """
CREATE TEMP TABLE fresh (
    id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, message INTEGER NOT NULL,
    payload TEXT NOT NULL
);
CREATE TEMP TABLE steps (
    id INTEGER NOT NULL, message INTEGER NOT NULL, said TEXT NOT NULL, address TEXT,
    delivery INTEGER NOT NULL, marks INTEGER NOT NULL, at REAL NOT NULL, payload TEXT NOT NULL
);
CREATE INDEX temp.steps_message ON steps (message);
CREATE TEMP TABLE deltas (
    message INTEGER NOT NULL, delivery INTEGER NOT NULL, marks INTEGER NOT NULL, number INTEGER NOT NULL
);
"""


def open_index(path: Path) -> sqlite3.Connection:
    """Open for writing; one of another version is made anew.

    :raise sqlite3.Error: if it cannot be opened.
    :raise OSError: likewise.
    """
    try:
        return _opened(path)
    except sqlite3.DatabaseError as error:
        if isinstance(error, sqlite3.OperationalError):
            raise
        # Damaged; everything that was in it is in the journal.
        _unlink(path)
        return _opened(path)


def open_for_reading(path: Path) -> sqlite3.Connection:
    """Open for questions.

    :raise sqlite3.Error: if it cannot be.
    """
    base = sqlite3.connect(
        uri_of(path, "rw"), uri=True, timeout=5.0, isolation_level=None, check_same_thread=False
    )
    base.execute("PRAGMA query_only = ON")
    return base


def _opened(path: Path) -> sqlite3.Connection:
    make_private(path)
    base = sqlite3.connect(
        path.as_uri(), uri=True, timeout=10.0, isolation_level=None, check_same_thread=False
    )
    try:
        base.execute("PRAGMA auto_vacuum = INCREMENTAL")
        use_write_ahead(base)
        # What a crash of the machine takes, places included, is read out of the journal once more.
        base.execute("PRAGMA synchronous = NORMAL")
        base.execute("PRAGMA temp_store = MEMORY")
        base.execute("PRAGMA cache_size = -8192")
        base.execute("PRAGMA journal_size_limit = 33554432")
        if base.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            _make(base)
        base.executescript(_TEMPORARY)
    except BaseException:
        base.close()
        raise
    return base


def _make(base: sqlite3.Connection) -> None:
    base.execute("BEGIN IMMEDIATE")
    try:
        # Another process may have been first.
        if base.execute("PRAGMA user_version").fetchone()[0] != VERSION:
            clear(base)
            for statement in filter(str.strip, _SCHEMA.split(";")):
                base.execute(statement)
            base.execute(f"PRAGMA user_version = {VERSION}")
        base.execute("COMMIT")
    except BaseException:
        if base.in_transaction:
            base.execute("ROLLBACK")
        raise


def clear(base: sqlite3.Connection) -> None:
    """Drop all tables."""
    base.execute("DROP TABLE IF EXISTS subjects")
    names = base.execute(
        "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    )
    for (name,) in names.fetchall():
        base.execute(f'DROP TABLE "{name}"')


def remake(base: sqlite3.Connection) -> None:
    """Empty it, so that everything is read out of the journal once more."""
    base.execute("BEGIN IMMEDIATE")
    base.execute("PRAGMA user_version = 0")
    base.execute("COMMIT")
    _make(base)


def _unlink(path: Path) -> None:
    for name in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        name.unlink(missing_ok=True)
