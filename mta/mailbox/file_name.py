"""What a message's file is called: a base that never changes, and flags behind ``:2,``.  Pure.

``1900000000.M250000Q0a1b2c3d4e5f6N0.mx.example.org,S=4021,W=4100:2,FSa`` is flagged, seen, and has the
folder's first keyword.  Names come from strangers too: any octets are taken, what is not understood is
kept as it is.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

#: The letters of flags, by their bits.
DRAFT, FLAGGED, PASSED, REPLIED, SEEN, TRASHED = 1, 2, 4, 8, 16, 32
LETTERS = {b"D": DRAFT, b"F": FLAGGED, b"P": PASSED, b"R": REPLIED, b"S": SEEN, b"T": TRASHED}
#: Keywords that fit into a name: one small letter for each.
KEYWORDS = 26

_BY_LETTER = {letter[0]: bit for letter, bit in LETTERS.items()}
_INFO = b":2,"
_SIZE = re.compile(rb",S=(\d{1,15})(?=[,:]|\Z)")
_VIRTUAL = re.compile(rb",W=(\d{1,15})(?=[,:]|\Z)")
_SECONDS = re.compile(rb"(\d{1,12})[._]")
_TIME = re.compile(rb"(\d{9,10})\.")
_MICROSECONDS = re.compile(rb"\d{1,12}\.M(\d{1,6})(?!\d)")
_UIDL = re.compile(rb"[\x21-\x7e]{1,70}\Z")


@dataclass(frozen=True, slots=True)
class Flags:
    """What stands behind ``:2,``.

    :ivar system: bits of :data:`LETTERS`.
    :ivar keywords: bit N is the letter number N.
    :ivar other: letters that nobody here knows.
    """

    system: int = 0
    keywords: int = 0
    other: bytes = b""


def split(name: bytes) -> tuple[bytes, bytes]:
    """The base, and the rest with its colon."""
    place = name.find(b":")
    return (name, b"") if place < 0 else (name[:place], name[place:])


@lru_cache(maxsize=1024)
def flags_of(info: bytes) -> Flags:
    """The flags in the part behind the base."""
    if not info.startswith(_INFO):
        return Flags()
    system = keywords = 0
    other = bytearray()
    for letter in info[3:]:
        if 97 <= letter <= 122:
            keywords |= 1 << (letter - 97)
        elif letter in _BY_LETTER:
            system |= _BY_LETTER[letter]
        else:
            other.append(letter)
    return Flags(system, keywords, bytes(other))


def info_of(flags: Flags) -> bytes:
    """The part behind the base, letters in the order of ASCII as the convention wants."""
    letters = {letter[0] for letter, bit in LETTERS.items() if flags.system & bit}
    letters |= {97 + number for number in range(KEYWORDS) if flags.keywords >> number & 1}
    return _INFO + bytes(sorted(letters)) + flags.other


def size_of(base: bytes) -> int | None:
    """The octets of the file, if the name tells."""
    found = _SIZE.search(base)
    return None if found is None else int(found[1])


def time_of(base: bytes) -> int | None:
    """When a message came, as its name tells; ``None`` if it does not.

    By custom a name begins with the seconds since 1970 at which it was made: by a delivery, or a copy.
    """
    found = _TIME.match(base)
    return int(found[1]) if found else None


def virtual_of(base: bytes) -> int | None:
    """The octets with CRLF at the end of each line, if the name tells."""
    found = _VIRTUAL.search(base)
    return None if found is None else int(found[1])


def seconds_of(base: bytes) -> int:
    """When it was delivered, as the name tells; 0 if it does not."""
    found = _SECONDS.match(base)
    return 0 if found is None else int(found[1])


def order(base: bytes) -> tuple[int, int, bytes]:
    """Sorts as messages were delivered: they get their UIDs so."""
    found = _MICROSECONDS.match(base)
    return seconds_of(base), 0 if found is None else int(found[1]), base


def unique_id(base: bytes) -> bytes:
    """What POP3 calls the message (RFC 1939, 7: 1 to 70 visible characters), whatever becomes of the index.

    It is the name without the sizes, which is unique; a name that cannot be one is hashed.
    """
    start = base.partition(b",")[0]
    return start if _UIDL.match(start) else hashed_id(base)


def hashed_id(base: bytes) -> bytes:
    """A unique id of a name that cannot be one, or that others would have too."""
    return hashlib.sha256(base).hexdigest()[:40].encode()
