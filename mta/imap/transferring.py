"""COPY and MOVE: messages into another folder (RFC 3501, 6.4.7; RFC 6851; RFC 4315)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from mta.imap import folder_name, updates
from mta.imap.refusal import Bad, Refused
from mta.imap.selected import BadNumber, Selected
from mta.imap.selecting import selected_of
from mta.imap.sequence_set import SequenceSet, compact
from mta.mailbox import moving
from mta.mailbox.copying import Copied, Copying
from mta.mailbox.folder import Gone
from mta.mailbox.index import Index

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

#: Messages that are taken at once.
_AT_ONCE = 200


async def copy(session: ImapProtocol, wanted: SequenceSet, by_uid: bool, name: bytes) -> bytes:
    """COPY: all messages, or none."""
    selected = selected_of(session)
    uids = _uids(selected, wanted, by_uid)
    target = await _target(session, name)
    if not uids:
        return b"there are no such messages"
    account = session.inside
    try:
        copying = await account.run(lambda index: Copying(index, selected.directory, target, account.quota))
        try:
            for start in range(0, len(uids), _AT_ONCE):
                await account.run(partial(_take, copying, uids[start : start + _AT_ONCE]))
                session.hear()
            done = await account.run(copying.commit)
        finally:
            await account.in_thread(copying.abandon)
    except Gone:
        await updates.tell(session)
        raise Refused("the folder was removed meanwhile", "TRYCREATE") from None
    account.wake(target)
    await updates.tell(session)
    return b"[%s] copied" % _told(done.validity, done.pairs)


def _take(copying: Copying, uids: Sequence[int], index: Index) -> None:
    copying.take(index, uids)


async def move(session: ImapProtocol, wanted: SequenceSet, by_uid: bool, name: bytes) -> bytes:
    """MOVE: each message is in one of the folders at any time."""
    selected = selected_of(session, changing=True)
    uids = _uids(selected, wanted, by_uid)
    target = await _target(session, name)
    account = session.inside
    validity, pairs, left, trouble = 0, [], 0, ""
    gone = False
    refusal: Refused | None = None
    for start in range(0, len(uids), _AT_ONCE):
        some = uids[start : start + _AT_ONCE]
        try:
            done: Copied = await account.run(partial(_move, selected.directory, some, target, account.quota))
        except Gone:
            gone = True
            break
        except Refused as problem:
            refusal = problem
            break
        validity = done.validity
        pairs += done.pairs
        left += len(done.left)
        trouble = trouble or str(done.trouble or "")
        session.hear()
    if pairs:
        session.say(b"* OK [%s] moved" % _told(validity, pairs))
        session.removed += len(pairs)
        account.wake(target)
        account.wake(selected.directory)
    await updates.tell(session)
    if gone:
        raise Refused("the folder was removed meanwhile", "TRYCREATE")
    if refusal is not None:
        raise refusal
    if left:
        session.note_refusal("trouble", f"{left} messages could not be moved: {trouble}")
        raise Refused(f"{left} messages could not be moved, session {session.client.session}", "SERVERBUG")
    if not by_uid and len(pairs) < len(uids):
        raise Refused("some of the messages no longer exist; the others are moved", "EXPUNGEISSUED")
    return b"moved"


def _move(source: bytes, uids: Sequence[int], target: bytes, quota: int, index: Index) -> Copied:
    return moving.move(index, source, uids, target, quota)


def _told(validity: int, pairs: Sequence[tuple[int, int]]) -> bytes:
    before = compact(uid for uid, _ in pairs)
    return b"COPYUID %d %s %s" % (validity, before, compact(uid for _, uid in pairs))


def _uids(selected: Selected, wanted: SequenceSet, by_uid: bool) -> list[int]:
    try:
        return selected.uids(wanted, by_uid)
    except BadNumber as problem:
        raise Bad(str(problem)) from None


async def _target(session: ImapProtocol, name: bytes) -> bytes:
    """The directory of a folder that is there.

    :raise Refused: if it is not, and the client may want to make it.
    """
    text = folder_name.read(session, name)
    folders = session.terms.folders
    try:
        return await session.inside.run(lambda index: folders.find(index, text))
    except Refused as problem:
        raise Refused(str(problem), "TRYCREATE" if problem.code == "NONEXISTENT" else problem.code) from None
