"""Whom accounts have answered and what they have forwarded lately, and which files of rules cannot be used.

One database for all workers.

Who is to be answered is claimed in the name of the message that is answered.  The same message, delivered
once more after a crash, may claim again; so one answer is queued, and not two or none.  Likewise a copy that
is forwarded counts once, however often the message is tried.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock

from mta.model.bucket import Bucket
from mta.private_file import make_private, uri_of
from mta.write_ahead import use_write_ahead

NAME = "rules.db"
#: Seconds for which it is known that a copy was counted: a message that waits is tried again within them.
_COUNTED = 86400.0
#: Brings the schema from version ``index`` to ``index + 1``.  Append; never change.
_MIGRATIONS = (
    """
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
""",
    """
CREATE TABLE pace (account TEXT PRIMARY KEY, level REAL NOT NULL, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE forwarded (
    account TEXT NOT NULL,
    message TEXT NOT NULL,
    whom BLOB NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (account, message, whom)
) WITHOUT ROWID;
CREATE INDEX forwarded_until ON forwarded (until);
""",
)


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
        name = _short(whom)
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

    def forward(self, account: str, whom: str, message: str, now: float, bucket: Bucket) -> bool:
        """Whether an account may forward one more copy now; it is counted then, once.

        :param whom: to whom.
        :param message: queue id of what is forwarded.
        :param bucket: what it may forward.
        :raise sqlite3.Error: if it cannot be remembered.
        :raise OSError: likewise.
        """
        name = _short(whom)
        with self._transaction(durable=False) as base:
            there = "SELECT 1 FROM forwarded WHERE account = ? AND message = ? AND whom = ?"
            if base.execute(there, (account, message, name)).fetchone() is not None:
                return True
            kept = base.execute("SELECT level, at FROM pace WHERE account = ?", (account,)).fetchone()
            if bucket.wait(kept, now) > 0:
                return False
            base.execute("DELETE FROM forwarded WHERE until < ?", (now,))
            base.execute(
                "INSERT INTO forwarded VALUES (?, ?, ?, ?)", (account, message, name, now + _COUNTED)
            )
            base.execute("INSERT OR REPLACE INTO pace VALUES (?, ?, ?)", (account, *bucket.take(kept, now)))
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
    def _transaction(self, durable: bool = True) -> Iterator[sqlite3.Connection]:
        """A transaction.

        :param durable: whether it must survive a cut of the power, and not only of the process.
        """
        with self._lock:
            if self._base is None:
                self._base = _open(self._path)
            base = self._base
            base.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
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
        base.execute("BEGIN IMMEDIATE")
        (version,) = base.execute("PRAGMA user_version").fetchone()
        if version > len(_MIGRATIONS):
            raise sqlite3.DatabaseError(f"{path} is of a newer program")
        for migration in _MIGRATIONS[version:]:
            for statement in filter(str.strip, migration.split(";")):
                base.execute(statement)
        base.execute(f"PRAGMA user_version = {len(_MIGRATIONS)}")
        base.execute("COMMIT")
    except BaseException:
        base.close()
        raise
    return base


def _short(whom: str) -> bytes:
    return hashlib.sha256(whom.encode("utf-8", "surrogatepass")).digest()[:16]


def broken(state: Path) -> list[tuple[bytes, str]]:
    """Maildirs whose rules could not be used, with their accounts; they may have been mended since.

    :raise sqlite3.Error: if nobody can tell.
    """
    path = state / NAME
    if not os.path.exists(path):
        return []
    with closing(sqlite3.connect(uri_of(path, "ro"), uri=True, timeout=10)) as base:
        return base.execute("SELECT maildir, account FROM broken ORDER BY account").fetchall()
