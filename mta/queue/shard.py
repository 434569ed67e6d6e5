"""The directory of one shard: who owns it, and how much room there is."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic

from mta.interfaces import TemporarilyUnavailable

#: Where content files are, in a shard's directory.
CONTENT = "content"
LOCK = "lock"
#: Errors that mean: no space.
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
#: Seconds for which an answer about free space is good.
_FRESH = 1.0


class Shard:
    """One directory.

    :param directory: absolute path.
    :param minimum_free: octets that stay free for others.
    """

    def __init__(self, directory: Path, minimum_free: int) -> None:
        self.directory = directory
        self.content = directory / CONTENT
        self._minimum_free = minimum_free
        self._lock: int | None = None
        self._free = 0
        self._asked = 0.0
        self._asking = False

    # --- ownership -----------------------------------------------------------

    def acquire(self) -> None:
        """Make the directory, and take it for this process.  Blocks.

        :raise TemporarilyUnavailable: if it is another's, or cannot be made.
        """
        try:
            self.content.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sync_names()
            lock = os.open(self.directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TemporarilyUnavailable(
                f"the spool directory {self.directory} cannot be used: {error.strerror}"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = ""
            with suppress(OSError):
                owner = os.pread(lock, 20, 0).decode("ascii", "replace").strip()
            os.close(lock)
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise TemporarilyUnavailable(
                    f"the spool directory {self.directory} belongs to another server that runs"
                    f" (process {owner or 'unknown'}): stop that one first, or use another state directory"
                ) from None
            raise TemporarilyUnavailable(
                f"the spool directory {self.directory} cannot be locked: {error.strerror}"
            ) from error
        # For people who wonder; the lock is what counts.
        with suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        self._lock = lock

    def _sync_names(self) -> None:
        """Make the directories themselves durable: a file in one that is lost is lost with it."""
        for directory in (self.directory, *self.directory.parents[:2]):
            # One that is not ours to read is not ours to lose; some file systems cannot do it.
            with suppress(OSError):
                entry = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                try:
                    os.fsync(entry)
                finally:
                    os.close(entry)

    def release(self) -> None:
        """Let another process have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # --- room ----------------------------------------------------------------

    def measure(self) -> None:
        """Ask the file system how much is free.  Blocks."""
        try:
            found = os.statvfs(self.directory)
        except OSError:
            # Whether the disk works at all is found out by writing.
            free = self._minimum_free
        else:
            free = found.f_bavail * found.f_frsize
        self._free = free - self._minimum_free
        self._asked = monotonic()
        self._asking = False

    def has_room(self, octets: int, in_thread: Callable[[Callable[[], None]], object]) -> bool:
        """Whether there is room, as far as was known a second ago; never blocks.

        :param in_thread: runs a callable that blocks.
        """
        if not self._asking and monotonic() - self._asked > _FRESH:
            self._asking = True
            in_thread(self.measure)
        return octets <= self._free
