"""The parts of a message and where they stand in its file (RFC 2045, RFC 2046).

A message is a stranger's: headers, depth and number of parts are bounded, and what is beyond them is a
part of what is around it.  The file is read once, in blocks; nothing of it is kept but headers.

Positions are those in the file; sizes and lines are those of what is sent, with CRLF at each line's end.
"""

from __future__ import annotations

import os
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field

from mta.mailbox.content import BLOCK
from mta.mailbox.message.header_field import Value, value

#: Octets of one header section; what is behind them belongs to the body.
LONGEST_HEADER = 256 * 1024
#: Parts of a message, and levels of them.
MOST, DEEPEST = 1000, 30
#: Octets of all headers together.
MOST_HEADERS = 1024 * 1024
#: Types of parts that are messages.
MESSAGES = frozenset({b"message/rfc822", b"message/global"})
#: Lines that may be boundaries, of which are looked at.
_MOST_LINES = 50_000

_DASHES = re.compile(rb"\n--([^\r\n]{1,250})")
_NAME = re.compile(rb"([\x21-\x39\x3b-\x7e]+)[ \t]*:")


@dataclass(slots=True)
class Part:
    """A part, or the message itself.

    :ivar start: of its header; ``body``: of what is behind it; ``end``: behind its last octet.
    :ivar fields: of its header, in their order: name in lower case, and what stands behind the colon.
    :ivar children: of a multipart, or the message that a part of type ``message/rfc822`` is.
    :ivar octets: of the body as it is sent; ``lines``: ends of lines in it.
    """

    start: int
    body: int
    end: int
    fields: list[tuple[bytes, bytes]]
    type: Value
    children: list[Part] = field(default_factory=list)
    octets: int = 0
    lines: int = 0

    @property
    def is_multipart(self) -> bool:
        """Whether it has parts of its own."""
        return self.type.word.startswith(b"multipart/") and bool(self.children)

    @property
    def is_message(self) -> bool:
        """Whether there is a message in it."""
        return self.type.word in MESSAGES and bool(self.children)

    def field(self, name: bytes) -> bytes | None:
        """The first header field of a name, without folding."""
        return next((text for one, text in self.fields if one == name), None)

    def find(self, numbers: tuple[int, ...]) -> Part | None:
        """The part of these numbers (RFC 3501, 6.4.5); ``None`` if there is none."""
        part = self
        inner = True
        for number in numbers:
            if not inner:
                # What has a number of its own has numbers below it only if it is a message.
                if not part.is_message:
                    return None
                part = part.children[0]
            if part.is_multipart:
                if number > len(part.children):
                    return None
                part = part.children[number - 1]
                inner = part.is_multipart
            elif number != 1:
                return None
            else:
                inner = False
        return part


