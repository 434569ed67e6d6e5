"""Batches: requests with many recipients, each on disk with its queue ids before any message is.

A worker that dies in the midst of a batch goes on with it at its next start: by the queue ids it is
known which messages are there already.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta.registry.database import IDatabase
from mta.registry.schema import Tables

TABLES = Tables(
    "batches",
    (
        (
            """CREATE TABLE batches (
                tenant TEXT NOT NULL,
                id TEXT NOT NULL,
                shard INTEGER NOT NULL,
                created REAL NOT NULL,
                open INTEGER NOT NULL,
                facts TEXT NOT NULL,
                plan BLOB,
                people BLOB,
                PRIMARY KEY (tenant, id)
            )""",
            "CREATE INDEX batches_open ON batches (shard) WHERE open = 1",
            "CREATE INDEX batches_created ON batches (created)",
        ),
    ),
)
#: Old ones that are forgotten with each new one.
_FORGOTTEN = 5


class NoBatch(LookupError):
    """The tenant has no such batch."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One request.

    :ivar shard: of the worker that took it.
    :ivar created: in seconds since 1970.
    :ivar open: whether there is something left to do.
    :ivar facts: what is told of it: ``total``, ``accepted``, ``errors`` and so on, JSON values.
    """

    tenant: str
    id: str
    shard: int
    created: float
    open: bool = True
    facts: Mapping[str, Any] = field(default_factory=dict)


class Batches:
    """Those of all tenants.

    :param database: keeps them.
    :ivar keep: seconds for which it is remembered what became of one.
    """

    def __init__(self, database: IDatabase, keep: float = 30 * 86400.0) -> None:
        self._database = database
        self.keep = keep

    async def begin(self, batch: Batch, plan: bytes) -> None:
        """Keep one, with what is to be done; answers when it is on disk."""

        def work(base: sqlite3.Connection) -> None:
            base.execute(
                "DELETE FROM batches WHERE rowid IN (SELECT rowid FROM batches"
                " WHERE created < ? AND open = 0 ORDER BY created LIMIT ?)",
                (batch.created - self.keep, _FORGOTTEN),
            )
            base.execute(
                "INSERT INTO batches VALUES (?, ?, ?, ?, 1, ?, ?, NULL)",
                (batch.tenant, batch.id, batch.shard, batch.created, json.dumps(batch.facts), plan),
            )

        await self._database.change(TABLES.noun, work)

    async def note(
        self, tenant: str, identifier: str, facts: Mapping[str, Any], people: Sequence[Sequence[str]]
    ) -> None:
        """Keep how far one is, that stays open.

        :param people: see :meth:`end`.
        """
        query = "UPDATE batches SET facts = ?, people = ? WHERE tenant = ? AND id = ?"
        values = (json.dumps(facts), json.dumps(people), tenant, identifier)
        await self._database.change(TABLES.noun, lambda base: base.execute(query, values).rowcount)

    async def end(
        self, tenant: str, identifier: str, facts: Mapping[str, Any], people: Sequence[Sequence[str]]
    ) -> None:
        """Keep what became of one; what was to be done is forgotten.

        :param people: of each recipient the queue id, the address, and the state.
        """

        def work(base: sqlite3.Connection) -> None:
            base.execute(
                "UPDATE batches SET open = 0, plan = NULL, facts = ?, people = ? WHERE tenant = ? AND id = ?",
                (json.dumps(facts), json.dumps(people), tenant, identifier),
            )

        await self._database.change(TABLES.noun, work)

    async def people(self, tenant: str, identifier: str) -> list[list[str]]:
        """Of each recipient the queue id, the address, and the state; empty until all were tried.

        :raise NoBatch: if there is none.
        """
        query = "SELECT people FROM batches WHERE tenant = ? AND id = ?"

        def work(base: sqlite3.Connection) -> list[list[str]]:
            row = base.execute(query, (tenant, identifier)).fetchone()
            if row is None:
                raise NoBatch(identifier)
            return [] if row[0] is None else json.loads(row[0])

        return await self._database.read(work)

    async def forget(self, tenant: str) -> None:
        """Forget all of a tenant that is gone; what is open is not gone on with."""
        query = "DELETE FROM batches WHERE tenant = ?"
        await self._database.change(TABLES.noun, lambda base: base.execute(query, (tenant,)).rowcount)

    async def get(self, tenant: str, identifier: str) -> Batch:
        """One.

        :raise NoBatch: if there is none.
        """
        query = "SELECT shard, created, open, facts FROM batches WHERE tenant = ? AND id = ?"
        row = await self._database.read(lambda base: base.execute(query, (tenant, identifier)).fetchone())
        if row is None:
            raise NoBatch(identifier)
        return Batch(tenant, identifier, row[0], row[1], bool(row[2]), json.loads(row[3]))

    async def page(self, tenant: str, before: Sequence[Any], limit: int) -> list[Batch]:
        """Batches of a tenant, the last first.

        :param before: time and id of the last one of the page before; empty: the first page.
        """
        at, identifier = before or (float("inf"), "")
        query = (
            "SELECT id, shard, created, open, facts FROM batches"
            " WHERE tenant = ? AND (created, id) < (?, ?) ORDER BY created DESC, id DESC LIMIT ?"
        )
        values = (tenant, at, identifier, limit)
        rows = await self._database.read(lambda base: base.execute(query, values).fetchall())
        return [
            Batch(tenant, name, shard, created, bool(open_), json.loads(facts))
            for name, shard, created, open_, facts in rows
        ]

    async def left(self, shard: int) -> list[tuple[Batch, bytes]]:
        """What a worker of this shard has left to do, oldest first, with what is to be done."""
        columns = "tenant, id, created, facts, plan"
        query = f"SELECT {columns} FROM batches WHERE shard = ? AND open = 1 ORDER BY created"  # noqa: S608
        rows = await self._database.read(lambda base: base.execute(query, (shard,)).fetchall())
        return [
            (Batch(tenant, name, shard, created, True, json.loads(facts)), plan)
            for tenant, name, created, facts, plan in rows
        ]
