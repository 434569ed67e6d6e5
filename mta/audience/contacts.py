"""The contacts of all tenants, and the hashes of those who are never to come back."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from mta.audience.contact import Contact, NoContact, checked, checked_attributes, encoded, kept_address
from mta.registry.database import IDatabase
from mta.registry.schema import Tables
from mta.registry.suppressions import checked_address

TABLES = Tables(
    "contacts",
    (
        (
            # AUTOINCREMENT: the number of one who was erased is never another's.
            """CREATE TABLE contacts (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                tenant TEXT NOT NULL,
                address TEXT NOT NULL,
                name TEXT NOT NULL,
                attributes TEXT NOT NULL,
                time_zone TEXT NOT NULL,
                locale TEXT NOT NULL,
                channel TEXT NOT NULL,
                webhook TEXT NOT NULL,
                source TEXT NOT NULL,
                consented REAL NOT NULL,
                created REAL NOT NULL,
                changed REAL NOT NULL
            )""",
            "CREATE UNIQUE INDEX contacts_address ON contacts (tenant, address)",
            "CREATE INDEX contacts_id ON contacts (tenant, id)",
            # Of whom was erased: a hash, so that nobody is imported again who wants to be forgotten.
            """CREATE TABLE erased (
                tenant TEXT NOT NULL,
                hash BLOB NOT NULL,
                at REAL NOT NULL,
                PRIMARY KEY (tenant, hash)
            ) WITHOUT ROWID""",
        ),
    ),
)
COLUMNS = (
    "contacts.id, contacts.tenant, contacts.address, contacts.name, contacts.attributes, contacts.time_zone,"
    " contacts.locale, contacts.channel, contacts.webhook, contacts.source, contacts.consented,"
    " contacts.created, contacts.changed"
)
#: Numbers in one ``IN (...)``.
_AT_ONCE = 500

#: Is told in the transaction in which somebody is forgotten.
Erasing = Callable[[sqlite3.Connection, str, int], None]


class Erased(ValueError):
    """Somebody of this address was erased and is not to come back."""

    def __init__(self, address: str) -> None:
        super().__init__(f"address: {address} was erased, and is to stay so")


def contact_of(row: Sequence[Any]) -> Contact:
    """A contact from its row, with the columns of :data:`COLUMNS`."""
    return Contact(
        id=row[0],
        tenant=row[1],
        address=row[2],
        name=row[3],
        attributes=json.loads(row[4]),
        time_zone=row[5],
        locale=row[6],
        channel=row[7],
        webhook=row[8],
        source=row[9],
        consented=row[10],
        created=row[11],
        changed=row[12],
    )


# --- in somebody's transaction -----------------------------------------------


def get(base: sqlite3.Connection, tenant: str, identifier: int) -> Contact | None:
    """One by its number."""
    query = f"SELECT {COLUMNS} FROM contacts WHERE id = ? AND tenant = ?"  # noqa: S608
    row = base.execute(query, (identifier, tenant)).fetchone()
    return None if row is None else contact_of(row)


def find(base: sqlite3.Connection, tenant: str, address: str) -> Contact | None:
    """One by its address.

    :param address: as :func:`~mta.registry.suppressions.checked_address` makes it.
    """
    query = f"SELECT {COLUMNS} FROM contacts WHERE tenant = ? AND address = ?"  # noqa: S608
    row = base.execute(query, (tenant, address)).fetchone()
    return None if row is None else contact_of(row)


def some(base: sqlite3.Connection, tenant: str, identifiers: Iterable[int]) -> dict[int, Contact]:
    """Several, by their numbers; those that are not there are left out."""
    wanted, found = list(identifiers), {}
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        marks = ",".join("?" * len(part))
        query = f"SELECT {COLUMNS} FROM contacts WHERE tenant = ? AND id IN ({marks})"  # noqa: S608
        for row in base.execute(query, (tenant, *part)):
            found[row[0]] = contact_of(row)
    return found


def put(
    base: sqlite3.Connection, tenant: str, contact: Contact, now: float, merge: bool = True
) -> tuple[Contact, bool]:
    """Make a contact, or change the one of this address.

    :param contact: as :func:`~mta.audience.contact.checked` makes it, but that attributes which are
        ``None`` are taken away from one that is there.
    :param merge: keep of one that is there what is empty in the new one; attributes that it does not
        name stay.
    :return: the contact as it is kept, and whether it is new.
    :raise Erased: if the person is never to come back.
    :raise ValueError: if a field is wrong.
    """
    before = find(base, tenant, kept_address(contact.address))
    if before is None:
        new = replace(checked(contact), tenant=tenant, created=now, changed=now, id=0)
        if is_erased(base, tenant, new.address):
            raise Erased(new.address)
        done = base.execute(
            "INSERT INTO contacts VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (tenant, new.address, *_values(new), now, now),
        )
        return replace(new, id=int(done.lastrowid or 0)), True
    after = _merged(before, contact) if merge else contact
    after = replace(checked(after), tenant=tenant, id=before.id, created=before.created, changed=now)
    if replace(after, changed=before.changed) == before:
        return before, False
    return _write(base, after), False


def _merged(before: Contact, contact: Contact) -> Contact:
    return Contact(
        address=contact.address,
        name=contact.name or before.name,
        attributes={**before.attributes, **contact.attributes},
        time_zone=contact.time_zone or before.time_zone,
        locale=contact.locale or before.locale,
        channel=contact.channel if contact.webhook or contact.channel != "mail" else before.channel,
        webhook=contact.webhook or before.webhook,
        # The consent that is known is kept: it is the evidence.
        source=before.source or contact.source,
        consented=before.consented or contact.consented,
    )


def _values(contact: Contact) -> tuple[Any, ...]:
    return (
        contact.name,
        encoded(contact.attributes),
        contact.time_zone,
        contact.locale,
        contact.channel,
        contact.webhook,
        contact.source,
        contact.consented,
    )


def _write(base: sqlite3.Connection, contact: Contact) -> Contact:
    base.execute(
        "UPDATE contacts SET name = ?, attributes = ?, time_zone = ?, locale = ?, channel = ?, webhook = ?,"
        " source = ?, consented = ?, changed = ? WHERE id = ?",
        (*_values(contact), contact.changed, contact.id),
    )
    return contact


def set_attributes(
    base: sqlite3.Connection, tenant: str, identifier: int, changes: Mapping[str, Any], now: float
) -> Contact:
    """Change some attributes.

    :param changes: ``None`` takes one away.
    :raise NoContact: if there is no such contact.
    :raise ValueError: if they cannot be kept.
    """
    before = get(base, tenant, identifier)
    if before is None:
        raise NoContact(str(identifier))
    attributes = checked_attributes({**before.attributes, **changes})
    if attributes == before.attributes:
        return before
    return _write(base, replace(before, attributes=attributes, changed=now))


def erase(
    base: sqlite3.Connection,
    tenant: str,
    address: str,
    now: float,
    *,
    keep_hash: bool,
    erasing: Iterable[Erasing] = (),
) -> bool:
    """Forget a person.

    :param keep_hash: remember a hash of the address, so that the person is not imported again.
    :param erasing: forget what else is known of them, in the same transaction.
    :return: whether there was anybody.
    """
    found = find(base, tenant, address)
    if keep_hash:
        base.execute("INSERT OR IGNORE INTO erased VALUES (?, ?, ?)", (tenant, _hash(tenant, address), now))
    if found is None:
        return False
    for forget in erasing:
        forget(base, tenant, found.id)
    base.execute("DELETE FROM contacts WHERE id = ?", (found.id,))
    return True


def is_erased(base: sqlite3.Connection, tenant: str, address: str) -> bool:
    """Whether somebody of this address is never to come back."""
    query = "SELECT 1 FROM erased WHERE tenant = ? AND hash = ?"
    return base.execute(query, (tenant, _hash(tenant, address))).fetchone() is not None


def readmit(base: sqlite3.Connection, tenant: str, address: str) -> bool:
    """Let somebody come back who was erased; whether there was such a hash."""
    query = "DELETE FROM erased WHERE tenant = ? AND hash = ?"
    return base.execute(query, (tenant, _hash(tenant, address))).rowcount > 0


def _hash(tenant: str, address: str) -> bytes:
    return hashlib.sha256(f"{tenant}\n{address}".encode()).digest()


class Contacts:
    """Those of all tenants.

    :param database: keeps them.
    :param erasing: forget what else is known of somebody.
    """

    def __init__(self, database: IDatabase, erasing: Iterable[Erasing] = ()) -> None:
        self._database = database
        self._erasing = erasing

    async def get(self, tenant: str, identifier: int) -> Contact | None:
        """One by its number."""
        return await self._database.read(lambda base: get(base, tenant, identifier))

    async def find(self, tenant: str, address: str) -> Contact | None:
        """One by its address.

        :raise ValueError: if it is no address.
        """
        name = checked_address(address)
        return await self._database.read(lambda base: find(base, tenant, name))

    async def page(self, tenant: str, after: str = "", limit: int = 100, part: str = "") -> list[Contact]:
        """Some, by address.

        :param after: the address of the last one of the page before.
        :param part: only those with this in their address.
        """
        query = (
            f"SELECT {COLUMNS} FROM contacts WHERE tenant = ? AND address > ?"  # noqa: S608
            " AND (? = '' OR instr(address, ?)) ORDER BY address LIMIT ?"
        )
        wanted = part.strip().lower()
        values = (tenant, after, wanted, wanted, limit)
        rows = await self._database.read(lambda base: base.execute(query, values).fetchall())
        return [contact_of(row) for row in rows]

    async def count(self, tenant: str) -> int:
        """How many a tenant has."""
        query = "SELECT count(*) FROM contacts WHERE tenant = ?"
        (count,) = await self._database.read(lambda base: base.execute(query, (tenant,)).fetchone())
        return int(count)

    async def put(
        self, tenant: str, contact: Contact, now: float, merge: bool = True
    ) -> tuple[Contact, bool]:
        """See :func:`put`."""
        return await self._database.change(TABLES.noun, lambda base: put(base, tenant, contact, now, merge))

    async def set_attributes(
        self, tenant: str, identifier: int, changes: Mapping[str, Any], now: float
    ) -> Contact:
        """See :func:`set_attributes`."""
        return await self._database.change(
            TABLES.noun, lambda base: set_attributes(base, tenant, identifier, changes, now)
        )

    async def erase(self, tenant: str, address: str, now: float, *, keep_hash: bool = False) -> bool:
        """See :func:`erase`.

        :raise ValueError: if it is no address.
        """
        name = checked_address(address)
        return await self._database.change(
            TABLES.noun,
            lambda base: erase(base, tenant, name, now, keep_hash=keep_hash, erasing=self._erasing),
        )

    async def readmit(self, tenant: str, address: str) -> bool:
        """See :func:`readmit`.

        :raise ValueError: if it is no address.
        """
        name = checked_address(address)
        return await self._database.change(TABLES.noun, lambda base: readmit(base, tenant, name))
