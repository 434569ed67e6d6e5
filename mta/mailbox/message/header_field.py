"""Header fields of MIME: a word and parameters (RFC 2045, 5.1; RFC 2183), comments left out.  Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

#: Parameters of one field, and octets of one that are kept.
_MOST, _LONGEST = 64, 4096
_SPACE = re.compile(rb"[ \t\r\n]*")
_TOKEN = re.compile(rb"[^\x00-\x20()<>@,;:\\\"/\[\]?=\x7f]+")
#: Many write values without quotation marks that should have some.
_LOOSE = re.compile(rb"[^\x00-\x1f;\x7f\"]+")
_QUOTED = re.compile(rb'"((?:[^"\\]|\\.)*)(?:"|\\?\Z)', re.DOTALL)
_DEEPEST = 20
#: A piece of a parameter: its name, its number, and whether its octets are percent-encoded.
_PIECE = re.compile(rb"([^*]+)\*(0|[1-9][0-9]?)(\*?)")
#: Main and sub type, with spaces around the slash.
_SPACED = re.compile(rb"[ \t]*/[ \t]*")


@dataclass(frozen=True, slots=True)
class Value:
    """What such a field says.

    :ivar word: in lower case, such as ``text/plain`` or ``attachment``.
    :ivar parameters: names in lower case, values as they are; pieces of one are put together
        (RFC 2231, 3 and 6).
    """

    word: bytes
    parameters: dict[bytes, bytes] = field(default_factory=dict)


def value(text: bytes) -> Value:
    """A field's value; whatever cannot be understood is left out."""
    place = _skip(text, 0)
    end = place
    while end < len(text) and text[end : end + 1] not in b"; \t(":
        end += 1
    slash = _SPACED.match(text, end)
    if slash is None and text[end - 1 : end] == b"/":
        slash = _SPACED.match(text, end - 1)
        end -= 1
    if slash is not None:
        start, end = end, slash.end()
        while end < len(text) and text[end : end + 1] not in b"; \t(":
            end += 1
        word = text[place:start].lower() + b"/" + text[slash.end() : end].lower()
    else:
        word = text[place:end].lower()
    parameters: dict[bytes, bytes] = {}
    place = text.find(b";", end)
    while 0 <= place < len(text) and len(parameters) < _MOST:
        place = _skip(text, place + 1)
        name = _TOKEN.match(text, place)
        if name is not None:
            place = _skip(text, name.end())
            if text[place : place + 1] == b"=":
                place = _skip(text, place + 1)
                found, place = _argument(text, place)
                parameters.setdefault(name[0].lower(), found[:_LONGEST])
        place = text.find(b";", place)
    return Value(word, _together(parameters))


def _together(parameters: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Parameters whose pieces are put together; those without a first piece stay as they are."""
    pieces: dict[bytes, dict[int, tuple[bytes, bool]]] = {}
    for name, octets in parameters.items():
        piece = _PIECE.fullmatch(name)
        if piece is not None:
            pieces.setdefault(piece[1], {}).setdefault(int(piece[2]), (octets, bool(piece[3])))
    found = {
        name: octets
        for name, octets in parameters.items()
        if (piece := _PIECE.fullmatch(name)) is None or 0 not in pieces[piece[1]]
    }
    for name, numbered in pieces.items():
        if 0 not in numbered:
            continue
        run = [numbered[number] for number in range(len(numbered)) if number in numbered]
        if any(coded for _, coded in run):
            # One is encoded, so all are.
            whole = b"".join(octets if coded else _coded(octets) for octets, coded in run)
            if not run[0][1]:
                whole = b"''" + whole
            found.setdefault(name + b"*", whole)
        else:
            found.setdefault(name, b"".join(octets for octets, _ in run))
    return found


def _coded(octets: bytes) -> bytes:
    return re.sub(rb"[^A-Za-z0-9!#$&+.^_`{|}~-]", lambda one: b"%%%02X" % one[0][0], octets)


def _argument(text: bytes, place: int) -> tuple[bytes, int]:
    quoted = _QUOTED.match(text, place)
    if quoted is not None:
        return re.sub(rb"\\(.)", rb"\1", quoted[1], flags=re.DOTALL), quoted.end()
    loose = _LOOSE.match(text, place)
    if loose is None:
        return b"", place
    found = loose[0]
    comment = found.find(b" (")
    return (found if comment < 0 else found[:comment]).rstrip(b" \t"), loose.end()


def _skip(text: bytes, place: int) -> int:
    """Behind spaces and comments."""
    while True:
        found = _SPACE.match(text, place)
        place = found.end() if found else place
        if text[place : place + 1] != b"(":
            return place
        place = comment_end(text, place)


def comment_end(text: bytes, place: int) -> int:
    """Behind a comment that begins here; comments may be nested."""
    depth = 0
    while place < len(text):
        one = text[place : place + 1]
        if one == b"\\":
            place += 1
        elif one == b"(":
            depth += 1
        elif one == b")":
            depth -= 1
        place += 1
        if not depth or depth > _DEEPEST:
            break
    return place
