"""Lists: what a tenant sends to many, which people join and leave one by one."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from mta.audience.contact import checked_text
from mta.registry.database import IDatabase
from mta.registry.schema import Tables

#: Lists that a tenant may have.
MOST = 1000
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")

TABLES = Tables(
    "lists",
    (
        (
            """CREATE TABLE lists (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                tenant TEXT NOT NULL,
                name TEXT NOT NULL,
                title TEXT NOT NULL,
                description TEXT NOT NULL,
                opt_in TEXT NOT NULL,
                public INTEGER NOT NULL,
                confirmation TEXT NOT NULL,
                created REAL NOT NULL,
                changed REAL NOT NULL
            )""",
            "CREATE UNIQUE INDEX lists_name ON lists (tenant, name)",
        ),
    ),
)
_COLUMNS = "id, tenant, name, title, description, opt_in, public, confirmation, created, changed"


class NoList(LookupError):
    """The tenant has no such list."""


@dataclass(frozen=True, slots=True)
class MailingList:
    """One list.

    :ivar name: lower case letters, digits, ``.``, ``_`` and ``-``; it stands in suppressions, and as
        ``unsubscribe`` in messages that go to the list.
    :ivar title: for those who are on it; without one it is the name.
    :ivar description: likewise.
    :ivar opt_in: ``single``, or ``double``: who joins must confirm it by a link in a mail.
    :ivar public: whether pages show it to whoever has a link of the tenant's.
    :ivar confirmation: how that mail is made; JSON values.
    :ivar created: in seconds since 1970.
    :ivar changed: likewise.
    """

    name: str
    title: str = ""
    description: str = ""
    opt_in: Literal["single", "double"] = "single"
    public: bool = False
    confirmation: Mapping[str, Any] = field(default_factory=dict)
    created: float = 0.0
    changed: float = 0.0
    id: int = 0
    tenant: str = ""

    @property
    def words(self) -> str:
        """What it is called for people."""
        return self.title or self.name


def checked_name(name: str, noun: str) -> str:
    """The name of a list or the like, which stands in links and paths.

    :param noun: what it is of.
    :raise ValueError: if it is none.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"name: {name[:80]!r} is no name of a {noun}: 1 to 63 of a-z, 0-9, '.', '_' and '-', and of"
            " these a letter or digit first and last"
        )
    return name


def checked_list(mailing: MailingList) -> MailingList:
    """A list as it is kept.

    :raise ValueError: with the name of the field, and what is wrong with it.
    """
    checked_name(mailing.name, "list")
    if mailing.opt_in not in ("single", "double"):
        raise ValueError("opt_in: it is single or double")
    return replace(
        mailing,
        title=checked_text(mailing.title, "title", 200),
        description=checked_text(mailing.description, "description", 1000),
    )


def _list(row: Sequence[Any]) -> MailingList:
    return MailingList(
        id=row[0],
        tenant=row[1],
        name=row[2],
        title=row[3],
        description=row[4],
        opt_in=row[5],
        public=bool(row[6]),
        confirmation=json.loads(row[7]),
        created=row[8],
        changed=row[9],
    )


# --- in somebody's transaction -----------------------------------------------


def find(base: sqlite3.Connection, tenant: str, name: str) -> MailingList | None:
    """One by its name."""
    query = f"SELECT {_COLUMNS} FROM lists WHERE tenant = ? AND name = ?"  # noqa: S608
    row = base.execute(query, (tenant, name)).fetchone()
    return None if row is None else _list(row)


def existing(base: sqlite3.Connection, tenant: str, name: str) -> MailingList:
    """One by its name.

    :raise NoList: if there is none.
    """
    found = find(base, tenant, name)
    if found is None:
        raise NoList(name)
    return found


def all_of(base: sqlite3.Connection, tenant: str) -> list[MailingList]:
    """All of a tenant, by name."""
    query = f"SELECT {_COLUMNS} FROM lists WHERE tenant = ? ORDER BY name"  # noqa: S608
    return [_list(row) for row in base.execute(query, (tenant,))]


def put(base: sqlite3.Connection, tenant: str, mailing: MailingList, now: float) -> tuple[MailingList, bool]:
    """Make a list, or change the one of this name.

    :return: the list as it is kept, and whether it is new.
    :raise ValueError: if it cannot be kept.
    """
    wanted = checked_list(mailing)
    before = find(base, tenant, wanted.name)
    if before is None:
        (count,) = base.execute("SELECT count(*) FROM lists WHERE tenant = ?", (tenant,)).fetchone()
        if count >= MOST:
            raise ValueError(f"there are {count} lists, and there may be {MOST}")
    made = replace(
        wanted,
        tenant=tenant,
        created=before.created if before else now,
        changed=now,
        id=before.id if before else 0,
    )
    values = (
        made.title,
        made.description,
        made.opt_in,
        made.public,
        json.dumps(dict(made.confirmation)),
        made.created,
        now,
    )
    if before:
        base.execute(
            "UPDATE lists SET title = ?, description = ?, opt_in = ?, public = ?, confirmation = ?,"
            " created = ?, changed = ? WHERE id = ?",
            (*values, before.id),
        )
        return made, False
    done = base.execute(
        "INSERT INTO lists VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?)", (tenant, made.name, *values)
    )
    return replace(made, id=int(done.lastrowid or 0)), True


class Lists:
    """Those of all tenants.

    :param database: keeps them.
    """

    def __init__(self, database: IDatabase) -> None:
        self._database = database

    async def find(self, tenant: str, name: str) -> MailingList | None:
        """One by its name."""
        return await self._database.read(lambda base: find(base, tenant, name))

    async def all_of(self, tenant: str) -> list[MailingList]:
        """All of a tenant, by name."""
        return await self._database.read(lambda base: all_of(base, tenant))

    async def page(self, tenant: str, after: str = "", limit: int = 100) -> list[MailingList]:
        """Some, by name.

        :param after: the name of the last one of the page before.
        """
        query = f"SELECT {_COLUMNS} FROM lists WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?"  # noqa: S608
        rows = await self._database.read(lambda base: base.execute(query, (tenant, after, limit)).fetchall())
        return [_list(row) for row in rows]

    async def put(self, tenant: str, mailing: MailingList, now: float) -> tuple[MailingList, bool]:
        """See :func:`put`."""
        return await self._database.change(TABLES.noun, lambda base: put(base, tenant, mailing, now))

    async def remove(self, tenant: str, name: str) -> MailingList:
        """Forget a list, and who is on it; who has left it stays on the suppression list.

        :raise NoList: if there is none.
        """

        def work(base: sqlite3.Connection) -> MailingList:
            found = existing(base, tenant, name)
            base.execute("DELETE FROM memberships WHERE list = ?", (found.id,))
            base.execute("DELETE FROM membership_history WHERE list = ?", (found.id,))
            base.execute("DELETE FROM confirmations WHERE list = ?", (found.id,))
            base.execute("DELETE FROM lists WHERE id = ?", (found.id,))
            return found

        return await self._database.change(TABLES.noun, work)
