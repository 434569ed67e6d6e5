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


def finish(index: Index) -> OSError | None:
    """Rename what was promised to be; within a transaction.

    :return: why it cannot be; then all directories have the names that they had.
    :raise OSError: if the Maildir is not there: it will be another time.
    """
    pairs = index.connection.execute("SELECT source, target FROM renaming ORDER BY source").fetchall()
    if not pairs:
        return None
    os.stat(index.maildir)
    trouble = _rename_all([(index.path(source), index.path(target)) for source, target in pairs])
    sync(index.maildir)
    for source, target in pairs if trouble is None else ():
        if index.known(source) is not None:
            index.drop(target)
            index.connection.execute("UPDATE folders SET directory = ? WHERE directory = ?", (target, source))
        if _TRASH in (source, target):
            # Other messages count now: the next delivery counts them.
            with suppress(OSError):
                os.unlink(index.maildir + b"/maildirsize")
    index.connection.execute("DELETE FROM renaming")
    return trouble


def _rename_all(pairs: Sequence[tuple[bytes, bytes]]) -> OSError | None:
    done: list[tuple[bytes, bytes]] = []
    for source, target in pairs:
        try:
            _rename(source, target)
        except OSError as error:
            for before, now in reversed(done):
                with suppress(OSError):
                    os.rename(now, before)
            return error
        done.append((source, target))
    return None


def _rename(source: bytes, target: bytes) -> None:
    """Rename a directory, unless whoever was killed has done it.

    :raise OSError: if it cannot be, or another one has the name.
    """
    try:
        os.rename(source, target)
    except FileNotFoundError:
        if not os.path.isdir(target):
            raise
