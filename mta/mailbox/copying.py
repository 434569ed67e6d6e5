"""COPY: all messages or none, with flags, keywords and INTERNALDATE (RFC 3501, 6.4.7).

A copy is another name of the same file where the file system allows that: what a message is never
changes.  Everything here blocks: threads run it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from mta.mailbox.arriving import arrive
from mta.mailbox.content import blocks, open_file
from mta.mailbox.draft import Draft, OpenFolder, names, sized
from mta.mailbox.file_name import flags_of, virtual_of
from mta.mailbox.folder import Folder, Gone, Message
from mta.mailbox.index import Index
from mta.mailbox.quota_root import QuotaRoot
from mta.mailbox.refusal import Refused

#: What a file system says that cannot give this file another name: it is copied then.
_NO_LINK = (
    errno.EXDEV,
    errno.EPERM,
    errno.EACCES,
    errno.EMLINK,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EINVAL,
)
#: How often a message is looked for that others rename at the same time.
_TRIES = 5


@dataclass(frozen=True, slots=True)
class Copied:
    """What came of messages (COPYUID, RFC 4315).

    :ivar validity: UIDVALIDITY of the folder where they are.
    :ivar pairs: UID where it was, and UID where it is, of each message.
    :ivar left: UIDs of those that could not be moved; they stay where they were.
    :ivar trouble: why, of the first.
    """

    validity: int
    pairs: list[tuple[int, int]]
    left: list[int] = field(default_factory=list)
    trouble: OSError | None = None


class Copying:
    """One command, which :meth:`take` prepares some messages at a time.

    :param source: directory of the folder with the messages.
    :param target: of the one that they shall be in.
    :param quota: octets that the account may have; 0: any number.
    :param moved: whether they go from where they were.
    :raise Gone: if there is no such folder.
    :raise OSError: if it cannot be opened.
    """

    def __init__(
        self, index: Index, source: bytes, target: bytes, quota: int = 0, moved: bool = False
    ) -> None:
        self._disk = index.disk
        self._source = source
        self._target = target
        self._moved = moved
        # What only changes its folder needs no more room, unless it did not count before.
        self._counts = not moved or source == b".Trash"
        self._quota = QuotaRoot(index.maildir, quota)
        self._names: Iterator[bytes] = names()
        self._taken: list[tuple[int, Draft]] = []
        self._from = OpenFolder(index.maildir, source)
        try:
            self._into = OpenFolder(index.maildir, target)
        except BaseException:
            self._from.close()
            raise

    def take(self, index: Index, uids: Sequence[int]) -> None:
        """Prepare copies of messages.

        :raise Gone: if the folder is not there any more.
        :raise Refused: if one of the messages is not, or they do not fit.
        :raise OSError: if they cannot be copied.
        """
        folder = index.known(self._source) or index.refresh(self._source)
        for uid in uids:
            self._take(index, folder, uid)

    def _take(self, index: Index, folder: Folder, uid: int) -> None:
        name = next(self._names)
        for _ in range(_TRIES):
            try:
                message = index.message(folder, uid)
                self._reserve(message)
                self._copy(message, name)
            except FileNotFoundError:
                # Another program gave it another name.
                folder = index.refresh(self._source, thorough=True)
            except Gone:
                break
            else:
                self._taken.append((uid, self._draft(folder, message, name)))
                return
        raise Refused(f"message {uid} was removed meanwhile; nothing is copied", "EXPUNGEISSUED")

    def _reserve(self, message: Message) -> None:
        if self._counts and message.counts:
            self._quota.reserve(self._target, message.size)

    def _copy(self, message: Message, name: bytes) -> None:
        try:
            os.link(
                message.name,
                name,
                src_dir_fd=self._from.place(message.cur),
                dst_dir_fd=self._into.tmp,
                follow_symlinks=False,
            )
        except OSError as error:
            if error.errno not in _NO_LINK:
                raise
            self._write(message, name)

    def _write(self, message: Message, name: bytes) -> None:
        disk, into = self._disk, self._into
        source = open_file(message.name, self._from.place(message.cur))
        try:
            file = disk.create(name, into.tmp, into.mode, into.owner)
            try:
                for block in blocks(source):
                    disk.write(file, block)
                facts = os.fstat(source)
                os.utime(file, ns=(facts.st_mtime_ns, facts.st_mtime_ns))
                disk.sync(file)
            except BaseException:
                disk.remove(name, into.tmp)
                raise
            finally:
                os.close(file)
        finally:
            os.close(source)

    def _draft(self, folder: Folder, message: Message, name: bytes) -> Draft:
        flags = flags_of(message.info)
        return Draft(
            name,
            sized(name, message.size, virtual_of(message.base)),
            flags.system,
            folder.named(flags.keywords),
            message.size,
            message.virtual,
            message.received,
            flags.other,
            (folder.id, message.uid),
            self._moved,
        )

    def commit(self, index: Index) -> Copied:
        """Put all copies into their folder; in the end, nothing is open.

        :raise Gone: if it was removed or renamed meanwhile; none is there.
        :raise OSError: if they cannot be put there; none is.
        :raise sqlite3.Error: likewise.
        """
        try:
            taken, self._taken = self._taken, []
            placed = arrive(index, self._into, [draft for _, draft in taken])
        finally:
            self.abandon()
        return Copied(placed.validity, list(zip((uid for uid, _ in taken), placed.uids, strict=True)))

    def abandon(self) -> None:
        """Nothing becomes of what is not committed."""
        if self._into.tmp >= 0:
            for _, draft in self._taken:
                with suppress(OSError):
                    os.unlink(draft.name, dir_fd=self._into.tmp)
            self._taken.clear()
            self._into.close()
            self._from.close()
