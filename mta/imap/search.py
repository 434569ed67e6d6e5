"""Finds the messages that fit the keys of SEARCH (RFC 3501, 6.4.4).

Each key gives a set of UIDs, within those that others have left: flags, dates and sizes are asked first,
words after them.  Everything is asked in threads, and what takes long in pieces.
"""

from __future__ import annotations

import calendar
import os
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from functools import partial

from mta.imap import search_key
from mta.imap.search_key import Key
from mta.imap.selected import Selected
from mta.imap.sequence_set import SequenceSet
from mta.mailbox import acts
from mta.mailbox.folder import SAVED, Gone
from mta.mailbox.full_text.folding import END, fold_wanted
from mta.mailbox.full_text.parts import Source
from mta.mailbox.full_text.text import Text, header_values
from mta.mailbox.full_text.texts import Question
from mta.mailbox.index import Index
from mta.mailbox.mailroom import Account
from mta.mailbox.snapshot import Snapshot

#: Fields that the index of texts has a column for.
_FIELDS = {"subject": "subject", "from": "sender", "to": "to", "cc": "cc", "bcc": "bcc"}
#: Fields that are not among what a message says; they are looked for in its file.
_UNSAID = frozenset({"dkim-signature", "arc-seal", "arc-message-signature", "x-google-dkim-signature"})
#: Characters that the index is asked for: each costs time.  The rest is looked for in what it finds.
_LONGEST = 100
#: Messages whose times are looked at in one transaction.
_AT_ONCE = 2000
_FIRST_DAY, _LAST_DAY = 1, date.max.toordinal() + 1


async def find(selected: Selected, key: Key, seconds: Callable[[], float] = time.time) -> list[int]:
    """UIDs of the messages that fit, in rising order.

    :raise TemporarilyUnavailable: if the Maildir cannot be read.
    """
    if isinstance(key, search_key.All):
        return list(selected.snapshot.uids)
    found = await _Search(selected, seconds()).fitting(key, set(selected.snapshot.uids))
    return sorted(found)


class _Search:
    def __init__(self, selected: Selected, now: float) -> None:
        self._selected = selected
        self._account = selected.account
        self._snapshot = selected.snapshot
        self._now = now
        self._arrivals = False

    async def fitting(self, key: Key, within: set[int]) -> set[int]:
        """Those of ``within`` that fit."""
        if not within or isinstance(key, search_key.All):
            return within
        if isinstance(key, search_key.And):
            for one in sorted(key.keys, key=_cost):
                within = await self.fitting(one, within)
            return within
        if isinstance(key, search_key.Or):
            found: set[int] = set()
            for one in sorted(key.keys, key=_cost):
                found |= await self.fitting(one, within - found)
            return found
        if isinstance(key, search_key.Not):
            return within - await self.fitting(key.key, within)
        return await self._leaf(key, within)

    async def _leaf(self, key: Key, within: set[int]) -> set[int]:
        if isinstance(key, search_key.Numbered):
            return within & self._numbered(key)
        if isinstance(key, search_key.Recent):
            return {uid for uid in within if self._selected.is_recent(uid)}
        if isinstance(key, search_key.Text | search_key.Body):
            return await self._saying(key, within)
        if isinstance(key, search_key.Header):
            return await self._header(key, within)
        if isinstance(key, search_key.Dated) and key.sent:
            return await self._sent(key, within)
        return within & await self._indexed(key)

    # --- what the index of the account knows -----------------------------------

    async def _indexed(self, key: Key) -> set[int]:
        if isinstance(key, search_key.Flagged):
            return await self._rows("flags & ?", key.bit)
        if isinstance(key, search_key.Keyword):
            words = [word.lower() for word in self._snapshot.keywords]
            bits = sum(1 << place for place, word in enumerate(words) if word == key.word.lower())
            return await self._rows("keywords & ?", bits)
        if isinstance(key, search_key.Changed):
            return await self._rows("modseq >= ?", min(key.modseq, (1 << 63) - 1))
        if isinstance(key, search_key.Sized):
            await measure(self._account, self._snapshot)
            if key.above is not None:
                return await self._rows("virtual > ?", min(key.above, (1 << 63) - 1))
            return await self._rows("virtual < ?", min(key.below or 0, (1 << 63) - 1))
        if isinstance(key, search_key.Saved):
            return await self._rows(f"{SAVED} >= ? AND {SAVED} < ?", _begin(key.first), _begin(key.end, True))
        await self._time()
        if isinstance(key, search_key.Aged):
            then = int(self._now) - min(key.seconds, 1 << 40)
            return await self._rows("received >= ?" if key.younger else "received <= ?", then)
        assert isinstance(key, search_key.Dated)
        return await self._rows("received >= ? AND received < ?", _begin(key.first), _begin(key.end, True))

    async def _time(self) -> None:
        if not self._arrivals:
            self._arrivals = True
            await note_arrivals(self._account, self._snapshot)

    async def _rows(self, condition: str, *values: int) -> set[int]:
        def work(index: Index) -> set[int]:
            rows = index.connection.execute(
                f"SELECT uid FROM messages WHERE folder = ? AND {condition}",  # noqa: S608
                (self._snapshot.folder, *values),
            )
            return {uid for (uid,) in rows.fetchall()}

        return await self._account.run(work)

    def _numbered(self, key: search_key.Numbered) -> set[int]:
        if key.numbers is None:
            return set(self._selected.saved)
        uids = self._snapshot.uids
        if key.by_uid:
            return {uid for place in key.numbers.places(uids) for uid in uids[place.start : place.stop]}
        return set(_by_number(key.numbers, uids))

    # --- what messages say -----------------------------------------------------

    async def _saying(self, key: search_key.Text | search_key.Body, within: set[int]) -> set[int]:
        wanted = fold_wanted(key.text)
        if not wanted:
            return within
        header = isinstance(key, search_key.Text)
        begin = wanted[:_LONGEST]
        texts = self._account.texts

        def says(text: Text) -> bool:
            return wanted in text.body or (header and wanted in text.header)

        question = Question(
            lambda index, number: index.saying(number, begin, header, True), says, beyond=True
        )
        found = await texts.ask(self._snapshot, within, question, self._selected.gone)
        if begin == wanted or not texts.indexed:
            return found
        whole: set[int] = set()
        await texts.each(
            self._snapshot,
            sorted(found),
            lambda uid, text: whole.add(uid) if says(text) else None,
            self._selected.gone,
        )
        return whole

    async def _header(self, key: search_key.Header, within: set[int]) -> set[int]:
        wanted, texts = fold_wanted(key.text), self._account.texts
        field = _FIELDS.get(key.name)
        if field is not None and wanted:
            question = Question(
                lambda index, number: (index.having(number, field, wanted), set()),
                lambda text: _has(text, field, wanted),
                header=True,
            )
            return await texts.ask(self._snapshot, within, question, self._selected.gone)
        # Without an index, the files are looked into once.
        if key.name not in _UNSAID and texts.indexed:
            within = await self._naming(END + key.name + ":", within)
            if not wanted:
                return within
            within = await self._naming(wanted.strip()[:_LONGEST], within)
        found: set[int] = set()

        def look(uid: int, source: Source) -> None:
            if any(wanted in f" {value} " for value in header_values(source, key.name)):
                found.add(uid)

        await texts.sources(self._snapshot, sorted(within), look, self._selected.gone)
        return found

    async def _naming(self, wanted: str, within: set[int]) -> set[int]:
        if not wanted:
            return within
        question = Question(
            lambda index, number: index.saying(number, wanted, True, False),
            lambda text: wanted in text.header,
            header=True,
        )
        return await self._account.texts.ask(self._snapshot, within, question, self._selected.gone)

    async def _sent(self, key: search_key.Dated, within: set[int]) -> set[int]:
        first = _FIRST_DAY if key.first is None else key.first.toordinal()
        last = (_LAST_DAY if key.end is None else key.end.toordinal()) - 1
        ask, gone = self._account.texts.ask, self._selected.gone
        sent = Question(
            lambda index, number: (index.sent(number, first, last) | index.undated(number), set()),
            lambda text: text.day is None or first <= text.day <= last,
            header=True,
        )
        found = await ask(self._snapshot, within, sent, gone)
        # What has no date was sent when it came (RFC 5256, 2.2).
        without = Question(
            lambda index, number: (index.undated(number), set()), lambda text: text.day is None, header=True
        )
        undated = await ask(self._snapshot, found, without, gone)
        found -= undated
        if undated:
            found |= await self.fitting(search_key.Dated(False, key.first, key.end), undated)
        return found


