"""The commands SEARCH and SORT: what is found is told, and kept (RFC 3501, 4731, 5182, 5256, 9394)."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from mta.imap import search_key, sort, updates
from mta.imap.search import find
from mta.imap.search_command import Returned, Search
from mta.imap.search_key import Key
from mta.imap.selected import Selected
from mta.imap.selecting import selected_of
from mta.mailbox.index import Index

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol


async def search(session: ImapProtocol, command: Search, by_uid: bool, tag: bytes) -> bytes:
    """SEARCH, or SORT if there are criteria.

    :param by_uid: whether UIDs are told.
    :raise Bad: if no folder is selected.
    :raise TemporarilyUnavailable: if the mailbox cannot be read.
    """
    selected = selected_of(session)
    returned = command.returned
    saves = returned is not None and "SAVE" in returned.options
    changes = asks_changes(command.key)
    if changes:
        session.count_changes()
    try:
        found = await find(selected, command.key)
        if command.criteria:
            found = await sort.in_order(selected, found, command.criteria)
    except BaseException:
        if saves:
            # Nothing is found by a search that fails (RFC 5182, 2.1).
            selected.saved = ()
        raise
    told = found if by_uid else _numbers(selected, found)
    if saves:
        assert returned is not None
        selected.saved = array("I", sorted(_saved(returned.options, found)))
    modseq = await _modseq(selected, _counted(returned, found)) if changes and found else 0
    if returned is None:
        name = b"SORT" if command.criteria else b"SEARCH"
        end = b" (MODSEQ %d)" % modseq if modseq else b""
        line = b"* %s%s%s\r\n" % (name, b"".join(b" %d" % one for one in told), end)
    else:
        line = extended(returned, told, by_uid, tag, modseq)
    if line:
        await session.write(line)
    kept_back = await updates.tell(session, removals=by_uid)
    words = b"sorted" if command.criteria else b"searched"
    # What has gone was not found, and the client still counts it (RFC 5530, 3).
    return b"[EXPUNGEISSUED] " + words if kept_back else words


def asks_changes(key: Key) -> bool:
    """Whether MODSEQ is among the keys."""
    if isinstance(key, search_key.And | search_key.Or):
        return any(map(asks_changes, key.keys))
    if isinstance(key, search_key.Not):
        return asks_changes(key.key)
    return isinstance(key, search_key.Changed)


def _numbers(selected: Selected, found: Sequence[int]) -> list[int]:
    uids = selected.snapshot.uids
    if len(found) == len(uids) and found == list(uids):
        return list(range(1, len(uids) + 1))
    if len(found) > 1000:
        numbers = dict(zip(uids, range(1, len(uids) + 1), strict=True))
        return [numbers[uid] for uid in found]
    return [selected.number(uid) for uid in found]


def _saved(options: frozenset[str], found: list[int]) -> Iterable[int]:
    """What ``$`` is then (RFC 5182, 2.1)."""
    if options & {"ALL", "COUNT"} or not options & {"MIN", "MAX"}:
        return found
    return _ends(options, found)


def _ends(options: frozenset[str], found: list[int]) -> set[int]:
    return {found[place] for name, place in (("MIN", 0), ("MAX", -1)) if name in options and found}


def _counted(returned: Returned | None, found: list[int]) -> Iterable[int]:
    """The messages whose highest MODSEQ is told (RFC 7162, 3.1.5)."""
    if returned is None or returned.partial is not None or not returned.options <= {"MIN", "MAX", "SAVE"}:
        return found
    return _ends(returned.options, found)


async def _modseq(selected: Selected, uids: Iterable[int]) -> int:
    within = set(uids)

    def highest(index: Index) -> int:
        rows = index.connection.execute(
            "SELECT uid, modseq FROM messages WHERE folder = ?", (selected.snapshot.folder,)
        )
        return max((modseq for uid, modseq in rows.fetchall() if uid in within), default=0)

    return await selected.account.run(highest)


def extended(returned: Returned, told: list[int], by_uid: bool, tag: bytes, modseq: int = 0) -> bytes:
    """An ESEARCH response; nothing if nothing is to be told.

    :param told: numbers or UIDs, in the order in which they were found.
    """
    options = returned.options
    parts: list[bytes] = []
    if "MIN" in options and told:
        parts.append(b"MIN %d" % told[0])
    if "MAX" in options and told:
        parts.append(b"MAX %d" % told[-1])
    if "ALL" in options and told:
        parts.append(b"ALL " + in_row(told))
    if "COUNT" in options:
        parts.append(b"COUNT %d" % len(told))
    if returned.partial is not None:
        first, last = returned.partial
        some = in_row(_some(told, first, last)) or b"NIL"
        parts.append(b"PARTIAL (%d:%d %s)" % (first, last, some))
    if not parts and options == {"SAVE"}:
        return b""
    if modseq:
        parts.append(b"MODSEQ %d" % modseq)
    return b" ".join([b'* ESEARCH (TAG "%s")' % tag, *([b"UID"] if by_uid else []), *parts]) + b"\r\n"


def _some(told: list[int], first: int, last: int) -> list[int]:
    """Those from the first up to the last place; negative places count from the end (RFC 9394, 3.1)."""
    if first > 0:
        return told[first - 1 : last]
    near, far = sorted((-first, -last))
    return told[max(0, len(told) - far) : max(0, len(told) - near + 1)]


def in_row(numbers: Iterable[int]) -> bytes:
    """Numbers as a set that keeps their order: ``5,1:3``."""
    parts: list[bytes] = []
    low = high = 0
    for number in numbers:
        if low and number == high + 1:
            high = number
            continue
        if low:
            parts.append(b"%d" % low if low == high else b"%d:%d" % (low, high))
        low = high = number
    if low:
        parts.append(b"%d" % low if low == high else b"%d:%d" % (low, high))
    return b",".join(parts)
