"""What a POP3 session has of a mailbox: the messages that there were when it began.

Numbers and sizes are in memory, 16 octets a message; names are asked of the index when they are needed.
"""

from __future__ import annotations

import os
from array import array
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.mail.pop3 import IMailbox
from zope.interface import implementer

from mta.mailbox import acts
from mta.mailbox.content import BLOCK, Lines, Top, blocks
from mta.mailbox.file_name import SEEN, Flags, hashed_id, unique_id
from mta.mailbox.index import Index
from mta.mailbox.lock import InUse, Lock
from mta.mailbox.mailroom import Account

#: Messages whose names are asked for at once.
CHUNK = 1000
#: Messages that get a flag in one transaction.
_FLAGGED_AT_ONCE = 500


class TooSoon(Exception):
    """The account logged in a moment ago.

    :ivar seconds: until it may again.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the next log-in is due in {seconds:.0f} s")
        self.seconds = seconds


class Reading:
    """Reads a message block by block, as it is to be sent.

    :param file: an open descriptor, which is closed when all was read.
    :param lines: of the body; ``None``: all of it.
    :ivar over: whether that was all.
    """

    def __init__(self, file: int, lines: int | None) -> None:
        self._file = file
        self._blocks = blocks(file)
        self._stuffing = Lines(stuffed=True)
        self._top = None if lines is None else Top(lines)
        self.over = False

    def following(self) -> bytes:
        """The next block; in a thread.

        :raise OSError: if it cannot be read.
        """
        top = self._top
        while not self.over:
            block = b"" if top is not None and top.over else next(self._blocks, b"")
            if not block:
                return self._end()
            out = self._stuffing.feed(block if top is None else top.feed(block))
            if len(block) < BLOCK or (top is not None and top.over):
                # Most messages are over here, and cost one turn of a thread.
                out += self._end()
            if out:
                return out
        return b""

    def _end(self) -> bytes:
        self.over = True
        self.close()
        return self._stuffing.end()

    def close(self) -> None:
        """Close the file, if it is open."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


