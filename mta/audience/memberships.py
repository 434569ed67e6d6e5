"""Who is on which list, since when, and how they came there and left: the evidence of consent."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mta.audience import lists
from mta.audience.contact import Contact
from mta.audience.contacts import COLUMNS, contact_of
from mta.audience.lists import MailingList
from mta.registry.database import IDatabase
from mta.registry.schema import Tables

State = Literal["pending", "subscribed", "unsubscribed"]
STATES: tuple[State, ...] = ("pending", "subscribed", "unsubscribed")
#: Characters of what is kept as evidence.
_MOST_EVIDENCE = 2000
#: Steps of one membership that are kept: the newest.
MOST_HISTORY = 100

TABLES = Tables(
    "memberships",
    (
        (
            """CREATE TABLE memberships (
                list INTEGER NOT NULL,
                contact INTEGER NOT NULL,
                state TEXT NOT NULL,
                since REAL NOT NULL,
                source TEXT NOT NULL,
                PRIMARY KEY (list, contact)
            ) WITHOUT ROWID""",
            "CREATE INDEX memberships_contact ON memberships (contact)",
            """CREATE TABLE membership_history (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                contact INTEGER NOT NULL,
                list INTEGER NOT NULL,
                at REAL NOT NULL,
                state TEXT NOT NULL,
                who TEXT NOT NULL,
                evidence TEXT NOT NULL
            )""",
            "CREATE INDEX membership_history_contact ON membership_history (contact, list, id)",
            "CREATE INDEX membership_history_list ON membership_history (list)",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Membership:
    """One contact on one list.

    :ivar list: number of the list.
    :ivar contact: number of the contact.
    :ivar state: ``pending``: asked for, and not confirmed; ``subscribed``; ``unsubscribed``.
    :ivar since: when it became so, in seconds since 1970.
    :ivar source: where it came from, as whoever joined them said.
    :ivar name: of the list.
    """

    list: int
    contact: int
    state: State
    since: float
    source: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One change of a membership.

    :ivar at: when, in seconds since 1970.
    :ivar name: of the list.
    :ivar state: that it led to.
    :ivar who: did it.
    :ivar evidence: what it was told by: a message, the address of a client, where a form stood.
    """

    at: float
    name: str
    state: str
    who: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


# --- in somebody's transaction -----------------------------------------------


def state(base: sqlite3.Connection, list_id: int, contact: int) -> str:
    """How a contact stands to a list; ``""``: not at all."""
    query = "SELECT state FROM memberships WHERE list = ? AND contact = ?"
    row = base.execute(query, (list_id, contact)).fetchone()
    return "" if row is None else str(row[0])


def find(base: sqlite3.Connection, list_id: int, contact: int) -> Membership | None:
    """How a contact stands to a list."""
    query = "SELECT list, contact, state, since, source FROM memberships WHERE list = ? AND contact = ?"
    row = base.execute(query, (list_id, contact)).fetchone()
    return None if row is None else Membership(*row)


def of(base: sqlite3.Connection, tenant: str, contact: int) -> list[Membership]:
    """All lists that a contact is on or was, by name."""
    query = (
        "SELECT memberships.list, memberships.contact, memberships.state, memberships.since,"
        " memberships.source, lists.name FROM memberships JOIN lists ON lists.id = memberships.list"
        " WHERE memberships.contact = ? AND lists.tenant = ? ORDER BY lists.name"
    )
    return [Membership(*row) for row in base.execute(query, (contact, tenant))]


def join(
    base: sqlite3.Connection,
    tenant: str,
    mailing: MailingList,
    contact: int,
    who: str,
    now: float,
    *,
    source: str = "",
    confirmed: bool = False,
    evidence: Mapping[str, Any] | None = None,
) -> Membership:
    """Put a contact on a list.

    Who has left it stays off: only the person brings themselves back (:func:`confirm`).

    :param who: does it.
    :param source: where it was asked for.
    :param confirmed: whether the person has confirmed it elsewhere, so that they need not here.
    :return: as it is afterwards: ``pending`` on a list with double opt-in.
    """
    before = state(base, mailing.id, contact)
    if before == "subscribed" or before == "unsubscribed" or (before == "pending" and not confirmed):
        return next(one for one in of(base, tenant, contact) if one.list == mailing.id)
    wanted: State = "subscribed" if confirmed or mailing.opt_in == "single" else "pending"
    return _set(base, mailing, contact, wanted, who, now, source, evidence or {})


def ask_again(
    base: sqlite3.Connection, mailing: MailingList, contact: int, who: str, now: float, source: str = ""
) -> Membership:
    """Somebody who has left a list asks for it again; nothing is sent to them until they confirm it."""
    return _set(base, mailing, contact, "pending", who, now, source, {})


def confirm(
    base: sqlite3.Connection,
    mailing: MailingList,
    contact: int,
    who: str,
    now: float,
    evidence: Mapping[str, Any] | None = None,
) -> bool:
    """The person wants it, whatever was before; whether that is new."""
    if state(base, mailing.id, contact) == "subscribed":
        return False
    _set(base, mailing, contact, "subscribed", who, now, None, evidence or {})
    return True


def leave(
    base: sqlite3.Connection,
    tenant: str,
    mailing: MailingList,
    contact: int,
    who: str,
    now: float,
    evidence: Mapping[str, Any] | None = None,
) -> bool:
    """Take a contact off a list for as long as the person says nothing else; whether that is new."""
    if state(base, mailing.id, contact) == "unsubscribed":
        return False
    _set(base, mailing, contact, "unsubscribed", who, now, None, evidence or {})
    return True


