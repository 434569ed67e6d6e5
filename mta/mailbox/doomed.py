"""Removing messages so that all go, or none, whenever the process is killed.

What is to go is first written into the index, in one transaction: from then on it will be removed,
now or by whoever opens the folder next.  Then the files go, then their rows.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

from mta.deliver.quota import line
from mta.mailbox.folder import Folder, Gone

if TYPE_CHECKING:
    from mta.mailbox.index import Index


def doom(index: Index, folder: Folder, uids: Iterable[int]) -> None:
    """Promise that messages will be removed.

    :raise sqlite3.Error: if that cannot be kept; then none of them will.
    """
    with index.transaction():
        index.connection.executemany(
            "INSERT OR IGNORE INTO doomed VALUES (?, ?)", [(folder.id, uid) for uid in uids]
        )


def finish(index: Index, folder: Folder) -> list[int]:
    """Remove what was promised to be; within a transaction.

    :return: UIDs of those whose files cannot be removed; they stay.
    """
    rows = index.connection.execute("SELECT uid FROM doomed WHERE folder = ?", (folder.id,)).fetchall()
    if not rows:
        return []
    path = index.path(folder.directory)
    removed, left, octets, count = [], [], 0, 0
    with index.own(folder):
        for (uid,) in rows:
            try:
                message = index.message(folder, uid)
            except Gone:
                continue
            try:
                _unlink(path, message.place, message.base)
            except OSError:
                left.append(uid)
                continue
            removed.append(message)
            if message.counts:
                octets, count = octets + message.size, count + 1
    for place in (b"/new", b"/cur"):
        with suppress(OSError):
            file = os.open(path + place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(file)
            finally:
                os.close(file)
    if removed:
        index.remove(folder, removed)
    if folder.directory != b".Trash":
        count_in_quota(index.maildir, -octets, -count)
    index.connection.execute("DELETE FROM doomed WHERE folder = ?", (folder.id,))
    return left


def _unlink(path: bytes, place: bytes, base: bytes) -> None:
    """Remove a message's file, also when another program gave it other flags meanwhile.

    :raise OSError: if it cannot be removed.  One that is not there is no error.
    """
    with suppress(FileNotFoundError):
        os.unlink(path + b"/" + place)
        return
    for directory in (b"/new/", b"/cur/"):
        with suppress(FileNotFoundError):
            for name in os.listdir(path + directory):
                if name.partition(b":")[0] == base:
                    os.unlink(path + directory + name)


def count_in_quota(maildir: bytes, octets: int, count: int) -> None:
    """Tell deliveries of what came or went (Maildir++); an error is passed over: counting will mend it."""
    if not count:
        return
    with suppress(OSError):
        file = os.open(maildir + b"/maildirsize", os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            os.write(file, line(octets, count))
        finally:
            os.close(file)
