"""Claims of tenants to domains, and what the DNS says of them.

Whoever can write into the zone of a domain may send from it.  A claim gives nothing and keeps nobody
out: several tenants may have one to the same domain, and the first that proves it gets the domain
(:mod:`mta.registry.domains`).
"""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace

from mta.registry.database import IDatabase
from mta.registry.schema import Tables

#: Claims that a tenant may have.
MOST = 200

TABLES = Tables(
    "verifications",
    (
        (
            """CREATE TABLE verifications (
                tenant TEXT NOT NULL,
                domain TEXT NOT NULL,
                token TEXT NOT NULL,
                tracking TEXT NOT NULL,
                created REAL NOT NULL,
                checked REAL NOT NULL,
                verified REAL NOT NULL,
                failing REAL NOT NULL,
                records TEXT NOT NULL,
                PRIMARY KEY (tenant, domain)
            ) WITHOUT ROWID""",
            "CREATE INDEX verifications_checked ON verifications (checked)",
        ),
    ),
)


class NoClaim(LookupError):
    """The tenant has no claim to this domain."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record of the DNS, and whether it is there.

    :ivar purpose: ``ownership``, ``spf``, ``dkim``, ``dmarc``, ``return_path`` or ``tracking``.
    :ivar name: where it is to be published.
    :ivar type: such as ``TXT``.
    :ivar value: what is to be published.
    :ivar state: ``good``, ``missing``, ``wrong``, or ``unknown`` where the DNS did not answer.
    :ivar said: what was found, in words.
    """

    purpose: str
    name: str
    type: str
    value: str
    state: str = "missing"
    said: str = ""


@dataclass(frozen=True, slots=True)
class Verification:
    """One claim.

    :ivar domain: lower case, with A-labels.
    :ivar token: what proves it.
    :ivar tracking: the host of links in its mail; ``""``: none of its own.
    :ivar created: in seconds since 1970.
    :ivar checked: when the DNS was asked last; 0: never.
    :ivar verified: when the tenant got the domain for it; 0: it did not, or the operator gave it.
    :ivar failing: since when a record that must be there is not; 0: it is, or never was.
    :ivar records: what is to be published, and what is there.
    """

    tenant: str
    domain: str
    token: str
    tracking: str = ""
    created: float = 0.0
    checked: float = 0.0
    verified: float = 0.0
    failing: float = 0.0
    records: tuple[Record, ...] = field(default_factory=tuple)

    def lacking(self, purposes: Sequence[str]) -> list[Record]:
        """What must be there, and is not."""
        return [one for one in self.records if one.purpose in purposes and one.state != "good"]


class Verifications:
    """The claims of all tenants.

    :param database: keeps them.
    """

    def __init__(self, database: IDatabase) -> None:
        self._database = database

    async def of(self, tenant: str) -> list[Verification]:
        """The claims of a tenant, by domain."""
        query = f"SELECT {_COLUMNS} FROM verifications WHERE tenant = ? ORDER BY domain"  # noqa: S608
        rows = await self._database.read(lambda base: base.execute(query, (tenant,)).fetchall())
        return [_verification(row) for row in rows]

    async def get(self, tenant: str, domain: str) -> Verification:
        """One claim.

        :raise NoClaim: if there is none.
        """
        return await self._database.read(lambda base: _own(base, tenant, domain))

    async def add(self, tenant: str, domain: str, now: float, tracking: str = "") -> Verification:
        """Claim a domain; a claim that there is keeps its token.

        :raise ValueError: if the tenant has too many.
        """
        made = Verification(tenant, domain, secrets.token_hex(16), tracking, now)

        def work(base: sqlite3.Connection) -> Verification:
            try:
                found = _own(base, tenant, domain)
            except NoClaim:
                query = "SELECT count(*) FROM verifications WHERE tenant = ?"
                (count,) = base.execute(query, (tenant,)).fetchone()
                if count >= MOST:
                    raise ValueError(f"there are {count} domains, and there may be {MOST}") from None
                found = made
            found = replace(found, tracking=tracking or found.tracking)
            _write(base, found)
            return found

        return await self._database.change(TABLES.noun, work)

    async def keep(self, verification: Verification) -> None:
        """Keep what the DNS said, if there is the claim still."""

        def work(base: sqlite3.Connection) -> None:
            try:
                _own(base, verification.tenant, verification.domain)
            except NoClaim:
                return
            _write(base, verification)

        await self._database.change(TABLES.noun, work)

    async def remove(self, tenant: str, domain: str) -> None:
        """Forget one.

        :raise NoClaim: if there is none.
        """

        def work(base: sqlite3.Connection) -> None:
            _own(base, tenant, domain)
            base.execute("DELETE FROM verifications WHERE tenant = ? AND domain = ?", (tenant, domain))

        await self._database.change(TABLES.noun, work)

    async def due(self, before: float, limit: int) -> list[Verification]:
        """Those that were not looked at for the longest time."""
        query = (
            f"SELECT {_COLUMNS} FROM verifications WHERE checked < ?"  # noqa: S608
            " ORDER BY checked LIMIT ?"
        )
        rows = await self._database.read(lambda base: base.execute(query, (before, limit)).fetchall())
        return [_verification(row) for row in rows]


_COLUMNS = "tenant, domain, token, tracking, created, checked, verified, failing, records"


def _verification(row: tuple[str, str, str, str, float, float, float, float, str]) -> Verification:
    tenant, domain, token, tracking, created, checked, verified, failing, records = row
    found = tuple(Record(**one) for one in json.loads(records))
    return Verification(tenant, domain, token, tracking, created, checked, verified, failing, found)


def _own(base: sqlite3.Connection, tenant: str, domain: str) -> Verification:
    query = f"SELECT {_COLUMNS} FROM verifications WHERE tenant = ? AND domain = ?"  # noqa: S608
    row = base.execute(query, (tenant, domain)).fetchone()
    if row is None:
        raise NoClaim(domain)
    return _verification(row)


def _write(base: sqlite3.Connection, one: Verification) -> None:
    base.execute(
        "INSERT OR REPLACE INTO verifications VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            one.tenant,
            one.domain,
            one.token,
            one.tracking,
            one.created,
            one.checked,
            one.verified,
            one.failing,
            json.dumps([asdict(record) for record in one.records]),
        ),
    )
