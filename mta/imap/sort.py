"""The order of messages (RFC 5256; SORT=DISPLAY, RFC 5957)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from mta.imap import search
from mta.imap.search_command import Criterion
from mta.imap.selected import Selected
from mta.mailbox.index import Index

Keys: TypeAlias = dict[int, str | int | None]

#: What the index of texts calls them.
_TEXTS = {
    "SUBJECT": "base",
    "FROM": "from_box",
    "TO": "to_box",
    "CC": "cc_box",
    "DISPLAYFROM": "from_name",
    "DISPLAYTO": "to_name",
}


async def in_order(selected: Selected, uids: list[int], criteria: Sequence[Criterion]) -> list[int]:
    """Sort messages; those that are alike stay in the order of their numbers.

    :param uids: in rising order.
    :raise TemporarilyUnavailable: if the Maildir cannot be read.
    """
    within = set(uids)
    # The last criterion first: sorting keeps the order of what is alike.
    for criterion in reversed(criteria):
        keys = await _keys(selected, criterion.name, within)
        uids = await selected.account.in_thread(_sorted, uids, keys, criterion.reverse)
    return uids


def _sorted(uids: list[int], keys: Keys, reverse: bool) -> list[int]:
    def key(uid: int) -> tuple[int, str]:
        value = keys.get(uid)
        # RFC 5051 compares capital letters.
        return (0, value.upper()) if isinstance(value, str) else (value or 0, "")

    return sorted(uids, key=key, reverse=reverse)


async def _keys(selected: Selected, name: str, within: set[int]) -> Keys:
    now, texts = selected.snapshot, selected.account.texts
    if name in _TEXTS:
        return await texts.keys(now, within, _TEXTS[name], selected.gone)
    if name == "SIZE":
        await search.measure(selected.account, now)
        return await _column(selected, "ifnull(virtual, size)")
    keys: Keys = {}
    if name == "DATE":
        keys = await texts.keys(now, within, "sent", selected.gone)
        if all(value is not None for value in keys.values()):
            return keys
    # What has no date was sent when it came (RFC 5256, 2.2).
    await search.note_arrivals(selected.account, now)
    arrivals = await _column(selected, "received")
    return arrivals | {uid: value for uid, value in keys.items() if value is not None}


async def _column(selected: Selected, column: str) -> Keys:
    def work(index: Index) -> Keys:
        rows = index.connection.execute(
            f"SELECT uid, {column} FROM messages WHERE folder = ?",  # noqa: S608
            (selected.snapshot.folder,),
        )
        return dict(rows.fetchall())

    return await selected.account.run(work)
