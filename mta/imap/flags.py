"""Flags as clients write them, and as file names keep them.  Pure.

``\\Recent`` stands in no file name; sessions know of it (:mod:`~mta.imap.selected`).  The letter ``P`` of
Maildirs has no name here; who uses it finds it as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from mta.mailbox.file_name import DRAFT, FLAGGED, KEYWORDS, REPLIED, SEEN, TRASHED

#: The bits that have names here.
NAMED = DRAFT | FLAGGED | REPLIED | SEEN | TRASHED
#: System flags by their bits, in the order in which they are told.
SYSTEM = (
    (REPLIED, b"\\Answered"),
    (FLAGGED, b"\\Flagged"),
    (TRASHED, b"\\Deleted"),
    (SEEN, b"\\Seen"),
    (DRAFT, b"\\Draft"),
)
#: Octets of a keyword.
LONGEST = 200

_BY_WORD = {word.lower(): bit for bit, word in SYSTEM}
_KEYWORD = re.compile(rb"[^\x00-\x20\x7f-\xff(){%*\"\\\]]{1,200}\Z")


class BadFlag(ValueError):
    """A flag that cannot be set; the text is for the client."""


@dataclass(frozen=True, slots=True)
class Named:
    """Flags as a client named them.

    :ivar system: bits of :data:`~mta.mailbox.file_name.LETTERS`.
    :ivar keywords: as they were written, each once.
    """

    system: int
    keywords: tuple[str, ...]


def named(words: Iterable[bytes]) -> Named:
    """Flags of a command.

    :raise BadFlag: if one cannot be set by clients.
    """
    system = 0
    keywords: dict[bytes, str] = {}
    for word in words:
        lower = word.lower()
        if lower in _BY_WORD:
            system |= _BY_WORD[lower]
        elif word.startswith(b"\\"):
            shown = word[:40].decode("ascii", "replace")
            raise BadFlag(f"{shown} is no flag that can be set")
        elif not _KEYWORD.match(word):
            raise BadFlag(f"a keyword is an atom of {LONGEST} octets at the most")
        else:
            keywords.setdefault(lower, word.decode("ascii"))
    return Named(system, tuple(keywords.values()))


@lru_cache(maxsize=512)
def told(system: int, keywords: int, words: str, recent: bool = False) -> bytes:
    """Flags of a message for a client: ``(\\Seen $Junk)``.

    :param words: the folder's keywords by number, ended by line feeds.
    """
    found = [b"\\Recent"] if recent else []
    found += [word for bit, word in SYSTEM if system & bit]
    if keywords:
        for number, word in enumerate(_sayable(words)):
            if word and keywords >> number & 1:
                found.append(word)
    return b"(" + b" ".join(found) + b")"


def defined(words: str) -> bytes:
    """The flags of a folder (``FLAGS`` of SELECT)."""
    return b"(" + b" ".join(_defined(words)) + b")"


def permanent(words: str) -> bytes:
    """Those that can be changed; ``\\*``: new keywords too."""
    found = _defined(words)
    slots: Sequence[str] = words.split("\n") if words else []
    if len(slots) < KEYWORDS or "" in slots:
        found.append(b"\\*")
    return b"(" + b" ".join(found) + b")"


def _defined(words: str) -> list[bytes]:
    return [word for _, word in SYSTEM] + [word for word in _sayable(words) if word]


@lru_cache(maxsize=64)
def _sayable(words: str) -> tuple[bytes, ...]:
    """Keywords as atoms; what another program wrote and is none has no name here."""
    found = []
    for word in words.split("\n") if words else ():
        octets = word.encode()
        found.append(octets if _KEYWORD.match(octets) else b"")
    return tuple(found)
