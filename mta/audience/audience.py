"""All nouns of the audience, on one database that is opened when somebody needs it."""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol, TypeVar

from mta.audience import confirmations, contacts, facts, imports, lists, memberships, segments
from mta.audience.contacts import Contacts, Erasing
from mta.audience.facts import Facts
from mta.audience.imports import Imports
from mta.audience.lists import Lists
from mta.audience.memberships import Memberships
from mta.audience.segments import Segments
from mta.interfaces import TemporarilyUnavailable
from mta.private_file import uri_of
from mta.registry.database import Database, Direct, IDatabase, Work
from mta.registry.schema import Tables

T = TypeVar("T")

#: Contacts that are forgotten in one transaction.
_FORGOTTEN = 500
#: The name of the database in the state directory.
DATABASE = "audience.db"
#: The tables of every noun; a new noun is added here and in :class:`Audience`.
TABLES: tuple[Tables, ...] = (
    contacts.TABLES,
    lists.TABLES,
    memberships.TABLES,
    facts.TABLES,
    segments.TABLES,
    confirmations.TABLES,
    imports.TABLES,
)


class Looking(Protocol):
    """Looks at the database beside those who change it."""

    async def look(self, work: Work[T]) -> T:
        """Do work that only reads, and may take long.

        :raise TemporarilyUnavailable: if the database cannot be used.
        """


class OpenedLate:
    """The database of a worker, which is opened by its first use.

    Who has no contacts has no such file, and no thread for it.

    :param path: of the file.
    :param tables: of all nouns.
    :param reactor: runs callables from other threads.
    """

    def __init__(self, path: Path, tables: Sequence[Tables], reactor: Any) -> None:
        self.path = path
        self._database = Database(path, tables, reactor)
        self._open = False
        self._over = False

    @property
    def used(self) -> bool:
        """Whether there is anything; a look at the directory, until there is."""
        return self._open or self.path.exists()

    def start(self) -> None:
        """Open it if it is there.

        :raise TemporarilyUnavailable: with a text for the operator.
        """
        if self.used:
            self._started()

    async def stop(self) -> None:
        """Make what waits, and close it."""
        self._over = True
        if self._open:
            await self._database.stop()

    async def change(self, noun: str, work: Work[T]) -> T:
        """See :class:`~mta.registry.database.IDatabase`."""
        self._started()
        return await self._database.change(noun, work)

    async def read(self, work: Work[T]) -> T:
        """See :class:`~mta.registry.database.IDatabase`."""
        self._started()
        return await self._database.read(work)

    def version(self, noun: str) -> int:
        """See :class:`~mta.registry.database.IDatabase`."""
        return self._database.version(noun) if self._open else -1

    def _started(self) -> None:
        if not self._open:
            if self._over:
                raise TemporarilyUnavailable(f"{self.path} is not open")
            self._database.start()
            self._open = True


