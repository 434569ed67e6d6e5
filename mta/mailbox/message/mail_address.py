"""Addresses of header fields, as ENVELOPE tells them (RFC 5322, 3.4; RFC 3501, 7.4.2).  Pure.

Whatever a stranger writes becomes some list: what cannot be understood is a name, or is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from mta.mailbox.message.header_field import comment_end

#: Addresses of one field, and octets of it that are read.
_MOST, _LONGEST = 5000, 256 * 1024
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)
_ATOM = re.compile(rb"[^\x00-\x20()<>,;:@\"]+")
#: A host that is an address itself: it may have colons (RFC 5321, 4.1.3).
_LITERAL = re.compile(rb"\[[^\x00-\x20\[\]()<>,;@\"]*\]")


@dataclass(frozen=True, slots=True)
class MailAddress:
    """An address, or the beginning or end of a group.

    :ivar mailbox: ``None``: a group ends here.
    :ivar host: ``None``: a group begins here, and ``mailbox`` is its name.
    """

    name: bytes | None
    route: bytes | None
    mailbox: bytes | None
    host: bytes | None


def addresses(text: bytes) -> list[MailAddress]:
    """The addresses of a field, in their order."""
    found: list[MailAddress] = []
    for one in _Reader(text[:_LONGEST]).read():
        found.append(one)
        if len(found) >= _MOST:
            break
    return found


class _Reader:
    """Reads tokens: ``(kind, octets)``, where the kind of a special is the special itself."""

    def __init__(self, text: bytes) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0

    def _next(self) -> tuple[bytes, bytes]:
        token = self._tokens[self._at] if self._at < len(self._tokens) else (b"end", b"")
        self._at += 1
        return token

    def read(self) -> Iterator[MailAddress]:
        words: list[bytes] = []
        comment: bytes | None = None
        local: bytes | None = None
        group = False
        while True:
            kind, octets = self._next()
            if kind == b"word":
                words.append(octets)
            elif kind == b"comment":
                comment = octets
            elif kind == b"<":
                yield self._angle(b" ".join(words) or comment)
                words, comment, local = [], None, None
                self._skip()
            elif kind == b"@" and local is None:
                local, words = _joined(words), []
            elif kind == b":":
                if group:
                    # There is none in another: each that begins is ended.
                    yield MailAddress(None, None, None, None)
                yield MailAddress(None, None, b" ".join(words), None)
                group, words, comment, local = True, [], None, None
            elif kind in (b",", b";", b"end"):
                if local is not None:
                    yield MailAddress(comment, None, local, _joined(words))
                elif words:
                    # A name without an address: it is one of a machine that is not named.
                    yield MailAddress(comment, None, b" ".join(words), b"")
                words, comment, local = [], None, None
                if group and kind != b",":
                    group = False
                    yield MailAddress(None, None, None, None)
                if kind == b"end":
                    return

    def _angle(self, name: bytes | None) -> MailAddress:
        """What stands in angles."""
        words: list[bytes] = []
        route: bytes | None = None
        local: bytes | None = None
        while True:
            kind, octets = self._next()
            if kind == b"word":
                words.append(octets)
            elif kind == b"@":
                if local is None and not words:
                    route, words = self._route(), []
                elif local is None:
                    local, words = _joined(words), []
            elif kind in (b">", b"end", b",", b";"):
                if kind in (b"end", b",", b";"):
                    self._at -= 1
                if local is None:
                    return MailAddress(name, route, _joined(words), b"")
                return MailAddress(name, route, local, _joined(words))

    def _route(self) -> bytes:
        """``@a,@b:`` in front of an address, which nobody uses any more."""
        parts = [b"@"]
        while True:
            kind, octets = self._next()
            if kind == b":":
                return b"".join(parts)
            if kind in (b"end", b">"):
                self._at -= 1
                return b"".join(parts)
            parts.append(octets if kind == b"word" else kind)

    def _skip(self) -> None:
        """What stands between an address in angles and the next comma."""
        while self._at < len(self._tokens) and self._tokens[self._at][0] not in (b",", b";"):
            self._at += 1
        if self._at < len(self._tokens) and self._tokens[self._at][0] == b",":
            self._at += 1


def _joined(words: list[bytes]) -> bytes:
    return b"".join(words)


def _tokens(text: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 0
    while place < len(text):
        one = text[place : place + 1]
        if one == b'"':
            quoted = _QUOTED.match(text, place)
            assert quoted is not None
            yield b"word", re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL)
            place = quoted.end()
        elif one == b"(":
            end = comment_end(text, place)
            yield b"comment", text[place + 1 : end].removesuffix(b")").strip()
            place = end
        elif one in b"<>,;:@":
            yield one, one
            place += 1
        else:
            atom = _LITERAL.match(text, place) or _ATOM.match(text, place)
            if atom is None:
                place += 1
                continue
            yield b"word", atom[0]
            place = atom.end()
