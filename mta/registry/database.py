"""The registry's database: one writer in a thread, and a look from the reactor that costs no disk.

Changes are functions of a connection.  All that wait are made in one transaction, each in a
savepoint of its own, so that one that fails takes nothing back of the others; they are answered
when the transaction is on disk.

Three ways to the same stores: :class:`Database` in a worker; :class:`Direct` for a command while
no server runs, where every coroutine is finished at once (:func:`finished`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from threading import Thread
from time import monotonic
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from mta.interfaces import TemporarilyUnavailable
from mta.registry.schema import SchemaError, Tables, changes, connect, migrate

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

#: Changes that are made in one transaction.
_MOST_AT_ONCE = 500
#: Seconds for which it is not asked again whether there was a change: one request asks several times.
_GLANCE = 0.002


class IDatabase(Protocol):
    """What stores ask of the database."""

    async def change(self, noun: str, work: Work[T]) -> T:
        """Do work in a transaction; answers when it is on disk.

        :param noun: whose rows it changes.
        :raise TemporarilyUnavailable: if the database cannot be used.
        """

    async def read(self, work: Work[T]) -> T:
        """Do work that only reads.

        :raise TemporarilyUnavailable: if the database cannot be used.
        """

    def version(self, noun: str) -> int:
        """A number that is another one after every change of the noun's rows."""


class _Change:
    """One change, or a look (``noun`` is empty), that waits for the thread."""

    __slots__ = ("answer", "done", "error", "noun", "work")

    def __init__(self, noun: str, work: Work[Any], done: Deferred[Any]) -> None:
        self.noun = noun
        self.work = work
        self.done = done
        self.answer: Any = None
        self.error: Exception | None = None


