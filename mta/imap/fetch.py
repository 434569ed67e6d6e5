"""FETCH: flags, sizes, times and content of messages (RFC 3501, 7.4.2), some messages at a time.

What is small is put together in a thread, for many messages at once; what is large is read a block at a
time, as fast as the client takes it.  The length of a literal is found out of the file itself: what names
and the index tell may be wrong, and then the client would lose its place.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mta.imap import flags
from mta.imap.date_time import MONTHS
from mta.imap.fetch_item import FetchItem, Section
from mta.mailbox import acts
from mta.mailbox.content import BLOCK, Lines
from mta.mailbox.folder import MESSAGE, SAVED, Gone, Message
from mta.mailbox.full_text.parts import Source
from mta.mailbox.full_text.preview import preview
from mta.mailbox.index import Index
from mta.mailbox.message import rendering
from mta.mailbox.message.mime import Part, Reader

#: Octets that are put together at once, and from which on a message is read in pieces.
_TOGETHER = 256 * 1024
#: Messages whose facts are asked of the index at once.
_ROWS = 500
#: Messages whose first words are read for a command that wants them only if there is no delay.
_WITHOUT_DELAY = 100
#: Octets of an envelope or a structure that the index keeps.
_KEPT = 16 * 1024
#: The same of facts alone.
_MANY = 2000


@dataclass(frozen=True, slots=True)
class Extent:
    """A piece of a file, that is sent with CRLF at each line's end.

    :ivar first: of its octets in the file, and ``end``: the one behind the last.
    :ivar whole: whether it is sent with an end of its last line: it is the end of the message.
    :ivar skip: octets that are left out of what is sent, and ``length``: those that are sent then.
    """

    first: int
    end: int
    whole: bool
    skip: int = 0
    length: int = 1 << 62


@dataclass(slots=True)
class Large:
    """A message that is to be read in pieces: octets, and extents of an open file in between.

    :ivar file: its descriptor; whoever gets this closes it.
    """

    file: int
    parts: list[bytes | Extent]


@dataclass(slots=True)
class Rendered:
    """What is kept of a message as it is written.

    :ivar fresh: whether some of it is not in the index yet.
    """

    envelope: bytes | None = None
    structure: bytes | None = None
    received: int | None = None
    virtual: int | None = None
    preview: bytes | None = None
    saved: int | None = None
    fresh: bool = False

    def row(self, folder: int, uid: int) -> tuple[bytes | int | None, ...]:
        """Values for the index; what is large is rendered again."""
        kept = [one if one is None or len(one) <= _KEPT else None for one in (self.envelope, self.structure)]
        return kept[0], kept[1], self.received, self.virtual, self.preview, folder, uid


class Fetch:
    """One command.

    :param directory: of the folder.
    :param items: what is asked for.
    :param words: the folder's keywords, as the client knows them.
    :param number: of a message, by its UID.
    :param is_recent: whether a message is recent, by its UID.
    """

    def __init__(
        self,
        directory: bytes,
        items: Sequence[FetchItem],
        words: str,
        number: Callable[[int], int],
        is_recent: Callable[[int], bool],
    ) -> None:
        self._directory = directory
        self._items = items
        self._words = words
        self._number = number
        self._is_recent = is_recent
        names = {item.name for item in items}
        self._opens = any(item.section is not None or item.name in _CONTENT for item in items)
        self._kept = bool(names & {"ENVELOPE", "BODYSTRUCTURE", "PREVIEW", "SAVEDATE"})
        self._plain = all(item.name in _PLAIN for item in items)
        self.fetched = 0
        # Whose first words were read for this command.
        self._made = 0

    def some(self, index: Index, uids: Sequence[int], since: int = 0) -> tuple[list[bytes | Large], int]:
        """Answers for the first of some messages; in a thread.

        :param since: leave out what has not changed after this MODSEQ.
        :return: what is to be written, and how many of the UIDs are done with.
        :raise Gone: if the folder is not there any more.
        """
        if self._plain:
            return self._facts(index, uids[:_MANY], since)
        answers: list[bytes | Large] = []
        octets = done = 0
        messages = {one.uid: one for one in self._messages(index, uids[:_ROWS])}
        rendered = self._rendered(index, uids[:_ROWS]) if self._kept else {}
        for uid in uids[:_ROWS]:
            done += 1
            message = messages.get(uid)
            if message is None or message.modseq <= since:
                continue
            try:
                answer = self._answer(index, message, rendered.setdefault(uid, Rendered()))
            except Gone:
                continue
            answers.append(answer)
            if isinstance(answer, Large):
                break
            octets += len(answer)
            if octets >= _TOGETHER:
                break
        self._keep(index, rendered)
        return answers, done

    def _rendered(self, index: Index, uids: Sequence[int]) -> dict[int, Rendered]:
        """Envelopes and structures that were rendered before."""
        folder = index.known(self._directory)
        if folder is None or not uids:
            return {}
        rows = index.connection.execute(
            f"SELECT uid, envelope, structure, preview, {SAVED} FROM messages"  # noqa: S608
            " WHERE folder = ? AND uid BETWEEN ? AND ?",
            (folder.id, uids[0], uids[-1]),
        )
        return {
            uid: Rendered(envelope, structure, preview=words, saved=saved)
            for uid, envelope, structure, words, saved in rows
        }

    def _keep(self, index: Index, rendered: dict[int, Rendered]) -> None:
        """Keep those that were rendered now; without room for that, they are rendered again."""
        folder = index.known(self._directory)
        fresh = [(uid, one) for uid, one in rendered.items() if one.fresh]
        if fresh and folder is not None:
            with suppress(sqlite3.Error), index.transaction():
                index.connection.executemany(
                    "UPDATE messages SET envelope = coalesce(?, envelope),"
                    " structure = coalesce(?, structure),"
                    " received = coalesce(received, ?), virtual = coalesce(virtual, ?),"
                    " preview = coalesce(?, preview)"
                    " WHERE folder = ? AND uid = ?",
                    [one.row(folder.id, uid) for uid, one in fresh],
                )

    def _facts(self, index: Index, uids: Sequence[int], since: int) -> tuple[list[bytes | Large], int]:
        """The same of what stands in the index: clients ask so for all messages of a folder."""
        folder = index.known(self._directory)
        if folder is None:
            raise Gone("the folder is not there any more")
        # One text with a place for each value; that for the number is the first.
        form = b"* %%d FETCH (%s)\r\n" % b" ".join(
            item.label + b" " + _PLAIN[item.name][1] for item in self._items
        )
        columns = ", ".join(_PLAIN[item.name][0] for item in self._items)
        facts = [column for column in ("virtual", "received") if column in columns]
        unknown = " OR ".join(f"{column} IS NULL" for column in facts) or "0"
        rows = index.connection.execute(
            f"SELECT uid, {unknown}, {columns} FROM messages"  # noqa: S608
            " WHERE folder = ? AND uid BETWEEN ? AND ? AND modseq > ? ORDER BY uid",
            (folder.id, uids[0], uids[-1], since),
        )
        flagged = [place for place, item in enumerate(self._items) if item.name == "FLAGS"]
        dated = [place for place, item in enumerate(self._items) if item.name == "INTERNALDATE"]
        saved = [place for place, item in enumerate(self._items) if item.name == "SAVEDATE"]
        rendered: dict[int, Rendered] = {}
        words, number, is_recent = self._words, self._number, self._is_recent
        answers: list[bytes | Large] = []
        for uid, missing, *values in rows.fetchall():
            place = bisect_left(uids, uid)
            if place >= len(uids) or uids[place] != uid:
                continue
            if missing:
                # It is in the file, and is kept from now on.
                with suppress(Gone):
                    message = index.message(folder, uid)
                    rendered[uid] = (self._rendered(index, [uid]) if self._kept else {}).get(uid, Rendered())
                    answers.append(self._answer(index, message, rendered[uid]))
                continue
            for at in flagged:
                # Both numbers are in one.
                both = values[at]
                values[at] = flags.told(both & 63, both >> 6, words, is_recent(uid))
            for at in dated:
                values[at] = _internal_date(values[at])
            for at in saved:
                values[at] = _save_date(values[at])
            answers.append(form % (number(uid), *values))
        self._keep(index, rendered)
        return answers, len(uids)

    def _messages(self, index: Index, uids: Sequence[int]) -> Iterator[Message]:
        folder = index.known(self._directory)
        if folder is None:
            raise Gone("the folder is not there any more")
        if not uids:
            return
        rows = index.connection.execute(
            f"SELECT {MESSAGE} FROM messages WHERE folder = ? AND uid BETWEEN ? AND ?",  # noqa: S608
            (folder.id, uids[0], uids[-1]),
        )
        for row in rows:
            place = bisect_left(uids, row[0])
            if place < len(uids) and uids[place] == row[0]:
                yield Message(*row)

    def _answer(self, index: Index, message: Message, rendered: Rendered | None = None) -> bytes | Large:
        file = -1
        rendered = rendered or Rendered()
        if self._opens or _needs_file(self._items, message, rendered) or self._previews(rendered):
            file, message = acts.open_message(index, self._directory, message.uid)
        keep = False
        try:
            content = Content(file) if file >= 0 else None
            parts: list[bytes | Extent] = [b"* %d FETCH (" % self._number(message.uid)]
            for place, item in enumerate(self._items):
                parts.append((b" " if place else b"") + item.label + b" ")
                parts += self._value(item, message, content, rendered)
            parts.append(b")\r\n")
            if self._opens:
                self.fetched += 1
            if sum(one.length for one in parts if isinstance(one, Extent)) > _TOGETHER:
                keep = True
                return Large(file, parts)
            return b"".join(one if isinstance(one, bytes) else b"".join(stream(file, one)) for one in parts)
        finally:
            if file >= 0 and not keep:
                os.close(file)

    def _previews(self, rendered: Rendered) -> bool:
        """Whether first words are to be read."""
        late = self._made >= _WITHOUT_DELAY
        return rendered.preview is None and any(
            item.name == "PREVIEW" and not (item.lazy and late) for item in self._items
        )

    def _preview(self, content: Content | None, rendered: Rendered) -> bytes:
        if content is not None and self._previews(rendered):
            rendered.preview, rendered.fresh = content.preview.encode(), True
            self._made += 1
        return rendering.nstring(rendered.preview)

    def _value(
        self, item: FetchItem, message: Message, content: Content | None, rendered: Rendered
    ) -> list[bytes | Extent]:
        if item.name == "FLAGS":
            recent = self._is_recent(message.uid)
            return [flags.told(message.flags, message.keywords, self._words, recent)]
        if item.name == "UID":
            return [b"%d" % message.uid]
        if item.name == "MODSEQ":
            return [b"(%d)" % message.modseq]
        if item.name == "INTERNALDATE":
            if message.received is None and rendered.received is None and content is not None:
                rendered.received, rendered.fresh = int(content.modified), True
            return [_internal_date(rendered.received if message.received is None else message.received)]
        if item.name == "SAVEDATE":
            return [_save_date(rendered.saved)]
        if item.name == "PREVIEW":
            return [self._preview(content, rendered)]
        if item.name == "RFC822.SIZE":
            if message.virtual is None and rendered.virtual is None and content is not None:
                rendered.virtual, rendered.fresh = content.size, True
            size = rendered.virtual if message.virtual is None else message.virtual
            return [b"%d" % (size or 0)]
        if item.name == "ENVELOPE" and rendered.envelope is not None:
            return [rendered.envelope]
        if item.name == "BODYSTRUCTURE" and rendered.structure is not None:
            return [rendered.structure]
        assert content is not None
        if item.name == "ENVELOPE":
            rendered.envelope, rendered.fresh = rendering.envelope(content.top), True
            return [rendered.envelope]
        if item.name == "BODYSTRUCTURE":
            rendered.structure, rendered.fresh = rendering.structure(content.message, True), True
            return [rendered.structure]
        if item.name == "BODY":
            return [rendering.structure(content.message, False)]
        section = item.section or _SECTIONS[item.name]
        return content.section(section, item.partial)


#: Items whose values stand in the index: the expression for it, and how it is written.
_PLAIN = {
    "FLAGS": ("flags | (keywords << 6)", b"%s"),
    "UID": ("uid", b"%d"),
    "MODSEQ": ("modseq", b"(%d)"),
    "RFC822.SIZE": ("virtual", b"%d"),
    "INTERNALDATE": ("received", b"%s"),
    "SAVEDATE": (SAVED, b"%s"),
}
_CONTENT = frozenset({"RFC822", "RFC822.HEADER", "RFC822.TEXT"})
_SECTIONS = {"RFC822": Section(), "RFC822.HEADER": Section((), "HEADER"), "RFC822.TEXT": Section((), "TEXT")}


def _needs_file(items: Sequence[FetchItem], message: Message, rendered: Rendered) -> bool:
    names = {item.name for item in items}
    return (
        "BODY" in names
        or (message.received is None and "INTERNALDATE" in names)
        or (message.virtual is None and "RFC822.SIZE" in names)
        or (rendered.envelope is None and "ENVELOPE" in names)
        or (rendered.structure is None and "BODYSTRUCTURE" in names)
    )


def _save_date(seconds: int | None) -> bytes:
    return b"NIL" if seconds is None else _internal_date(seconds)


def _internal_date(seconds: int | None) -> bytes:
    when = time.gmtime(min(max(seconds or 0, 0), 253_402_300_799))
    return b'"%02d-%s-%04d %02d:%02d:%02d +0000"' % (
        when.tm_mday,
        MONTHS[when.tm_mon - 1].encode(),
        when.tm_year,
        when.tm_hour,
        when.tm_min,
        when.tm_sec,
    )


class Content:
    """A message's file, open."""

    def __init__(self, file: int) -> None:
        self._file = file
        facts = os.fstat(file)
        self._octets = facts.st_size
        self.modified = facts.st_mtime
        self._top: Part | None = None
        self._message: Part | None = None

    @property
    def preview(self) -> str:
        """The first words."""
        return preview(Source.of_file(self._file))

    @property
    def size(self) -> int:
        """Octets with CRLF at each line's end."""
        return self._measured(0, self._octets)

    @property
    def top(self) -> Part:
        """The message with its header."""
        if self._top is None:
            self._top = self._message or Reader(self._file).top()
        return self._top

    @property
    def message(self) -> Part:
        """The message with its parts."""
        if self._message is None:
            self._message = Reader(self._file).read()
        return self._message

    def section(self, section: Section, partial: tuple[int, int] | None) -> list[bytes | Extent]:
        """A section as a literal; ``NIL`` if there is none."""
        part: Part | None = self.message.find(section.part) if section.part else self.top
        if part is not None and section.part and section.text not in ("", "MIME"):
            # Header and text are those of the message in it.
            part = part.children[0] if part.is_message else None
        if part is None:
            return [b"NIL"]
        if section.text.startswith("HEADER.FIELDS"):
            return _literal(self._fields(part, section), partial)
        first, end = {
            "": (part.body if section.part else 0, part.end),
            "HEADER": (part.start, part.body),
            "MIME": (part.start, part.body),
            "TEXT": (part.body, part.end),
        }[section.text]
        length = self._measured(first, end)
        skip = 0
        if partial is not None:
            skip = min(partial[0], length)
            length = min(partial[1], length - skip)
        if not length:
            return [b'""']
        return [b"{%d}\r\n" % length, Extent(first, end, end >= self._octets, skip, length)]

    def _measured(self, first: int, end: int) -> int:
        return sum(len(block) for block in _converted(self._file, Extent(first, end, end >= self._octets)))

    def _fields(self, part: Part, section: Section) -> bytes:
        header = b"".join(_converted(self._file, Extent(part.start, part.body, False)))
        wanted = {name.lower() for name in section.fields}
        inverse = section.text.endswith("NOT")
        kept: list[bytes] = []
        keep = False
        # A lone CR ends no line.
        for line in re.findall(rb"[^\n]*\n|[^\n]+", header):
            if line in (b"\r\n", b"\n"):
                break
            if not line.startswith((b" ", b"\t")):
                name = line.partition(b":")[0].rstrip().lower()
                keep = (name in wanted) != inverse
            if keep:
                kept.append(line)
        end = b"\r\n" if not kept or kept[-1].endswith(b"\n") else b"\r\n\r\n"
        return b"".join(kept) + end


