"""Tenants: the customers of a server, each with keys, domains, limits and suppressions of its own."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from mta.interfaces import Answer
from mta.registry.cached import Cached
from mta.registry.database import IDatabase
from mta.registry.schema import Tables

#: The tenant that exists always; the domains of ``mta.toml`` are its.
DEFAULT = "default"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?")

TABLES = Tables(
    "tenants",
    (
        (
            """CREATE TABLE tenants (
                name TEXT PRIMARY KEY,
                created REAL NOT NULL,
                per_second REAL NOT NULL,
                per_day INTEGER NOT NULL,
                suspended TEXT NOT NULL,
                settings TEXT NOT NULL
            ) WITHOUT ROWID""",
        ),
    ),
)


class NoTenant(LookupError):
    """There is no such tenant."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """One customer of the server.

    :ivar name: lower case letters, digits, ``.``, ``_`` and ``-``; in messages, journal and settings.
    :ivar created: in seconds since 1970.
    :ivar per_second: recipients a second that it may send to; 0: as many as ``[api]`` says.
    :ivar per_day: the same for a day in UTC.
    :ivar suspended: why it may not send; ``""``: it may.
    :ivar settings: what parts of the API keep for it, JSON values by name.
    """

    name: str
    created: float = 0.0
    per_second: float = 0.0
    per_day: int = 0
    suspended: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)


def checked_name(name: str) -> str:
    """The name of a tenant.

    :raise ValueError: if it is none.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} is no name for a tenant: 1 to 63 of a-z, 0-9, '.', '_' and '-', and of these a letter"
            " or digit first and last"
        )
    return name


class Tenants:
    """All tenants.

    :param database: keeps them.
    """

    def __init__(self, database: IDatabase) -> None:
        self._database = database
        self._all = Cached(database, TABLES.noun, _all)

    def all(self) -> Answer[Mapping[str, Tenant]]:
        """By name; ``default`` is among them."""
        return self._all.get()

    async def add(self, tenant: Tenant) -> Tenant:
        """Make one.

        :raise ValueError: if there is one of this name, or this is no name.
        """
        checked_name(tenant.name)

        def work(base: sqlite3.Connection) -> Tenant:
            if tenant.name in _all(base):
                raise ValueError(f"there is a tenant {tenant.name} already")
            _write(base, tenant)
            return tenant

        return await self._database.change(TABLES.noun, work)

    async def change(self, name: str, **changes: Any) -> Tenant:
        """Set some of its fields; of ``settings`` only the names that are given.

        :raise NoTenant: if there is none.
        """

        def work(base: sqlite3.Connection) -> Tenant:
            found = _all(base).get(name)
            if found is None:
                raise NoTenant(name)
            settings = {**found.settings, **changes.pop("settings", {})}
            changed = replace(found, **changes, settings=settings)
            _write(base, changed)
            return changed

        return await self._database.change(TABLES.noun, work)

    async def remove(self, name: str) -> None:
        """Forget it; its keys and domains must be gone before.

        :raise NoTenant: if there is none.
        :raise ValueError: if it is ``default``.
        """
        if name == DEFAULT:
            raise ValueError("the tenant default exists always")

        def work(base: sqlite3.Connection) -> None:
            if not base.execute("DELETE FROM tenants WHERE name = ?", (name,)).rowcount:
                raise NoTenant(name)

        await self._database.change(TABLES.noun, work)


def _all(base: sqlite3.Connection) -> dict[str, Tenant]:
    found = {DEFAULT: Tenant(DEFAULT)}
    rows = base.execute("SELECT name, created, per_second, per_day, suspended, settings FROM tenants")
    for name, created, per_second, per_day, suspended, settings in rows:
        found[name] = Tenant(name, created, per_second, per_day, suspended, json.loads(settings))
    return found


def _write(base: sqlite3.Connection, tenant: Tenant) -> None:
    base.execute(
        "INSERT OR REPLACE INTO tenants VALUES (?, ?, ?, ?, ?, ?)",
        (
            tenant.name,
            tenant.created,
            tenant.per_second,
            tenant.per_day,
            tenant.suspended,
            json.dumps(dict(tenant.settings)),
        ),
    )
