"""Putting messages into a folder so that all come, or none, whenever the process is killed.

One message comes with one renaming.  Several are first written into the index, in one transaction: from
then on they will come, now or when somebody looks at the folder next.  A message that takes the place of
one in another folder names it, and that one is doomed (:mod:`~mta.mailbox.doomed`) when the other is there.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mta.mailbox import keywords
from mta.mailbox.doomed import count_in_quota
from mta.mailbox.draft import Draft, OpenFolder
from mta.mailbox.file_name import TRASHED, Flags, info_of
from mta.mailbox.folder import Folder, Gone, Message
from mta.mailbox.place import sync
from mta.mailbox.uid_list import LAST

if TYPE_CHECKING:
    from mta.mailbox.index import Index


@dataclass(frozen=True, slots=True)
class Placed:
    """What came into a folder.

    :ivar validity: UIDVALIDITY of the folder.
    :ivar uids: in the order of the drafts.
    """

    validity: int
    uids: list[int]


def arrive(index: Index, into: OpenFolder, drafts: Sequence[Draft]) -> Placed:
    """Put messages into a folder: all of them, or none.

    :raise Gone: if the folder was removed or renamed meanwhile.
    :raise OSError: if they cannot be put there; the drafts are removed.
    :raise sqlite3.Error: likewise.
    """
    several = len(drafts) > 1 or any(draft.moved for draft in drafts)
    try:
        if index.known(into.directory) is None:
            index.refresh(into.directory)
        with index.transaction():
            words = _words(index, into, drafts)
            flags = [Flags(draft.flags, words.bits(draft.words), draft.other) for draft in drafts]
            if several:
                # What the promise tells of must be there after the power was cut.
                os.fsync(into.tmp)
                _promise(index, _folder(index, into), zip(drafts, flags, strict=True))
        with index.transaction():
            folder = _folder(index, into)
            placed = _arrive(index, folder, into, list(zip(drafts, flags, strict=True)))
    except BaseException:
        _withdraw(index, into, drafts, several)
        raise
    if into.directory != b".Trash":
        counting = [draft.size for draft in drafts if not draft.flags & TRASHED]
        count_in_quota(index.maildir, sum(counting), len(counting))
    return placed


def _folder(index: Index, into: OpenFolder) -> Folder:
    folder = index.known(into.directory)
    if folder is None or not into.is_there():
        raise Gone("the folder was removed or renamed")
    return folder


class Words:
    """The keywords of a folder while messages come into it: new ones are put there as long as there is room.

    :param path: of the folder.
    """

    def __init__(self, path: bytes) -> None:
        self._path = path
        self._known = keywords.load(path)
        self._before = list(self._known)

    def bits(self, words: Iterable[str]) -> int:
        """The bits of keywords; those that have no room are left out."""
        bits = [keywords.bit_of(self._known, word) for word in words]
        return sum({bit for bit in bits if bit is not None})

    def save(self, folder: Folder) -> None:
        """Write them down, before any name has them; within a transaction.

        :raise OSError: if they cannot be.
        """
        if self._known != self._before:
            keywords.save(self._path, self._known)
            self._before = list(self._known)
        folder.words = "\n".join(self._known)


def _words(index: Index, into: OpenFolder, drafts: Sequence[Draft]) -> Words:
    words = Words(index.path(into.directory))
    if any(draft.words for draft in drafts):
        for draft in drafts:
            words.bits(draft.words)
        folder = _folder(index, into)
        words.save(folder)
        folder.save(index.connection)
    return words


def _promise(index: Index, folder: Folder, arriving: Iterable[tuple[Draft, Flags]]) -> None:
    index.connection.executemany(
        "INSERT INTO arriving VALUES (?, ?, ?, ?, ?, ?)",
        [
            (
                folder.id,
                draft.name,
                draft.base,
                info_of(flags),
                *((draft.like if draft.moved else None) or (None, None)),
            )
            for draft, flags in arriving
        ],
    )


def _arrive(index: Index, folder: Folder, into: OpenFolder, drafts: Sequence[tuple[Draft, Flags]]) -> Placed:
    uids: list[int] = []
    coming: list[tuple[Message, tuple[int, int] | None]] = []
    folder.modseq += 1
    with index.own(folder):
        _place(index, folder, into, drafts, uids, coming)
        os.fsync(into.cur)
    insert(index, folder, coming)
    index.connection.executemany(
        "INSERT OR IGNORE INTO doomed VALUES (?, ?)",
        [draft.like for draft, _ in drafts if draft.moved and draft.like is not None],
    )
    index.connection.executemany(
        "DELETE FROM arriving WHERE folder = ? AND draft = ?",
        [(folder.id, draft.name) for draft, _ in drafts],
    )
    return Placed(folder.validity, uids)


def _place(
    index: Index,
    folder: Folder,
    into: OpenFolder,
    drafts: Sequence[tuple[Draft, Flags]],
    uids: list[int],
    coming: list[tuple[Message, tuple[int, int] | None]],
) -> None:
    """Give the files their names."""
    for draft, flags in drafts:
        row = index.connection.execute(
            "SELECT uid FROM messages WHERE folder = ? AND base = ?", (folder.id, draft.base)
        ).fetchone()
        if row is not None:
            # Another process has kept the promise.
            uids.append(int(row[0]))
            continue
        info = info_of(flags)
        if not index.disk.move(draft.name, into.tmp, draft.base + info, into.cur):
            raise FileExistsError(errno.EEXIST, "the name is taken", draft.base)
        message = Message(
            take_uid(folder),
            draft.base,
            info,
            1,
            flags.system,
            flags.keywords,
            draft.size,
            draft.virtual,
            draft.received,
            folder.modseq,
        )
        coming.append((message, draft.like))
        uids.append(message.uid)


def take_uid(folder: Folder) -> int:
    """The next UID of a folder.

    :raise OSError: if it has none left.
    """
    if folder.next_uid >= LAST:
        raise OSError(errno.EOVERFLOW, "the folder has used up its UIDs")
    uid = folder.next_uid
    folder.next_uid += 1
    return uid


def insert(index: Index, folder: Folder, messages: Sequence[tuple[Message, tuple[int, int] | None]]) -> None:
    """Have the index know messages whose files are there; within a transaction.

    :param messages: each with the folder and UID of one that has the same content, if there is one: what
        has been found out of it is true of both.
    """
    now = index.now()
    for message, like in messages:
        index.connection.execute(
            "INSERT INTO messages (folder, uid, base, info, cur, flags, keywords, size, virtual, received,"
            " modseq, saved) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                folder.id,
                message.uid,
                message.base,
                message.info,
                message.cur,
                message.flags,
                message.keywords,
                message.size,
                message.virtual,
                message.received,
                message.modseq,
                now,
            ),
        )
        if like is not None:
            index.connection.execute(
                "UPDATE messages SET (virtual, received, envelope, structure, preview) ="
                " (SELECT ifnull(messages.virtual, o.virtual), ifnull(messages.received, o.received),"
                " o.envelope, o.structure, o.preview FROM messages o WHERE o.folder = ? AND o.uid = ?)"
                " WHERE folder = ? AND uid = ?"
                " AND EXISTS (SELECT 1 FROM messages o WHERE o.folder = ? AND o.uid = ?)",
                (*like, folder.id, message.uid, *like),
            )
        folder.count(message, 1)
    index.keep_list(folder, index.path(folder.directory), [(one.uid, one.base) for one, _ in messages], False)
    folder.save(index.connection)


def _withdraw(index: Index, into: OpenFolder, drafts: Sequence[Draft], promised: bool) -> None:
    """Nobody shall find what could not be put there whole.

    Where the index cannot be written either, a promise stays, and is kept by whoever can.
    """
    if promised:
        try:
            with index.transaction():
                index.connection.executemany(
                    "DELETE FROM arriving WHERE draft = ?", [(draft.name,) for draft in drafts]
                )
                _remove(index, into, drafts)
        except sqlite3.Error:
            return
    else:
        _remove(index, into, drafts)


def _remove(index: Index, into: OpenFolder, drafts: Sequence[Draft]) -> None:
    for draft in drafts:
        index.disk.remove(draft.name, into.tmp)
    bases = {draft.base for draft in drafts}
    with suppress(OSError):
        for name in os.listdir(into.cur):
            base = os.fsencode(name).partition(b":")[0]
            if base in bases:
                index.disk.remove(os.fsencode(name), into.cur)


def finish(index: Index, folder: Folder) -> None:
    """Put where they belong messages that were promised to come into a folder, or to go from it; within a
    transaction.  They get their UIDs by the next look at the directories.

    :raise OSError: if that cannot be done now.
    """
    targets = index.connection.execute(
        "SELECT DISTINCT f.directory FROM arriving a JOIN folders f ON f.id = a.folder"
        " WHERE a.folder = ?1 OR a.source = ?1",
        (folder.id,),
    ).fetchall()
    for (directory,) in targets:
        into = folder if directory == folder.directory else index.known(directory)
        assert into is not None
        _finish(index, into)
        into.save(index.connection)


def _finish(index: Index, folder: Folder) -> None:
    rows = index.connection.execute(
        "SELECT draft, base, info, source, source_uid FROM arriving WHERE folder = ?", (folder.id,)
    ).fetchall()
    path = index.path(folder.directory)
    for draft, base, info, source, uid in rows:
        there = True
        try:
            os.rename(path + b"/tmp/" + draft, path + b"/cur/" + base + info)
        except FileNotFoundError:
            # Whoever was killed has done it; or somebody has removed it from tmp, and then there is nothing.
            there = os.path.lexists(path + b"/cur/" + base + info)
        if there and source is not None:
            index.connection.execute("INSERT OR IGNORE INTO doomed VALUES (?, ?)", (source, uid))
    sync(path + b"/cur")
    # Also if its times are as they were.
    folder.cur_mark = folder.cur_mark and "read it again"
    index.connection.execute("DELETE FROM arriving WHERE folder = ?", (folder.id,))
