"""STORE: flags and keywords of messages are changed (RFC 3501, 6.4.6; RFC 7162, 3.1.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mta.imap import flags, updates
from mta.imap.flags import NAMED, BadFlag, Named
from mta.imap.refusal import Bad, Refused
from mta.imap.selected import BadNumber, Selected
from mta.imap.selecting import selected_of
from mta.imap.sequence_set import SequenceSet, compact
from mta.mailbox import acts
from mta.mailbox.file_name import Flags
from mta.mailbox.folder import Folder, Gone, Message
from mta.mailbox.index import Index
from mta.mailbox.snapshot import Changed

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

#: Messages that are changed in one transaction.
_AT_ONCE = 500


async def store(
    session: ImapProtocol,
    wanted: SequenceSet,
    by_uid: bool,
    sign: str,
    words: tuple[bytes, ...],
    silent: bool,
    unchanged_since: int | None,
) -> bytes:
    """Change flags.

    :param sign: ``+`` adds, ``-`` takes away, ``""`` replaces.
    :param silent: whether the client does not want to hear of the flags.
    :param unchanged_since: leave out what has changed after this MODSEQ.
    :raise Refused: if it cannot be done, or some of the messages no longer exist.
    """
    selected = selected_of(session, changing=True)
    if unchanged_since is not None:
        session.count_changes()
    try:
        named = flags.named(words)
        uids = selected.uids(wanted, by_uid)
    except (BadFlag, BadNumber) as problem:
        raise Bad(str(problem)) from None
    bits = await _bits(session, selected, named, sign)
    left: list[int] = []
    done = 0
    for start in range(0, len(uids), _AT_ONCE):
        some = uids[start : start + _AT_ONCE]

        def change(index: Index, some: list[int] = some) -> tuple[Folder, list[Message], list[int]]:
            return acts.change_flags(
                index,
                selected.directory,
                some,
                lambda before: _changed(before, sign, named.system, bits),
                unchanged_since,
            )

        try:
            folder, messages, unwilling = await selected.account.run(change)
        except Gone:
            raise updates.Inconsistent("the selected folder was removed") from None
        left += unwilling
        done += len(messages)
        # Others may have made keywords that the client could not be told of yet.
        lines = updates.keywords(selected, folder.words)
        if lines and not await session.write(b"".join(lines)):
            break
        if not await _told(session, selected, messages, silent):
            break
    selected.account.wake(selected.directory)
    await updates.tell(session, removals=by_uid)
    if left:
        numbers = left if by_uid else [number for uid in left if (number := selected.number(uid))]
        return b"[MODIFIED %s] these had changed meanwhile" % compact(sorted(numbers))
    if done < len(uids) and not by_uid and not silent:
        # Who does not want to hear of the flags has what was wanted (RFC 2180, 4.2.1).
        raise Refused("some of the messages no longer exist; the others are changed", "EXPUNGEISSUED")
    return b"changed"


async def _bits(session: ImapProtocol, selected: Selected, named: Named, sign: str) -> int:
    """The bits of keywords in this folder."""
    if not named.keywords:
        return 0
    if sign == "-":
        # What is not there is not made to be taken away.
        known = {word.lower(): number for number, word in enumerate(selected.snapshot.keywords) if word}
        return sum(1 << known[word.lower()] for word in named.keywords if word.lower() in known)
    bits, words = await selected.account.run(lambda index: _define(index, selected.directory, named.keywords))
    lines = updates.keywords(selected, words)
    if lines:
        await session.write(b"".join(lines))
    if bits is None:
        raise Refused("the folder has no room for more keywords: there are 26 at the most", "LIMIT")
    return bits


def _define(index: Index, directory: bytes, words: tuple[str, ...]) -> tuple[int | None, str]:
    """The bits of keywords, new ones too, and all keywords of the folder."""
    bits = acts.keyword_bits(index, directory, words)
    folder = index.known(directory)
    return bits, "" if folder is None else folder.words


def _changed(before: Flags, sign: str, system: int, keywords: int) -> Flags:
    if sign == "+":
        return Flags(before.system | system, before.keywords | keywords, before.other)
    if sign == "-":
        return Flags(before.system & ~system, before.keywords & ~keywords, before.other)
    return Flags(before.system & ~NAMED | system, keywords, before.other)


async def _told(session: ImapProtocol, selected: Selected, messages: list[Message], silent: bool) -> bool:
    """Tell the flags as they are now; whether the client is still there."""
    lines = []
    for message in messages:
        selected.known[message.uid] = message.modseq
        if not silent or session.counts_changes:
            one = Changed(message.uid, message.flags, message.keywords, message.modseq)
            lines.append(updates.line(session, selected, one, silent))
    return await session.write(b"".join(lines)) if lines else not session.lost