class Database:
    """The database in a worker.

    :param path: of the file; made if it is not there.
    :param tables: of all nouns.
    :param reactor: runs callables from other threads.
    """

    log = Logger()

    def __init__(self, path: Path, tables: Sequence[Tables], reactor: Any) -> None:
        self.path = path
        self._tables = tuple(tables)
        self._reactor = reactor
        self._queue: SimpleQueue[_Change | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._watch: sqlite3.Connection | None = None
        self._seen = -1
        self._looked = 0.0
        self._versions: dict[str, int] = {}

    def start(self) -> None:
        """Open it.

        :raise TemporarilyUnavailable: with a text for the operator.
        """
        try:
            connection = connect(self.path)
            try:
                migrate(connection, self._tables)
                self._watch = watch = connect(self.path)
                # Asked in the reactor: it never waits for anybody.
                watch.execute("PRAGMA busy_timeout = 0")
                watch.execute("PRAGMA query_only = ON")
            except BaseException:
                connection.close()
                raise
        except (sqlite3.Error, OSError, SchemaError) as error:
            raise _trouble(error, self.path) from error
        self._thread = Thread(target=self._run, args=(connection,), name="registry", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """Make what waits, and close it."""
        thread, self._thread = self._thread, None
        if thread is None:
            return
        ended: Deferred[None] = Deferred()
        self._ended = ended
        self._queue.put(None)
        await ended
        thread.join()
        if self._watch is not None:
            self._watch.close()
            self._watch = None

    # --- from the reactor's thread -------------------------------------------

    async def change(self, noun: str, work: Work[T]) -> T:
        """See :class:`IDatabase`."""
        return await self._put(noun, work)

    async def read(self, work: Work[T]) -> T:
        """See :class:`IDatabase`."""
        return await self._put("", work)

    def _put(self, noun: str, work: Work[T]) -> Deferred[T]:
        if self._thread is None:
            return fail(TemporarilyUnavailable(f"{self.path} is not open"))
        done: Deferred[T] = Deferred()
        self._queue.put(_Change(noun, work, done))
        return done

    def version(self, noun: str) -> int:
        """See :class:`IDatabase`; a few microseconds in shared memory unless there was a change.

        What others change is known a moment later, what this worker changes at once.
        """
        if self._watch is None:
            return -1
        now = monotonic()
        if now - self._looked < _GLANCE:
            return self._versions.get(noun, 0)
        self._looked = now
        try:
            (seen,) = self._watch.execute("PRAGMA data_version").fetchone()
            if seen != self._seen:
                self._versions = changes(self._watch)
                self._seen = seen
        except sqlite3.Error:
            # What is remembered counts as old; who reads it anew is told of the trouble.
            self._seen, self._looked = -1, 0.0
            return -1
        return self._versions.get(noun, 0)

    # --- the thread ----------------------------------------------------------

    def _run(self, connection: sqlite3.Connection) -> None:
        stopping = False
        while not stopping:
            batch = []
            item = self._queue.get()
            while True:
                if item is None:
                    stopping = True
                    break
                batch.append(item)
                if len(batch) >= _MOST_AT_ONCE or self._queue.empty():
                    break
                item = self._queue.get()
            if batch:
                _keep(connection, batch, self.path)
                self._reactor.callFromThread(self._tell, batch)
        with suppress(sqlite3.Error):
            connection.close()
        self._reactor.callFromThread(self._ended.callback, None)

    def _tell(self, batch: Iterable[_Change]) -> None:
        self._looked = 0.0
        for change in batch:
            if change.error is not None:
                change.done.errback(Failure(change.error))
            else:
                change.done.callback(change.answer)


class Direct:
    """The database without a server, for a command; every answer is there at once.

    :param path: of the file.
    :param tables: of all nouns.
    :raise TemporarilyUnavailable: with a text for the operator.
    """

    def __init__(self, path: Path, tables: Sequence[Tables]) -> None:
        self._path = path
        try:
            self._connection = connect(path)
            migrate(self._connection, tables)
        except (sqlite3.Error, OSError, SchemaError) as error:
            raise _trouble(error, path) from error

    def close(self) -> None:
        """Close it."""
        self._connection.close()

    async def change(self, noun: str, work: Work[T]) -> T:
        """See :class:`IDatabase`."""
        return self._do(noun, work)

    async def read(self, work: Work[T]) -> T:
        """See :class:`IDatabase`."""
        return self._do("", work)

    def _do(self, noun: str, work: Work[T]) -> T:
        change = _Change(noun, work, Deferred())
        _keep(self._connection, [change], self._path)
        if change.error is not None:
            raise change.error
        return change.answer  # type: ignore[no-any-return]

    def version(self, noun: str) -> int:
        """See :class:`IDatabase`; nothing is remembered here."""
        return -1


def finished(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine answers that waits for nothing, as those do that use :class:`Direct`."""
    try:
        work.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    work.close()
    raise RuntimeError("it waits for something")


def _keep(connection: sqlite3.Connection, batch: Sequence[_Change], path: Path) -> None:
    """Do what was asked in one transaction; never raises."""
    try:
        # Who only looks needs no lock, and no commit.
        connection.execute("BEGIN IMMEDIATE" if any(change.noun for change in batch) else "BEGIN")
        for change in batch:
            _do(connection, change)
        done = {change.noun for change in batch if change.noun and change.error is None}
        connection.executemany(
            "UPDATE nouns SET changes = changes + 1 WHERE noun = ?", [(noun,) for noun in sorted(done)]
        )
        connection.execute("COMMIT")
    except Exception as error:
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        for change in batch:
            change.error = change.error or _trouble(error, path)


def _do(connection: sqlite3.Connection, change: _Change) -> None:
    connection.execute("SAVEPOINT one")
    try:
        change.answer = change.work(connection)
    except sqlite3.IntegrityError as error:
        change.error = error
    except sqlite3.Error:
        raise
    except Exception as error:
        # What the work itself has to say, such as that there is no such row.
        change.error = error
    if change.error is not None:
        connection.execute("ROLLBACK TO one")
    connection.execute("RELEASE one")


def _trouble(error: Exception, path: Path) -> TemporarilyUnavailable:
    if isinstance(error, TemporarilyUnavailable):
        return error
    return TemporarilyUnavailable(f"{path} cannot be used: {error}")
