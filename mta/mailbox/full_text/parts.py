"""Finds the header section of a message, and those of its parts that are text (RFC 2045, 2046).

Messages come from strangers and may be of any size.  A window of the file is in memory at a time,
attachments are passed over by looking for the line that ends them, and depth, number of parts and
length of header sections have bounds; what lies beyond them is not looked at.
"""

from __future__ import annotations

import os
import re
from binascii import a2b_qp
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from mta.mailbox.full_text.folding import base64_decoded, decoded

#: Octets of a header section that are looked at.
HEADER = 256 * 1024
#: Octets in memory.
WINDOW = 1 << 20
_DEEPEST = 30
_MOST_PARTS = 2000

_PARAMETER = re.compile(
    r";\s*([^\s=;*]{1,40})(\*?[0-9]{0,3}\*?)\s*=\s*(\"(?:[^\"\\]|\\.)*\"|[^\s;]*)", re.DOTALL
)
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:((?:[^\n]|\n[ \t])*)\n?")


class Source:
    """A message's octets, in a file or in memory.

    :param octets: the whole message, or its beginning.
    :param file: where the rest is.
    :param size: of all of it.
    """

    def __init__(self, octets: bytes, file: int = -1, size: int = 0) -> None:
        self._octets = octets
        self._start = 0
        self._file = file
        self.size = max(size, len(octets))

    @classmethod
    def of_file(cls, file: int) -> Source:
        """A message that is open.

        :raise OSError: if it cannot be read.
        """
        octets = os.pread(file, WINDOW, 0)
        return cls(octets, file, os.fstat(file).st_size if len(octets) == WINDOW else len(octets))

    def octets(self, start: int, end: int) -> bytes:
        """Those from ``start`` up to ``end``; fewer, if the file has become shorter.

        :raise OSError: if they cannot be read.
        """
        begin = start - self._start
        if begin >= 0 and (end <= self._start + len(self._octets) or self._file < 0):
            return self._octets[begin : end - self._start]
        parts = []
        while start < end and (block := os.pread(self._file, end - start, start)):
            parts.append(block)
            start += len(block)
        return b"".join(parts)

    def find(self, wanted: bytes, start: int, end: int) -> int:
        """Where something begins; -1 if it is not there.

        :raise OSError: if it cannot be read.
        """
        while start < end:
            begin = start - self._start
            if begin < 0 or (begin + len(wanted) > len(self._octets) and self._file >= 0):
                self._octets, self._start, begin = os.pread(self._file, WINDOW, start), start, 0
            place = self._octets.find(wanted, begin, end - self._start)
            if place >= 0:
                return self._start + place
            if self._file < 0 or len(self._octets) < len(wanted):
                return -1
            start = self._start + len(self._octets) - len(wanted) + 1
        return -1


@dataclass(frozen=True, slots=True)
class Part:
    """A part that has something to be read.

    :ivar header: its header section; of the message itself for the first.
    :ivar kind: ``text/plain`` and the like.
    :ivar alternative: in ``multipart/alternative``: says again what another part says.
    """

    header: bytes
    kind: str
    charset: str
    encoding: str
    start: int
    end: int
    alternative: bool


def text_of(source: Source, part: Part, most: int) -> str:
    """What a part says, without the encoding of its transfer; of HTML, the markup too.

    :param most: octets that are looked at.
    :raise OSError: if it cannot be read.
    """
    octets = source.octets(part.start, min(part.end, part.start + most))
    if part.encoding == "base64":
        octets = base64_decoded(octets)
    elif part.encoding == "quoted-printable":
        octets = a2b_qp(octets)
    return decoded(octets, part.charset)