class Reader:
    """Reads one message.

    :param file: descriptor.
    """

    def __init__(self, file: int) -> None:
        self._file = file
        self._size = os.fstat(file).st_size
        self._dashes: list[tuple[int, bytes]] | None = None
        self._count = 0
        self._headers = 0

    def read(self) -> Part:
        """The message.

        :raise OSError: if it cannot be read.
        """
        return self._part(0, self._size, 0, b"text/plain")

    def top(self) -> Part:
        """The message with its header alone.

        :raise OSError: if it cannot be read.
        """
        body, fields = self._header(0, self._size)
        return Part(0, body, self._size, fields, Value(b"text/plain"))

    def _part(self, start: int, end: int, depth: int, usual: bytes) -> Part:
        self._count += 1
        body, fields = self._header(start, end)
        self._headers += body - start
        text = next((text for name, text in fields if name == b"content-type"), None)
        kind = value(text) if text is not None else Value(usual)
        if not re.fullmatch(rb"[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.+-]+", kind.word):
            kind = Value(b"text/plain" if text is None or not kind.word else b"application/octet-stream")
        part = Part(start, body, end, fields, kind)
        if depth < DEEPEST and self._count < MOST and self._headers < MOST_HEADERS:
            if kind.word.startswith(b"multipart/"):
                self._children(part, depth)
            elif kind.word in MESSAGES and _is_plain(part):
                part.children.append(self._part(body, end, depth + 1, b"text/plain"))
        if kind.word.startswith(b"multipart/") and not part.children:
            # A multipart without parts is told as a text.
            part.type = Value(b"text/plain")
        if not part.children or part.is_message:
            part.octets, part.lines = self._measure(body, end)
        return part

    # --- headers ---------------------------------------------------------------

    def _header(self, start: int, end: int) -> tuple[int, list[tuple[bytes, bytes]]]:
        """Where the body begins, and the fields."""
        data = b""
        limit = min(end - start, LONGEST_HEADER)
        size = 4096
        while len(data) < limit:
            block = os.pread(self._file, min(size, limit - len(data)), start + len(data))
            if not block:
                break
            place = max(len(data) - 3, 0)
            data += block
            size = BLOCK
            if data.startswith(b"\n"):
                return start + 1, []
            if data.startswith(b"\r\n"):
                return start + 2, []
            ends = [
                found + len(mark) for mark in (b"\n\n", b"\n\r\n") if (found := data.find(mark, place)) >= 0
            ]
            if ends:
                length = min(ends)
                return start + length, list(_fields(data[:length]))
        return start + len(data), list(_fields(data))

    # --- multiparts ------------------------------------------------------------

    def _children(self, part: Part, depth: int) -> None:
        boundary = part.type.parameters.get(b"boundary", b"").rstrip(b" \t")
        if not boundary or len(boundary) > 200:
            return
        dashes = self._lines()
        usual = b"message/rfc822" if part.type.word == b"multipart/digest" else b"text/plain"
        place = bisect_left(dashes, (part.body - 1, b""))
        opened = -1
        while place < len(dashes):
            at, text = dashes[place]
            place += 1
            if at >= part.end:
                break
            closing = text == boundary + b"--"
            if text != boundary and not closing:
                continue
            if opened >= 0 and not self._add(part, opened, self._before(at), depth, usual):
                return
            if closing:
                return
            opened = self._behind(at, len(text), part.end)
        if opened >= 0:
            self._add(part, opened, part.end, depth, usual)

    def _add(self, part: Part, start: int, end: int, depth: int, usual: bytes) -> bool:
        if self._count >= MOST or self._headers >= MOST_HEADERS:
            return False
        part.children.append(self._part(start, max(start, end), depth + 1, usual))
        return True

    def _before(self, at: int) -> int:
        """The end of what stands before a boundary: the line's end belongs to the boundary."""
        return at - 1 if at and os.pread(self._file, 1, at - 1) == b"\r" else at

    def _behind(self, at: int, length: int, end: int) -> int:
        """The start of the line behind a boundary."""
        place = at + 3 + length
        block = os.pread(self._file, 1024, place)
        found = block.find(b"\n")
        return min(place + (found + 1 if found >= 0 else len(block)), end)

    def _lines(self) -> list[tuple[int, bytes]]:
        """The lines that begin with two dashes: where the line feed before each is, and what follows."""
        if self._dashes is None:
            self._dashes = list(self._scan())
        return self._dashes

    def _scan(self) -> Iterator[tuple[int, bytes]]:
        count = 0
        # As if there were a line before the first.
        tail, place = b"\n", -1
        while True:
            block = os.pread(self._file, 16 * BLOCK, place + len(tail))
            data = tail + block
            last = len(block) < 16 * BLOCK
            # A line that the block cuts is looked at with the next one.
            until = len(data) if last else max(len(data) - 300, 0)
            for found in _DASHES.finditer(data):
                if found.start() >= until:
                    break
                yield place + found.start(), found[1].rstrip(b" \t")
                count += 1
                if count >= _MOST_LINES:
                    return
            if last:
                return
            tail, place = data[until:], place + until

    def _measure(self, start: int, end: int) -> tuple[int, int]:
        octets = lines = 0
        before = b""
        place = start
        while place < end:
            block = os.pread(self._file, min(16 * BLOCK, end - place), place)
            if not block:
                break
            place += len(block)
            feeds = block.count(b"\n")
            pairs = block.count(b"\r\n") + (before == b"\r" and block.startswith(b"\n"))
            octets += len(block) + feeds - pairs
            lines += feeds
            before = block[-1:]
        if end >= self._size and before and before != b"\n":
            # What ends with the message is sent with an end of its last line, as the message is.
            octets, lines = octets + 2, lines + 1
        return octets, lines


def _is_plain(part: Part) -> bool:
    """Whether a message in it can be read as it stands."""
    coding = next((text for name, text in part.fields if name == b"content-transfer-encoding"), b"")
    return coding.strip().lower() in (b"", b"7bit", b"8bit", b"binary")


def _fields(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The fields of a header section; lines that are none are passed over."""
    name, parts = b"", []
    for line in header.split(b"\n"):
        line = line.rstrip(b"\r")
        if line.startswith((b" ", b"\t")):
            if name:
                parts.append(line)
            continue
        if name:
            yield name, b"".join(parts).strip()
        found = _NAME.match(line)
        name, parts = (found[1].lower(), [line[found.end() :]]) if found else (b"", [])
    if name:
        yield name, b"".join(parts).strip()
