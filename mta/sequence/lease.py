"""Which worker moves sequences: the one that holds a lock of the kernel, which a dead one lets go."""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from mta.interfaces import TemporarilyUnavailable

#: The name of the file in the state directory.
LOCK = "sequences.lock"


class Lease:
    """See the module.  No clock has a part in it: one that is set does not make two of one.

    :param path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None

    @property
    def held(self) -> bool:
        """Whether it is ours."""
        return self._lock is not None

    def take(self) -> bool:
        """Take it if nobody has it; whether it is ours.  Does not wait.

        :raise TemporarilyUnavailable: if there can be no such file.
        """
        if self._lock is not None:
            return True
        try:
            lock = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise TemporarilyUnavailable(f"{self._path} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        # For people who wonder; the lock is what counts.
        with suppress(OSError):
            os.ftruncate(lock, 0)
            os.pwrite(lock, b"%d\n" % os.getpid(), 0)
        self._lock = lock
        return True

    def give_back(self) -> None:
        """Let another worker have it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
