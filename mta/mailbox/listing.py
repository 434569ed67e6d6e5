"""What is in a directory of a Maildir, and whether it may have changed since it was last read.

Reading a directory of 100,000 files takes a tenth of a second, looking at its times microseconds.  A
directory whose times and number are as they were has the same names, unless the last change came in
the same tick of the kernel's clock as the look before it: times younger than :data:`RACY` at that
look prove nothing, and the directory is read once more.

What we change ourselves we know without reading.  Whoever renames a file in the same moment is noticed
when the directory is read next, for which nobody waits longer than :data:`TRUST` seconds.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from dataclasses import dataclass

#: Seconds within which two changes may leave the same time; some file systems keep no fractions.
RACY = 2.0
#: Seconds for which a directory that we have changed ourselves need not be read for that.
TRUST = 5.0
#: Readings of one directory until no change came in between.
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Look:
    """A look at a directory.

    :ivar mark: what changes with its content.
    :ivar changed: when it was changed last, seconds since 1970.
    :ivar at: when it was looked at.
    """

    mark: str
    changed: float
    at: float

    def proves(self, mark: str, looked: float) -> bool:
        """Whether nothing has changed since the directory had ``mark`` and was read at ``looked``."""
        return self.mark == mark and self.changed < looked - RACY


@dataclass(frozen=True, slots=True)
class Listing:
    """The names of the messages in a directory.

    :ivar look: before it was read.
    :ivar whole: nothing changed while it was read.  Otherwise a name that is not there proves nothing:
        who renames a file while the directory is read may hide it under both names.
    """

    names: set[bytes]
    look: Look
    whole: bool


def look(path: bytes) -> Look:
    """Look at a directory.

    :raise OSError: if it cannot be seen; a link, or anything else in its place, is no directory.
    """
    now = time.time()
    facts = os.lstat(path)
    if not stat.S_ISDIR(facts.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    # The time of the inode cannot be set back, as rsync and tar do with the other.
    mark = f"{facts.st_dev}.{facts.st_ino}.{facts.st_mtime_ns}.{facts.st_ctime_ns}"
    return Look(mark, max(facts.st_mtime, facts.st_ctime), now)


def read(path: bytes) -> Listing:
    """The messages in a directory: plain files whose names begin with no dot.

    :raise OSError: if it cannot be read.
    """
    before = look(path)
    for _ in range(_TRIES):
        names = set()
        with os.scandir(path) as entries:
            for entry in entries:
                # Links would lead out of the Maildir; directories are no messages.
                if not entry.name.startswith(b".") and entry.is_file(follow_symlinks=False):
                    names.add(entry.name)
        after = look(path)
        if after.mark == before.mark:
            return Listing(names, before, True)
        begun, before = before, after
    return Listing(names, begun, False)
