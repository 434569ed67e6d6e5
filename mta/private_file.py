"""The files of databases: made for their owner alone, and named for SQLite."""

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


def uri_of(path: str | Path, mode: str) -> str:
    """A database's name for SQLite, as a URI.

    :param mode: ``ro`` or ``rw``: it is not made if it is not there.
    """
    name = str(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return f"file:{name}?mode={mode}"