class InThreads:
    """Looks in threads, each with a connection of its own that can only read.

    :param database: is there first.
    :param path: of its file.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self, database: OpenedLate, path: Path, run_in_thread: Callable[..., Awaitable[Any]]
    ) -> None:
        self._database = database
        self._path = path
        self._run = run_in_thread

    async def look(self, work: Work[T]) -> T:
        """See :class:`Looking`."""
        # Whoever only reads makes no tables.
        await self._database.read(lambda base: None)
        return await self._run(self._look, work)  # type: ignore[no-any-return]

    def _look(self, work: Work[T]) -> T:
        try:
            uri = uri_of(self._path, "ro")
            with closing(sqlite3.connect(uri, uri=True, timeout=10.0, isolation_level=None)) as base:
                base.execute("PRAGMA query_only = ON")
                base.execute("PRAGMA temp_store = MEMORY")
                base.execute("BEGIN")
                return work(base)
        except sqlite3.Error as error:
            raise TemporarilyUnavailable(f"{self._path} cannot be read: {error}") from error


class Audience:
    """The stores.

    :param database: what they are kept in.
    :param looking: looks at it beside those who change it.
    :param used: whether there is anything at all.
    :ivar erasing: forget what else is known of somebody, in the transaction in which they are erased;
        whoever keeps more of contacts adds theirs.
    :ivar emptying: the same for all of a tenant that is gone.
    """

    def __init__(
        self, database: IDatabase, looking: Looking, used: Callable[[], bool] = lambda: True
    ) -> None:
        self.database = database
        self._looking = looking
        self._used = used
        self.erasing: list[Erasing] = [memberships.erase, facts.erase, confirmations.erase]
        self.emptying: list[Callable[[sqlite3.Connection, str], None]] = []
        self.contacts = Contacts(database, self.erasing)
        self.lists = Lists(database)
        self.memberships = Memberships(database)
        self.facts = Facts(database)
        self.imports = Imports(database)
        self.segments = Segments(database, self.look)

    @property
    def used(self) -> bool:
        """Whether there is anything at all; asking opens nothing."""
        return self._used()

    async def forget(self, tenant: str) -> None:
        """Forget all of a tenant that is gone, piece by piece: who gets its name later gets none of it.

        :raise TemporarilyUnavailable: if the database cannot be used.
        """
        if not self.used:
            return
        while await self.database.change(
            contacts.TABLES.noun, lambda base: self._some_forgotten(base, tenant)
        ):
            pass

        def rest(base: sqlite3.Connection) -> None:
            for (identifier,) in base.execute(
                "SELECT id FROM imports WHERE tenant = ?", (tenant,)
            ).fetchall():
                base.execute("DELETE FROM import_problems WHERE import = ?", (identifier,))
            for table in ("imports", "segments", "lists", "erased"):
                base.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))  # noqa: S608
            for empty in self.emptying:
                empty(base, tenant)

        await self.database.change(lists.TABLES.noun, rest)

    def _some_forgotten(self, base: sqlite3.Connection, tenant: str) -> bool:
        query = "SELECT id FROM contacts WHERE tenant = ? LIMIT ?"
        some = base.execute(query, (tenant, _FORGOTTEN)).fetchall()
        for (number,) in some:
            for forget in self.erasing:
                forget(base, tenant, number)
            base.execute("DELETE FROM contacts WHERE id = ?", (number,))
        return bool(some)

    async def look(self, work: Work[T]) -> T:
        """Do work that only reads, and may take long, beside those who change something.

        :raise TemporarilyUnavailable: if the database cannot be used.
        """
        return await self._looking.look(work)


def database(state: Path, reactor: Any, more: Sequence[Tables] = ()) -> OpenedLate:
    """The database of a worker, to be started.

    :param more: tables of others who keep theirs beside.
    """
    return OpenedLate(state / DATABASE, (*TABLES, *more), reactor)


def audience(database: OpenedLate, run_in_thread: Callable[..., Awaitable[Any]]) -> Audience:
    """The stores of a worker."""
    looking = InThreads(database, database.path, run_in_thread)
    return Audience(database, looking, lambda: database.used)


class Beside:
    """Looks at a database that nobody changes meanwhile."""

    def __init__(self, database: IDatabase) -> None:
        self._database = database

    async def look(self, work: Work[T]) -> T:
        """See :class:`Looking`."""
        return await self._database.read(work)


def direct(state: Path, more: Sequence[Tables] = ()) -> tuple[Audience, Callable[[], None]]:
    """The stores for a command while no server runs, and what closes them.

    :param more: tables of others who keep theirs beside.
    :raise TemporarilyUnavailable: with a text for the operator.
    """
    path = state / DATABASE
    if not path.exists():
        nothing = OpenedLate(path, TABLES, None)
        return Audience(nothing, Beside(nothing), lambda: False), lambda: None
    opened = Direct(path, (*TABLES, *more))
    return Audience(opened, Beside(opened)), opened.close
