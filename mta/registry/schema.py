"""How the tables of the registry come to be, noun by noun, and how connections are opened.

The table ``nouns`` has one row for each noun: how many of its migrations were made, and a number
that changes with every change of its rows, by which others find out that what they remember is old.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mta.private_file import make_private
from mta.write_ahead import use_write_ahead

#: The name of the database in the state directory.
DATABASE = "registry.db"


class SchemaError(Exception):
    """The database was written by a newer program."""


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of one noun.

    :ivar noun: its name, as in ``tenants``.
    :ivar migrations: each entry brings them from version ``index`` to ``index + 1``.  Never change
        an entry that was released; append.
    """

    noun: str
    migrations: tuple[tuple[str, ...], ...]


def connect(path: Path) -> sqlite3.Connection:
    """Open for reading and writing; the file is made if it is not there.

    :raise sqlite3.Error: if it cannot be opened.
    :raise OSError: likewise.
    """
    # Keys and addresses are nobody else's business; the log's files get the mode of the database.
    make_private(path)
    connection = sqlite3.connect(
        path, timeout=10.0, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    try:
        use_write_ahead(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = OFF")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute("PRAGMA journal_size_limit = 67108864")
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, tables: Sequence[Tables]) -> None:
    """Bring all tables up to date in one transaction; several processes may do so at once.

    :raise SchemaError: if one is newer than this program.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "CREATE TABLE IF NOT EXISTS nouns ("
            "noun TEXT PRIMARY KEY, migrations INTEGER NOT NULL, changes INTEGER NOT NULL) WITHOUT ROWID"
        )
        made = dict(connection.execute("SELECT noun, migrations FROM nouns"))
        for one in tables:
            version = made.get(one.noun, 0)
            if version > len(one.migrations):
                raise SchemaError(
                    f"its {one.noun} have version {version}, this program knows {len(one.migrations)}: "
                    "use a newer mta"
                )
            for statements in one.migrations[version:]:
                for statement in statements:
                    connection.execute(statement)
            if version < len(one.migrations):
                connection.execute(
                    "INSERT INTO nouns VALUES (?1, ?2, 1) ON CONFLICT (noun)"
                    " DO UPDATE SET migrations = ?2, changes = changes + 1",
                    (one.noun, len(one.migrations)),
                )
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def changes(connection: sqlite3.Connection) -> dict[str, int]:
    """The number of the last change of each noun."""
    return dict(connection.execute("SELECT noun, changes FROM nouns"))
