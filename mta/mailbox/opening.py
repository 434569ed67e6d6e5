"""The database of an account's index: several workers open it, and one makes it anew when it is lost.

Who works with the index holds a lock that all can hold together; who puts a damaged one aside holds it
alone.  So nobody writes into a database that is put aside: UIDs would be given there and in the new one.
Before each piece of work it is seen whether the file is still the one that was opened.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mta.mailbox.index import Index
from mta.mailbox.schema import Damaged, connect, set_aside


class OpenIndex:
    """The index of one account, in one process; used by one thread at a time.

    :param path: of the database.
    :param maildir: of the account.
    :ivar index: the index, if it is open.
    """

    def __init__(self, path: Path, maildir: bytes) -> None:
        self._path = path
        self._maildir = maildir
        self.index: Index | None = None
        self._opened: tuple[int, int] | None = None
        self._lock = -1

    @contextmanager
    def use(self) -> Iterator[Index]:
        """The index for a piece of work, while which nobody puts it aside.

        :raise Damaged: if it cannot be used, and must be made anew: :meth:`abandon` it.
        :raise sqlite3.Error: if it cannot be opened.
        :raise OSError: likewise.
        """
        with self._locked(fcntl.LOCK_SH):
            if self.index is not None and self._opened != self._identity():
                # Another worker has put it aside, or somebody has removed it.
                self.close()
            if self.index is None:
                self.index = Index(connect(self._path, self._maildir), self._maildir)
                self._opened = self._identity()
            yield self.index

    def abandon(self) -> bool:
        """Put the database aside, unless another worker has done it.

        :return: whether it was this one.
        :raise sqlite3.Error: if it cannot be seen whether it can be used.
        :raise OSError: if the lock cannot be had.
        """
        with self._locked(fcntl.LOCK_EX):
            if self.index is not None:
                same = self._opened == self._identity()
                self.close()
            else:
                same = not self._can_be_used()
            if same:
                set_aside(self._path)
            return same

    def _can_be_used(self) -> bool:
        try:
            connect(self._path, self._maildir).close()
        except Damaged:
            return False
        return True

    def close(self) -> None:
        """Close the database."""
        index, self.index, self._opened = self.index, None, None
        if index is not None:
            index.close()

    def release(self) -> None:
        """Close everything: it is not used any more."""
        self.close()
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def _identity(self) -> tuple[int, int] | None:
        try:
            facts = os.stat(self._path)
        except FileNotFoundError:
            return None
        return facts.st_dev, facts.st_ino

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        if self._lock < 0:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._path.with_suffix(".turn")
            self._lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(self._lock, how)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