@implementer(IMailbox)
class Maildrop:
    """See the module.  ``listMessages``, ``deleteMessage`` and ``undeleteMessages`` answer at once,
    ``getMessage`` and ``getUidl`` later.

    :ivar uids: by place; 0 for what is marked as deleted.
    :ivar sizes: octets as they are sent.
    :ivar retrieved: places of what was fetched whole.
    """

    def __init__(self, account: Account, lock: Lock, uids: array[int], sizes: array[int]) -> None:
        self._account = account
        self._lock: Lock | None = lock
        self.uids = uids
        self.sizes = sizes
        self.deleted: set[int] = set()
        self.retrieved: set[int] = set()
        self._ambiguous: set[bytes] | None = None

    @classmethod
    async def open(cls, account: Account, login_delay: float, now: float) -> Maildrop:
        """Lock the mailbox, and see what is in it.

        :param login_delay: seconds from one session to the next.
        :raise InUse: if another session has it.
        :raise TooSoon: if it is too early for the next.
        :raise TemporarilyUnavailable: if it cannot be read.
        """
        lock = await account.run(lambda index: account.lock())
        try:
            if login_delay:
                await account.run(lambda index: _be_patient(index, login_delay, now))
            folder = await account.run(lambda index: index.refresh(b""))
            while await account.run(lambda index: acts.count_lines(index, folder)):
                pass
            uids, sizes = await account.run(_content)
        except BaseException:
            lock.release()
            raise
        return cls(account, lock, uids, sizes)

    def close(self) -> None:
        """Let others have the mailbox."""
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()
            self._account.close()

    # --- numbers ---------------------------------------------------------------

    def there(self, place: int) -> bool:
        """Whether there is a message, and it is not marked as deleted."""
        return 0 <= place < len(self.uids) and place not in self.deleted

    def total(self) -> tuple[int, int]:
        """Messages and octets that are not marked as deleted."""
        octets = sum(self.sizes) - sum(self.sizes[place] for place in self.deleted)
        return len(self.uids) - len(self.deleted), octets

    def listMessages(self, index: int | None = None) -> Any:
        """See ``IMailbox``."""
        if index is None:
            return [0 if place in self.deleted else size for place, size in enumerate(self.sizes)]
        if not 0 <= index < len(self.uids):
            raise ValueError(index)
        return 0 if index in self.deleted else self.sizes[index]

    def deleteMessage(self, index: int) -> None:
        """See ``IMailbox``."""
        if not self.there(index):
            raise ValueError(index)
        self.deleted.add(index)

    def undeleteMessages(self) -> None:
        """See ``IMailbox``."""
        self.deleted.clear()

    # --- content ---------------------------------------------------------------

    def getMessage(self, index: int) -> Deferred[Any]:
        """See ``IMailbox``: a file, open for reading."""
        return Deferred.fromCoroutine(self._file(index))

    async def _file(self, place: int) -> Any:
        file = await self.descriptor(place)
        return os.fdopen(file, "rb")

    async def descriptor(self, place: int) -> int:
        """An open descriptor of a message.

        :raise Gone: if another program has removed it.
        :raise TemporarilyUnavailable: if it cannot be opened.
        """
        uid = self.uids[place]
        file, _ = await self._account.run(lambda index: acts.open_message(index, b"", uid))
        return file

    async def reading(self, place: int, lines: int | None) -> tuple[Reading, bytes]:
        """Open a message, and read the first block of it, in one turn of a thread.

        :param lines: of the body; ``None``: all of it.
        :return: what goes on from there, and must be closed, and the block.
        :raise Gone: if another program has removed it.
        :raise TemporarilyUnavailable: if it cannot be read.
        """
        uid = self.uids[place]

        def begin(index: Index) -> tuple[Reading, bytes]:
            file, _ = acts.open_message(index, b"", uid)
            reading = Reading(file, lines)
            try:
                return reading, reading.following()
            except BaseException:
                reading.close()
                raise

        return await self._account.run(begin)

    async def read_on(self, reading: Reading) -> bytes:
        """The next block; ``b""``: that was all.

        :raise OSError: if it cannot be read.
        """
        return b"" if reading.over else await self._account.in_thread(reading.following)

    def getUidl(self, index: int) -> Deferred[bytes]:
        """See ``IMailbox``."""
        return Deferred.fromCoroutine(self._unique_id(index))

    async def _unique_id(self, place: int) -> bytes:
        found = await self.unique_ids(place, 1)
        return found[0][1]

    async def unique_ids(self, start: int, count: int = CHUNK) -> list[tuple[int, bytes]]:
        """The unique ids of some messages from a place on, each with its place.

        A message that another program has removed meanwhile keeps its place, and an id that nothing else has.

        :raise TemporarilyUnavailable: if they cannot be read.
        """
        if self._ambiguous is None:
            self._ambiguous = await self._account.run(_ambiguous)
        ambiguous = self._ambiguous
        wanted = self.uids[start : start + count]
        bases = await self._account.run(lambda index: _bases(index, wanted))
        found = []
        for place, uid in enumerate(wanted, start):
            base = bases.get(uid)
            if base is None:
                found.append((place, b"gone-%d" % uid))
                continue
            name = unique_id(base)
            found.append((place, hashed_id(base) if name in ambiguous else name))
        return found

    # --- the end ---------------------------------------------------------------

    def sync(self) -> Deferred[int]:
        """See ``IMailbox``: remove what is marked as deleted."""
        return Deferred.fromCoroutine(self.commit(True))

    async def commit(self, mark_seen: bool) -> int:
        """Remove what is marked as deleted: all of it, or nothing.  What was fetched is marked as seen.

        :return: how many could not be removed.
        :raise TemporarilyUnavailable: if nothing was removed.
        """
        deleted = [self.uids[place] for place in sorted(self.deleted)]
        left: list[int] = []
        if deleted:
            _, left = await self._account.run(lambda index: acts.expunge(index, b"", deleted))
        if mark_seen:
            seen = [self.uids[place] for place in sorted(self.retrieved - self.deleted)]
            for start in range(0, len(seen), _FLAGGED_AT_ONCE):
                some = seen[start : start + _FLAGGED_AT_ONCE]
                await self._account.run(partial(_mark_seen, uids=some))
        return len(left)


def _be_patient(index: Index, delay: float, now: float) -> None:
    with index.transaction():
        (before,) = index.connection.execute("SELECT logged_in FROM account").fetchone()
        left = before + delay - now
        if 0 < left <= delay:
            raise TooSoon(left)
        index.connection.execute("UPDATE account SET logged_in = ?", (now,))


def _content(index: Index) -> tuple[array[int], array[int]]:
    uids, sizes = array("Q"), array("Q")
    folder = index.known(b"")
    assert folder is not None
    rows = index.connection.execute(
        "SELECT uid, ifnull(virtual, size) FROM messages WHERE folder = ? ORDER BY uid", (folder.id,)
    )
    while some := rows.fetchmany(10_000):
        uids.extend([uid for uid, _ in some])
        sizes.extend([size for _, size in some])
    return uids, sizes


def _bases(index: Index, uids: array[int]) -> dict[int, bytes]:
    folder = index.known(b"")
    if folder is None or not uids:
        return {}
    rows = index.connection.execute(
        "SELECT uid, base FROM messages WHERE folder = ? AND uid BETWEEN ? AND ?",
        (folder.id, uids[0], uids[-1]),
    )
    return dict(rows.fetchall())


def _ambiguous(index: Index) -> set[bytes]:
    """Unique ids that more than one message would have."""
    folder = index.known(b"")
    if folder is None:
        return set()
    seen: set[int] = set()
    twice: set[bytes] = set()
    for (base,) in index.connection.execute("SELECT base FROM messages WHERE folder = ?", (folder.id,)):
        name = unique_id(base)
        mark = hash(name)
        if mark in seen:
            twice.add(name)
        seen.add(mark)
    return twice


def _mark_seen(index: Index, uids: list[int]) -> None:
    acts.change_flags(index, b"", uids, lambda flags: Flags(flags.system | SEEN, flags.keywords, flags.other))


__all__ = ["CHUNK", "InUse", "Maildrop", "TooSoon"]
