"""Imports: files of contacts that are read piece by piece, across a crash, with what is wrong in them."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta.registry.database import IDatabase
from mta.registry.schema import Tables

#: Problems that are kept of one; all are counted.
MOST_PROBLEMS = 10_000
#: Seconds for which it is remembered what became of one.
KEEP = 30 * 86400.0

TABLES = Tables(
    "imports",
    (
        (
            """CREATE TABLE imports (
                id TEXT PRIMARY KEY,
                tenant TEXT NOT NULL,
                shard INTEGER NOT NULL,
                state TEXT NOT NULL,
                created REAL NOT NULL,
                finished REAL NOT NULL,
                who TEXT NOT NULL,
                options TEXT NOT NULL,
                line INTEGER NOT NULL,
                counts TEXT NOT NULL,
                trouble TEXT NOT NULL
            ) WITHOUT ROWID""",
            "CREATE INDEX imports_tenant ON imports (tenant, created, id)",
            "CREATE INDEX imports_running ON imports (state) WHERE state = 'running'",
            """CREATE TABLE import_problems (
                import TEXT NOT NULL,
                line INTEGER NOT NULL,
                detail TEXT NOT NULL,
                PRIMARY KEY (import, line)
            ) WITHOUT ROWID""",
        ),
    ),
)
_COLUMNS = "id, tenant, shard, state, created, finished, who, options, line, counts, trouble"
COUNTS = ("created", "changed", "unchanged", "wrong", "joined", "unsubscribed", "suppressed")


class NoImport(LookupError):
    """The tenant has no such import."""


@dataclass(frozen=True, slots=True)
class Import:
    """One import.

    :ivar shard: of the worker that took the file.
    :ivar state: ``running``, ``done``, ``stopped`` or ``failed``.
    :ivar created: in seconds since 1970.
    :ivar finished: likewise; 0: not yet.
    :ivar who: asked for it.
    :ivar options: how it is read, and what is done; JSON values.
    :ivar line: the last line that was read.
    :ivar counts: by the names of :data:`COUNTS`.
    :ivar trouble: why it failed.
    """

    id: str
    tenant: str
    shard: int
    state: str = "running"
    created: float = 0.0
    finished: float = 0.0
    who: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)
    trouble: str = ""


def new_id() -> str:
    """The name of an import."""
    return "im_" + secrets.token_hex(8)


def _import(row: Sequence[Any]) -> Import:
    return Import(*row[:7], json.loads(row[7]), row[8], json.loads(row[9]), row[10])  # type: ignore[call-arg]


# --- in somebody's transaction -----------------------------------------------


def get(base: sqlite3.Connection, tenant: str, identifier: str) -> Import:
    """One.

    :raise NoImport: if there is none.
    """
    query = f"SELECT {_COLUMNS} FROM imports WHERE id = ? AND tenant = ?"  # noqa: S608
    row = base.execute(query, (identifier, tenant)).fetchone()
    if row is None:
        raise NoImport(identifier)
    return _import(row)


def advance(
    base: sqlite3.Connection,
    identifier: str,
    line: int,
    counts: Mapping[str, int],
    problems: Iterable[tuple[int, str]],
) -> None:
    """Remember how far one is, in the transaction that keeps what was read."""
    base.execute(
        "UPDATE imports SET line = ?, counts = ? WHERE id = ?", (line, json.dumps(dict(counts)), identifier)
    )
    (known,) = base.execute("SELECT count(*) FROM import_problems WHERE import = ?", (identifier,)).fetchone()
    some = [(identifier, number, detail) for number, detail in problems][: max(0, MOST_PROBLEMS - known)]
    base.executemany("INSERT OR REPLACE INTO import_problems VALUES (?, ?, ?)", some)


class Imports:
    """Those of all tenants.

    :param database: keeps them.
    """

    def __init__(self, database: IDatabase) -> None:
        self._database = database

    async def begin(self, new: Import) -> None:
        """Keep one, and forget what is old."""
        values = (
            new.id, new.tenant, new.shard, new.state, new.created, new.finished, new.who,
            json.dumps(dict(new.options)), new.line, json.dumps(dict(new.counts)), new.trouble,
        )  # fmt: skip

        def work(base: sqlite3.Connection) -> None:
            old = "SELECT id FROM imports WHERE state <> 'running' AND created < ?"
            for (identifier,) in base.execute(old, (new.created - KEEP,)).fetchall():
                base.execute("DELETE FROM import_problems WHERE import = ?", (identifier,))
                base.execute("DELETE FROM imports WHERE id = ?", (identifier,))
            base.execute("INSERT INTO imports VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

        await self._database.change(TABLES.noun, work)

    async def get(self, tenant: str, identifier: str) -> Import:
        """One.

        :raise NoImport: if there is none.
        """
        return await self._database.read(lambda base: get(base, tenant, identifier))

    async def end(self, tenant: str, identifier: str, state: str, now: float, trouble: str = "") -> bool:
        """Nothing more is done for one; whether it was running.

        :raise NoImport: if there is none.
        """

        def work(base: sqlite3.Connection) -> bool:
            if get(base, tenant, identifier).state != "running":
                return False
            base.execute(
                "UPDATE imports SET state = ?, finished = ?, trouble = ? WHERE id = ?",
                (state, now, trouble, identifier),
            )
            return True

        return await self._database.change(TABLES.noun, work)

    async def running(self) -> list[Import]:
        """Those that are not at their end, the oldest first."""
        query = f"SELECT {_COLUMNS} FROM imports WHERE state = 'running' ORDER BY created"  # noqa: S608
        rows = await self._database.read(lambda base: base.execute(query).fetchall())
        return [_import(row) for row in rows]

    async def page(self, tenant: str, before: Sequence[Any], limit: int) -> list[Import]:
        """Some, the last first.

        :param before: time and id of the last one of the page before; empty: the first page.
        """
        query = (
            f"SELECT {_COLUMNS} FROM imports WHERE tenant = ? AND (created, id) < (?, ?)"  # noqa: S608
            " ORDER BY created DESC, id DESC LIMIT ?"
        )
        values = (tenant, *(before or (float("inf"), "")), limit)
        rows = await self._database.read(lambda base: base.execute(query, values).fetchall())
        return [_import(row) for row in rows]

    async def problems(self, tenant: str, identifier: str, after: int, limit: int) -> list[tuple[int, str]]:
        """Lines that could not be used, by number, and why.

        :raise NoImport: if there is none.
        """
        query = "SELECT line, detail FROM import_problems WHERE import = ? AND line > ? ORDER BY line LIMIT ?"

        def work(base: sqlite3.Connection) -> list[tuple[int, str]]:
            get(base, tenant, identifier)
            return base.execute(query, (identifier, after, limit)).fetchall()

        return await self._database.read(work)
