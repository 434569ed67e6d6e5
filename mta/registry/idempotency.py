"""Requests with an ``Idempotency-Key``: carried out once, and answered alike each time.

As the IETF's draft says: the same key with another request is an error, and so is one while the
first is under way.  What is reserved is on disk before anything is done, with the queue ids that
the request will use.  A worker that dies in between leaves its reservations to whoever is asked next,
who finds out by those ids what was done (:class:`Begun.before`).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mta.registry.database import IDatabase
from mta.registry.schema import Tables

TABLES = Tables(
    "idempotency",
    (
        (
            """CREATE TABLE idempotency (
                tenant TEXT NOT NULL,
                key TEXT NOT NULL,
                fingerprint BLOB NOT NULL,
                at REAL NOT NULL,
                owner TEXT NOT NULL,
                ids TEXT NOT NULL,
                status INTEGER NOT NULL,
                answer BLOB NOT NULL,
                PRIMARY KEY (tenant, key)
            ) WITHOUT ROWID""",
            "CREATE INDEX idempotency_at ON idempotency (at)",
            "CREATE INDEX idempotency_owner ON idempotency (owner) WHERE status = 0",
        ),
    ),
)
#: Old entries that are forgotten with each new one.
_FORGOTTEN = 20


class Busy(Exception):
    """The same request is under way."""


class Mismatch(Exception):
    """The key was used for another request."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The request was answered before."""

    status: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Begun:
    """The request is to be carried out now.

    :ivar before: queue ids of an attempt that was broken off: those that are in the journal were done.
    """

    before: tuple[str, ...] = ()


class Idempotency:
    """All reservations.

    :param database: keeps them.
    :param owner: who makes them: ``<shard>:<start>``.
    :param keep: seconds for which the same answer is given.
    """

    log = Logger()

    def __init__(self, database: IDatabase, owner: str, keep: float) -> None:
        self._database = database
        self._owner = owner
        self.keep = keep

    async def adopt(self) -> None:
        """Leave what an earlier worker of this shard had reserved to whoever is asked next."""
        shard = self._owner.partition(":")[0]

        def work(base: sqlite3.Connection) -> None:
            base.execute(
                "UPDATE idempotency SET owner = '' WHERE status = 0 AND owner >= ?1 || ':'"
                " AND owner < ?1 || ';' AND owner <> ?2",
                (shard, self._owner),
            )

        await self._database.change(TABLES.noun, work)

    async def begin(
        self, tenant: str, key: str, fingerprint: bytes, ids: Sequence[str], now: float
    ) -> Begun | Answered:
        """Reserve a request.

        :param fingerprint: of everything that was asked.
        :param ids: queue ids that it will use.
        :raise Busy: if it is under way.
        :raise Mismatch: if another request has this key.
        """

        def work(base: sqlite3.Connection) -> Begun | Answered:
            base.execute(
                "DELETE FROM idempotency WHERE (tenant, key) IN"
                " (SELECT tenant, key FROM idempotency WHERE at < ? ORDER BY at LIMIT ?)",
                (now - self.keep, _FORGOTTEN),
            )
            row = base.execute(
                "SELECT fingerprint, at, owner, ids, status, answer FROM idempotency"
                " WHERE tenant = ? AND key = ?",
                (tenant, key),
            ).fetchone()
            before: tuple[str, ...] = ()
            if row is not None and row[1] >= now - self.keep:
                known, _, owner, old, status, answer = row
                if known != fingerprint:
                    raise Mismatch
                if status:
                    return Answered(status, answer)
                if owner:
                    raise Busy
                before = tuple(json.loads(old))
            base.execute(
                "INSERT OR REPLACE INTO idempotency VALUES (?, ?, ?, ?, ?, ?, 0, x'')",
                (tenant, key, fingerprint, now, self._owner, json.dumps([*before, *ids])),
            )
            return Begun(before)

        return await self._database.change(TABLES.noun, work)

    def keep_soon(self, tenant: str, key: str, status: int, answer: bytes) -> None:
        """Keep the answer, without anybody who waits for it."""
        kept = Deferred.fromCoroutine(self.end(tenant, key, status, answer))
        kept.addErrback(lambda failure: self.log.failure("The answer to a request was not kept", failure))

    async def end(self, tenant: str, key: str, status: int, answer: bytes) -> None:
        """Keep the answer."""

        def work(base: sqlite3.Connection) -> None:
            base.execute(
                "UPDATE idempotency SET status = ?, answer = ?, ids = '[]' WHERE tenant = ? AND key = ?",
                (status, answer, tenant, key),
            )

        await self._database.change(TABLES.noun, work)

    async def leave(self, tenant: str, key: str) -> None:
        """Nobody knows what was done; whoever is asked next finds out."""

        def work(base: sqlite3.Connection) -> None:
            base.execute(
                "UPDATE idempotency SET owner = '' WHERE tenant = ? AND key = ? AND status = 0", (tenant, key)
            )

        await self._database.change(TABLES.noun, work)

    async def forget(self, tenant: str, key: str) -> None:
        """Nothing was done; the request may be sent again."""

        def work(base: sqlite3.Connection) -> None:
            base.execute("DELETE FROM idempotency WHERE tenant = ? AND key = ?", (tenant, key))

        await self._database.change(TABLES.noun, work)
