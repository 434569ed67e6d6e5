"""Who may be sent something: suppression and unsubscription always win, at the moment of sending."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from mta.audience import lists
from mta.audience.audience import Audience
from mta.audience.contact import Contact
from mta.interfaces import Answer, settle
from mta.registry.suppressions import Suppression

#: Numbers in one ``IN (...)``.
_AT_ONCE = 500


class Finding(Protocol):
    """See :meth:`mta.registry.suppressions.Suppressions.find`."""

    def find(
        self, tenant: str, addresses: Iterable[str], mailing: str = ""
    ) -> Answer[Mapping[str, Suppression]]:
        """Who of these gets nothing, and why."""


class Permission:
    """See the module.

    :param audience: knows who is on which list.
    :param suppressions: knows who gets nothing.
    """

    def __init__(self, audience: Audience, suppressions: Finding) -> None:
        self._audience = audience
        self._suppressions = suppressions

    async def barred(
        self, tenant: str, contacts: Sequence[Contact], list_name: str = ""
    ) -> Mapping[int, str]:
        """Who of these may not be sent anything, and why, for a person; by their numbers.

        :param list_name: the list that the message goes to; ``""``: to none.
        :raise TemporarilyUnavailable: if it cannot be told now.
        """
        found = await settle(self._suppressions.find(tenant, [one.address for one in contacts], list_name))
        barred = {one.id: found[one.address].words for one in contacts if one.address in found}
        if list_name:
            numbers = [one.id for one in contacts if one.id not in barred]
            states = await self._audience.database.read(
                lambda base: _states(base, tenant, list_name, numbers)
            )
            for number in numbers:
                state = states.get(number, "")
                if state != "subscribed":
                    barred[number] = _WORDS[state].format(list_name)
        return barred


_WORDS = {
    "": "it is not on the list {}",
    "pending": "it has not confirmed the list {}",
    "unsubscribed": "it has left the list {}",
}


def _states(base: sqlite3.Connection, tenant: str, name: str, numbers: Sequence[int]) -> dict[int, str]:
    mailing = lists.find(base, tenant, name)
    found: dict[int, str] = {}
    if mailing is None:
        return found
    for start in range(0, len(numbers), _AT_ONCE):
        some = numbers[start : start + _AT_ONCE]
        marks = ",".join("?" * len(some))
        query = f"SELECT contact, state FROM memberships WHERE list = ? AND contact IN ({marks})"  # noqa: S608
        found.update(base.execute(query, (mailing.id, *some)))
    return found
