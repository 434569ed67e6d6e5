"""The audience, as campaigns ask it: who is meant, who they are now, and who may get it still."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from mta.audience import lists, segments, selecting
from mta.audience.audience import Audience
from mta.audience.condition import parse
from mta.audience.contact import Contact
from mta.audience.contacts import some
from mta.audience.permission import Permission
from mta.campaign.definition import Target

#: Contacts that are written down in one transaction.
_AT_ONCE = 1000


def members(
    base: sqlite3.Connection, tenant: str, condition: dict[str, Any], after: int, now: float
) -> tuple[list[Contact], int | None]:
    """Some of those who are meant, and where it goes on; ``None``: there are no more.

    :raise ConditionError: if a segment is gone.
    """
    return selecting.piece(base, tenant, parse(condition), after, _AT_ONCE, now)


class People:
    """See the module.

    :param audience: has contacts, lists and segments.
    :param permission: knows who gets nothing.
    """

    def __init__(self, audience: Audience, permission: Permission) -> None:
        self._audience = audience
        self._permission = permission

    async def some(self, tenant: str, contacts: Collection[int]) -> Mapping[int, Contact]:
        """Contacts by their numbers, as they are now."""
        return await self._audience.database.read(lambda base: some(base, tenant, contacts))

    async def barred(
        self, tenant: str, contacts: Sequence[Contact], list_name: str, still: dict[str, Any] | None
    ) -> Mapping[int, str]:
        """Who may not get it now, by number, and why.

        :param list_name: the list that the message goes to; ``""``: to none in particular.
        :param still: a condition that must hold still.
        """
        if not contacts:
            return {}
        barred = dict(await self._permission.barred(tenant, contacts, list_name))
        if still is not None:
            condition = parse(still)
            numbers = [one.id for one in contacts if one.id not in barred]

            def work(base: sqlite3.Connection) -> list[int]:
                # Of lists only: no time counts.
                return [one for one in numbers if not selecting.matches(base, tenant, condition, one, 0.0)]

            for number in await self._audience.database.read(work):
                barred[number] = "it is on the lists of the campaign no more, or on one that is left out"
        return barred

    async def unknown(self, tenant: str, target: Target) -> list[str]:
        """Lists and segments that are not there, in words."""

        def work(base: sqlite3.Connection) -> list[str]:
            names = [("list", name) for name in (*target.lists, *target.except_lists)]
            names += [("segment", name) for name in (*target.segments, *target.except_segments)]
            return [
                f"there is no {kind} {name}"
                for kind, name in dict.fromkeys(names)
                if (lists.find if kind == "list" else segments.find)(base, tenant, name) is None
            ]

        return await self._audience.database.read(work)

    async def count(self, tenant: str, target: Target, now: float) -> int:
        """How many are meant now.

        :raise ConditionError: if a segment is gone.
        """
        return await self._audience.segments.count(tenant, parse(target.condition()), now)

    async def page(
        self, tenant: str, target: Target, after: int, limit: int, now: float
    ) -> tuple[list[Contact], int | None]:
        """Some who are meant now, and where it goes on.

        :raise ConditionError: if a segment is gone.
        """
        return await self._audience.segments.members(tenant, parse(target.condition()), after, limit, now)

    async def find(self, tenant: str, address: str) -> Contact | None:
        """One by the address.

        :raise ValueError: if it is none.
        """
        return await self._audience.contacts.find(tenant, address)
