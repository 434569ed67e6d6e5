"""SQLite's write-ahead log, turned on where several open a file at the same moment.

Whoever turns it on needs the file for itself.  SQLite does not wait for that: of two that try together
one is told at once that the database is locked, whatever patience its connection has.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable

#: Seconds between two tries, at first and at the most.
_PAUSE, _LONGEST_PAUSE = 0.002, 0.05


def use_write_ahead(
    connection: sqlite3.Connection,
    patience: float = 10.0,
    seconds: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Have a database keep a write-ahead log.

    :param patience: seconds for which others may be in the way.
    :raise sqlite3.Error: if it cannot be, or others were in the way for so long.
    """
    until = seconds() + patience
    pause = _PAUSE
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if getattr(error, "sqlite_errorname", "") != "SQLITE_BUSY" or seconds() >= until:
                raise
        else:
            return
        sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