def remove(base: sqlite3.Connection, list_id: int, contact: int) -> bool:
    """Forget that a contact was ever on a list; whether there was anything to forget."""
    base.execute("DELETE FROM membership_history WHERE contact = ? AND list = ?", (contact, list_id))
    query = "DELETE FROM memberships WHERE list = ? AND contact = ?"
    return base.execute(query, (list_id, contact)).rowcount > 0


def erase(base: sqlite3.Connection, tenant: str, contact: int) -> None:
    """Forget all of a contact that is forgotten."""
    base.execute("DELETE FROM memberships WHERE contact = ?", (contact,))
    base.execute("DELETE FROM membership_history WHERE contact = ?", (contact,))


def history(base: sqlite3.Connection, tenant: str, contact: int, limit: int = 1000) -> list[Step]:
    """How a contact came on lists and left, the last first."""
    query = (
        "SELECT at, lists.name, state, who, evidence FROM membership_history"
        " JOIN lists ON lists.id = membership_history.list WHERE contact = ?"
        " AND lists.tenant = ? ORDER BY membership_history.id DESC LIMIT ?"
    )
    return [
        Step(at, name, state, who, json.loads(kept))
        for at, name, state, who, kept in base.execute(query, (contact, tenant, limit))
    ]


def _set(
    base: sqlite3.Connection,
    mailing: MailingList,
    contact: int,
    wanted: State,
    who: str,
    now: float,
    source: str | None,
    evidence: Mapping[str, Any],
) -> Membership:
    base.execute(
        "INSERT INTO memberships VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (list, contact) DO UPDATE SET"
        " state = ?3, since = ?4, source = CASE ?6 WHEN 1 THEN ?5 ELSE source END",
        (mailing.id, contact, wanted, now, source or "", source is not None),
    )
    kept = {
        name: value[:_MOST_EVIDENCE] if isinstance(value, str) else value
        for name, value in {**evidence, "source": source or ""}.items()
        if value
    }
    base.execute(
        "INSERT INTO membership_history VALUES (NULL, ?, ?, ?, ?, ?, ?)",
        (contact, mailing.id, now, wanted, who, json.dumps(kept)),
    )
    base.execute(
        "DELETE FROM membership_history WHERE id IN (SELECT id FROM membership_history"
        " WHERE contact = ? AND list = ? ORDER BY id DESC LIMIT -1 OFFSET ?)",
        (contact, mailing.id, MOST_HISTORY),
    )
    row = base.execute(
        "SELECT state, since, source FROM memberships WHERE list = ? AND contact = ?", (mailing.id, contact)
    ).fetchone()
    return Membership(mailing.id, contact, row[0], row[1], row[2], mailing.name)


class Memberships:
    """Those of all tenants.

    :param database: keeps them.
    """

    def __init__(self, database: IDatabase) -> None:
        self._database = database

    async def of(self, tenant: str, contact: int) -> list[Membership]:
        """All lists that a contact is on or was, by name."""
        return await self._database.read(lambda base: of(base, tenant, contact))

    async def history(self, tenant: str, contact: int) -> list[Step]:
        """How a contact came on lists and left, the last first."""
        return await self._database.read(lambda base: history(base, tenant, contact))

    async def members(
        self, tenant: str, name: str, after: int = 0, limit: int = 1000, state: str = "subscribed"
    ) -> list[Contact]:
        """Who is on a list, by number.

        :param after: the number of the last one before.
        :param state: only those who are on it in this way; ``""``: in any.
        :raise NoList: if there is none.
        """

        def work(base: sqlite3.Connection) -> list[Contact]:
            return [contact for contact, _ in members(base, tenant, name, after, limit, state)]

        return await self._database.read(work)

    async def page(
        self, tenant: str, name: str, after: int, limit: int, state: str
    ) -> list[tuple[Contact, Membership]]:
        """Who is on a list, and how; see :meth:`members`."""
        return await self._database.read(lambda base: members(base, tenant, name, after, limit, state))

    async def counts(self, tenant: str, name: str) -> dict[str, int]:
        """How many are on a list, by state.

        :raise NoList: if there is none.
        """

        def work(base: sqlite3.Connection) -> dict[str, int]:
            found = lists.existing(base, tenant, name)
            return counted(base, [found])[found.name]

        return await self._database.read(work)

    async def counts_of(self, some: Sequence[MailingList]) -> dict[str, dict[str, int]]:
        """The same for some lists of a tenant at once, by their names."""
        return await self._database.read(lambda base: counted(base, some))


def counted(base: sqlite3.Connection, some: Sequence[MailingList]) -> dict[str, dict[str, int]]:
    """How many are on lists, by their names and by state."""
    found: dict[str, dict[str, int]] = {one.name: dict.fromkeys(STATES, 0) for one in some}
    names = {one.id: one.name for one in some}
    query = (
        "SELECT list, state, count(*) FROM memberships"  # noqa: S608
        f" WHERE list IN ({','.join('?' * len(names))}) GROUP BY list, state"
    )
    for number, state, count in base.execute(query, tuple(names)):
        found[names[number]][state] = count
    return found


def members(
    base: sqlite3.Connection, tenant: str, name: str, after: int, limit: int, state: str
) -> list[tuple[Contact, Membership]]:
    """See :meth:`Memberships.page`."""
    found = lists.existing(base, tenant, name)
    query = (
        f"SELECT {COLUMNS}, memberships.state, since, memberships.source"  # noqa: S608
        " FROM memberships JOIN contacts ON contacts.id = memberships.contact"
        " WHERE memberships.list = ? AND memberships.contact > ? AND (? = '' OR memberships.state = ?)"
        " ORDER BY memberships.contact LIMIT ?"
    )
    rows: Sequence[Any] = base.execute(query, (found.id, after, state, state, limit)).fetchall()
    return [
        (contact_of(row), Membership(found.id, row[0], row[-3], row[-2], row[-1], found.name)) for row in rows
    ]
