"""Who wants no more mail, of a list or at all: on the suppression list, and on the lists themselves."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress

from mta.audience import confirmations, contacts, lists, memberships
from mta.audience.audience import Audience
from mta.audience.memberships import State
from mta.registry.suppressions import NoSuppression, Suppression, Suppressions, checked_address

#: The reason on the suppression list of who has unsubscribed.
_REASON = "unsubscribe"
_PERSON = "the person"


class Leaving:
    """See the module.

    The suppression list is what counts, also for lists that are nothing but a name in messages.

    :param suppressions: the suppression lists.
    :param audience: knows who is on which list.
    """

    def __init__(self, suppressions: Suppressions, audience: Audience) -> None:
        self._suppressions = suppressions
        self._audience = audience

    async def left(self, tenant: str, address: str) -> Sequence[str]:
        """The lists that an address has left; ``""``: all mail."""
        found = await self._suppressions.of(tenant, address)
        return [one.list for one in found if one.reason == _REASON]

    async def leave(self, tenant: str, address: str, list_name: str, message: str, now: float) -> None:
        """Send it no more; on disk when this answers."""
        evidence = {"message": message, "event": "unsubscribed"}
        name = checked_address(address)
        await self._suppressions.add(tenant, [Suppression(name, _REASON, list_name, now, evidence, tenant)])
        if list_name and self._audience.used:

            def work(base: sqlite3.Connection) -> None:
                mailing = lists.find(base, tenant, list_name)
                one = contacts.find(base, tenant, name)
                if mailing is not None and one is not None and memberships.state(base, mailing.id, one.id):
                    confirmations.settled(base, mailing.id, one.id)
                    memberships.leave(base, tenant, mailing, one.id, _PERSON, now, {"message": message})

            await self._audience.database.change(memberships.TABLES.noun, work)

    async def come_back(self, tenant: str, address: str, list_name: str, now: float) -> None:
        """Send it again: the person says so."""
        name = checked_address(address)
        with suppress(NoSuppression):
            await self._suppressions.remove(tenant, name, _REASON, list_name)
        if list_name and self._audience.used:

            def work(base: sqlite3.Connection) -> None:
                mailing = lists.find(base, tenant, list_name)
                one = contacts.find(base, tenant, name)
                if mailing is None or one is None:
                    return
                if mailing.public or memberships.state(base, mailing.id, one.id):
                    memberships.confirm(base, mailing, one.id, _PERSON, now)
                    confirmations.settled(base, mailing.id, one.id)

            await self._audience.database.change(memberships.TABLES.noun, work)

    async def lists_of(self, tenant: str, address: str) -> Sequence[tuple[str, str, str]]:
        """The lists that somebody is on, was on, or may join: name, words for people, state or ``""``."""
        if not self._audience.used:
            return []
        name = checked_address(address)

        def work(base: sqlite3.Connection) -> list[tuple[str, str, str]]:
            one = contacts.find(base, tenant, name)
            if one is None:
                return []
            states: dict[int, State] = {on.list: on.state for on in memberships.of(base, tenant, one.id)}
            return [
                (mailing.name, mailing.words, states.get(mailing.id, ""))
                for mailing in lists.all_of(base, tenant)
                if mailing.public or mailing.id in states
            ]

        return await self._audience.database.read(work)
