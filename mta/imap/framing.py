"""Where a command ends: lines, and literals in between (RFC 3501, 4.3; RFC 7888).  Pure.

Octets are fed in, and taken out by whoever is ready for them: the next command, a line of an exchange,
or the octets of a literal that is too large to be held.  Nothing is taken out twice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Octets of a line with its end, and of a whole command with its literals.
LONGEST_LINE = 64 * 1024
LONGEST_COMMAND = 256 * 1024
#: Octets of a literal that is held, before the log-in.
LONGEST_BEFORE = 4096

#: What a command begins with: its tag.
TAG = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\+]{1,64}(?= |\Z)")

_LITERAL = re.compile(rb"\{([0-9]{1,10})(\+?)\}\Z")
# What is no command must not be taken for one: nobody would pass over its message.
_STREAMED = re.compile(TAG.pattern + rb" APPEND ", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Frame:
    """A command, or its beginning.

    :ivar parts: texts and literals in turn, beginning with a text; each text but the last ends with the
        announcement of the literal behind it.
    :ivar streamed: octets of a literal that follows, and is not held; ``None``: this is all.
    :ivar waits: whether the client waits to be asked for it.
    """

    parts: tuple[bytes, ...]
    streamed: int | None = None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Continue:
    """The client waits to be asked for a literal."""


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line or a literal is larger than it may be.

    :ivar text: as much of the command as there was.
    :ivar whole: whether the session can go on: its end is known.
    """

    text: bytes
    whole: bool


class Framing:
    """See the module."""

    __slots__ = ("_data", "_discarding", "_literal", "_octets", "_parts", "_skipping", "inside")

    def __init__(self) -> None:
        self._data = bytearray()
        self._parts: list[bytes] = []
        self._octets = 0
        #: What has come of a literal, and its size.
        self._literal: tuple[bytearray, int] | None = None
        self._skipping = 0
        self._discarding = False
        #: Whether somebody has logged in, and literals may be larger.
        self.inside = False

    def feed(self, data: bytes) -> None:
        """More octets."""
        self._data += data

    @property
    def held(self) -> int:
        """Octets that wait."""
        return len(self._data)

    def clear(self) -> None:
        """Forget what has come."""
        self._data.clear()
        self._parts.clear()
        self._octets, self._literal, self._skipping, self._discarding = 0, None, 0, False

    @property
    def endless(self) -> bool:
        """Whether there are more octets than a line may have, and no end of one."""
        return len(self._data) > LONGEST_LINE and b"\n" not in self._data

    def line(self) -> bytes | None:
        """The next line without its end, whatever it is."""
        end = self._data.find(b"\n")
        if end < 0:
            return None
        found = bytes(self._data[:end])
        del self._data[: end + 1]
        return found.removesuffix(b"\r")

    def take(self, most: int) -> bytes:
        """Octets of a literal that is streamed, as many as have come."""
        found = bytes(self._data[:most])
        del self._data[:most]
        return found

    def command(self) -> Frame | Continue | TooLong | None:
        """The next command, or what is to be done before it can come; ``None``: more octets are needed."""
        while True:
            if self._skipping:
                self._skipping -= len(self.take(self._skipping))
                if self._skipping:
                    return None
            if self._literal is not None:
                # Taken as it comes: what waits in front of a command has a bound of its own.
                octets, size = self._literal
                octets += self.take(size - len(octets))
                if len(octets) < size:
                    return None
                self._parts.append(bytes(octets))
                self._literal = None
            line = self.line()
            if line is None:
                return self._overlong() if len(self._data) > LONGEST_LINE else None
            announced = _LITERAL.search(line)
            if self._discarding:
                self._discarding = announced is not None and bool(announced[2])
                self._skipping = int(announced[1]) if announced and self._discarding else 0
                continue
            self._parts.append(line)
            self._octets += len(line)
            if announced is None:
                return self._ended()
            found = self._announced(int(announced[1]), not announced[2])
            if found is not None:
                return found

    def _overlong(self) -> TooLong:
        text = b"".join(self._parts) + bytes(self._data[:200])
        self.clear()
        return TooLong(text, False)

    def _ended(self) -> Frame | TooLong:
        parts = tuple(self._parts)
        self._parts.clear()
        octets, self._octets = self._octets, 0
        if octets > LONGEST_COMMAND:
            return TooLong(parts[0][:200], True)
        return Frame(parts)

    def _announced(self, size: int, waits: bool) -> Frame | Continue | TooLong | None:
        if self.inside and _STREAMED.match(self._parts[0]) and len(self._parts[-1]) < LONGEST_LINE:
            parts = tuple(self._parts)
            if _is_message(parts):
                self._parts.clear()
                self._octets = 0
                return Frame(parts, size, waits)
        self._octets += size
        if self._octets > (LONGEST_COMMAND if self.inside else LONGEST_BEFORE):
            text = self._parts[0][:200]
            self._parts.clear()
            self._octets = 0
            if not waits:
                # It comes all the same: it is passed over, up to the end of the command.
                self._skipping, self._discarding = size, True
            return TooLong(text, True)
        self._literal = bytearray(), size
        return Continue() if waits else None


def _is_message(parts: tuple[bytes, ...]) -> bool:
    """Whether the literal that was announced is the message, and not the folder's name."""
    if len(parts) > 1:
        return True
    words = parts[0].split(b" ", 2)
    return len(words) == 3 and not words[2].startswith(b"{")
