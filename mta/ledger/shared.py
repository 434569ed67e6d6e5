"""Runs questions to the book in a thread of its own; never blocks the reactor, and never for long.

What is asked while a transaction is under way goes into the next.  A question that nobody has
answered in time fails, as does one that finds too many before it: then whoever asks goes on
without (``TemporarilyUnavailable``).  A database that is damaged is put aside, and an empty one
takes its place.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mta.interfaces import TemporarilyUnavailable
from mta.ledger.book import Book, NewerLedger, bump, open_book, serials, sweep
from mta.ledger.view import View

T = TypeVar("T")

#: The name of the database in the state directory.
DATABASE = "shared.db"
#: Questions of one transaction.
_BATCH = 200
#: Seconds between two looks at what other workers have changed, and between two sweeps.
_LOOK = 1.0
_SWEEP = 60.0
#: Seconds for which nothing is tried after the database could not be opened.
_REST = 5.0


class _Question:
    """One question under way."""

    __slots__ = ("answer", "ask", "late", "timer", "value")

    def __init__(self, ask: Callable[[Book], Any]) -> None:
        self.ask = ask
        self.answer: Deferred[Any] = Deferred()
        #: Until it is answered: what whoever asks is told if the thread fails.
        self.value: Any = TemporarilyUnavailable("it was not answered")
        self.timer: Any = None
        self.late = False


class SharedLedger:
    """See the module.

    :param path: the database; made when somebody asks for the first time.
    :param reactor: time, and the thread that answers are given in.
    :param timeout: seconds for a question whose asker says nothing of that.
    :param waiting: questions that may wait.
    :param most: entries at the most.
    """

    log = Logger()

    def __init__(
        self,
        path: Path,
        reactor: Any,
        *,
        timeout: float = 2.0,
        waiting: int = 5000,
        most: int = 1_000_000,
    ) -> None:
        self._path = path
        self._reactor = reactor
        self._timeout = timeout
        self._room = waiting
        self._most = most
        self._queue: SimpleQueue[_Question | Callable[[], None] | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._views: dict[str, View] = {}
        self._looking: Any = None
        self._stopped = False
        # The thread's own:
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._serials: dict[str, int] = {}
        self._swept = 0.0
        self._resting = 0.0
        self._trouble = ""

    # --- the reactor's side ----------------------------------------------------

    def ask(self, question: Callable[[Book], T], patience: float | None = None) -> Deferred[T]:
        """See :class:`~mta.model.ledger.Ledger`."""
        asked = _Question(question)
        if self._room <= 0 or self._stopped:
            asked.answer.errback(TemporarilyUnavailable("too many wait for what workers remember together"))
            return asked.answer
        self._room -= 1
        timeout = self._timeout if patience is None else patience
        asked.timer = self._reactor.callLater(timeout, self._too_late, asked)
        self._begin()
        self._queue.put(asked)
        return asked.answer

    def view(self, kind: str) -> View:
        """See :class:`~mta.model.ledger.Ledger`."""
        found = self._views.get(kind)
        if found is None:
            found = self._views[kind] = View(self._reactor.seconds)
        return found

    def start(self) -> Deferred[None]:
        """Read what is held in memory; fires when that is done, or cannot be done."""
        done: Deferred[None] = Deferred()
        self._look_later()
        if not self._path.exists():
            done.callback(None)
            return done
        self._begin()

        def read() -> None:
            try:
                self._look()
            finally:
                self._reactor.callFromThread(done.callback, None)

        self._queue.put(read)
        return done

    def stop(self) -> None:
        """Write what was asked for, and end the thread; blocks for a moment."""
        self._stopped = True
        if self._looking is not None and self._looking.active():
            self._looking.cancel()
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(5.0)
            self._thread = None

    def _begin(self) -> None:
        if self._thread is None:
            self._thread = Thread(target=self._run, name="mta-ledger", daemon=True)
            self._thread.start()

    def _look_later(self) -> None:
        self._looking = self._reactor.callLater(_LOOK, self._look_now)

    def _look_now(self) -> None:
        if self._thread is not None or self._path.exists():
            self._begin()
            self._queue.put(self._look)
        self._look_later()

    def _too_late(self, asked: _Question) -> None:
        asked.late = True
        asked.answer.errback(TemporarilyUnavailable("what workers remember together takes too long"))

    def _answer(self, questions: list[_Question]) -> None:
        """In the reactor's thread."""
        self._room += len(questions)
        for asked in questions:
            if asked.late:
                continue
            asked.timer.cancel()
            if isinstance(asked.value, Exception):
                asked.answer.errback(asked.value)
            else:
                asked.answer.callback(asked.value)

    # --- the thread ------------------------------------------------------------

    def _run(self) -> None:
        while True:
            batch: list[_Question] = []
            item = self._queue.get()
            with suppress(Empty):
                while item is not None:
                    if isinstance(item, _Question):
                        batch.append(item)
                    else:
                        self._do(item)
                    if len(batch) >= _BATCH:
                        break
                    item = self._queue.get_nowait()
            if batch:
                self._do(partial(self._keep, batch))
                self._reactor.callFromThread(self._answer, batch)
            if item is None:
                self._close()
                return

    def _do(self, work: Callable[[], None]) -> None:
        """Whatever it is, the thread goes on."""
        try:
            work()
        except Exception:
            self.log.failure("The ledger's thread failed in a way that it should not")

    def _keep(self, batch: list[_Question]) -> None:
        """Answer a batch in one transaction; what cannot be is our trouble."""
        for again in (True, False):
            try:
                self._transact(batch)
            except (sqlite3.Error, OSError, NewerLedger) as error:
                if again and _is_damaged(error) and self._put_aside(error):
                    continue
                self._fail(error)
                for asked in batch:
                    asked.value = TemporarilyUnavailable(f"{self._path} cannot be used: {error}")
            else:
                if self._trouble:
                    self.log.info("{path} can be used again", path=self._path)
                    self._trouble = ""
            return

    def _transact(self, batch: list[_Question]) -> None:
        connection = self._open()
        book = Book(connection, self._reactor.seconds())
        connection.execute("BEGIN IMMEDIATE")
        try:
            for asked in batch:
                if not asked.late:
                    self._one(connection, book, asked)
            changed = book.changed & self._views.keys()
            for kind in changed:
                bump(connection, kind)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
            raise
        for kind in changed:
            self._show(connection, kind)
        self._sweep(connection)

    def _one(self, connection: sqlite3.Connection, book: Book, asked: _Question) -> None:
        connection.execute("SAVEPOINT one")
        try:
            asked.value = asked.ask(book)
        except (sqlite3.DatabaseError, MemoryError):
            raise
        except Exception as error:
            # A fault in one question is no trouble of the others, nor of whoever has asked it.
            self.log.failure("A question to the ledger failed")
            connection.execute("ROLLBACK TO one")
            asked.value = TemporarilyUnavailable(f"it failed: {type(error).__name__}")
        connection.execute("RELEASE one")

    def _sweep(self, connection: sqlite3.Connection) -> None:
        now = self._reactor.seconds()
        if now >= self._swept + _SWEEP:
            self._swept = now
            if sweep(connection, now, self._most) >= 2000:
                self._swept = 0.0  # Again behind the next batch.

    def _look(self) -> None:
        """See what other workers have changed."""
        try:
            if self._connection is None and not self._path.exists():
                return
            if self._connection is not None and _inode(self._path) != self._inode:
                # Another worker has put a damaged one aside.
                self._close()
            connection = self._open()
            found = serials(connection)
            for kind, serial in found.items():
                if kind in self._views and self._serials.get(kind) != serial:
                    self._show(connection, kind)
            self._serials = found
            self._sweep(connection)
        except (sqlite3.Error, OSError, NewerLedger) as error:
            if not (_is_damaged(error) and self._put_aside(error)):
                self._fail(error)

    def _show(self, connection: sqlite3.Connection, kind: str) -> None:
        now = self._reactor.seconds()
        found = {key: (value, expires) for key, value, expires in Book(connection, now).entries(kind)}
        self._reactor.callFromThread(self._views[kind].replace, found)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._reactor.seconds() < self._resting:
                raise OSError(self._trouble)
            self._connection = open_book(self._path)
            self._inode = _inode(self._path)
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        self._serials = {}

    def _fail(self, error: Exception) -> None:
        """Say it once, and leave it alone for a moment."""
        text = str(error)
        if text != self._trouble:
            self._trouble = text
            self.log.error(
                "{path} cannot be used: {error}.  Mail goes on without greylist, limits and new bans until "
                "it can; is there room on the disk, and may the server's user write there?",
                path=self._path,
                error=text,
            )
        if isinstance(error, sqlite3.OperationalError) and "locked" in text:
            return
        self._close()
        self._resting = self._reactor.seconds() + _REST

    def _put_aside(self, error: Exception) -> bool:
        """Move a damaged database out of the way, unless another worker has; whether to try again."""
        held = self._inode
        self._close()
        try:
            with open(self._path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if held and _inode(self._path) != held:
                    return True
                aside = self._path.with_name(f"{self._path.name}.damaged-{int(self._reactor.seconds())}")
                for suffix in ("-wal", "-shm"):
                    log = self._path.with_name(self._path.name + suffix)
                    if log.exists():
                        log.replace(aside.with_name(aside.name + suffix))
                if self._path.exists():
                    self._path.replace(aside)
        except OSError as trouble:
            self.log.error("{path} is damaged, and cannot be put aside: {why}", path=self._path, why=trouble)
            return False
        self._inode = 0
        self.log.error(
            "{path} was damaged ({error}) and is now {aside}.  Greylist, limits, bans and suspended accounts "
            "begin anew; mail goes on.  `sqlite3 {aside} .recover` may tell what was in it.",
            path=self._path,
            error=str(error),
            aside=aside,
        )
        return True


def _is_damaged(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return True
    # A table that is not there has been taken away by somebody else than us.
    text = str(error)
    return isinstance(error, sqlite3.Error) and ("malformed" in text or "no such table" in text)


def _inode(path: Path) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0
