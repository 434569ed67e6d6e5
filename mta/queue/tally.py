"""How many messages of today each source has sent where: one small database for all workers.

A worker takes some of a day's messages at once (a *lease*), and gives back what it did not need.
What it holds when it is killed counts as sent: a day may have a little less than its plan allows,
and never more.  All methods block, and are for threads.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

#: Days for which counts are kept.
KEPT = 14
#: Seconds to wait for another worker.
_PATIENCE = 20.0
#: Stands for all sites together.
_ALL = ""


class Tally:
    """See the module.

    :param path: the file; ``None``: in memory, for one process.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept: sqlite3.Connection | None = None

    def lease(
        self, source: str, site: str, day: int, count: int, total: int | None, per_site: int | None
    ) -> int:
        """Take some of a day's messages.

        :param day: since 1970.
        :param count: at the most.
        :param total: messages of the day in all; ``None``: no limit.
        :param per_site: messages of the day to this site; likewise.
        :return: how many; 0 if there are none left.
        :raise sqlite3.Error: if it cannot be kept; then there are none.
        """
        with self._writing() as connection:
            connection.execute("DELETE FROM sent WHERE day < ?", (day - KEPT,))
            for place, limit in ((_ALL, total), (site, per_site)):
                if limit is not None:
                    count = min(count, limit - self._count(connection, source, place, day))
            if count <= 0:
                return 0
            self._add(connection, source, site, day, count)
        return count

    def give_back(self, source: str, site: str, day: int, count: int) -> None:
        """Some were not sent.

        :raise sqlite3.Error: if it cannot be kept.
        """
        with self._writing() as connection:
            self._add(connection, source, site, day, -count)

    def counts(self, day: int) -> dict[tuple[str, str], int]:
        """Messages of a day by source and site, those included that somebody holds a lease for.

        :raise sqlite3.Error: if it cannot be read.
        """
        with self._writing() as connection:
            rows = connection.execute("SELECT source, site, count FROM sent WHERE day = ?", (day,)).fetchall()
        return {(source, site): count for source, site, count in rows}

    @staticmethod
    def _count(connection: sqlite3.Connection, source: str, site: str, day: int) -> int:
        row = connection.execute(
            "SELECT count FROM sent WHERE day = ? AND source = ? AND site = ?", (day, source, site)
        ).fetchone()
        return int(row[0]) if row else 0

    @staticmethod
    def _add(connection: sqlite3.Connection, source: str, site: str, day: int, count: int) -> None:
        connection.executemany(
            "INSERT INTO sent VALUES (?1, ?2, ?3, max(0, ?4))"
            " ON CONFLICT DO UPDATE SET count = max(0, count + ?4)",
            [(day, source, place, count) for place in (_ALL, site)],
        )

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction that no other worker is in the way of."""
        if self._path is None:
            if self._kept is None:
                self._kept = _made(sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None))
            with _transaction(self._kept) as connection:
                yield connection
            return
        connection = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None)
        with closing(connection), _transaction(_made(connection)) as connection:
            yield connection


def _made(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS sent (day INTEGER, source TEXT, site TEXT, count INTEGER NOT NULL,"
        " PRIMARY KEY (day, source, site)) WITHOUT ROWID"
    )
    return connection


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
