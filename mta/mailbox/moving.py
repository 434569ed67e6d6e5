"""MOVE: messages get another folder, and nothing is ever lost or there twice (RFC 6851).

A message is moved by one renaming, which no kill can cut; the index follows, by itself or by the next look
at both folders.  File names stay, because by them a delivery that is repeated finds its message.  Between
file systems messages are copied, and go when their copies have come (:mod:`~mta.mailbox.arriving`).
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import nullcontext

from mta.mailbox.acts import expunge, still
from mta.mailbox.arriving import Words, insert, take_uid
from mta.mailbox.copying import Copied, Copying
from mta.mailbox.doomed import count_in_quota, finish
from mta.mailbox.draft import OpenFolder, names, sized
from mta.mailbox.file_name import Flags, flags_of, info_of, virtual_of
from mta.mailbox.folder import Folder, Gone, Message
from mta.mailbox.index import Index
from mta.mailbox.quota_root import QuotaRoot

#: How often messages are looked for that others rename at the same time.
_TRIES = 5
_TRASH = b".Trash"


def move(index: Index, source: bytes, uids: Sequence[int], target: bytes, quota: int = 0) -> Copied:
    """Move messages, in one transaction: a caller with many gives some hundreds at a time.

    Those that are not there any more are passed over.

    :param quota: octets that the account may have; 0: any number.  Only what comes out of ``Trash`` needs
        room.
    :raise Gone: if one of the folders is not there.
    :raise Refused: if they do not fit: ``OVERQUOTA``.
    :raise OSError: if none can be moved.
    :raise sqlite3.Error: if the index cannot be written; what was moved by then stays so.
    """
    moving = _Moving(index, source, target)
    try:
        if quota and source == _TRASH:
            moving.reserve(uids, QuotaRoot(index.maildir, quota))
        wanted: Sequence[int] = uids
        for _ in range(_TRIES):
            wanted = moving.run(wanted)
            if not wanted:
                break
            index.refresh(source, thorough=True)
        moving.across()
    finally:
        moving.close()
    if moving.trouble is not None and not moving.pairs:
        raise moving.trouble
    return Copied(moving.validity, sorted(moving.pairs), moving.left, moving.trouble)


class _Moving:
    """One call of :func:`move`."""

    def __init__(self, index: Index, source: bytes, target: bytes) -> None:
        self._index = index
        self._source = source
        self._target = target
        self._names: Iterator[bytes] = names()
        self.pairs: list[tuple[int, int]] = []
        self.left: list[int] = []
        self.trouble: OSError | None = None
        self._across: list[int] = []
        self._from = OpenFolder(index.maildir, source)
        try:
            self._into = OpenFolder(index.maildir, target)
        except BaseException:
            self._from.close()
            raise
        for directory in (source, target):
            if index.known(directory) is None:
                index.refresh(directory)
        known = index.known(target)
        self.validity = 0 if known is None else known.validity

    def close(self) -> None:
        self._from.close()
        self._into.close()

    def reserve(self, uids: Sequence[int], quota: QuotaRoot) -> None:
        folder = self._now(self._source, self._from)
        for uid in uids:
            try:
                message = self._index.message(folder, uid)
            except Gone:
                continue
            if message.counts:
                quota.reserve(self._target, message.size)

    def _now(self, directory: bytes, opened: OpenFolder) -> Folder:
        folder = self._index.known(directory)
        if folder is None or not opened.is_there():
            raise Gone("the folder was removed or renamed")
        return folder

    def run(self, uids: Sequence[int]) -> list[int]:
        """One try; the UIDs of those that another program renamed at the same moment."""
        index = self._index
        missed: list[int] = []
        moved: list[tuple[Message, Message]] = []
        with index.transaction():
            source = self._now(self._source, self._from)
            # One folder is one object: what is counted in it is written once.
            same = self._source == self._target
            target = source if same else self._now(self._target, self._into)
            self.validity = target.validity
            words = Words(index.path(self._target))
            target.modseq += 1
            with index.own(source), nullcontext() if same else index.own(target):
                for uid in uids:
                    try:
                        before = index.message(source, uid)
                    except Gone:
                        continue
                    try:
                        now = self._rename(before, source, target, words, same)
                    except FileNotFoundError:
                        missed.append(uid)
                    except OSError as error:
                        self._not_moved(uid, error)
                    else:
                        moved.append((before, now))
            if moved:
                os.fsync(self._into.cur)
                for cur in {before.cur for before, _ in moved}:
                    os.fsync(self._from.place(cur))
                insert(index, target, [(now, (source.id, before.uid)) for before, now in moved])
                index.remove(source, [before for before, _ in moved])
        self.pairs += [(before.uid, now.uid) for before, now in moved]
        if (self._source == _TRASH) != (self._target == _TRASH):
            sign = 1 if self._source == _TRASH else -1
            counting = [before.size for before, _ in moved if before.counts]
            count_in_quota(index.maildir, sign * sum(counting), sign * len(counting))
        return missed

    def _rename(self, before: Message, source: Folder, target: Folder, words: Words, same: bool) -> Message:
        """Move one file.

        :raise OSError: if it cannot be.
        """
        flags = flags_of(before.info)
        bits = flags.keywords
        if not same and bits:
            bits = words.bits(source.named(bits))
            words.save(target)
        flags = Flags(flags.system, bits, flags.other)
        info = info_of(flags)
        base = before.base
        if self._has(target, base):
            base = self._fresh(before)
        place = self._from.place(before.cur)
        while not self._index.disk.rename(before.name, place, base + info, self._into.cur):
            base = self._fresh(before)
        return Message(
            take_uid(target),
            base,
            info,
            1,
            flags.system,
            flags.keywords,
            before.size,
            before.virtual,
            before.received,
            target.modseq,
        )

    def _fresh(self, before: Message) -> bytes:
        return sized(next(self._names), before.size, virtual_of(before.base))

    def _has(self, folder: Folder, base: bytes) -> bool:
        row = self._index.connection.execute(
            "SELECT 1 FROM messages WHERE folder = ? AND base = ?", (folder.id, base)
        ).fetchone()
        return row is not None

    def _not_moved(self, uid: int, error: OSError) -> None:
        if error.errno == errno.EXDEV:
            self._across.append(uid)
            return
        self.left.append(uid)
        self.trouble = self.trouble or error

    def across(self) -> None:
        """Move those that must go to another file system."""
        if not self._across:
            return
        index = self._index
        copying = Copying(index, self._source, self._target, moved=True)
        try:
            copying.take(index, self._across)
            self.pairs += copying.commit(index).pairs
        except OSError as error:
            self.left += self._across
            self.trouble = self.trouble or error
            return
        finally:
            copying.abandon()
        with index.transaction():
            folder = self._now(self._source, self._from)
            stay = finish(index, still(index, folder))
        if stay:
            # Rather where it was than in both folders.
            expunge(index, self._target, [now for before, now in self.pairs if before in stay])
            self.pairs = [pair for pair in self.pairs if pair[0] not in stay]
            self.left += stay
            self.trouble = self.trouble or OSError(errno.EACCES, "what was copied cannot be removed")
