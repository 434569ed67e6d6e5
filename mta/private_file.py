"""Makes the files of databases, for their owner alone."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def make_private(path: str | Path) -> None:
    """Make an empty file of mode 600, if there is none.

    One that is there is not opened.  Whoever closes any descriptor of a file loses all locks that the
    process holds on it (POSIX, ``fcntl``), those of SQLite on an open database among them; another
    process then takes itself for the last one to close it, and deletes the log under our hands
    (https://www.sqlite.org/howtocorrupt.html, 2.2).

    :raise OSError: if it cannot be made.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
