"""APPEND: messages that clients bring (RFC 3501, 6.3.11; RFC 3502: several, all or none).

A message is written to disk as it comes; in memory is a block of it.  Before the last step nobody sees
anything of it.  All methods block: threads run them, :meth:`Append.commit` with the index.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from mta.mailbox.arriving import Placed, arrive
from mta.mailbox.draft import Draft, DraftFile, OpenFolder, names
from mta.mailbox.index import Index
from mta.mailbox.quota_root import QuotaRoot


class Append:
    """One command.

    :param index: of the account.
    :param directory: of the folder.
    :param quota: octets that the account may have; 0: any number.
    :raise Gone: if there is no such folder.
    :raise OSError: if it cannot be opened.
    """

    def __init__(self, index: Index, directory: bytes, quota: int = 0) -> None:
        self._disk = index.disk
        self._directory = directory
        self._quota = QuotaRoot(index.maildir, quota)
        self._names = names()
        self._drafts: list[Draft] = []
        self._file: DraftFile | None = None
        self._facts: tuple[int, tuple[str, ...], float] = (0, (), 0.0)
        self._folder = OpenFolder(index.maildir, directory)

    def begin(
        self, octets: int, flags: int = 0, words: Sequence[str] = (), received: float | None = None
    ) -> None:
        """A message follows.

        :param octets: as its client announces.
        :param flags: bits of :data:`~mta.mailbox.file_name.LETTERS`.
        :param words: keywords; those for which the folder has no room are left out.
        :param received: INTERNALDATE, seconds since 1970; now, if the client names none.
        :raise Refused: if it does not fit: ``OVERQUOTA``.
        :raise OSError: if it cannot be written.
        """
        self._quota.reserve(self._directory, octets)
        when = time.time() if received is None else min(max(received, 0.0), 1e11)
        self._facts = (flags, tuple(words), when)
        self._file = DraftFile(self._disk, self._folder, next(self._names))

    def write(self, block: bytes) -> None:
        """The next octets of it.

        :raise OSError: if they cannot be written.
        """
        assert self._file is not None
        self._file.write(block)

    def end(self) -> None:
        """It is whole, and durable from now on.

        :raise OSError: if it cannot be.
        """
        assert self._file is not None
        self._drafts.append(self._file.end(*self._facts))
        self._file = None

    def commit(self, index: Index) -> Placed:
        """Put all of them into the folder; in the end, nothing is open.

        :raise Gone: if the folder was removed or renamed meanwhile; none is there.
        :raise OSError: if they cannot be put there; none is.
        :raise sqlite3.Error: likewise.
        """
        try:
            drafts, self._drafts = self._drafts, []
            return arrive(index, self._folder, drafts)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Nothing becomes of what is not committed."""
        if self._folder.tmp >= 0:
            if self._file is not None:
                self._file.remove()
                self._file = None
            for draft in self._drafts:
                self._disk.remove(draft.name, self._folder.tmp)
            self._drafts.clear()
            self._folder.close()
