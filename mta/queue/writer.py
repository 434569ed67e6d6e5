"""The one thread that writes to the database.

Whatever was asked for while the last transaction was on its way to disk goes
into the next.  Nobody is told that something is kept before COMMIT returned;
when it is not kept, nothing of it is.

When a transaction fails as a whole, the writer is *in trouble*: what a client
still has is refused at once, what only we have (outcomes, events) waits in
memory, and the thread tries again by itself until the disk is well.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic

from twisted.logger import Logger

from mta.interfaces import SpoolFull, TemporarilyUnavailable, Undecided
from mta.model.event import Event, Server
from mta.queue.chores import Chore
from mta.queue.housekeeping import IDLE, Housekeeping
from mta.queue.schema import DATABASE, SchemaError
from mta.queue.shard import NO_SPACE
from mta.queue.transaction import Totals, apply, forget, largest_id, read_totals
from mta.queue.work import Work, notes

#: Bounds of one transaction: beyond, the others wait too long for their answer.
MOST_WORKS = 500
MOST_OCTETS = 16 * 1024 * 1024
#: Seconds until the first and between the last attempts to get out of trouble.
FIRST_RETRY = 0.25
LAST_RETRY = 15.0

# What is wrong with one piece of work, not with the disk.
_BAD_WORK = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    ValueError,
    TypeError,
    OverflowError,
)


class Writer:
    """Keeps work, in the order in which it comes.

    All methods but :meth:`put` and :meth:`stop` belong to the writer's thread.

    :param directory: of the shard.
    :param connect: opens the database and brings its schema up to date.
    :param keep: seconds for which events are kept.
    :param journal_size: octets that they take at the most, roughly; 0: any number.
    :param answer: called, in the writer's thread, with what is kept or failed
        (``error`` tells), and with the content files that nobody needs now.
    :param seconds: gives the time since 1970.
    :ivar trouble: why nothing can be kept at present; ``None`` if all is well.
    :ivar last: the largest queue id known when it was opened.
    """

    log = Logger()

    def __init__(
        self,
        directory: Path,
        *,
        connect: Callable[[Path], sqlite3.Connection],
        keep: float,
        journal_size: int = 0,
        answer: Callable[[Sequence[Work | Chore], list[str]], None],
        seconds: Callable[[], float],
    ) -> None:
        self.trouble: TemporarilyUnavailable | None = None
        self.last = 0
        self._path = directory / DATABASE
        self._connect = connect
        self._answer = answer
        #: Is told the seconds of each commit.
        self.took: Callable[[float], None] = lambda seconds: None
        self._seconds = seconds
        self._connection: sqlite3.Connection | None = None
        self._totals = Totals()
        self._house = Housekeeping(keep, seconds, journal_size)
        self._queue: SimpleQueue[Sequence[Work | Chore] | None] = SimpleQueue()
        self._chores: list[Chore] = []
        self._patience = IDLE
        # In trouble:
        self._retained: list[Work] = []
        self._unresolved: tuple[int, Sequence[Work]] | None = None
        self._since = 0.0
        self._recovered = 0.0
        self._retry_at = 0.0
        self._backoff = 0.0

    # --- from the reactor's thread -------------------------------------------

    def put(self, works: Sequence[Work | Chore]) -> None:
        """Keep these with the next transaction."""
        self._queue.put(works)

    def stop(self) -> None:
        """Keep what was put so far, close, and end :meth:`run`."""
        self._queue.put(None)

    # --- opening and closing -------------------------------------------------

    def open(self) -> None:
        """Open the database.

        :raise TemporarilyUnavailable: with a text for the operator.
        """
        try:
            self._reopen()
            self.last = largest_id(self._open_connection())
        except (sqlite3.Error, OSError, SchemaError) as error:
            self.close()
            raise trouble_of(error, self._path) from error

    def close(self) -> None:
        """Close the database, if it is open."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _reopen(self) -> sqlite3.Connection:
        self.close()
        self._connection = connection = self._connect(self._path)
        self._totals = read_totals(connection)
        self._house.open(connection, self._totals)
        return connection

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise sqlite3.OperationalError("the database is not open")
        return self._connection

    # --- the thread ----------------------------------------------------------

    def run(self) -> None:
        """Work until :meth:`stop`; the body of the thread, after :meth:`open`."""
        stopping = False
        while not stopping:
            batch, stopping = self._next_batch()
            try:
                if batch:
                    self._keep(batch)
                self._tick(idle=not batch)
            except Exception as error:
                # Whatever it is, mail must go on.
                self.log.failure("The spool's writer failed in a way that it should not")
                self._enter_trouble(error, [work for work in batch if not work.answered])
        self._finish()

    def _next_batch(self) -> tuple[list[Work], bool]:
        """What is there, or what comes within the patience we have; and whether to stop."""
        batch: list[Work] = []
        octets = 0
        try:
            items = self._queue.get(timeout=self._wait())
            while items is not None:
                for item in items:
                    if isinstance(item, Work):
                        batch.append(item)
                        octets += item.octets
                    else:
                        self._chores.append(item)
                if len(batch) >= MOST_WORKS or octets >= MOST_OCTETS:
                    return batch, False
                items = self._queue.get_nowait()
        except Empty:
            return batch, False
        return batch, True

    def _wait(self) -> float:
        if self.trouble is not None:
            return max(0.0, self._retry_at - monotonic())
        return 0.0 if self._chores else self._patience

    def _tick(self, idle: bool) -> None:
        """What is to be done besides, now or when nothing comes."""
        if self.trouble is not None:
            if monotonic() >= self._retry_at:
                self._recover()
            return
        try:
            if self._chores:
                self._do_chore(self._chores[0])
            elif idle:
                self._patience = self._house.when_idle(self._open_connection(), self._totals)
        except (sqlite3.Error, OSError) as error:
            self._enter_trouble(error)

    def _finish(self) -> None:
        """Put everything in order, as far as the disk allows."""
        if self.trouble is not None:
            self._recover()
        for work in self._retained:
            work.error = TemporarilyUnavailable("the server stops, and the disk does not take what happened")
        for chore in self._chores:
            chore.error = TemporarilyUnavailable("the server stops")
        if self._retained or self._chores:
            self._tell([*self._retained, *self._chores], [])
        if self.trouble is None:
            with suppress(sqlite3.Error):
                self._house.write_keys(self._open_connection(), self._totals)
        self.close()

    # --- keeping -------------------------------------------------------------

    def _keep(self, batch: list[Work]) -> None:
        """Keep a batch; of what fails, only that which must."""
        if self.trouble is not None:
            self._set_aside(batch)
            return
        try:
            self._commit(batch)
        except _BAD_WORK as error:
            if len(batch) == 1:
                self._refuse(batch[0], error)
            else:
                for work in batch:
                    self._keep([work])
            return
        except Exception as error:
            self._enter_trouble(error, batch)
            return
        try:
            self._house.after_batch(self._open_connection(), self._totals)
        except (sqlite3.Error, OSError) as error:
            self._enter_trouble(error)

    def _tell(self, works: Sequence[Work | Chore], files: list[str]) -> None:
        """Answer for these; not to be touched any more, the reactor reads them."""
        for work in works:
            work.answered = True
        self._answer(works, files)

    def _commit(self, works: Sequence[Work]) -> None:
        """Keep all of it in one transaction, and answer.

        :raise Exception: nothing was kept, as far as is known (``_unresolved``).
        """
        connection = self._open_connection()
        totals = self._totals.copy()
        totals.serial += 1
        number = totals.events
        began = monotonic()
        try:
            connection.execute("BEGIN IMMEDIATE")
            files = apply(connection, works, totals)
        except BaseException:
            _roll_back(connection)
            raise
        try:
            connection.execute("COMMIT")
        except sqlite3.Error:
            _roll_back(connection)
            if not self._took_effect(totals.serial, works):
                raise
        self.took(monotonic() - began)
        remember = self._house.remember
        for work in works:
            work.first = number + 1
            for keys in work.keys:
                number += 1
                if keys:
                    remember(number, keys)
        self._totals = totals
        self._patience = IDLE
        self._tell(works, files)

    def _took_effect(self, serial: int, works: Sequence[Work]) -> bool:
        """Whether the transaction of this number is on disk although COMMIT failed."""
        try:
            found = read_totals(self._open_connection())
        except sqlite3.Error:
            try:
                found = read_totals(self._reopen())
            except (sqlite3.Error, OSError, SchemaError):
                self._unresolved = (serial, works)
                return False
        return found.serial == serial

    def _refuse(self, work: Work, error: Exception) -> None:
        self.log.error(
            "The spool cannot keep a piece of work: {error}", error=f"{type(error).__name__}: {error}"
        )
        work.error = TemporarilyUnavailable(f"it cannot be kept: {error}")
        self._tell([work], [])

    def _do_chore(self, chore: Chore) -> None:
        """Do a page of it, and answer after the last."""
        connection = self._open_connection()
        connection.execute("BEGIN IMMEDIATE")
        try:
            count, place = chore.step(connection)
            connection.execute("COMMIT")
        except BaseException:
            _roll_back(connection)
            raise
        if chore.done(count, place):
            del self._chores[0]
            self._tell([chore], [])

    # --- in trouble ----------------------------------------------------------

    def _set_aside(self, works: Sequence[Work]) -> None:
        """Refuse what others still have, remember what only we have."""
        undecided = set(map(id, self._unresolved[1])) if self._unresolved is not None else set()
        refused = []
        for work in works:
            if work.essential:
                self._retained.append(work)
            else:
                work.error = Undecided(str(self.trouble)) if id(work) in undecided else self.trouble
                refused.append(work)
        if refused:
            self._tell(refused, [])

    def _enter_trouble(self, error: Exception, works: Sequence[Work] = ()) -> None:
        trouble = trouble_of(error, self._path)
        if self.trouble is None:
            self._since = monotonic()
            if self._since - self._recovered > 2 * LAST_RETRY:
                self._backoff = 0.0
            self._retained.append(notes([self._event("trouble", str(trouble))]))
            self.log.error("The spool is in trouble: {trouble}", trouble=str(trouble))
        elif str(trouble) != str(self.trouble):
            self.log.error("The spool is in trouble still: {trouble}", trouble=str(trouble))
        self.trouble = trouble
        self._set_aside(works)
        self._backoff = min(max(FIRST_RETRY, 2 * self._backoff), LAST_RETRY)
        self._retry_at = monotonic() + self._backoff

    def _recover(self) -> None:
        """Try whether the disk is well again."""
        try:
            connection = self._reopen()
            self._resolve(connection)
            while self._retained:
                some = self._retained[:MOST_WORKS]
                try:
                    self._commit(some)
                except _BAD_WORK as error:
                    self._isolate(some, error)
                del self._retained[: len(some)]
            lasted = monotonic() - self._since
            self._commit([notes([self._event("recovered", f"after {lasted:.1f} s")])])
        except Exception as error:
            self._enter_trouble(error)
            return
        self._recovered = monotonic()
        self.trouble = None
        self._patience = IDLE
        self.log.info("The spool is well again, after {lasted:.1f} s", lasted=lasted)

    def _isolate(self, works: list[Work], error: Exception) -> None:
        """Keep one by one what cannot be kept together."""
        while works:
            work = works[0]
            try:
                self._commit([work])
            except _BAD_WORK as bad:
                self._refuse(work, bad)
            # Taken out one by one: an error of the disk leaves the rest for later.
            del self._retained[0], works[0]

    def _resolve(self, connection: sqlite3.Connection) -> None:
        """Make good a transaction of which nobody knew whether it took effect."""
        if self._unresolved is None:
            return
        serial, works = self._unresolved
        if self._totals.serial == serial:
            kept = [work for work in works if work.essential]
            refused = [row[0] for work in works if not work.essential for row in work.messages]
            files: list[str] = []
            if refused:
                # Their clients were told to come again.
                totals = self._totals.copy()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    files = forget(connection, refused, totals)
                    connection.execute("COMMIT")
                except BaseException:
                    _roll_back(connection)
                    raise
                self._totals = totals
            done = set(map(id, kept))
            self._retained = [work for work in self._retained if id(work) not in done]
            self._tell(kept, files)
        self._unresolved = None

    def _event(self, what: str, detail: str) -> Event:
        return Server(at=self._seconds(), what=what, detail=detail)


def _roll_back(connection: sqlite3.Connection) -> None:
    with suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def trouble_of(error: Exception, path: Path) -> TemporarilyUnavailable:
    """What a client and the operator are told about an error of the database.

    :param path: the database.
    """
    if isinstance(error, TemporarilyUnavailable):
        return error
    text = str(error)
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL or "is full" in text or getattr(error, "errno", 0) in NO_SPACE:
        return SpoolFull(f"there is no space left for {path}: {text}")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "malformed" in text:
        return TemporarilyUnavailable(
            f"{path} is damaged: {text}; stop the server, copy the directory, and mend the database with"
            " sqlite3's .recover, or move it away to start with an empty queue"
        )
    return TemporarilyUnavailable(f"{path} cannot be used: {text}")
