"""What is done to messages: flags, keywords, removal, sizes.  Each act is one transaction of the index.

Files are changed first, rows after: whoever is killed in between leaves what the next look at the
directories puts right.  Only removal is the other way round (:mod:`~mta.mailbox.doomed`).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence

from mta.mailbox import keywords
from mta.mailbox.content import open_file, virtual_size
from mta.mailbox.doomed import count_in_quota, doom, finish
from mta.mailbox.file_name import Flags, flags_of, info_of
from mta.mailbox.folder import Folder, Gone, Message
from mta.mailbox.index import Index

#: Messages whose lines are counted in one transaction.
_AT_ONCE = 200
#: How often a message is looked for that others rename at the same time.
_TRIES = 5

Change = Callable[[Flags], Flags]


def change_flags(
    index: Index, directory: bytes, uids: Iterable[int], change: Change, unchanged_since: int | None = None
) -> tuple[Folder, list[Message], list[int]]:
    """Give messages other flags; those in ``new`` go to ``cur``.

    :param change: from the flags that are to those that shall be.
    :param unchanged_since: leave out what has changed after this MODSEQ (RFC 7162, UNCHANGEDSINCE).
    :return: the folder, the messages as they are now, and the UIDs that were left out.
    :raise OSError: if a file cannot be renamed.
    """
    changed: list[Message] = []
    left: list[int] = []
    wanted = list(uids)
    for turn in range(_TRIES):
        # Where another program was quicker, what we know of our own changes is not all.
        folder = index.refresh(directory, thorough=turn > 0)
        wanted = _change(index, folder, wanted, change, unchanged_since, changed, left)
        if not wanted:
            break
    return index.known(directory) or folder, changed, left


def _change(
    index: Index,
    folder: Folder,
    uids: Iterable[int],
    change: Change,
    unchanged_since: int | None,
    changed: list[Message],
    left: list[int],
) -> list[int]:
    """One try; the UIDs of those that another program renamed at the same moment."""
    missed = []
    path = index.path(folder.directory)
    with index.transaction():
        folder = still(index, folder)
        folder.modseq += 1
        with index.own(folder):
            for uid in uids:
                try:
                    message = index.message(folder, uid)
                except Gone:
                    continue
                if unchanged_since is not None and message.modseq > unchanged_since:
                    left.append(uid)
                elif _rename(index, folder, path, message, change):
                    changed.append(message)
                else:
                    missed.append(uid)
        if any(message.modseq == folder.modseq for message in changed):
            # Who asks what has changed need not look when nothing has.
            folder.save(index.connection)
    return missed


def _rename(index: Index, folder: Folder, path: bytes, message: Message, change: Change) -> bool:
    before = flags_of(message.info)
    after = change(before)
    info = info_of(after)
    if after != before or (not message.cur and after.system):
        target = path + b"/cur/" + message.base + info
        try:
            os.rename(path + b"/" + message.place, target)
        except FileNotFoundError:
            # Another program was quicker.
            return False
        counted = message.counts
        folder.count(message, -1)
        message.info, message.cur = info, 1
        message.flags, message.keywords, message.modseq = after.system, after.keywords, folder.modseq
        folder.count(message, 1)
        index.connection.execute(
            "UPDATE messages SET info = ?, cur = 1, flags = ?, keywords = ?, modseq = ?"
            " WHERE folder = ? AND uid = ?",
            (info, message.flags, message.keywords, message.modseq, folder.id, message.uid),
        )
        if counted != message.counts and folder.directory != b".Trash":
            sign = 1 if message.counts else -1
            count_in_quota(index.maildir, sign * message.size, sign)
    return True


def still(index: Index, folder: Folder) -> Folder:
    """A folder as it is now; within a transaction.

    :raise Gone: if it was removed or renamed meanwhile: its rows are not where its files are sought.
    """
    now = index.known(folder.directory)
    if now is None or now.id != folder.id:
        raise Gone("the folder was removed or renamed")
    return now


def keyword_bits(index: Index, directory: bytes, words: Sequence[str]) -> int | None:
    """The bits of keywords in a folder, new ones too; ``None`` if there is no room for all.

    :raise OSError: if the folder's file of them cannot be written.
    """
    path = index.path(directory)
    with index.transaction():
        # Read where others write it too, and written as late.
        known = keywords.load(path)
        before = list(known)
        bits = [keywords.bit_of(known, word) for word in words]
        if None in bits:
            return None
        if known != before:
            keywords.save(path, known)
            folder = index.known(directory)
            if folder is not None:
                folder.words = "\n".join(known)
                folder.save(index.connection)
    return sum({bit for bit in bits if bit is not None})


def expunge(index: Index, directory: bytes, uids: Sequence[int]) -> tuple[Folder, list[int]]:
    """Remove messages: all of them, or, if that cannot be promised, none.

    :return: the folder, and the UIDs of those whose files could not be removed.
    :raise OSError: if the folder cannot be read.
    :raise sqlite3.Error: if nothing could be promised; all messages stay.
    """
    folder = index.refresh(directory)
    doom(index, folder, uids)
    with index.transaction():
        folder = still(index, folder)
        left = finish(index, folder)
    return folder, left


def count_lines(index: Index, folder: Folder) -> int:
    """Find out the sizes with CRLF that no name has told, some at a time.

    :return: how many are still to be found out.
    """
    rows = index.connection.execute(
        "SELECT uid FROM messages WHERE folder = ? AND virtual IS NULL ORDER BY uid LIMIT ?",
        (folder.id, _AT_ONCE + 1),
    ).fetchall()
    if not rows:
        return 0
    path = index.path(folder.directory)
    found = []
    for (uid,) in rows[:_AT_ONCE]:
        message = index.message(folder, uid)
        try:
            file = open_file(path + b"/" + message.place)
        except OSError:
            # It is said of what cannot be read; whoever fetches it is told why.
            found.append((message.size, folder.id, uid))
            continue
        try:
            found.append((virtual_size(file), folder.id, uid))
        finally:
            os.close(file)
    with index.transaction():
        index.connection.executemany("UPDATE messages SET virtual = ? WHERE folder = ? AND uid = ?", found)
    return len(rows) - len(found)


def open_message(index: Index, directory: bytes, uid: int) -> tuple[int, Message]:
    """Open a message's file, wherever another program has moved it.

    :return: the descriptor, and the message.
    :raise Gone: if it is not there any more.
    :raise OSError: if it cannot be opened.
    """
    folder = index.known(directory)
    if folder is None:
        raise Gone("there is no such folder")
    message = index.message(folder, uid)
    try:
        return open_file(index.path(directory) + b"/" + message.place), message
    except FileNotFoundError:
        folder = index.refresh(directory, thorough=True)
        message = index.message(folder, uid)
        try:
            return open_file(index.path(directory) + b"/" + message.place), message
        except FileNotFoundError:
            raise Gone(f"the file of message {uid} is not there") from None
