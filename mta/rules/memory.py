"""Whom accounts have answered lately, and which files of rules cannot be used: one database for all workers.

Who is to be answered is claimed in the name of the message that is answered.  The same message, delivered
once more after a crash, may claim again; so one answer is queued, and not two or none.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock

from mta.private_file import make_private, uri_of
from mta.write_ahead import use_write_ahead

NAME = "rules.db"
_VERSION = 1
_SCHEMA = """
CREATE TABLE replied (
    account TEXT NOT NULL,
    whom BLOB NOT NULL,
    message TEXT NOT NULL,
    at REAL NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (account, whom)
) WITHOUT ROWID;
CREATE INDEX replied_until ON replied (until);
CREATE TABLE broken (maildir BLOB PRIMARY KEY, account TEXT NOT NULL) WITHOUT ROWID;
"""


class Memory:
    """See the module; opened when something is to be remembered, by whichever thread.

    :param path: of the database.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._base: sqlite3.Connection | None = None

    def claim(
        self, account: str, whom: str, message: str, now: float, until: float, most: int, span: float
    ) -> bool:
        """Whether somebody is to be answered now; then nobody else may until later.

        :param whom: the sender, and which reply it is.
        :param message: queue id of what is answered.
        :param most: answers of an account in a time.
        :param span: seconds of that.
        :raise sqlite3.Error: if it cannot be remembered.
        :raise OSError: likewise.
        """
        name = hashlib.sha256(whom.encode("utf-8", "surrogatepass")).digest()[:16]
        with self._transaction() as base:
            row = base.execute(
                "SELECT message, until FROM replied WHERE account = ? AND whom = ?", (account, name)
            ).fetchone()
            if row is not None and row[0] == message:
                return True
            if row is not None and row[1] > now:
                return False
            (count,) = base.execute(
                "SELECT count(*) FROM replied WHERE account = ? AND at > ?", (account, now - span)
            ).fetchone()
            if count >= most:
                return False
            base.execute("DELETE FROM replied WHERE until < ? AND at < ?", (now, now - span))
            base.execute(
                "INSERT OR REPLACE INTO replied VALUES (?, ?, ?, ?, ?)", (account, name, message, now, until)
            )
            return True

    def break_(self, maildir: bytes, account: str) -> None:
        """Remember that a file cannot be used.

        :raise sqlite3.Error: if it cannot be remembered.
        :raise OSError: likewise.
        """
        with self._transaction() as base:
            base.execute("INSERT OR REPLACE INTO broken VALUES (?, ?)", (maildir, account))

    def close(self) -> None:
        """Close the database, if it is open."""
        with self._lock:
            base, self._base = self._base, None
            if base is not None:
                base.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._base is None:
                self._base = _open(self._path)
            base = self._base
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
            except BaseException:
                base.execute("ROLLBACK")
                raise
            base.execute("COMMIT")


def _open(path: Path) -> sqlite3.Connection:
    make_private(path)
    base = sqlite3.connect(
        uri_of(path, "rw"), uri=True, timeout=30, isolation_level=None, check_same_thread=False
    )
    try:
        use_write_ahead(base)
        base.execute("PRAGMA synchronous = FULL")
        base.execute("BEGIN IMMEDIATE")
        (version,) = base.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise sqlite3.DatabaseError(f"{path} is of a newer program")
        if not version:
            for statement in filter(str.strip, _SCHEMA.split(";")):
                base.execute(statement)
            base.execute(f"PRAGMA user_version = {_VERSION}")
        base.execute("COMMIT")
    except BaseException:
        base.close()
        raise
    return base


def broken(state: Path) -> list[tuple[bytes, str]]:
    """Maildirs whose rules could not be used, with their accounts; they may have been mended since.

    :raise sqlite3.Error: if nobody can tell.
    """
    path = state / NAME
    if not os.path.exists(path):
        return []
    with closing(sqlite3.connect(uri_of(path, "ro"), uri=True, timeout=10)) as base:
        return base.execute("SELECT maildir, account FROM broken ORDER BY account").fetchall()
