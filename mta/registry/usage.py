"""How many recipients a tenant has sent to today, in UTC, all workers together.

A worker counts in memory and writes what it has counted a second later, with what the others have:
a limit may be exceeded by what passes in that second, and no message waits for a count.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mta.interfaces import TemporarilyUnavailable
from mta.registry.database import IDatabase
from mta.registry.schema import Tables

TABLES = Tables(
    "usage",
    (
        (
            """CREATE TABLE usage (
                day TEXT NOT NULL,
                tenant TEXT NOT NULL,
                recipients INTEGER NOT NULL,
                PRIMARY KEY (day, tenant)
            ) WITHOUT ROWID""",
        ),
    ),
)
#: Days that are kept.
_KEPT = 400
_DAY = 86400


class Usage:
    """Counts of this worker and, a second old, of the others.

    :param database: keeps them.
    :param reactor: gives the time.
    """

    log = Logger()

    def __init__(self, database: IDatabase, reactor: Any) -> None:
        self._database = database
        self._reactor = reactor
        self._day = ""
        self._known: dict[str, int] = {}
        self._counted: Counter[str] = Counter()
        self._writing: Counter[str] = Counter()
        self._later: Any = None

    async def today(self, tenant: str) -> int:
        """How many it has sent to today.

        :raise TemporarilyUnavailable: if that cannot be read.
        """
        self._turn()
        if tenant not in self._known:
            day = self._day
            found = await self._database.read(lambda base: _read(base, day, tenant))
            if day == self._day:
                self._known.setdefault(tenant, found)
        return self._known.get(tenant, 0) + self._counted[tenant] + self._writing[tenant]

    def add(self, tenant: str, count: int) -> None:
        """Count some, or with a negative number take some back."""
        self._turn()
        self._counted[tenant] += count
        if self._later is None:
            self._later = self._reactor.callLater(1.0, self._write_soon)

    async def write(self) -> None:
        """Write what was counted."""
        if self._later is not None and self._later.active():
            self._later.cancel()
        self._later = None
        if self._writing or not self._counted:
            return
        day = self._day
        self._writing, self._counted = self._counted, Counter()
        counted = dict(self._writing)
        try:
            known = await self._database.change(TABLES.noun, lambda base: _write(base, day, counted))
        except TemporarilyUnavailable:
            self._writing.update(self._counted)
            self._counted, self._writing = self._writing, Counter()
            self._later = self._reactor.callLater(10.0, self._write_soon)
            raise
        self._writing = Counter()
        if day == self._day:
            self._known.update(known)
        if self._counted and self._later is None:
            self._later = self._reactor.callLater(1.0, self._write_soon)

    def _write_soon(self) -> None:
        self._later = None
        written = Deferred.fromCoroutine(self.write())
        written.addErrback(
            lambda failure: self.log.error("What tenants sent is not counted: {why}", why=failure.value)
        )

    def _turn(self) -> None:
        day = datetime.fromtimestamp(self._reactor.seconds(), UTC).strftime("%Y-%m-%d")
        if day != self._day:
            self._day = day
            self._known.clear()


def until_midnight(now: float) -> float:
    """Seconds until the next day begins in UTC."""
    return _DAY - now % _DAY


def _read(base: sqlite3.Connection, day: str, tenant: str) -> int:
    row = base.execute("SELECT recipients FROM usage WHERE day = ? AND tenant = ?", (day, tenant)).fetchone()
    return row[0] if row else 0


def _write(base: sqlite3.Connection, day: str, counted: dict[str, int]) -> dict[str, int]:
    known = {}
    for tenant, count in counted.items():
        known[tenant] = base.execute(
            "INSERT INTO usage VALUES (?1, ?2, max(0, ?3)) ON CONFLICT (day, tenant)"
            " DO UPDATE SET recipients = max(0, recipients + ?3) RETURNING recipients",
            (day, tenant, count),
        ).fetchone()[0]
    base.execute("DELETE FROM usage WHERE day < date(?, ?)", (day, f"-{_KEPT} days"))
    return known
