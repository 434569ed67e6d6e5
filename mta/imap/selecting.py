"""Selecting a folder, and leaving it (RFC 3501, 6.3.1, 6.3.2, 6.4.2, 6.4.3; RFC 3691; RFC 4315)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.imap import updates
from mta.imap.refusal import Bad, Refused
from mta.imap.resync import Known, resync
from mta.imap.selected import Selected
from mta.imap.sequence_set import SequenceSet, covers
from mta.mailbox import acts
from mta.mailbox.file_name import SEEN, TRASHED
from mta.mailbox.folder import Gone
from mta.mailbox.index import Index
from mta.mailbox.snapshot import Snapshot

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol


async def select(
    session: ImapProtocol, name: str, directory: bytes, read_only: bool, known: Known | None = None
) -> bytes:
    """SELECT and EXAMINE.

    :param name: of the folder, for messages.
    :param directory: of it, below the Maildir.
    :param known: what the client knows of it from an earlier session.
    :raise Refused: if it is not there; then no folder is selected.
    """
    session.leave_folder()
    account = session.inside
    try:
        now = await account.snapshot(directory)
        unseen = await account.run(lambda index: _first_unseen(index, now))
    except Gone:
        raise Refused("there is no folder of this name", "NONEXISTENT") from None
    first, end = account.claim(directory, now, not read_only)
    selected = Selected(account, name, now, read_only, [(first, end)] if first < end else [])
    selected.gone = lambda: session.lost
    if session.lost:
        raise Refused("nobody is there any more")
    session.selected = selected
    selected.watch(session.changed)
    lines = updates.defined(selected) + updates.counts(selected)
    if unseen:
        lines.append(b"* OK [UNSEEN %d] the first that is not seen\r\n" % selected.number(unseen))
    lines += [
        b"* OK [UIDVALIDITY %d] UIDs are these\r\n" % now.validity,
        b"* OK [UIDNEXT %d] the next UID\r\n" % now.next_uid,
        b"* OK [HIGHESTMODSEQ %d] the last change\r\n" % now.modseq,
    ]
    if await session.write(b"".join(lines)) and known is not None:
        await resync(session, selected, known)
    return b"[READ-ONLY] look at it" if read_only else b"[READ-WRITE] selected"


def _first_unseen(index: Index, now: Snapshot) -> int:
    folder = index.known(now.directory)
    if folder is None or not folder.unseen:
        return 0
    row = index.connection.execute(
        "SELECT uid FROM messages WHERE folder = ? AND NOT flags & ? ORDER BY uid LIMIT 1", (folder.id, SEEN)
    ).fetchone()
    return int(row[0]) if row is not None and now.place(row[0]) >= 0 else 0


def selected_of(session: ImapProtocol, changing: bool = False) -> Selected:
    """The folder that is selected.

    :param changing: whether something is to be changed in it.
    :raise Bad: if none is.
    :raise Refused: if it may only be looked at.
    """
    selected = session.selected
    if selected is None:
        raise Bad("no folder is selected")
    if changing and selected.read_only:
        raise Refused("the folder was opened by EXAMINE: nothing can be changed in it", "READ-ONLY")
    return selected


async def close(session: ImapProtocol) -> bytes:
    """CLOSE: what is marked as deleted is removed, and nothing is told of it."""
    selected = selected_of(session)
    if not selected.read_only:
        await _remove(session, selected, None)
    session.unselect()
    return b"closed"


async def unselect(session: ImapProtocol) -> bytes:
    """UNSELECT: as CLOSE, but nothing is removed (RFC 3691)."""
    selected_of(session)
    session.unselect()
    return b"closed, and nothing was removed"


async def expunge(session: ImapProtocol, wanted: SequenceSet | None) -> bytes:
    """EXPUNGE, or UID EXPUNGE (RFC 4315, 2.1).

    :param wanted: UIDs that may be removed; ``None``: all that are marked.
    """
    selected = selected_of(session, changing=True)
    left = await _remove(session, selected, wanted)
    await updates.tell(session)
    if left:
        session.note_refusal(
            "trouble", f"{left} messages could not be removed: the directory may not be ours"
        )
        raise Refused(f"{left} messages could not be removed, session {session.client.session}", "SERVERBUG")
    if session.quick_resync:
        return b"[HIGHESTMODSEQ %d] removed" % selected.snapshot.modseq
    return b"removed"


async def _remove(session: ImapProtocol, selected: Selected, wanted: SequenceSet | None) -> int:
    """Remove what is marked as deleted; how many could not be."""

    def marked(index: Index) -> list[int]:
        folder = index.refresh(selected.directory)
        rows = index.connection.execute(
            "SELECT uid FROM messages WHERE folder = ? AND flags & ? ORDER BY uid", (folder.id, TRASHED)
        )
        found = [uid for (uid,) in rows]
        if wanted is not None:
            last = selected.snapshot.uids[-1] if selected.snapshot.uids else 0
            bounds = wanted.bounds(last)
            found = [uid for uid in found if covers(bounds, uid)]
        return found

    try:
        uids = await selected.account.run(marked)
        if not uids:
            return 0
        _, left = await selected.account.run(lambda index: acts.expunge(index, selected.directory, uids))
    except Gone:
        raise updates.Inconsistent("the selected folder was removed") from None
    session.removed += len(uids) - len(left)
    selected.account.wake(selected.directory)
    return len(left)
