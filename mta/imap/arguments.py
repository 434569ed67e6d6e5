"""What stands behind the name of a command: words, strings, lists (RFC 3501, 9).  Pure."""

from __future__ import annotations

import re
from typing import TypeAlias

from mta.imap.refusal import Bad

#: Words are octets; a list is a tuple of them, and of lists.
Value: TypeAlias = "bytes | tuple[Value, ...]"

_QUOTED = re.compile(rb'"((?:[^"\\\r\n\x00]|\\["\\])*)"')
_WORD = re.compile(rb"[^\x00-\x20\x7f(){\"]+")
_LITERAL = re.compile(rb"\{[0-9]{1,10}\+?\}\Z")
_NUMBER = re.compile(rb"[0-9]{1,19}\Z")
_HIGHEST = 2**63 - 1
_DEEPEST = 20


def number(word: bytes) -> int:
    """A number of 63 bits, such as a MODSEQ (RFC 7162, 7), or a size.

    :raise Bad: if the word is none.
    """
    if not _NUMBER.match(word) or int(word) > _HIGHEST:
        shown = ascii(word[:20].decode("latin-1"))
        raise Bad(f"a number of 63 bits is wanted where {shown} stands")
    return int(word)


class Arguments:
    """Reads them one after the other.

    :param parts: see :class:`~mta.imap.framing.Frame`.
    """

    def __init__(self, parts: tuple[bytes, ...]) -> None:
        # The last first: there can be many.
        self._parts = list(reversed(parts))
        self._text = self._parts.pop()
        self._at = 0

    @property
    def over(self) -> bool:
        """Whether there is nothing more."""
        return self._at >= len(self._text) and not self._parts

    def end(self) -> None:
        """Nothing more may come.

        :raise Bad: if something does.
        """
        if not self.over:
            raise Bad("there is more than the command takes: " + self._near())

    def _near(self) -> str:
        return ascii(self._text[self._at : self._at + 20].decode("latin-1"))

    def match(self, pattern: re.Pattern[bytes]) -> re.Match[bytes] | None:
        """What fits a pattern and stands here, taken; ``None`` if nothing does."""
        found = pattern.match(self._text, self._at)
        if found is not None:
            self._at = found.end()
        return found

    def space(self) -> None:
        """One space.

        :raise Bad: if there is something else.
        """
        if self._text[self._at : self._at + 1] != b" ":
            raise Bad("something is missing" if self.over else "a space is missing before " + self._near())
        self._at += 1

    def value(self, depth: int = 0) -> Value:
        """A word, a string, or a list.

        :raise Bad: if there is none.
        """
        first = self._text[self._at : self._at + 1]
        if first == b"(":
            return self._list(depth)
        if first == b'"':
            match = _QUOTED.match(self._text, self._at)
            if match is None:
                raise Bad("a quotation mark is missing behind " + self._near())
            self._at = match.end()
            return re.sub(rb"\\(.)", rb"\1", match[1])
        if first == b"{" and _LITERAL.match(self._text, self._at) and self._parts:
            found = self._parts.pop()
            self._text = self._parts.pop() if self._parts else b""
            self._at = 0
            return found
        match = _WORD.match(self._text, self._at)
        if match is None:
            raise Bad("something is missing" if self.over else "this is no word: " + self._near())
        self._at = match.end()
        return match[0]

    def _list(self, depth: int) -> tuple[Value, ...]:
        if depth >= _DEEPEST:
            raise Bad("lists are nested too deep")
        self._at += 1
        found: list[Value] = []
        while True:
            if self._text[self._at : self._at + 1] == b")":
                self._at += 1
                return tuple(found)
            if found:
                self.space()
            found.append(self.value(depth + 1))

    def word(self) -> bytes:
        """A word or a string.

        :raise Bad: if there is a list, or nothing.
        """
        found = self.value()
        if isinstance(found, tuple):
            raise Bad("a list stands where a word is wanted")
        return found

    def left(self) -> bytes:
        """The text that is left, as it stands.

        :raise Bad: if there are literals in it.
        """
        if self._parts:
            raise Bad("a literal stands where there can be none")
        return self._text[self._at :]

    def rest(self) -> list[Value]:
        """All that is left, each behind a space."""
        found = []
        while not self.over:
            self.space()
            found.append(self.value())
        return found
