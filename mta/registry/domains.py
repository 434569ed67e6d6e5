"""Domains that tenants send from.

Those of ``mta.toml`` belong to the tenant ``default``, unless they were given to another here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mta.config.settings import Settings
from mta.interfaces import Answer
from mta.model.a_labels import a_labels
from mta.registry.cached import Cached
from mta.registry.database import IDatabase
from mta.registry.schema import Tables
from mta.registry.tenants import DEFAULT

TABLES = Tables(
    "domains",
    (
        (
            """CREATE TABLE domains (
                name TEXT PRIMARY KEY,
                tenant TEXT NOT NULL,
                created REAL NOT NULL
            ) WITHOUT ROWID""",
            "CREATE INDEX domains_tenant ON domains (tenant, name)",
        ),
    ),
)


class DomainTaken(ValueError):
    """Another tenant has this domain."""


class NoDomain(LookupError):
    """The tenant has no such domain."""


@dataclass(frozen=True, slots=True)
class SendingDomain:
    """A domain that a tenant sends from.

    :ivar name: lower case, with A-labels.
    :ivar created: in seconds since 1970.
    """

    name: str
    tenant: str
    created: float = 0.0


def configured_domains(settings: Settings) -> list[str]:
    """The domains of the configuration, lower case, with A-labels."""
    found = []
    for name in settings.domains:
        try:
            found.append(a_labels(name))
        except UnicodeError:
            found.append(name.lower())
    return found


class SendingDomains:
    """The domains of all tenants.

    :param database: keeps them.
    :param configured: the domains of the configuration, lower case.
    """

    def __init__(self, database: IDatabase, configured: Iterable[str] = ()) -> None:
        self._database = database
        self._all = Cached(database, TABLES.noun, _all)
        self._configured: dict[str, SendingDomain] = {}
        self.use(configured)

    def use(self, configured: Iterable[str]) -> None:
        """Take other domains from the configuration."""
        self._configured = {name: SendingDomain(name, DEFAULT) for name in configured}

    def known(self) -> Answer[Mapping[str, SendingDomain]]:
        """Every domain that was given to a tenant, by name; ask :meth:`belongs` with it."""
        return self._all.get()

    def belongs(self, known: Mapping[str, SendingDomain], tenant: str, name: str) -> bool:
        """Whether a tenant may send from a domain.

        :param known: what :meth:`known` answers.
        :param name: lower case, with A-labels.
        """
        found = known.get(name) or self._configured.get(name)
        return found is not None and found.tenant == tenant

    async def of(self, tenant: str) -> list[SendingDomain]:
        """The domains of a tenant, by name."""
        given = await self._database.read(_all)
        found = {**self._configured, **given}
        return sorted(
            (domain for domain in found.values() if domain.tenant == tenant), key=lambda one: one.name
        )

    async def add(self, tenant: str, name: str, now: float) -> SendingDomain:
        """Give a tenant a domain.

        :param name: lower case, with A-labels.
        :raise DomainTaken: if another has it.
        """
        domain = SendingDomain(name, tenant, now)

        def work(base: sqlite3.Connection) -> SendingDomain:
            found = _all(base).get(name)
            if found is not None and found.tenant != tenant:
                raise DomainTaken(f"{name} belongs to another tenant")
            base.execute("INSERT OR REPLACE INTO domains VALUES (?, ?, ?)", (name, tenant, now))
            return domain

        return await self._database.change(TABLES.noun, work)

    async def remove(self, tenant: str, name: str) -> None:
        """Take a domain from a tenant.

        :raise NoDomain: if it has none of this name here; those of the configuration stay.
        """

        def work(base: sqlite3.Connection) -> None:
            done = base.execute("DELETE FROM domains WHERE name = ? AND tenant = ?", (name, tenant))
            if not done.rowcount:
                raise NoDomain(name)

        await self._database.change(TABLES.noun, work)


def _all(base: sqlite3.Connection) -> dict[str, SendingDomain]:
    rows = base.execute("SELECT name, tenant, created FROM domains")
    return {name: SendingDomain(name, tenant, created) for name, tenant, created in rows}
