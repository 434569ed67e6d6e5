"""What contacts did, and what happened to what was sent to them: one fact a row, for as long as is set.

Facts of messages are folded from the journal (:mod:`mta.audience.watch`); events are those of the tenant's
own application.  Numbers of facts grow, so whoever waits for facts goes on after the last one they saw.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta.registry.database import IDatabase
from mta.registry.schema import Tables

#: What facts are about; ``event``: one of the tenant's application.
KINDS = ("delivered", "opened", "clicked", "bounced", "complained", "unsubscribed", "event")
#: Octets of the properties of one as JSON.
MOST_OCTETS = 8 * 1024
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_. :/-]{0,99}")
#: Facts that are forgotten in one transaction.
_FORGOTTEN = 2000

TABLES = Tables(
    "facts",
    (
        (
            """CREATE TABLE facts (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                tenant TEXT NOT NULL,
                contact INTEGER NOT NULL,
                kind TEXT NOT NULL,
                name TEXT NOT NULL,
                at REAL NOT NULL,
                message TEXT NOT NULL,
                campaign TEXT NOT NULL,
                list TEXT NOT NULL,
                properties TEXT NOT NULL,
                key TEXT NOT NULL
            )""",
            "CREATE INDEX facts_contact ON facts (contact, kind, at)",
            "CREATE INDEX facts_at ON facts (at)",
            "CREATE UNIQUE INDEX facts_key ON facts (tenant, key) WHERE key <> ''",
            # How far the journal of each shard was read.
            "CREATE TABLE fact_places (shard INTEGER PRIMARY KEY, event INTEGER NOT NULL)",
        ),
    ),
)
_COLUMNS = "id, tenant, contact, kind, name, at, message, campaign, list, properties"


@dataclass(frozen=True, slots=True)
class Fact:
    """One fact.

    :ivar id: number of the row; grows.
    :ivar contact: number of whom it is about.
    :ivar kind: of :data:`KINDS`.
    :ivar name: of an event; the target of a click; the class of a bounce.
    :ivar at: when, in seconds since 1970.
    :ivar message: queue id; ``""``: it is about none.
    :ivar campaign: of the message.
    :ivar list: that was left, or the message went to.
    :ivar properties: JSON values.
    """

    id: int
    tenant: str
    contact: int
    kind: str
    name: str
    at: float
    message: str = ""
    campaign: str = ""
    list: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)


def checked_name(name: str) -> str:
    """The name of an event.

    :raise ValueError: if it is none.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name: {name[:80]!r} is no name of an event: 1 to 100 letters, digits, '_', '.', ':', '/', '-'"
        )
    return name


def checked_properties(properties: Mapping[str, Any]) -> str:
    """Properties as they are kept.

    :raise ValueError: if they are too large, or hold what JSON has not.
    """
    try:
        text = json.dumps(properties, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        size = len(text.encode())
    except (ValueError, TypeError, RecursionError, UnicodeEncodeError) as error:
        raise ValueError(f"properties: {error}") from None
    if size > MOST_OCTETS:
        raise ValueError(f"properties: they have {size} octets as JSON, and may have {MOST_OCTETS}")
    return text


# --- in somebody's transaction -----------------------------------------------


def record(
    base: sqlite3.Connection,
    tenant: str,
    contact: int,
    kind: str,
    at: float,
    *,
    name: str = "",
    message: str = "",
    campaign: str = "",
    list: str = "",
    properties: Mapping[str, Any] | None = None,
    key: str = "",
) -> int:
    """Keep a fact; answers with its number.

    :param key: a tenant's fact with a key that is known is kept once; then this answers 0.
    :raise ValueError: if it cannot be kept.
    """
    if kind not in KINDS:
        raise ValueError(f"kind: it is one of {', '.join(KINDS)}")
    done = base.execute(
        "INSERT OR IGNORE INTO facts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            tenant,
            contact,
            kind,
            checked_name(name) if kind == "event" else name[:2000],
            at,
            message,
            campaign,
            list,
            checked_properties(properties or {}),
            key,
        ),
    )
    return int(done.lastrowid or 0) if done.rowcount else 0