def parts(source: Source) -> Iterator[Part]:
    """The parts of a message in their order, containers among them; the first is the message itself.

    Only those whose ``kind`` begins with ``text/`` have a body to be read.

    :raise OSError: if it cannot be read.
    """
    count = 0
    # Each: where it begins and ends, how deep, the kind it is taken for, whether it is an alternative.
    ahead = [(0, source.size, 0, "text/plain", False)]
    while ahead and count < _MOST_PARTS:
        start, end, depth, default, alternative = ahead.pop()
        count += 1
        body = _body(source, start, end)
        header = source.octets(start, min(body, start + HEADER))
        fields = _mime_fields(header)
        kind, parameters = content_type(fields.get(b"content-type", b""))
        encoding = fields.get(b"content-transfer-encoding", b"").strip().lower().decode("latin-1")
        kind = kind or default
        yield Part(header, kind, parameters.get("charset", ""), encoding, body, end, alternative)
        if depth >= _DEEPEST:
            continue
        if kind.startswith("multipart/"):
            boundary = parameters.get("boundary", "").encode("utf-8", "replace")
            if boundary:
                default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
                own = kind == "multipart/alternative"
                found = [
                    (first, last, depth + 1, default, own or alternative)
                    for first, last in _between(source, body, end, boundary, _MOST_PARTS - count)
                ]
                ahead.extend(reversed(found))
        elif kind in ("message/rfc822", "message/global") and encoding not in ("base64", "quoted-printable"):
            ahead.append((body, end, depth + 1, "text/plain", alternative))


def fields(header: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and values of a header section; values have their line breaks yet."""
    for match in _FIELD.finditer(header):
        yield match[1], match[2]


def _body(source: Source, start: int, end: int) -> int:
    """Where the header section that begins at ``start`` is over."""
    head = source.octets(start, min(end, start + 2))
    if head[:1] == b"\n":
        return start + 1
    if head == b"\r\n":
        return start + 2
    plain = source.find(b"\n\n", start, end)
    # Only as far as the other did not come.
    mixed = source.find(b"\n\r\n", start, end if plain < 0 else plain)
    if mixed >= 0:
        return mixed + 3
    return plain + 2 if plain >= 0 else end


def _mime_fields(header: bytes) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = {}
    lower = header.lower()
    for name in (b"content-type", b"content-transfer-encoding"):
        place = lower.find(name)
        while place > 0 and lower[place - 1 : place] != b"\n":
            place = lower.find(name, place + 1)
        match = _FIELD.match(header, place) if place >= 0 else None
        if match is not None and match[1].lower() == name:
            found[name] = match[2]
    return found


def content_type(value: bytes) -> tuple[str, dict[str, str]]:
    """The kind, in lower case, and the parameters (RFC 2045, 5.1), continued ones put together (RFC 2231).

    :return: ``""`` if there is no kind.
    """
    return _content_type(value[:4000])


@lru_cache(maxsize=256)
def _content_type(value: bytes) -> tuple[str, dict[str, str]]:
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        text = value.decode("latin-1")
    kind, semicolon, _ = text.partition(";")
    kind = kind.strip().lower()
    if kind.count("/") != 1 or not all(kind.split("/")):
        # "text" alone, as old programs wrote, is plain text (RFC 2045, 5.2).
        kind = "text/plain" if kind == "text" else ""
    found: dict[str, str] = {}
    for name, _section, content in _PARAMETER.findall(text) if semicolon else ():
        if content.startswith('"'):
            content = re.sub(r"\\(.)", r"\1", content[1:-1], flags=re.DOTALL)
        key = name.lower()
        found[key] = found.get(key, "") + content
    return kind, found


def _between(source: Source, start: int, end: int, boundary: bytes, most: int) -> list[tuple[int, int]]:
    """Where the parts between the lines of a boundary are (RFC 2046, 5.1.1)."""
    found: list[tuple[int, int]] = []
    line = b"--" + boundary
    begun = -1
    place = start
    while len(found) < most:
        at = source.find(line, place, end)
        if at < 0:
            break
        place = at + len(line)
        if at != start and source.octets(at - 1, at) != b"\n":
            continue
        rest = source.octets(place, min(end, place + 4))
        last = rest.startswith(b"--")
        # Another boundary may begin with this one.
        if not last and rest.strip(b" \t")[:1] not in (b"", b"\r", b"\n"):
            continue
        if begun >= 0:
            found.append((begun, max(begun, at - 1)))
        if last:
            return found
        begun = source.find(b"\n", place, end) + 1
        if not begun:
            return found
        place = begun
    if begun >= 0 and len(found) < most:
        # The last line is missing: the message was cut.
        found.append((begun, end))
    return found
