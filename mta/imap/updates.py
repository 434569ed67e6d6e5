"""Tells a client what has become of its folder: EXPUNGE, EXISTS, FLAGS, FETCH (RFC 3501, 5.2 and 7.3).

A message may be taken out only where the client expects it: numbers in a command that is on its way must
mean what they did when it was written.  So nothing is told of removals while FETCH, STORE or SEARCH
are answered (7.4.1), and what came after them waits with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.imap import flags
from mta.imap.sequence_set import compact
from mta.mailbox import snapshot
from mta.mailbox.folder import Gone
from mta.mailbox.index import Index
from mta.mailbox.snapshot import Changed, Snapshot

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol
    from mta.imap.selected import Selected

#: Messages that are told of at once.
_AT_ONCE = 1000


class Inconsistent(Exception):
    """The folder is not the one that the client knows, and the session cannot go on.

    The text is for the client.
    """


async def tell(session: ImapProtocol, removals: bool = True) -> bool:
    """Look at the selected folder, and tell what has changed.

    :param removals: whether the client may be told now that messages are gone.
    :return: whether messages are gone that the client may not be told of now.
    :raise Inconsistent: if the folder is gone, or has other UIDs.
    :raise TemporarilyUnavailable: if it cannot be looked at.
    """
    selected = session.selected
    if selected is None or session.lost:
        return False
    selected.stale = False
    before = selected.snapshot
    try:
        now = await selected.account.snapshot(selected.directory)
    except Gone:
        raise Inconsistent("the selected folder was removed") from None
    if now is before:
        selected.known.clear()
        return False
    if now.validity != before.validity:
        raise Inconsistent("the selected folder was made anew")
    gone = await selected.account.in_thread(snapshot.gone, before, now)
    if gone and not removals:
        selected.stale = True
        return True
    selected.snapshot = now
    lines = _removed(session, before, gone) if gone else []
    if now.next_uid > before.next_uid:
        claimed = selected.account.claim(selected.directory, now, not selected.read_only)
        selected.add_recent([claimed] if claimed[0] < claimed[1] else [])
    if gone or now.next_uid > before.next_uid:
        lines += counts(selected)
    lines += keywords(selected, now.words)
    if lines and not await session.write(b"".join(lines)):
        return False
    await _flags(session, selected, before, now)
    selected.known.clear()
    return False


def _removed(session: ImapProtocol, before: Snapshot, gone: list[int]) -> list[bytes]:
    if session.quick_resync:
        return [b"* VANISHED %s\r\n" % compact(before.uids[place] for place in reversed(gone))]
    return [b"* %d EXPUNGE\r\n" % (place + 1) for place in gone]


def counts(selected: Selected) -> list[bytes]:
    """EXISTS and RECENT."""
    return [
        b"* %d EXISTS\r\n" % len(selected.snapshot.uids),
        b"* %d RECENT\r\n" % selected.count_recent(),
    ]


def keywords(selected: Selected, words: str) -> list[bytes]:
    """Tell of keywords that the client does not know yet."""
    if words == selected.words:
        return []
    selected.words = words
    return defined(selected)


def defined(selected: Selected) -> list[bytes]:
    """Which flags there are, and which of them can be changed."""
    words = selected.words
    permanent = b"()" if selected.read_only else flags.permanent(words)
    return [
        b"* FLAGS %s\r\n" % flags.defined(words),
        b"* OK [PERMANENTFLAGS %s] these can be changed\r\n" % permanent,
    ]


async def _flags(session: ImapProtocol, selected: Selected, before: Snapshot, now: Snapshot) -> None:
    after = (before.modseq, 0xFFFFFFFF)
    while True:

        def some(index: Index, after: tuple[int, int] = after) -> list[Changed]:
            return snapshot.changed(index, before, now, after, _AT_ONCE)

        found = await selected.account.run(some)
        lines = [line(session, selected, one) for one in found if selected.known.get(one.uid) != one.modseq]
        if lines and not await session.write(b"".join(lines)):
            return
        if len(found) < _AT_ONCE:
            return
        after = (found[-1].modseq, found[-1].uid)


def line(session: ImapProtocol, selected: Selected, one: Changed, silent: bool = False) -> bytes:
    """A FETCH response that tells the flags of a message.

    :param silent: leave the flags out, and tell the MODSEQ alone.
    :return: nothing if the client does not know the message.
    """
    number = selected.number(one.uid)
    if not number:
        return b""
    parts = [b"UID %d" % one.uid]
    if not silent:
        recent = selected.is_recent(one.uid)
        parts.append(b"FLAGS " + flags.told(one.flags, one.keywords, selected.words, recent))
    if session.counts_changes:
        parts.append(b"MODSEQ (%d)" % one.modseq)
    return b"* %d FETCH (%s)\r\n" % (number, b" ".join(parts))