def of(
    base: sqlite3.Connection,
    tenant: str,
    contact: int,
    *,
    kinds: Sequence[str] = (),
    since: float = 0.0,
    until: float = float("inf"),
    name: str = "",
    before: int = 0,
    limit: int = 1000,
) -> list[Fact]:
    """Facts of a contact, the last first.

    :param kinds: only of these; none: of all.
    :param before: of those of the time ``until`` only those before this number; 0: all.
    :param name: only of this name.
    """
    some = tuple(kinds) or KINDS
    query = (
        f"SELECT {_COLUMNS} FROM facts WHERE contact = ? AND tenant = ?"  # noqa: S608
        f" AND kind IN ({','.join('?' * len(some))}) AND at >= ? AND at <= ? AND (? = '' OR name = ?)"
        " AND (? = 0 OR at < ? OR id < ?)"
        " ORDER BY at DESC, id DESC LIMIT ?"
    )
    values = (contact, tenant, *some, since, until, name, name, before, until, before, limit)
    return [_fact(row) for row in base.execute(query, values)]


def after(base: sqlite3.Connection, number: int, limit: int = 1000) -> list[Fact]:
    """Facts of all tenants after one, by number."""
    query = f"SELECT {_COLUMNS} FROM facts WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
    return [_fact(row) for row in base.execute(query, (number, limit))]


def newest(base: sqlite3.Connection, tenant: str, kind: str, limit: int, looked: int) -> list[Fact]:
    """The newest facts of one kind, of all contacts of a tenant.

    :param looked: rows of all tenants that are looked at for it.
    """
    query = (
        f"SELECT {_COLUMNS} FROM facts WHERE id > ? AND tenant = ? AND kind = ?"  # noqa: S608
        " ORDER BY id DESC LIMIT ?"
    )
    return [_fact(row) for row in base.execute(query, (last(base) - looked, tenant, kind, limit))]


def last(base: sqlite3.Connection) -> int:
    """The number of the newest fact; 0: there is none."""
    row = base.execute("SELECT seq FROM sqlite_sequence WHERE name = 'facts'").fetchone()
    return 0 if row is None else int(row[0])


def erase(base: sqlite3.Connection, tenant: str, contact: int) -> None:
    """Forget all of a contact that is forgotten."""
    base.execute("DELETE FROM facts WHERE contact = ?", (contact,))


def forget(base: sqlite3.Connection, before: float, limit: int = _FORGOTTEN) -> int:
    """Forget some that are older; how many those were."""
    query = "DELETE FROM facts WHERE id IN (SELECT id FROM facts WHERE at < ? ORDER BY at LIMIT ?)"
    return base.execute(query, (before, limit)).rowcount


def _fact(row: Sequence[Any]) -> Fact:
    number, tenant, contact, kind, name, at, message, campaign, mailing, properties = row
    return Fact(number, tenant, contact, kind, name, at, message, campaign, mailing, json.loads(properties))


class Facts:
    """Those of all tenants.

    :param database: keeps them.
    """

    def __init__(self, database: IDatabase) -> None:
        self._database = database

    async def of(
        self,
        tenant: str,
        contact: int,
        *,
        kinds: Sequence[str] = (),
        since: float = 0.0,
        until: float = float("inf"),
        limit: int = 1000,
    ) -> list[Fact]:
        """See :func:`of`."""
        return await self._database.read(
            lambda base: of(base, tenant, contact, kinds=kinds, since=since, until=until, limit=limit)
        )

    async def record(self, tenant: str, contact: int, kind: str, at: float, **more: Any) -> int:
        """See :func:`record`."""
        return await self._database.change(
            TABLES.noun, lambda base: record(base, tenant, contact, kind, at, **more)
        )

    async def forget(self, before: float) -> int:
        """See :func:`forget`."""
        return await self._database.change(TABLES.noun, lambda base: forget(base, before))

    async def place(self, shard: int) -> int | None:
        """Up to which event the journal of a shard was read; ``None``: not at all."""
        query = "SELECT event FROM fact_places WHERE shard = ?"
        row = await self._database.read(lambda base: base.execute(query, (shard,)).fetchone())
        return None if row is None else int(row[0])
