"""LIST and LSUB: which folders there are, and which of them a client shall show (RFC 3501, 6.3.8 and 6.3.9;
RFC 5258; RFC 5819; RFC 6154).  What is told is made here, of names alone; nothing is read."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from mta.imap.list_pattern import matches
from mta.mailbox.folders import Listed
from mta.mailbox.names import INBOX, SEPARATOR, parents_of


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants to know.

    :ivar patterns: of names, with the reference in front of them.
    :ivar subscribed: only what is subscribed (selection option SUBSCRIBED).
    :ivar special: only what is for a purpose (SPECIAL-USE).
    :ivar recursive: also what fits not itself, but has below it what does (RECURSIVEMATCH).
    :ivar tells_subscribed: whether it is told which are subscribed (return option SUBSCRIBED).
    :ivar extended: whether any of this was written: then there are words that older clients do not know.
    :ivar status: items of STATUS for each folder.
    """

    patterns: tuple[str, ...]
    subscribed: bool = False
    special: bool = False
    recursive: bool = False
    tells_subscribed: bool = False
    extended: bool = False
    status: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the answer.

    :ivar below: whether what was asked for is below it.
    """

    name: str
    attributes: tuple[str, ...]
    exists: bool
    below: bool = False


def listed(folders: Sequence[Listed], wish: Wish) -> list[Line]:
    """The lines of LIST."""
    wanted = [one for one in folders if _selects(one, wish)]
    above: set[str] = set()
    if wish.recursive:
        # What is told itself need not be told of by what is above it (RFC 5258, 3.5).
        hidden = (one.name for one in wanted if not _fits(one.name, wish.patterns))
        above = {parent for name in hidden for parent in parents_of(name)}
    chosen = {one.name for one in wanted}
    lines = []
    for one in folders:
        if not (one.name in chosen or one.name in above) or not _fits(one.name, wish.patterns):
            continue
        if not one.exists and one.name in chosen and not wish.subscribed and not one.children:
            # Subscribed only, and nobody has asked for that.
            continue
        lines.append(Line(one.name, tuple(_attributes(one, wish)), one.exists, one.name in above))
    return lines


def _selects(one: Listed, wish: Wish) -> bool:
    return (one.subscribed or not wish.subscribed) and (bool(one.uses) or not wish.special)


def _attributes(one: Listed, wish: Wish) -> Iterable[str]:
    if not one.exists:
        # The one says the other to those who know it (RFC 5258, 3).
        yield "\\NonExistent" if wish.extended else "\\Noselect"
    yield "\\HasChildren" if one.children else "\\HasNoChildren"
    if one.subscribed and (wish.tells_subscribed or wish.subscribed):
        yield "\\Subscribed"
    yield from one.uses


def subscribed(folders: Sequence[Listed], patterns: tuple[str, ...]) -> list[Line]:
    """The lines of LSUB: a level that is not subscribed stands for what is below it, if ``%`` ends there."""
    names = {one.name: one for one in folders if one.subscribed}
    lines = {}
    for name, one in names.items():
        if _fits(name, patterns):
            lines[name] = Line(name, () if one.exists else ("\\Noselect",), one.exists)
            continue
        if any("%" in pattern for pattern in patterns):
            for parent in parents_of(name):
                if parent not in names and _fits(parent, patterns):
                    lines[parent] = Line(parent, ("\\Noselect",), False)
    return [lines[name] for name in sorted(lines, key=lambda name: (name != INBOX, name))]


def _fits(name: str, patterns: Iterable[str]) -> bool:
    if name == INBOX:
        patterns = [pattern.upper() for pattern in patterns]
    elif name.startswith(INBOX + SEPARATOR):
        # The first level is in any case (RFC 9051, 5.1).
        return any(
            matches(INBOX + pattern[len(INBOX) :] if pattern.upper().startswith(INBOX) else pattern, name)
            for pattern in patterns
        )
    return any(matches(pattern, name) for pattern in patterns)
