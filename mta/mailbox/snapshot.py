"""A folder as it was at one moment, and what has changed since another.

All sessions of an account that look at one state of a folder share one snapshot: it has the UIDs of all
messages, four octets each, and lives as long as somebody holds it.  Everything else of messages is asked
of the index when it is needed.  Runs in threads, as the index does.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import MutableMapping
from dataclasses import dataclass

from mta.mailbox.folder import Folder
from mta.mailbox.index import Index

#: Rows that are read at once.
_ROWS = 10_000


@dataclass(frozen=True, slots=True, weakref_slot=True, eq=False)
class Snapshot:
    """See the module.

    :ivar folder: its number in the index.
    :ivar modseq: of the last change; two snapshots of a folder with one modseq are alike.
    :ivar fresh: the first UID from which on all are of messages that no program has looked at yet, as far
        as the directory ``new`` told when somebody first asked.
    :ivar words: its keywords by number, ended by line feeds.
    :ivar uids: of all messages, in rising order.  Nobody changes it.
    """

    folder: int
    directory: bytes
    validity: int
    next_uid: int
    modseq: int
    fresh: int
    words: str
    uids: array[int]

    @property
    def keywords(self) -> list[str]:
        """The keywords by number, ``""`` where there is none."""
        return self.words.split("\n") if self.words else []

    def place(self, uid: int) -> int:
        """Where a message is, from 0; -1 if it is not there."""
        place = bisect_left(self.uids, uid)
        return place if place < len(self.uids) and self.uids[place] == uid else -1


def take(
    index: Index, directory: bytes, shared: MutableMapping[bytes, Snapshot], thorough: bool = False
) -> Snapshot:
    """Bring a folder up to date with its files, and see what is in it.

    :param shared: the last snapshot of each folder, as far as somebody holds it.
    :param thorough: see :meth:`~mta.mailbox.index.Index.refresh`.
    :raise Gone: if there is no such folder.
    :raise OSError: if it cannot be read.
    """
    folder = index.refresh(directory, thorough)
    before = shared.get(directory)
    if before is not None and (before.folder, before.validity) != (folder.id, folder.validity):
        before = None
    if before is not None and (before.modseq, before.words) == (folder.modseq, folder.words):
        return before
    now = Snapshot(
        folder.id,
        directory,
        folder.validity,
        folder.next_uid,
        folder.modseq,
        first_fresh(index, folder) if before is None else before.fresh,
        folder.words,
        _uids(index, folder, before),
    )
    shared[directory] = now
    return now


def _uids(index: Index, folder: Folder, before: Snapshot | None) -> array[int]:
    first = 0
    found = array("I")
    if before is not None:
        gone = index.expunged(folder, before.modseq)
        if gone is not None and len(gone) < 1000:
            # What is new is asked for only.
            first = before.next_uid
            found = _without(before.uids, gone)
            if first == folder.next_uid:
                return found
    # Of a whole folder the index by MODSEQ has all UIDs in a fraction of the pages; the rows are wide.
    by = "" if first else "INDEXED BY by_modseq"
    # What another worker has added since the folder was looked at would come once more with the next.
    rows = index.connection.execute(
        f"SELECT uid FROM messages {by} WHERE folder = ? AND uid >= ? AND uid < ? ORDER BY uid",  # noqa: S608
        (folder.id, first, folder.next_uid),
    )
    while some := rows.fetchmany(_ROWS):
        found.extend([uid for (uid,) in some])
    return found


def first_fresh(index: Index, folder: Folder) -> int:
    """See :class:`Snapshot`."""
    row = index.connection.execute(
        "SELECT uid FROM messages WHERE folder = ? AND cur ORDER BY uid DESC LIMIT 1", (folder.id,)
    ).fetchone()
    return 1 if row is None else int(row[0]) + 1


def _without(uids: array[int], gone: list[int]) -> array[int]:
    if not gone:
        return uids[:]
    lost = set(gone)
    return array("I", [uid for uid in uids if uid not in lost])


@dataclass(frozen=True, slots=True)
class Changed:
    """A message whose flags have changed.

    :ivar flags: bits of :data:`~mta.mailbox.file_name.LETTERS`.
    :ivar keywords: bits by the folder's keywords.
    """

    uid: int
    flags: int
    keywords: int
    modseq: int


def gone(before: Snapshot, now: Snapshot) -> list[int]:
    """Places in ``before`` of messages that are not in ``now``, the last first: each place is right when
    those before it in the answer have been taken out."""
    if len(now.uids) >= len(before.uids) and now.uids[: len(before.uids)] == before.uids:
        return []
    still = set(now.uids)
    return [place for place in range(len(before.uids) - 1, -1, -1) if before.uids[place] not in still]


def changed(
    index: Index, before: Snapshot, now: Snapshot, after: tuple[int, int], count: int
) -> list[Changed]:
    """Messages of ``before`` whose flags have changed until ``now``, in the order of changes, some at a time.

    :param after: MODSEQ and UID of the last that was in the answer before; at first the MODSEQ of
        ``before`` and the highest UID.
    """
    rows = index.connection.execute(
        "SELECT uid, flags, keywords, modseq FROM messages INDEXED BY by_modseq"
        " WHERE folder = ? AND (modseq, uid) > (?, ?) AND modseq <= ? AND uid < ?"
        " ORDER BY modseq, uid LIMIT ?",
        (now.folder, *after, now.modseq, before.next_uid, count),
    )
    return [Changed(*row) for row in rows.fetchall()]
