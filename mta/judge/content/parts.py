"""The parts of a message (RFC 2046), found as its octets come, without keeping them.

Strangers write what is read here, and some of them do not want it to be found: so a name is
looked for wherever a mail program may take one from, nesting and number of parts are
bounded, and what is broken is read as far as it can be.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from email.errors import HeaderParseError, MessageError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import collapse_rfc2231_value

#: Parts of one message, and levels of them.
MOST_PARTS, DEEPEST = 2000, 50
#: Octets of the header section of one part.
_HEAD = 64 * 1024
#: Octets of a line that may be a boundary (RFC 2046, 5.1.1: 70 characters, and what stands around them).
_LINE = 1024

_MESSAGES = frozenset({"message/rfc822", "message/global"})
#: White space before the colon, which mail programs pass over and the parser does not.
_SPACED = re.compile(rb"^([!-9;-~]+)[ \t]+:", re.MULTILINE)
_PARSER = BytesHeaderParser(policy=compat32)
_TROUBLE = (HeaderParseError, MessageError, LookupError, ValueError, TypeError, AttributeError)


@dataclass(slots=True)
class Part:
    """One part that has no parts itself.

    :ivar type: such as ``application/pdf``, in lower case.
    :ivar names: every name that it is given, in lower case.
    :ivar size: octets, its transfer encoding undone, within a few.
    :ivar attached: whether it is to be shown as a file.
    """

    type: str
    names: tuple[str, ...] = ()
    size: int = 0
    attached: bool = False

    def __str__(self) -> str:
        name = f"{self.names[0]!r}, " if self.names else ""
        return f"{name}{self.type}, {self.size} octets"


class PartScanner:
    """Takes the octets of a message, header section first.

    :ivar parts: what has been found.
    :ivar excess: whether there were more parts, or levels, than are looked at.
    """

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.excess = False
        self._buffer = b""
        self._boundaries: list[bytes] = []
        self._pattern: re.Pattern[bytes] | None = None
        #: The part whose body is read; ``None`` in what belongs to none.
        self._open: Part | None = None
        self._octets = self._lines = 0
        self._base64 = False
        self._in_head = True
        self._levels = 0

    def feed(self, block: bytes) -> None:
        """Take some octets."""
        if self.excess:
            return
        self._buffer += block
        while not self.excess and (self._head() if self._in_head else self._body()):
            pass

    def close(self) -> list[Part]:
        """There is no more; what was found."""
        if self._in_head and not self.excess:
            self._begin(self._buffer)
        elif self._open is not None:
            self._count(self._buffer)
        self._end()
        self._buffer = b""
        return self.parts

    # --- how -----------------------------------------------------------------------

    def _head(self) -> bool:
        """Read a header section; whether more can be done."""
        buffer = self._buffer
        if buffer.startswith(b"\r\n"):
            end, start = 0, 0
        else:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(buffer) <= _HEAD:
                    return False
                end = start = _HEAD
            else:
                # The line end stays, because a boundary may follow at once.
                start = end + 2
        self._buffer = buffer[start:]
        self._begin(buffer[:end])
        return True

    def _begin(self, head: bytes) -> None:
        """A part begins, with this header section."""
        self._in_head = False
        self._octets = self._lines = 0
        self._base64 = False
        fields = _PARSER.parsebytes(_SPACED.sub(rb"\1:", head) + b"\r\n\r\n")
        kind = _type(fields)
        encoding = str(fields.get("Content-Transfer-Encoding", "")).strip().lower()
        if kind.startswith("multipart/") and (boundary := _boundary(fields)):
            self._levels += 1
            self._boundaries.append(boundary)
            self._compile()
        else:
            part = Part(kind, _names(fields), 0, _attached(fields))
            self.parts.append(part)
            self._base64 = encoding == "base64"
            if kind in _MESSAGES and encoding not in ("base64", "quoted-printable"):
                # A message in the message: it has a header section of its own, behind the empty line.
                self._levels += 1
                self._in_head = True
                self._buffer = self._buffer.removeprefix(b"\r\n")
            else:
                self._open = part
        if len(self.parts) > MOST_PARTS or self._levels > DEEPEST:
            self.excess = True

    def _body(self) -> bool:
        """Look for the next boundary; whether there was one."""
        buffer = self._buffer
        match = self._pattern.search(buffer) if self._pattern is not None else None
        if match is None:
            # The start of a boundary may be at the end of what is there.
            keep = buffer.rfind(b"\n", max(0, len(buffer) - _LINE)) if self._pattern is not None else -1
            cut = keep - 1 if keep > 0 else len(buffer) if keep < 0 else 0
            self._count(buffer[:cut])
            self._buffer = buffer[cut:]
            return False
        self._count(buffer[: match.start()])
        self._end()
        place = self._boundaries.index(match[1])
        # Behind a boundary of an outer level the inner ones are over.
        del self._boundaries[place + 1 if not match[2] else place :]
        self._levels = len(self._boundaries)
        self._compile()
        self._in_head = not match[2]
        # The line end behind it belongs to what follows: an empty header section begins with one.
        self._buffer = buffer[match.end() if self._in_head else match.end() - 2 :]
        return True

    def _count(self, octets: bytes) -> None:
        self._octets += len(octets)
        if self._base64:
            self._lines += octets.count(b"\n")

    def _end(self) -> None:
        part, self._open = self._open, None
        if part is not None:
            # Two octets are the line end before the body, and one is of that before the boundary.
            size = max(0, self._octets - 3)
            part.size = max(0, size - 2 * self._lines + 2) * 3 // 4 if self._base64 else size

    def _compile(self) -> None:
        if not self._boundaries:
            self._pattern = None
            return
        # The longest first: one may begin with another.
        words = b"|".join(re.escape(one) for one in sorted(self._boundaries, key=len, reverse=True))
        self._pattern = re.compile(rb"\n--(" + words + rb")(--)?[ \t]*\r?\n")


# --- fields ------------------------------------------------------------------------


def _type(fields: Message[str, str]) -> str:
    with suppress(*_TROUBLE):
        return str(fields.get_content_type()).lower()[:200]
    return "text/plain"


def _boundary(fields: Message[str, str]) -> bytes:
    with suppress(*_TROUBLE):
        return (fields.get_boundary() or "").encode("utf-8", "surrogateescape")[:_LINE]
    return b""


def _attached(fields: Message[str, str]) -> bool:
    with suppress(*_TROUBLE):
        return fields.get_content_disposition() == "attachment"
    return False


def _names(fields: Message[str, str]) -> tuple[str, ...]:
    """Every name, wherever it stands: mail programs differ in which one they take."""
    found: dict[str, None] = {}
    for header, parameter in (
        ("Content-Disposition", "filename"),
        ("Content-Type", "name"),
        ("Content-Disposition", "name"),
        ("Content-Type", "filename"),
    ):
        for name in _parameter(fields, header, parameter):
            found[_plain(name)] = None
    return tuple(name for name in found if name)


def _parameter(fields: Message[str, str], header: str, parameter: str) -> Iterator[str]:
    """A parameter as RFC 2231 has it, and with the encoded words that do not belong there but do occur."""
    with suppress(*_TROUBLE):
        value = fields.get_param(parameter, None, header)
        if value is None:
            return
        text = str(collapse_rfc2231_value(value))
        yield text
        if "=?" in text:
            yield str(make_header(decode_header(text)))


def _plain(name: str) -> str:
    """In lower case, without what is not seen, and without what a system of the recipient's cuts off."""
    name = unicodedata.normalize("NFKC", name[:1000])
    seen = "".join(c for c in name if unicodedata.category(c) not in ("Cf", "Cc", "Cs"))
    return " ".join(seen.split()).rstrip(". ").lower()[-255:]
