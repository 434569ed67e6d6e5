"""Suppressions: addresses to which a tenant, or the whole server, sends nothing more, and why.

An address may be there for several reasons; lifting one leaves the others.  The list may be long, so
it stays on disk: a message costs one look-up of all its recipients in the registry's thread, and
nothing at all while neither the tenant nor the server suppresses anybody.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta.interfaces import Answer, settle
from mta.model.a_labels import a_labels
from mta.model.address import AddressError, parse_address
from mta.registry.cached import Cached
from mta.registry.database import IDatabase
from mta.registry.schema import Tables

#: Why an address is suppressed; what stands first is told where there are several.
REASONS = ("complaint", "bounce", "unsubscribe", "manual")
#: In place of a tenant: for all of them; the operator's.
EVERYBODY = ""

_ORDER = {reason: number for number, reason in enumerate(REASONS)}
#: Addresses in one question.
_AT_ONCE = 400
#: Characters of what is kept as evidence.
_MOST_EVIDENCE = 4000

TABLES = Tables(
    "suppressions",
    (
        (
            """CREATE TABLE suppressions (
                tenant TEXT NOT NULL,
                address TEXT NOT NULL,
                reason TEXT NOT NULL,
                list TEXT NOT NULL,
                created REAL NOT NULL,
                evidence TEXT NOT NULL,
                PRIMARY KEY (tenant, address, reason, list)
            ) WITHOUT ROWID""",
            # How far the journal of each shard was read for bounces and complaints.
            "CREATE TABLE suppression_places (shard INTEGER PRIMARY KEY, event INTEGER NOT NULL)",
        ),
    ),
)


class NoSuppression(LookupError):
    """The tenant does not suppress this address."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """One reason to send nothing to an address.

    :ivar address: as :func:`checked_address` makes it.
    :ivar reason: of :data:`REASONS`.
    :ivar list: the list of mail that it is about; ``""``: all mail.
    :ivar created: in seconds since 1970.
    :ivar evidence: what it was told by: ``message``, ``event`` (its kind), ``class``, ``reply``, ``by``,
        ``note``.
    :ivar tenant: whose; :data:`EVERYBODY`: the server's.
    """

    address: str
    reason: str = "manual"
    list: str = ""
    created: float = 0.0
    evidence: Mapping[str, Any] = field(default_factory=dict)
    tenant: str = EVERYBODY

    @property
    def words(self) -> str:
        """Why, for a person."""
        why = {
            "complaint": "it has complained about mail",
            "bounce": "mail to it came back for good",
            "unsubscribe": "it has unsubscribed",
            "manual": "it was put on the list by hand",
        }[self.reason]
        said = self.evidence.get("reply") or self.evidence.get("note") or ""
        return f"{why}: {said}" if said else why


def checked_address(text: str) -> str:
    """An address as the list has it: all of it in lower case, the domain with A-labels.

    Hardly a mailbox tells ``Joe@`` from ``joe@``, and who complained as one means the other.

    :raise ValueError: if it is none.
    """
    try:
        address = parse_address(text.strip())
    except AddressError as error:
        raise ValueError(str(error)) from None
    if any(not character.isprintable() for character in text.strip()):
        raise ValueError(f"{text!r}: there is no such character in an address")
    domain = address.domain
    if not domain:
        raise ValueError(f"{text!r}: an address is local-part@domain")
    if not address.is_literal:
        try:
            domain = a_labels(domain)
        except UnicodeError:
            raise ValueError(f"{text!r}: {domain!r} is no domain") from None
    return str(type(address)(address.local, domain)).lower()


def folded(address: str) -> str:
    """The same for one that is valid, as fast as can be; one that is not stays as it is, in lower case."""
    if address.isascii() and "--" not in address:
        return address.lower()
    try:
        return checked_address(address)
    except ValueError:
        return address.lower()


class Suppressions:
    """The lists of all tenants.

    :param database: keeps them.
    """

    def __init__(self, database: IDatabase) -> None:
        self._database = database
        self._tenants = Cached(database, TABLES.noun, _tenants)

    # --- looking -------------------------------------------------------------

    def find(
        self, tenant: str, addresses: Iterable[str], mailing: str = ""
    ) -> Answer[Mapping[str, Suppression]]:
        """Who of these gets nothing from a tenant, with the gravest reason for each.

        What the operator suppresses for everybody is among it.

        :param addresses: as they stand in an envelope.
        :param mailing: the list that the message belongs to; ``""``: none.
        :return: by the addresses as they were given.
        :raise TemporarilyUnavailable: by the awaitable, if it cannot be told now.
        """
        tenants = self._tenants.get()
        if isinstance(tenants, frozenset) and not tenants & {tenant, EVERYBODY}:
            return {}
        return self._find(tenants, tenant, list(addresses), mailing)

    async def _find(
        self, tenants: Answer[frozenset[str]], tenant: str, addresses: list[str], mailing: str
    ) -> Mapping[str, Suppression]:
        if not await settle(tenants) & {tenant, EVERYBODY}:
            return {}
        given: dict[str, list[str]] = {}
        for address in addresses:
            given.setdefault(folded(address), []).append(address)

        def work(base: sqlite3.Connection) -> dict[str, Suppression]:
            found: dict[str, Suppression] = {}
            names = list(given)
            for start in range(0, len(names), _AT_ONCE):
                some = names[start : start + _AT_ONCE]
                query = (
                    f"SELECT {_COLUMNS} FROM suppressions WHERE tenant IN (?, ?)"  # noqa: S608
                    f" AND address IN ({','.join('?' * len(some))}) AND list IN ('', ?)"
                )
                for row in base.execute(query, (tenant, EVERYBODY, *some, mailing)):
                    one = _suppression(row)
                    before = found.get(one.address)
                    if before is None or _ORDER[one.reason] < _ORDER[before.reason]:
                        found[one.address] = one
            return found

        known = await self._database.read(work)
        return {address: one for name, one in known.items() for address in given[name]}

    async def of(self, tenant: str, address: str) -> list[Suppression]:
        """All reasons of one address, the gravest first; the operator's are not among them.

        :raise ValueError: if it is no address.
        """
        name = checked_address(address)
        query = f"SELECT {_COLUMNS} FROM suppressions WHERE tenant = ? AND address = ?"  # noqa: S608
        rows = await self._database.read(lambda base: base.execute(query, (tenant, name)).fetchall())
        return sorted(map(_suppression, rows), key=lambda one: (_ORDER[one.reason], one.list))

    async def page(
        self, tenant: str, after: Sequence[str] = (), limit: int = 100, reason: str = "", part: str = ""
    ) -> list[Suppression]:
        """Some of the list, by address.

        :param after: address, reason and list of the last one of the page before.
        :param reason: only for this one.
        :param part: only of this domain (``@example.org``) or address.
        """
        address, why, mailing = after or ("", "", "")
        query = (
            f"SELECT {_COLUMNS} FROM suppressions WHERE tenant = ?"  # noqa: S608
            " AND (address, reason, list) > (?, ?, ?)"
            " AND (? = '' OR reason = ?) AND (? = '' OR instr(address, ?))"
            " ORDER BY address, reason, list LIMIT ?"
        )
        wanted = part.strip().lower()
        values = (tenant, address, why, mailing, reason, reason, wanted, wanted, limit)
        rows = await self._database.read(lambda base: base.execute(query, values).fetchall())
        return [_suppression(row) for row in rows]

    # --- changing ------------------------------------------------------------

    async def add(self, tenant: str, entries: Iterable[Suppression]) -> list[Suppression]:
        """Put addresses on the list; what is there already keeps its date and evidence.

        :param entries: whose tenant does not count; addresses as :func:`checked_address` makes them.
        :return: those that are new.
        """
        some = list(entries)
        return await self._database.change(TABLES.noun, lambda base: _added(base, tenant, some))

    async def remove(
        self, tenant: str, address: str, reason: str = "", mailing: str | None = None
    ) -> list[Suppression]:
        """Take an address off the list; answers with what was there.

        :param reason: only for this one; ``""``: for all.
        :param mailing: only of this list; ``None``: of all.
        :raise ValueError: if it is no address.
        :raise NoSuppression: if nothing of it was there.
        """
        name = checked_address(address)

        def work(base: sqlite3.Connection) -> list[Suppression]:
            found = _removed(base, tenant, name, reason, mailing)
            if not found:
                raise NoSuppression(name)
            return found

        return await self._database.change(TABLES.noun, work)

    # --- what the journal tells ----------------------------------------------

    async def place(self, shard: int) -> int | None:
        """Up to which event the journal of a shard was read; ``None``: not at all."""
        query = "SELECT event FROM suppression_places WHERE shard = ?"
        row = await self._database.read(lambda base: base.execute(query, (shard,)).fetchone())
        return None if row is None else int(row[0])

    async def follow(
        self, shard: int, event: int, added: Sequence[Suppression], lifted: Sequence[Suppression] = ()
    ) -> list[Suppression]:
        """Take what the journal told up to an event, and remember that it was read so far.

        Both are in one transaction, so nothing is forgotten and nothing comes twice.

        :param added: with their tenants, in order.
        :param lifted: whose tenant, address, reason and list are taken off, if they are older.
        :return: those that are new.
        """

        def work(base: sqlite3.Connection) -> list[Suppression]:
            new = [one for entry in added for one in _added(base, entry.tenant, [entry])]
            for entry in lifted:
                base.execute(
                    "DELETE FROM suppressions WHERE tenant = ? AND address = ? AND reason = ? AND list = ?"
                    " AND created <= ?",
                    (entry.tenant, entry.address, entry.reason, entry.list, entry.created),
                )
            base.execute("INSERT OR REPLACE INTO suppression_places VALUES (?, ?)", (shard, event))
            return new

        # Who only remembers a place changes nothing that others have in memory.
        return await self._database.change(TABLES.noun, work)


_COLUMNS = "tenant, address, reason, list, created, evidence"


def _suppression(row: tuple[str, str, str, str, float, str]) -> Suppression:
    tenant, address, reason, mailing, created, evidence = row
    return Suppression(address, reason, mailing, created, json.loads(evidence), tenant)


def _added(base: sqlite3.Connection, tenant: str, entries: Sequence[Suppression]) -> list[Suppression]:
    new = []
    for one in entries:
        evidence = json.dumps(_bounded(one.evidence))
        done = base.execute(
            "INSERT OR IGNORE INTO suppressions VALUES (?, ?, ?, ?, ?, ?)",
            (tenant, one.address, one.reason, one.list, one.created, evidence),
        )
        if done.rowcount:
            new.append(one)
    return new


def _bounded(evidence: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value[:_MOST_EVIDENCE] if isinstance(value, str) else value
        for name, value in evidence.items()
        if value
    }


def _removed(
    base: sqlite3.Connection, tenant: str, address: str, reason: str, mailing: str | None
) -> list[Suppression]:
    where = "tenant = ? AND address = ? AND (? = '' OR reason = ?) AND (? IS NULL OR list = ?)"
    values = (tenant, address, reason, reason, mailing, mailing)
    rows = base.execute(f"SELECT {_COLUMNS} FROM suppressions WHERE {where}", values).fetchall()  # noqa: S608
    base.execute(f"DELETE FROM suppressions WHERE {where}", values)  # noqa: S608
    return [_suppression(row) for row in rows]


def _tenants(base: sqlite3.Connection) -> frozenset[str]:
    """Who suppresses anybody, without going through the table."""
    query = (
        "WITH RECURSIVE one(name) AS (SELECT min(tenant) FROM suppressions"
        " UNION ALL SELECT (SELECT min(tenant) FROM suppressions WHERE tenant > name) FROM one"
        " WHERE name IS NOT NULL) SELECT name FROM one WHERE name IS NOT NULL"
    )
    return frozenset(name for (name,) in base.execute(query))