def _literal(octets: bytes, partial: tuple[int, int] | None) -> list[bytes | Extent]:
    if partial is not None:
        octets = octets[partial[0] : partial[0] + partial[1]]
    return [b"{%d}\r\n%s" % (len(octets), octets)]


def _converted(file: int, extent: Extent) -> Iterator[bytes]:
    lines = Lines()
    place = extent.first
    while place < extent.end:
        block = os.pread(file, min(BLOCK, extent.end - place), place)
        if not block:
            break
        place += len(block)
        # There is no NUL in IMAP (RFC 3501, 4.3.1); the length stays.
        yield lines.feed(block).replace(b"\0", b"\x80")
    if extent.end > extent.first:
        yield lines.end() if extent.whole else lines.rest()


def stream(file: int, extent: Extent) -> Iterator[bytes]:
    """What is sent of an extent: exactly so many octets, whatever has become of the file."""
    skip, left = extent.skip, extent.length
    for block in _converted(file, extent):
        if skip:
            block, skip = block[skip:], max(skip - len(block), 0)
        block = block[:left]
        left -= len(block)
        if block:
            yield block
        if not left:
            return
    while left:
        # The file is shorter than it was: its reader must not take our next words for it.
        yield b" " * min(left, BLOCK)
        left -= min(left, BLOCK)
