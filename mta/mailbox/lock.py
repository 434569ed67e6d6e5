"""One POP3 session for each mailbox (RFC 1939, 4), in whichever worker.

The lock is the kernel's, on a file in the state directory: it ends with the process that holds it.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path


class InUse(Exception):
    """Somebody else holds the lock."""


class Lock:
    """A lock that is held until :meth:`release`.

    :param path: of its file, which is made and stays.
    :raise InUse: if it is held by another.
    :raise OSError: if it cannot be taken.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self.release()
            if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
                raise InUse("another session has the mailbox") from None
            raise

    def release(self) -> None:
        """Let others have it."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
