"""The command FETCH: seen is what is fetched, and nothing is read that the client does not take."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from mta.imap import resync, updates
from mta.imap.fetch import Fetch, Large, stream
from mta.imap.fetch_item import FetchItem
from mta.imap.refusal import Bad, Refused
from mta.imap.selected import BadNumber, Selected
from mta.imap.selecting import selected_of
from mta.imap.sequence_set import SequenceSet
from mta.mailbox import acts
from mta.mailbox.file_name import SEEN, Flags
from mta.mailbox.folder import Folder, Gone, Message
from mta.mailbox.index import Index

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

#: Messages that are marked as seen in one transaction.
_AT_ONCE = 100
#: Messages that are asked for at once.
_SOME = 2000


async def fetch(
    session: ImapProtocol,
    wanted: SequenceSet,
    by_uid: bool,
    items: Sequence[FetchItem],
    changed_since: int | None = None,
    vanished: bool = False,
) -> bytes:
    """FETCH.

    :param changed_since: leave out what has not changed after this MODSEQ (RFC 7162, 3.1.4).
    :param vanished: tell also which have gone since.
    :raise Bad: if there are no such messages.
    """
    selected = selected_of(session)
    try:
        uids = selected.uids(wanted, by_uid)
    except BadNumber as problem:
        raise Bad(str(problem)) from None
    names = {item.name for item in items}
    if names & {"BINARY[]", "BINARY.SIZE[]"}:
        raise Bad("BINARY is not offered")
    if changed_since is not None or "MODSEQ" in names:
        session.count_changes()
    if vanished:
        if not (session.quick_resync and by_uid and changed_since is not None):
            raise Bad("VANISHED is for UID FETCH with CHANGEDSINCE, once QRESYNC is enabled")
        bounds = wanted.bounds(selected.snapshot.next_uid - 1)
        gone = await selected.account.run(
            lambda index: resync.vanished(index, selected.snapshot, changed_since, bounds)
        )
        if gone:
            session.say(b"* VANISHED (EARLIER) %s" % gone)
    extra = _extra(session, names, by_uid, changed_since)
    told = await _fetch(session, selected, uids, [*extra, *items], changed_since or 0)
    await updates.tell(session, removals=by_uid)
    if not by_uid and changed_since is None and told < len(uids) and not session.lost:
        raise Refused("some of the messages no longer exist", "EXPUNGEISSUED")
    return b"fetched"


def _extra(session: ImapProtocol, names: set[str], by_uid: bool, since: int | None) -> list[FetchItem]:
    """What is told besides."""
    extra = []
    if by_uid and "UID" not in names:
        extra.append(FetchItem("UID", b"UID"))
    if since is not None and "MODSEQ" not in names:
        extra.append(FetchItem("MODSEQ", b"MODSEQ"))
    return extra


async def _fetch(
    session: ImapProtocol, selected: Selected, uids: Sequence[int], items: list[FetchItem], since: int
) -> int:
    """Tell of messages; of how many."""
    account = selected.account
    marks = not selected.read_only and any(item.marks_seen for item in items)
    told = done = marked = 0
    plain = _fetch_of(selected, items)
    flagged = _fetch_of(selected, [*items, *_flags(items)])
    fresh: set[int] = set()
    while done < len(uids):
        if marks and marked <= done:
            marked = done + _AT_ONCE
            fresh = await _mark(session, selected, uids[done:marked])
        some = uids[done : marked if marks else done + _SOME]
        # Who is marked by it is told so.
        work = flagged if fresh else plain
        try:
            answers, count = await account.run(partial(work.some, uids=some, since=since))
        except Gone:
            raise updates.Inconsistent("the selected folder was removed") from None
        done += count
        told += len(answers)
        if not await _write(session, selected, answers):
            break
    session.fetched += plain.fetched + flagged.fetched
    return told


def _fetch_of(selected: Selected, items: Sequence[FetchItem]) -> Fetch:
    return Fetch(selected.directory, items, selected.words, selected.number, selected.is_recent)


def _flags(items: Sequence[FetchItem]) -> list[FetchItem]:
    return [] if any(item.name == "FLAGS" for item in items) else [FetchItem("FLAGS", b"FLAGS")]


async def _mark(session: ImapProtocol, selected: Selected, uids: Sequence[int]) -> set[int]:
    """Mark messages as seen; which of them were not."""

    def unseen(index: Index) -> list[int]:
        folder = index.known(selected.directory)
        if folder is None or not folder.unseen or not uids:
            return []
        rows = index.connection.execute(
            "SELECT uid FROM messages WHERE folder = ? AND uid BETWEEN ? AND ? AND NOT flags & ?",
            (folder.id, uids[0], uids[-1], SEEN),
        )
        wanted = set(uids)
        return [uid for (uid,) in rows if uid in wanted]

    fresh = await selected.account.run(unseen)
    if fresh:

        def change(index: Index) -> tuple[Folder, list[Message], list[int]]:
            return acts.change_flags(index, selected.directory, fresh, _seen)

        try:
            folder, messages, _ = await selected.account.run(change)
        except Gone:
            raise updates.Inconsistent("the selected folder was removed") from None
        if folder.words == selected.words:
            # Otherwise it has keywords that the client does not know yet, and is told of again.
            for message in messages:
                selected.known[message.uid] = message.modseq
    return set(fresh)


def _seen(flags: Flags) -> Flags:
    return Flags(flags.system | SEEN, flags.keywords, flags.other)


async def _write(session: ImapProtocol, selected: Selected, answers: Sequence[bytes | Large]) -> bool:
    """Write answers; whether the client is still there."""
    there = not session.lost
    together: list[bytes] = []
    for answer in answers:
        if isinstance(answer, bytes):
            together.append(answer)
            continue
        try:
            if together:
                there = await session.write(b"".join(together))
                together.clear()
            if there:
                there = await _stream(session, selected, answer)
        finally:
            os.close(answer.file)
    if together and there:
        there = await session.write(b"".join(together))
        session.sent += sum(map(len, together))
    return there


async def _stream(session: ImapProtocol, selected: Selected, large: Large) -> bool:
    for part in large.parts:
        if isinstance(part, bytes):
            if not await session.write(part):
                return False
            continue
        blocks = stream(large.file, part)
        while True:
            try:
                block = await selected.account.in_thread(_next, blocks)
            except OSError as error:
                session.cut_off(f"a message cannot be read: {error.strerror}")
                return False
            if not block:
                break
            session.sent += len(block)
            if not await session.write(block):
                return False
    return True


def _next(blocks: Iterator[bytes]) -> bytes:
    return next(blocks, b"")
