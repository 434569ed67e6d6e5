"""Opens accounts for sessions, does their work in threads, and wakes them when something comes.

An account is open once in a worker, for all of its sessions, and stays so for a while after the last.
Its work is done one piece after the other: a file system that hangs takes one thread for an account.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred, DeferredLock, DeferredSemaphore
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from mta.interfaces import TemporarilyUnavailable
from mta.mailbox.folder import Gone
from mta.mailbox.full_text.index import ENDING, remove_indexes
from mta.mailbox.full_text.texts import Texts
from mta.mailbox.index import Index
from mta.mailbox.lock import InUse, Lock
from mta.mailbox.opening import OpenIndex
from mta.mailbox.refusal import Refused
from mta.mailbox.schema import Damaged, is_damage
from mta.mailbox.snapshot import Snapshot, take
from mta.mailbox.watching import Watcher

T = TypeVar("T")
#: Seconds for which an account without sessions stays open.
LINGER = 60.0
#: Pieces of messages that are read at once, for searches that no index answers.
_READERS = 2
#: Of the directory in the state directory that holds the indexes.
DIRECTORY = "mailboxes"


class Mailroom:
    """See the module.

    :param reactor: timers, ``callFromThread``, descriptors.
    :param directory: of the indexes.
    :param threads: how many pieces of work are done at once, at the most.
    :param poll: seconds between looks at folders that the kernel does not tell about.
    :param full_text: whether what messages say is kept in an index.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        directory: Path,
        threads: int = 4,
        poll: float = 5.0,
        full_text: bool = True,
    ) -> None:
        self.reactor = reactor
        self.directory = directory
        self.pool = ThreadPool(0, threads, "mailbox")
        self.watcher = Watcher(reactor, self.in_thread, poll)
        self.background = DeferredLock()
        self.reading = DeferredSemaphore(_READERS)
        self.full_text = full_text
        self._accounts: dict[bytes, Account] = {}
        self._started = False

    def start(self) -> None:
        """Start the threads; :meth:`open` does so too."""
        if not self._started:
            self._started = True
            self.pool.start()

    async def tidy(self) -> None:
        """Where no index of texts is wanted, remove those that are there."""
        if self.full_text:
            return
        for account in list(self._accounts.values()):
            await account.texts.leave()
        try:
            count, octets = await self.in_thread(remove_indexes, self.directory)
        except OSError as error:
            self.log.error(
                "Indexes of texts in {directory} cannot be removed: {why}",
                directory=self.directory,
                why=error.strerror,
            )
        else:
            if count:
                self.log.info(
                    "{count} indexes of texts were removed, {size} MB: mailbox.full_text is false",
                    count=count,
                    size=round(octets / 1e6, 1),
                )

    async def stop(self) -> None:
        """Close everything; after the last session."""
        self.watcher.stop()
        for account in list(self._accounts.values()):
            await account.shut()
        self._accounts.clear()
        if self._started:
            self._started = False
            self.pool.stop()

    def in_thread(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """Have something done in a thread."""
        self.start()
        return deferToThreadPool(self.reactor, self.pool, work, *arguments)

    async def open(self, maildir: str) -> Account:
        """The account of a Maildir, for a session that will ``close()`` it.

        :raise TemporarilyUnavailable: if its index cannot be opened.
        """
        path = os.fsencode(maildir.rstrip("/"))
        account = self._accounts.get(path)
        if account is None:
            account = self._accounts[path] = Account(self, path)
        account.enter()
        try:
            await account.run(lambda index: None)
        except BaseException:
            account.close()
            raise
        return account

    def drop(self, account: Account) -> None:
        """An account is closed."""
        if self._accounts.get(account.maildir) is account:
            del self._accounts[account.maildir]

    def delivered(self, folders: Iterable[bytes]) -> None:
        """Something came into folders, by their paths: wake who watches them."""
        if self._accounts:
            self.watcher.wake(folders)

    def file_of(self, maildir: bytes, end: str) -> Path:
        """A file about a Maildir in our directory."""
        name = hashlib.sha256(maildir).hexdigest()[:32]
        return self.directory / name[:2] / f"{name}{end}"


class Account:
    """An open account; see :class:`Mailroom`.

    :ivar maildir: its path.
    :ivar quota: octets that it may have; 0: any number.
    :ivar texts: what its messages say.
    """

    log = Logger()
    quota = 0

    def __init__(self, room: Mailroom, maildir: bytes) -> None:
        self._room = room
        self.maildir = maildir
        self._file = OpenIndex(room.file_of(maildir, ".db"), maildir)
        self._turn = DeferredLock()
        self._sessions = 0
        self._closing: Any = None
        self._snapshots: WeakValueDictionary[bytes, Snapshot] = WeakValueDictionary()
        self._claimed: dict[bytes, tuple[int, int]] = {}
        self.texts = Texts(
            self,
            room.file_of(maildir, ENDING),
            room.reactor,
            room.background,
            room.reading,
            lambda: room.full_text,
        )

    async def run(self, work: Callable[[Index], T]) -> T:
        """Have something done with the index, in a thread, when it is our turn.

        :raise Gone: if the folder or the message is not there.
        :raise Refused: if it cannot be done as things are.
        :raise TemporarilyUnavailable: if disk or index cannot be used.
        """
        return await self._turn.run(self._room.in_thread, self._do, work)

    async def work(self, work: Callable[..., T], *arguments: Any) -> T:
        """Have something done in a thread that needs no index.

        :raise TemporarilyUnavailable: if the disk cannot be used.
        """
        try:
            return await self._room.in_thread(work, *arguments)
        except OSError as error:
            raise self._unusable(error) from error

    def in_thread(self, work: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """The same, and errors are as they are."""
        return self._room.in_thread(work, *arguments)

    async def snapshot(self, directory: bytes, thorough: bool = False) -> Snapshot:
        """What is in a folder now; all sessions share one that is alike.

        :raise Gone: if it is not there.
        :raise TemporarilyUnavailable: if it cannot be read.
        """
        now = await self.run(lambda index: take(index, directory, self._snapshots, thorough))
        if self._sessions:
            self.texts.follow(now)
        return now

    def claim(self, directory: bytes, now: Snapshot, keep: bool = True) -> tuple[int, int]:
        """UIDs of a folder that no session was told of: from, and up to this one (RFC 3501, ``\\Recent``).

        :param keep: whether nobody shall be told so after this one.
        """
        validity, first = self._claimed.get(directory, (now.validity, now.fresh))
        if validity != now.validity:
            first = now.fresh
        if keep or directory not in self._claimed:
            self._claimed[directory] = (now.validity, max(first, now.next_uid) if keep else first)
        return first, now.next_uid

    def claimed(self, directory: bytes) -> tuple[int, int] | None:
        """UIDVALIDITY, and the first UID that nobody has claimed; ``None`` if nobody has claimed any."""
        return self._claimed.get(directory)

    def lock(self) -> Lock:
        """The lock of POP3; in a thread.

        :raise InUse: if another session has it.
        """
        return Lock(self._room.file_of(self.maildir, ".lock"))

    def watch(self, directory: bytes, told: Callable[[], None]) -> Callable[[], None]:
        """Have ``told`` called whenever a folder may have changed; call the answer to end it."""
        path = self.maildir + b"/" + directory if directory else self.maildir
        return self._room.watcher.watch(path, told)

    def wake(self, directory: bytes) -> None:
        """A folder was changed: have its sessions look."""
        path = self.maildir + b"/" + directory if directory else self.maildir
        self._room.watcher.wake((path,))

    # --- life ------------------------------------------------------------------

    def enter(self) -> None:
        """One more session."""
        self._sessions += 1
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None

    def close(self) -> None:
        """One session less."""
        self._sessions -= 1
        if not self._sessions and self._closing is None:
            self._closing = self._room.reactor.callLater(LINGER, self._linger_over)

    def _linger_over(self) -> None:
        self._closing = None
        if not self._sessions:
            self._room.drop(self)
            Deferred.fromCoroutine(self.shut()).addErrback(
                lambda failure: self.log.failure("An index was not closed", failure)
            )

    async def shut(self) -> None:
        """Close the index."""
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        await self._turn.run(self._room.in_thread, self._file.release)
        await self.texts.close()

    # --- in a thread -----------------------------------------------------------

    def _do(self, work: Callable[[Index], T]) -> T:
        try:
            try:
                with self._file.use() as index:
                    return work(index)
            except (Damaged, sqlite3.DatabaseError) as error:
                if isinstance(error, sqlite3.Error) and not is_damage(error):
                    raise
                self._abandon(str(error))
                with self._file.use() as index:
                    return work(index)
        except (Gone, InUse, Refused, TemporarilyUnavailable):
            raise
        except sqlite3.Error as error:
            raise TemporarilyUnavailable(f"the index of {self._named()} cannot be used: {error}") from error
        except OSError as error:
            raise self._unusable(error) from error

    def _unusable(self, error: OSError) -> TemporarilyUnavailable:
        problem = error.strerror or type(error).__name__
        return TemporarilyUnavailable(f"{self._named()} cannot be used: {problem}")

    def _abandon(self, why: str) -> None:
        """An index that cannot be used is put aside, and made anew from the files."""
        if self._file.abandon():
            self.log.error(
                "The index of {maildir} is made anew, the old one is put aside: {why}",
                maildir=self._named(),
                why=why,
            )

    def _named(self) -> str:
        return os.fsdecode(self.maildir)
