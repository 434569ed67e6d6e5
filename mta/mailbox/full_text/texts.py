"""What the messages of an open account say: asked of the index of texts, and of the files where that lags.

An answer is always complete.  What the index does not know is read, looked at, and put into the index by
the way; if nothing can be put there (no room, a damaged file), searching is slow and right all the same.
So it is where no index is wanted.

While somebody has a folder open its messages are read in the background, the newest first: in small
pieces, one account at a time, with a pause after each.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredLock, DeferredSemaphore
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mta.interfaces import TemporarilyUnavailable
from mta.mailbox.acts import open_message
from mta.mailbox.content import open_file
from mta.mailbox.folder import Gone
from mta.mailbox.full_text import text
from mta.mailbox.full_text.index import TextIndex
from mta.mailbox.full_text.parts import Source
from mta.mailbox.full_text.text import Text
from mta.mailbox.index import Index
from mta.mailbox.schema import is_damage, set_aside
from mta.mailbox.snapshot import Snapshot

if TYPE_CHECKING:
    from mta.mailbox.mailroom import Account

T = TypeVar("T")

#: Messages whose names are asked for at once.
_NAMES = 500
#: Seconds of reading in one piece, for somebody who waits, and in the background.
_PIECE, _SMALL_PIECE = 0.2, 0.025
#: Seconds of pause after a piece in the background, at least, and by the time that the piece took.
_PAUSE, _REST = 0.02, 1.0
#: Characters of text after which what was read is put into the index.
_HELD = 4 << 20
#: Seconds without use after which the file is closed.
_IDLE = 20.0
#: Messages after which the background looks again at what is missing.
_ROUND = 500


@dataclass(frozen=True, slots=True)
class Question:
    """Something that messages are asked.

    :ivar index: asks the index: the number of the folder, and it answers with UIDs; there may be too many,
        of messages that are not there.  And with those of messages that are to be asked themselves.
    :ivar message: asks one message.
    :ivar beyond: whether messages of which the index has only the beginning are to be asked as well.
    :ivar header: whether the header section alone tells.
    """

    index: Callable[[TextIndex, int], tuple[set[int], set[int]]]
    message: Callable[[Text], bool]
    beyond: bool = False
    header: bool = False


def _never() -> bool:
    return False


class Texts:
    """See the module.

    :param account: whose messages these are.
    :param path: of the file of the index.
    :param background: held while a piece is read in the background.
    :param turns: how many pieces are read at once for those who wait.
    :param wanted: whether there is to be an index.
    """

    log = Logger()

    def __init__(
        self,
        account: Account,
        path: Path,
        reactor: Any,
        background: DeferredLock,
        turns: DeferredSemaphore,
        wanted: Callable[[], bool],
    ) -> None:
        self._account = account
        self._path = path
        self._reactor = reactor
        self._background = background
        self._turns = turns
        self._wanted = wanted
        self._index: TextIndex | None = None
        self._turn = DeferredLock()
        self._ahead: dict[bytes, Snapshot] = {}
        self._following: Deferred[None] | None = None
        self._unusable = False
        self._closed = False
        self._swept = False
        self._pause: Deferred[None] | None = None
        self._timer: Any = None

    # --- asking ----------------------------------------------------------------

    @property
    def indexed(self) -> bool:
        """Whether there is to be an index."""
        return self._wanted()

    async def ask(
        self, now: Snapshot, within: set[int], question: Question, gone: Callable[[], bool] = _never
    ) -> set[int]:
        """Those of some messages whose answer is yes.

        :param within: UIDs.
        :param gone: whether nobody waits any more; then there may be fewer.
        :raise TemporarilyUnavailable: if the Maildir cannot be read.
        """
        if not within:
            return set()
        missing, found = await self._asked(now, within, question)
        found &= within
        await self.each(
            now,
            missing,
            lambda uid, one: found.add(uid) if question.message(one) else None,
            gone,
            question.header,
        )
        return found

    async def _asked(self, now: Snapshot, within: set[int], question: Question) -> tuple[list[int], set[int]]:
        """What the index answers, and the messages that are to be asked themselves."""

        def work(index: TextIndex) -> tuple[list[int], set[int]]:
            number = index.folder(now.directory, now.validity)
            missing = [uid for uid in index.missing(number, now.uids) if uid in within]
            if len(missing) == len(within):
                return missing, set()
            found, unsure = question.index(index, number)
            # Those that another process has forgotten meanwhile are in neither.
            missing = [uid for uid in index.missing(number, now.uids) if uid in within]
            if question.beyond:
                unsure |= index.partial(number)
            missing += (unsure & within) - found - set(missing)
            return missing, found

        answer = await self._try(work)
        return answer if answer is not None else (sorted(within, reverse=True), set())

    async def keys(
        self, now: Snapshot, within: set[int], key: str, gone: Callable[[], bool] = _never
    ) -> dict[int, str | int | None]:
        """What messages are sorted by.

        :param gone: see :meth:`ask`.
        :param key: of :data:`~mta.mailbox.full_text.index.KEYS`.
        :return: by UID; messages that are gone are not in it.
        :raise TemporarilyUnavailable: if the Maildir cannot be read.
        """

        def work(index: TextIndex) -> dict[int, str | int | None]:
            return index.keys(index.folder(now.directory, now.validity), key)

        answer = await self._try(work) or {}
        found = {uid: value for uid, value in answer.items() if uid in within}
        missing = [uid for uid in reversed(now.uids) if uid in within and uid not in found]

        def note(uid: int, one: Text) -> None:
            found[uid] = key_of(one, key)

        await self.each(now, missing, note, gone, True)
        return found

    async def each(
        self,
        now: Snapshot,
        uids: Sequence[int],
        note: Callable[[int, Text], object],
        gone: Callable[[], bool] = _never,
        header: bool = False,
    ) -> None:
        """Read messages, and put them into the index.

        :param note: is called in a thread with what each says.  Messages that are gone are passed over.
        :param gone: see :meth:`ask`.
        :param header: whether the header sections are enough.
        :raise TemporarilyUnavailable: if the Maildir cannot be read.
        """
        if self._wanted():
            await self._read(_Reading(self, now, uids, note), gone)
        else:
            # Nothing is held: of each message it is told what it says, and that is it.
            read = text.read_header if header else partial(text.read, kept=text.MOST)
            look = partial(_look, read, note)
            await self._read(_Reading(self, now, uids, None, look), gone)

    async def sources(
        self,
        now: Snapshot,
        uids: Sequence[int],
        note: Callable[[int, Source], object],
        gone: Callable[[], bool] = _never,
    ) -> None:
        """Look into the files of messages, for what no index has.

        :param note: is called in a thread.  Messages that are gone are passed over.
        :param gone: see :meth:`ask`.
        :raise TemporarilyUnavailable: if the Maildir cannot be read.
        """
        await self._read(_Reading(self, now, uids, None, note), gone)

    async def _read(self, reading: _Reading, gone: Callable[[], bool]) -> None:
        """Piece by piece, and others may have their turns between."""
        while not (reading.over or gone()):
            await self._turns.run(Deferred.fromCoroutine, reading.piece(_PIECE))

    # --- following -------------------------------------------------------------

    def follow(self, now: Snapshot) -> None:
        """Somebody looks at a folder: bring the index up to date with it, by and by."""
        if not self._wanted():
            return
        self._ahead[now.directory] = now
        if self._following is None and self._may_follow:
            following = self._following = Deferred.fromCoroutine(self._follow())
            following.addBoth(self._followed)

    @property
    def _may_follow(self) -> bool:
        return self._wanted() and not self._unusable and not self._closed

    def _followed(self, failure: Any) -> None:
        self._following = None
        if failure is not None and failure.check(TemporarilyUnavailable, Gone) is None:
            self.log.failure("Texts were not put into their index", failure)

    async def _follow(self) -> None:
        if not self._swept:
            self._swept = True
            directories = await self._account.run(lambda index: index.directories())
            await self._try(lambda index: index.keep(directories))
        while self._ahead and self._may_follow:
            directory, now = self._ahead.popitem()
            left = await self._try(partial(_up_to_date, now=now))
            if not left:
                continue
            reading = _Reading(self, now, left[:_ROUND], lambda uid, one: None)
            while not reading.over and self._may_follow:
                await self._background.run(self._in_background, reading)
                pause = max(_PAUSE, reading.took * _REST)
                self._pause = deferLater(self._reactor, pause, lambda: None)
                try:
                    await self._pause
                except CancelledError:
                    return
            if len(left) > _ROUND:
                self._ahead.setdefault(directory, now)

    def _in_background(self, reading: _Reading) -> Deferred[None]:
        return Deferred.fromCoroutine(reading.piece(_SMALL_PIECE))

    async def leave(self) -> None:
        """Close the file of the index; whoever asks it next opens it."""
        self._ahead.clear()
        await self._turn.run(self._account.in_thread, self._close)

    async def close(self) -> None:
        """Close the index."""
        self._ahead.clear()
        self._closed = True
        if self._following is not None:
            # A thread may be at it.
            waiting: Deferred[None] = Deferred()
            self._following.addCallback(lambda _: waiting.callback(None))
            if self._pause is not None:
                self._pause.cancel()
            await waiting
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        await self._turn.run(self._account.in_thread, self._close)

    def _close(self) -> None:
        index, self._index = self._index, None
        if index is not None:
            index.close()

    # --- the index -------------------------------------------------------------

    async def put(self, now: Snapshot, texts: Sequence[tuple[int, Text]]) -> bool:
        """Put what was read into the index; whether that could be done."""

        def work(index: TextIndex) -> bool:
            index.add(index.folder(now.directory, now.validity), texts)
            return True

        return bool(await self._try(work))

    async def _try(self, work: Callable[[TextIndex], T]) -> T | None:
        """Have something done with the index; ``None`` if it cannot be used, or none is wanted."""
        if not self._wanted():
            return None
        self._put_off()
        return await self._turn.run(self._account.in_thread, self._do, work)

    def _put_off(self) -> None:
        """The file is closed when it was not used for a while: a session that waits needs none."""
        if self._timer is not None and self._timer.active():
            self._timer.reset(_IDLE)
        else:
            self._timer = self._reactor.callLater(_IDLE, self._leave)

    def _leave(self) -> None:
        self._turn.run(self._account.in_thread, self._close).addErrback(
            lambda failure: self.log.failure("An index of texts was not closed", failure)
        )

    def _do(self, work: Callable[[TextIndex], T]) -> T | None:
        try:
            try:
                answer = work(self._opened())
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
                self._say(error)
                self._close()
                set_aside(self._path)
                answer = work(self._opened())
        except (sqlite3.Error, OSError) as error:
            self._say(error)
            return None
        self._unusable = False
        return answer

    def _opened(self) -> TextIndex:
        if self._index is None:
            self._index = TextIndex(self._path)
        return self._index

    def _say(self, error: Exception) -> None:
        # Once: it is tried with each search again.
        if not self._unusable:
            self._unusable = True
            self.log.error(
                "The index of texts of {maildir} cannot be used, searching it is slow: {why}",
                maildir=os.fsdecode(self._account.maildir),
                why=str(error),
            )

    @property
    def account(self) -> Account:
        """Whose they are."""
        return self._account


class _Reading:
    """Messages of a folder that are being read, a piece at a time.

    :ivar over: whether all were read.
    :ivar took: seconds of the last piece.
    """

    def __init__(
        self,
        texts: Texts,
        now: Snapshot,
        uids: Sequence[int],
        note: Callable[[int, Text], object] | None,
        look: Callable[[int, Source], object] | None = None,
    ) -> None:
        self._texts = texts
        self._now = now
        self._uids = list(reversed(uids))
        self._note = note
        self._look = look
        self._places: list[tuple[int, bytes]] = []
        self.over = not uids
        self.took = 0.0

    async def piece(self, seconds: float) -> None:
        """Read for so long, or a little longer."""
        account = self._texts.account
        if not self._places and self._uids:
            some = self._uids[-_NAMES:]
            del self._uids[-_NAMES:]
            self._places = await account.run(lambda index: _places(index, self._now, some))
        read, lost = await account.in_thread(self._read, seconds)
        for uid in lost:
            try:
                file, _ = await account.run(partial(open_message, directory=self._now.directory, uid=uid))
            except Gone:
                continue
            await account.in_thread(self._one, uid, file, read)
        if read:
            await self._texts.put(self._now, read)
        self.over = not self._places and not self._uids

    def _read(self, seconds: float) -> tuple[list[tuple[int, Text]], list[int]]:
        """In a thread: what was read, and the UIDs of messages that are not where they were."""
        begun = time.monotonic()
        read: list[tuple[int, Text]] = []
        lost = []
        held = 0
        while self._places and held < _HELD:
            uid, path = self._places.pop()
            try:
                file = open_file(path)
            except FileNotFoundError:
                lost.append(uid)
                continue
            except OSError:
                # It says nothing to anybody.
                self._told(uid, Source(b""), read)
                continue
            self._one(uid, file, read)
            held += len(read[-1][1].body) if read else 0
            if time.monotonic() - begun > seconds:
                break
        self.took = time.monotonic() - begun
        return read, lost

    def _one(self, uid: int, file: int, read: list[tuple[int, Text]]) -> None:
        try:
            self._told(uid, Source.of_file(file), read)
        except OSError:
            self._told(uid, Source(b""), read)
        finally:
            os.close(file)

    def _told(self, uid: int, source: Source, read: list[tuple[int, Text]]) -> None:
        if self._look is not None:
            self._look(uid, source)
            return
        assert self._note is not None
        found = text.read(source)
        if not found.whole:
            self._note(uid, text.read(source, text.MOST))
        else:
            self._note(uid, found)
        read.append((uid, found))


def _look(
    read: Callable[[Source], Text], note: Callable[[int, Text], object], uid: int, source: Source
) -> None:
    note(uid, read(source))


def _places(index: Index, now: Snapshot, uids: Iterable[int]) -> list[tuple[int, bytes]]:
    """The paths of messages, as far as the index knows them."""
    folder = index.known(now.directory)
    if folder is None or folder.validity != now.validity:
        return []
    start = index.path(now.directory) + b"/"
    found = []
    for uid in uids:
        try:
            found.append((uid, start + index.message(folder, uid).place))
        except Gone:
            continue
    return found


def _up_to_date(index: TextIndex, now: Snapshot) -> list[int]:
    """Forget what is gone; UIDs of what is missing."""
    number = index.folder(now.directory, now.validity)
    known = index.known(number)
    if known == now.uids:
        return []
    there = set(now.uids)
    # What is newer than the snapshot, another one knew.
    gone = [uid for uid in known if uid not in there and uid < now.next_uid]
    if gone:
        index.forget(number, gone)
        number = index.folder(now.directory, now.validity)
    return index.missing(number, now.uids)


def key_of(one: Text, key: str) -> str | int | None:
    """What a message is sorted by, as :meth:`~mta.mailbox.full_text.index.TextIndex.keys` has it."""
    if key == "sent":
        return one.sent
    if key == "base":
        return one.base
    place = ("from_box", "to_box", "cc_box", "from_name", "to_name").index(key)
    return (*one.boxes, *one.names)[place]
