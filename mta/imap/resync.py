"""A client that was here before is told only what has become of its folder since (RFC 7162, 3.2)."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mta.imap import updates
from mta.imap.sequence_set import HIGHEST, SequenceSet, compact_ranges, covers
from mta.mailbox import snapshot
from mta.mailbox.index import Index
from mta.mailbox.snapshot import Changed, Snapshot

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol
    from mta.imap.selected import Selected

#: Messages that are told of at once.
_AT_ONCE = 1000
_ALL = ((1, HIGHEST),)


@dataclass(frozen=True, slots=True)
class Known:
    """What a client knows of a folder (the parameter QRESYNC of SELECT).

    :ivar modseq: of the last change that it knows.
    :ivar uids: of the messages that it knows; ``None``: of all that there were.
    """

    validity: int
    modseq: int
    uids: SequenceSet | None = None


async def resync(session: ImapProtocol, selected: Selected, known: Known) -> None:
    """Tell what has become of the folder since; nothing if its UIDs are others now."""
    now = selected.snapshot
    if known.validity != now.validity:
        return
    bounds = _ALL if known.uids is None else known.uids.bounds(now.next_uid - 1)
    gone = await selected.account.run(lambda index: vanished(index, now, known.modseq, bounds))
    if gone and not await session.write(b"* VANISHED (EARLIER) %s\r\n" % gone):
        return
    after = (known.modseq, HIGHEST)
    while True:

        def some(index: Index, after: tuple[int, int] = after) -> list[Changed]:
            return snapshot.changed(index, now, now, after, _AT_ONCE)

        found = await selected.account.run(some)
        lines = [updates.line(session, selected, one) for one in found if covers(bounds, one.uid)]
        if lines and not await session.write(b"".join(lines)):
            return
        if len(found) < _AT_ONCE:
            return
        after = (found[-1].modseq, found[-1].uid)


def vanished(index: Index, now: Snapshot, since: int, bounds: Sequence[tuple[int, int]]) -> bytes:
    """UIDs of messages that have gone after a MODSEQ, as a set; empty if there are none.

    When that is too long ago to be known, all that are not there: also those that a client never had.

    :param bounds: first and last of the ranges that matter, in rising order.
    """
    folder = index.known(now.directory)
    gone = None if folder is None else index.expunged(folder, since)
    if gone is not None:
        lost = sorted(uid for uid in gone if now.place(uid) < 0 and covers(bounds, uid))
        return compact_ranges((uid, uid) for uid in lost)
    return compact_ranges(_holes(now, bounds))


def _holes(now: Snapshot, bounds: Iterable[tuple[int, int]]) -> Iterable[tuple[int, int]]:
    """The ranges of UIDs that were given and are not there."""
    uids = now.uids
    for low, high in bounds:
        last = min(high, now.next_uid - 1)
        at = low
        place = bisect_left(uids, low)
        while at <= last:
            following = uids[place] if place < len(uids) else last + 1
            if at < following:
                yield at, min(following - 1, last)
            at, place = following + 1, place + 1
