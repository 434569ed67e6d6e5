"""Macros: text of a record in which parts stand for the client and the sender (RFC 7208, 7).

A text is read once, with all its mistakes found, and expanded as often as is needed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote

#: Letters that may stand anywhere, and those that only an explanation may have (7.2).
LETTERS = frozenset("slodiphv")
EXPLANATION_LETTERS = LETTERS | frozenset("crt")

_MACRO = re.compile(r"%\{([A-Za-z])([0-9]*)([Rr]?)([.\-+,/_=]*)\}")
_ESCAPES = {"%%": "%", "%_": " ", "%-": "%20"}
_LITERAL = re.compile(r"[!-$&-~]+")
_SPACED_LITERAL = re.compile(r"[ -$&-~]+")
# 7.1: the last label is not all digits; it may have a dot behind it.
_TOP_LABEL = re.compile(r"\.(?:[A-Za-z0-9]*[A-Za-z][A-Za-z0-9]*|[A-Za-z0-9]+-[A-Za-z0-9-]*[A-Za-z0-9])\.?\Z")
#: Labels of a name at the most; more than these cannot be asked to be kept.
_MOST_PARTS = 127


class MacroError(ValueError):
    """It does not keep to the grammar, for a reason in words."""


@dataclass(frozen=True, slots=True)
class Macro:
    """One ``%{...}``.

    :ivar letter: what it stands for, in lower case.
    :ivar keep: parts that are kept, from the right; 0: all.
    :ivar reverse: whether the order of its parts is turned round.
    :ivar delimiters: at which characters it is split.
    :ivar escape: whether it is escaped as in a URL.
    """

    letter: str
    keep: int = 0
    reverse: bool = False
    delimiters: str = "."
    escape: bool = False

    def expand(self, value: str) -> str:
        """What a value becomes (7.3)."""
        if self.keep or self.reverse or self.delimiters != ".":
            parts = re.split(f"[{re.escape(self.delimiters)}]", value)
            if self.reverse:
                parts.reverse()
            value = ".".join(parts[-self.keep :] if self.keep else parts)
        return quote(value, safe="", errors="surrogateescape") if self.escape else value


@dataclass(frozen=True, slots=True)
class MacroString:
    """A text with macros in it.

    :ivar text: as it was written.
    :ivar parts: what it consists of.
    """

    text: str
    parts: tuple[str | Macro, ...]

    @classmethod
    def parse(cls, text: str, explanation: bool = False) -> MacroString:
        """Read it.

        :param explanation: whether it is one: spaces and the letters c, r and t are allowed (6.2).
        :raise MacroError: if it does not keep to the grammar.
        """
        parts: list[str | Macro] = []
        literal = _SPACED_LITERAL if explanation else _LITERAL
        letters = EXPLANATION_LETTERS if explanation else LETTERS
        place = 0
        while place < len(text):
            match = literal.match(text, place)
            if match is not None:
                parts.append(match[0])
                place = match.end()
                continue
            escaped = _ESCAPES.get(text[place : place + 2])
            if escaped is not None:
                parts.append(escaped)
                place += 2
                continue
            match = _MACRO.match(text, place)
            if match is None:
                raise MacroError(f"{text[place : place + 20]!r} is no macro")
            parts.append(_macro(match, letters))
            place = match.end()
        return cls(text, tuple(parts))

    @classmethod
    def parse_domain(cls, text: str) -> MacroString:
        """Read a text that becomes the name of a domain: ``domain-spec`` of 7.1.

        :raise MacroError: if it does not keep to the grammar.
        """
        found = cls.parse(text)
        if not found.parts:
            raise MacroError("the name of a domain is missing")
        # It ends in a macro, or in a label that can be one of the highest.
        if not (text[-2:] in _ESCAPES or isinstance(found.parts[-1], Macro) or _TOP_LABEL.search(text)):
            raise MacroError(f"{text!r} is no name of a domain")
        return found

    def letters(self) -> frozenset[str]:
        """Letters of the macros in it."""
        return frozenset(part.letter for part in self.parts if isinstance(part, Macro))

    def expand(self, values: Mapping[str, str]) -> str:
        """The text for these values.

        :param values: by letter; every one of :meth:`letters` must be there.
        """
        return "".join(
            part if isinstance(part, str) else part.expand(values[part.letter]) for part in self.parts
        )


def _macro(match: re.Match[str], letters: frozenset[str]) -> Macro:
    letter, digits, reverse, delimiters = match.groups()
    if letter.lower() not in letters:
        raise MacroError(f"{match[0]!r} stands for nothing here")
    # More digits than a number of parts can have: all of them.
    number = digits.lstrip("0")
    if digits and not number:
        raise MacroError(f"{match[0]!r} keeps nothing")
    keep = int(number or 0) if len(number) < 4 else _MOST_PARTS
    return Macro(letter.lower(), keep, bool(reverse), delimiters or ".", letter.isupper())
