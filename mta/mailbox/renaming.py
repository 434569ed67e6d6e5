"""Renaming folders so that all of them go, or none, whenever the process is killed.

A folder with others below it is several directories.  What is to be renamed is first written into the
index, in one transaction: from then on it will be, now or by whoever looks next.  Then directories and
rows are renamed together; the UIDs of a folder stay with it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from mta.mailbox.place import sync

if TYPE_CHECKING:
    from mta.mailbox.index import Index

#: Its messages do not count against the quota (Maildir++).
_TRASH = b".Trash"


def promise(index: Index, pairs: Sequence[tuple[bytes, bytes]]) -> None:
    """Promise that directories will be renamed.

    :raise sqlite3.Error: if that cannot be kept; then none of them will.
    """
    with index.transaction():
        finish(index)
        index.connection.executemany("INSERT OR REPLACE INTO renaming VALUES (?, ?)", pairs)


def finish(index: Index) -> list[tuple[bytes, OSError]]:
    """Rename what was promised to be; within a transaction.

    :return: directories that cannot be, and why; they stay where they are.
    :raise OSError: if the Maildir is not there: it will be another time.
    """
    pairs = index.connection.execute("SELECT source, target FROM renaming ORDER BY source").fetchall()
    if not pairs:
        return []
    os.stat(index.maildir)
    left: list[tuple[bytes, OSError]] = []
    for source, target in pairs:
        try:
            _rename(index.path(source), index.path(target))
        except OSError as error:
            left.append((source, error))
            continue
        if index.known(source) is not None:
            index.drop(target)
            index.connection.execute("UPDATE folders SET directory = ? WHERE directory = ?", (target, source))
        if _TRASH in (source, target):
            # Other messages count now: the next delivery counts them.
            with suppress(OSError):
                os.unlink(index.maildir + b"/maildirsize")
    sync(index.maildir)
    index.connection.execute("DELETE FROM renaming")
    return left


def _rename(source: bytes, target: bytes) -> None:
    """Rename a directory, unless whoever was killed has done it.

    :raise OSError: if it cannot be, or another one has the name.
    """
    try:
        os.rename(source, target)
    except FileNotFoundError:
        if not os.path.isdir(target):
            raise
