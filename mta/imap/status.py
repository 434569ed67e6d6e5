"""STATUS: numbers of a folder that need not be selected (RFC 3501, 6.3.10; RFC 7162; RFC 8438; RFC 9051)."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import TYPE_CHECKING

from mta.imap import folder_name
from mta.imap.refusal import Refused
from mta.mailbox import acts, names
from mta.mailbox.file_name import TRASHED
from mta.mailbox.folder import Gone
from mta.mailbox.index import Index
from mta.mailbox.snapshot import first_fresh

if TYPE_CHECKING:
    from mta.imap.protocol import ImapProtocol

#: What can be asked for.
ITEMS = frozenset(
    {
        "MESSAGES",
        "RECENT",
        "UIDNEXT",
        "UIDVALIDITY",
        "UNSEEN",
        "HIGHESTMODSEQ",
        "SIZE",
        "DELETED",
        "APPENDLIMIT",
    }
)


async def status(session: ImapProtocol, name: str, items: Collection[str]) -> bytes:
    """The untagged response for a folder.

    :param items: of :data:`ITEMS`.
    :raise Refused: if there is no such folder.
    """
    directory = names.directory_of(name)
    account = session.inside
    if "HIGHESTMODSEQ" in items:
        session.count_changes()
    try:
        if "SIZE" in items:
            # Sizes are what a client would read, not what files have.
            while await account.run(partial(_count_lines, directory)):
                pass
        claimed = account.claimed(directory)
        found = await account.run(lambda index: _numbers(index, directory, items, claimed))
    except Gone:
        raise Refused("there is no folder of this name", "NONEXISTENT") from None
    if "APPENDLIMIT" in items:
        found["APPENDLIMIT"] = session.terms.limits.message_size
    pairs = " ".join(f"{item} {found[item]}" for item in items).encode()
    return b"* STATUS %s (%s)" % (folder_name.written(session, name), pairs)


def _count_lines(directory: bytes, index: Index) -> int:
    return acts.count_lines(index, index.refresh(directory))


def _numbers(
    index: Index, directory: bytes, items: Collection[str], claimed: tuple[int, int] | None
) -> dict[str, int]:
    folder = index.refresh(directory)
    found = {
        "MESSAGES": folder.messages,
        "UIDNEXT": folder.next_uid,
        "UIDVALIDITY": folder.validity,
        "UNSEEN": folder.unseen,
        "HIGHESTMODSEQ": folder.modseq,
    }

    def count(expression: str, condition: str, *values: int) -> int:
        query = f"SELECT {expression} FROM messages WHERE folder = ? AND {condition}"  # noqa: S608
        return int(index.connection.execute(query, (folder.id, *values)).fetchone()[0])

    if "RECENT" in items:
        known = claimed is not None and claimed[0] == folder.validity
        first = claimed[1] if claimed is not None and known else first_fresh(index, folder)
        found["RECENT"] = count("count(*)", "uid >= ?", first)
    if "DELETED" in items:
        found["DELETED"] = count("count(*)", "flags & ?", TRASHED)
    if "SIZE" in items:
        found["SIZE"] = count("ifnull(sum(ifnull(virtual, size)), 0)", "1")
    return found
