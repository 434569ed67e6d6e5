"""The tables of an account's index, and how it is opened."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

from mta.private_file import make_private
from mta.write_ahead import use_write_ahead

#: Of the tables.  An index of a version before the first, or after this one, is made anew from the files.
VERSION = 5
_FIRST = 3

#: From each version to the next: what is marked as deleted, which does not count in the quota; the first
#: words of a message, and when it came into its folder.
_MIGRATIONS = {
    3: ("CREATE INDEX trashed ON messages (folder, size) WHERE flags & 32",),
    4: ("ALTER TABLE messages ADD COLUMN preview BLOB", "ALTER TABLE messages ADD COLUMN saved INTEGER"),
}

_TABLES = """
CREATE TABLE folders (
    id INTEGER PRIMARY KEY,
    directory BLOB NOT NULL UNIQUE,
    validity INTEGER NOT NULL,
    next_uid INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    messages INTEGER NOT NULL DEFAULT 0,
    octets INTEGER NOT NULL DEFAULT 0,
    unseen INTEGER NOT NULL DEFAULT 0,
    keywords TEXT NOT NULL DEFAULT '',
    new_mark TEXT NOT NULL DEFAULT '',
    cur_mark TEXT NOT NULL DEFAULT '',
    new_looked REAL NOT NULL DEFAULT 0,
    cur_looked REAL NOT NULL DEFAULT 0,
    cur_trusted REAL NOT NULL DEFAULT 0,
    forgotten INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE messages (
    folder INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    base BLOB NOT NULL,
    info BLOB NOT NULL,
    cur INTEGER NOT NULL,
    flags INTEGER NOT NULL,
    keywords INTEGER NOT NULL,
    size INTEGER NOT NULL,
    virtual INTEGER,
    received INTEGER,
    modseq INTEGER NOT NULL,
    envelope BLOB,
    structure BLOB,
    PRIMARY KEY (folder, uid)
) WITHOUT ROWID;
CREATE UNIQUE INDEX by_base ON messages (folder, base);
CREATE INDEX by_modseq ON messages (folder, modseq);
CREATE TABLE expunged (
    folder INTEGER NOT NULL,
    modseq INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    PRIMARY KEY (folder, modseq, uid)
) WITHOUT ROWID;
CREATE TABLE doomed (
    folder INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    PRIMARY KEY (folder, uid)
) WITHOUT ROWID;
CREATE TABLE arriving (
    folder INTEGER NOT NULL,
    draft BLOB NOT NULL,
    base BLOB NOT NULL,
    info BLOB NOT NULL,
    source INTEGER,
    source_uid INTEGER,
    PRIMARY KEY (folder, draft)
) WITHOUT ROWID;
CREATE TABLE renaming (
    source BLOB PRIMARY KEY,
    target BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE account (
    maildir BLOB NOT NULL,
    validity INTEGER NOT NULL,
    logged_in REAL NOT NULL DEFAULT 0,
    furnished INTEGER NOT NULL DEFAULT 0
);
"""


class Damaged(Exception):
    """The file is no index that this program can use; it is made anew from the Maildir."""


def connect(path: Path, maildir: bytes) -> sqlite3.Connection:
    """Open an index; it is made if it is not there.

    :param maildir: whose it is.
    :raise Damaged: if it cannot be used and must be made anew.
    :raise sqlite3.Error: if it cannot be opened.
    :raise OSError: likewise.
    """
    # A UID that a client was told of must not be given again after the power was cut.
    return opened(path, "FULL", lambda connection: _make(connection, maildir))


def opened(
    path: Path, synchronous: Literal["FULL", "NORMAL"], make: Callable[[sqlite3.Connection], None]
) -> sqlite3.Connection:
    """Open a database of an account; the file is made if it is not there.

    :param synchronous: what SQLite does for a commit to survive a cut of the power.
    :param make: its tables, where they are not there.
    :raise Damaged: if it cannot be used and must be made anew.
    :raise sqlite3.Error: if it cannot be opened.
    :raise OSError: likewise.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_private(path)
    connection = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
    try:
        use_write_ahead(connection)
        connection.execute(f"PRAGMA synchronous = {synchronous}")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA journal_size_limit = 4194304")
        make(connection)
    except sqlite3.DatabaseError as error:
        connection.close()
        if is_damage(error):
            raise Damaged(str(error)) from error
        raise
    except BaseException:
        connection.close()
        raise
    return connection


def _make(connection: sqlite3.Connection, maildir: bytes) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version and not _FIRST <= version <= VERSION:
        raise Damaged(f"it has version {version}, this program knows {VERSION}")
    if version == VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            for statement in filter(None, map(str.strip, _TABLES.split(";"))):
                connection.execute(statement)
            connection.execute("INSERT INTO account (maildir, validity) VALUES (?, 0)", (maildir,))
        for before in range(version or _FIRST, VERSION):
            for statement in _MIGRATIONS[before]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def is_damage(error: sqlite3.Error) -> bool:
    """Whether a database will never be usable again, however long one waits."""
    name = getattr(error, "sqlite_errorname", "") or ""
    return name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def set_aside(path: Path) -> None:
    """Put an index that cannot be used out of the way, for a person to look at."""
    for end in ("-wal", "-shm", ""):
        with suppress(OSError):
            os.replace(f"{path}{end}", f"{path}.damaged{end}")
