"""Patterns of LIST: ``*`` is anything, ``%`` anything within one level (RFC 3501, 6.3.8).  Pure.

All places that can be reached in a name are the bits of one number, so a pattern costs a few operations
for each of its characters, whatever a stranger writes.
"""

from __future__ import annotations

import re
from functools import lru_cache

_WILD = re.compile(r"[*%]{2,}")


def matches(pattern: str, name: str, separator: str = ".") -> bool:
    """Whether a folder's name fits a pattern."""
    pattern, literal = _plain(pattern)
    end = len(name)
    if literal > end:
        return False
    letters_at: dict[str, int] = {}
    for place, letter in enumerate(name):
        letters_at[letter] = letters_at.get(letter, 0) | 1 << place
    places, every = 1, (2 << end) - 1
    level = (1 << end) - 1 & ~letters_at.get(separator, 0)
    for one in pattern:
        if one == "*":
            # Each place from the first on.
            places = every & -(places & -places)
        elif one == "%":
            # A carry runs from each place to the end of its level.
            places |= ((places & level) + level) ^ level
        else:
            places = (places & letters_at.get(one, 0)) << 1
        if not places:
            return False
    return bool(places >> end & 1)


@lru_cache(maxsize=16)
def _plain(pattern: str) -> tuple[str, int]:
    """A pattern whose wildcards stand alone, and how many other characters it has."""
    found = _WILD.sub(lambda match: "*" if "*" in match[0] else "%", pattern)
    return found, sum(one not in "*%" for one in found)