def _cost(key: Key) -> int:
    if isinstance(key, search_key.And | search_key.Or):
        return max(map(_cost, key.keys))
    if isinstance(key, search_key.Not):
        return _cost(key.key)
    if isinstance(key, search_key.Text | search_key.Body):
        return 4
    if isinstance(key, search_key.Header):
        return 3 if key.name in _FIELDS else 5
    if isinstance(key, search_key.Dated):
        return 2 if key.sent else 1
    return 1 if isinstance(key, search_key.Sized | search_key.Aged) else 0


def _has(text: Text, field: str, wanted: str) -> bool:
    value: str = getattr(text, field)
    return wanted in value if wanted else bool(value)


def _begin(day: date | None, end: bool = False) -> int:
    """When a day begins, by UTC: INTERNALDATE is told in it."""
    if day is None:
        return 1 << 62 if end else -(1 << 62)
    return calendar.timegm(day.timetuple())


def _by_number(numbers: SequenceSet, uids: Sequence[int]) -> Iterable[int]:
    for first, last in numbers.bounds(len(uids)):
        yield from uids[first - 1 : last]


# --- what is found out once -------------------------------------------------------


async def measure(account: Account, now: Snapshot) -> None:
    """Find out the sizes with CRLF that no name tells.

    :raise TemporarilyUnavailable: if the Maildir cannot be read.
    """

    def some(index: Index) -> int:
        folder = index.known(now.directory)
        return 0 if folder is None else acts.count_lines(index, folder)

    while await account.run(some):
        pass


async def note_arrivals(account: Account, now: Snapshot) -> None:
    """Find out when messages came (INTERNALDATE), as far as nobody knows yet.

    :raise TemporarilyUnavailable: if the Maildir cannot be read.
    """
    after = 0
    while after >= 0:
        after = await account.run(partial(_note_arrivals, now=now, after=after))


def _note_arrivals(index: Index, now: Snapshot, after: int) -> int:
    """Look at some files; the last UID, or -1 if all have been looked at."""
    rows = index.connection.execute(
        "SELECT uid FROM messages WHERE folder = ? AND received IS NULL AND uid > ? ORDER BY uid LIMIT ?",
        (now.folder, after, _AT_ONCE),
    ).fetchall()
    folder = index.known(now.directory)
    if not rows or folder is None:
        return -1
    path = index.path(now.directory) + b"/"
    found = []
    for (uid,) in rows:
        try:
            message = index.message(folder, uid)
            found.append((int(os.lstat(path + message.place).st_mtime), folder.id, uid))
        except (Gone, FileNotFoundError):
            # It is gone, or has just been renamed; it is looked at next time.
            continue
    with index.transaction():
        index.connection.executemany("UPDATE messages SET received = ? WHERE folder = ? AND uid = ?", found)
    return int(rows[-1][0]) if len(rows) == _AT_ONCE else -1
