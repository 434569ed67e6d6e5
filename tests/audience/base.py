"""An audience on a database of its own, without threads."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any, TypeVar

from twisted.trial.unittest import SynchronousTestCase

from mta.audience.audience import DATABASE, TABLES, Audience
from mta.audience.contact import Contact
from mta.audience.lists import MailingList
from mta.registry.database import Direct, finished
from mta.registry.schema import Tables

T = TypeVar("T")
#: Sunday, 2027-01-17 08:00:00 UTC.
NOW = 1_800_172_800.0


class Looks:
    """Looks at a database at once."""

    def __init__(self, database: Direct) -> None:
        self._database = database

    async def look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._database.read(work)


class AudienceCase(SynchronousTestCase):
    """Has an audience.

    :cvar more: tables of others.
    :ivar audience: the stores; their coroutines are finished at once (:meth:`done`).
    """

    more: Sequence[Tables] = ()

    def setUp(self) -> None:
        state = Path(self.mktemp())
        state.mkdir()
        self.path = state / DATABASE
        self.database = Direct(self.path, (*TABLES, *self.more))
        self.addCleanup(self.database.close)
        self.audience = Audience(self.database, Looks(self.database))

    def done(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine answers."""
        return finished(work)

    def do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work in one transaction."""
        return finished(self.database.change("contacts", work))

    def contact(self, address: str, tenant: str = "shop", **fields: Any) -> Contact:
        """One that is kept."""
        made, _ = finished(self.audience.contacts.put(tenant, Contact(address, **fields), NOW))
        return made

    def list(self, name: str, tenant: str = "shop", **fields: Any) -> MailingList:
        """One that is kept."""
        made, _ = finished(self.audience.lists.put(tenant, MailingList(name, **fields), NOW))
        return made
