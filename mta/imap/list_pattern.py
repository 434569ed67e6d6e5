"""Patterns of LIST: ``*`` is anything, ``%`` anything within one level (RFC 3501, 6.3.8).  Pure."""

from __future__ import annotations


def matches(pattern: str, name: str, separator: str = ".") -> bool:
    """Whether a folder's name fits a pattern; in time proportional to both, whatever a stranger writes."""
    places = {0}
    for one in pattern:
        if one == "*":
            places = set(range(min(places), len(name) + 1))
        elif one == "%":
            places = _within(places, name, separator)
        else:
            places = {place + 1 for place in places if name[place : place + 1] == one}
        if not places:
            return False
    return len(name) in places


def _within(places: set[int], name: str, separator: str) -> set[int]:
    found = set()
    reached = -1
    for start in sorted(places):
        place = max(start, reached)
        found.add(start)
        while place <= len(name):
            found.add(place)
            if place == len(name) or name[place] == separator:
                break
            place += 1
        reached = max(reached, place)
    return found
