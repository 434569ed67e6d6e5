"""Which rules fit a message.  Pure.

Case never counts.  A word that has ``*`` in it is the whole text, with anything in the place of each; without
it stands somewhere in it.  Among people ``ann@example.org`` is that address, ``@example.org`` everybody of
that domain, and any other word is a part of the name or the address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mta.rules.letter import Letter
from mta.rules.rule import Conditions, Rule


def fits(rule: Rule, letter: Letter) -> bool:
    """Whether a message meets the conditions of a rule."""
    if not rule.enabled or (rule.junk != "any" and rule.junk != letter.junk):
        return False
    results = _results(rule, letter)
    if not rule.is_empty and not (all(results) if rule.match == "all" else any(results)):
        return False
    unless = rule.unless
    return unless is None or unless.is_empty or not all(_results(unless, letter))


def _results(wanted: Conditions, letter: Letter) -> Iterator[bool]:
    if wanted.sender:
        yield _somebody(wanted.sender, letter.people("from", "sender"))
    if wanted.to:
        people = [*letter.people("to", "cc"), *(("", address) for address in letter.recipients)]
        yield _somebody(wanted.to, people)
    if wanted.subject:
        yield _says(wanted.subject, letter.texts("subject"))
    if wanted.list:
        yield _says(wanted.list, letter.texts("list-id"))
    for name, words in wanted.header.items():
        yield _says(words, letter.texts(name))
    if wanted.larger is not None:
        yield letter.size > wanted.larger
    if wanted.smaller is not None:
        yield letter.size < wanted.smaller


def _somebody(words: Iterable[str], people: Iterable[tuple[str, str]]) -> bool:
    known = [(name.lower(), address.lower()) for name, address in people]
    return any(_is(word.lower(), name, address) for word in words for name, address in known)


def _is(word: str, name: str, address: str) -> bool:
    if "*" in word:
        return _globs(word, address) or (bool(name) and _globs(word, name))
    if word.startswith("@"):
        return address.endswith(word)
    if "@" in word and " " not in word:
        return address == word
    return word in address or word in name


def _says(words: Iterable[str], texts: Iterable[str]) -> bool:
    known = [text.lower() for text in texts]
    return any(
        (_globs(word, text) if "*" in word else word in text)
        for word in (one.lower() for one in words)
        for text in known
    )


def _globs(pattern: str, text: str) -> bool:
    """Piece by piece, so that no text takes long."""
    first, *middle = pattern.split("*")
    last = middle.pop()
    if len(text) < len(first) + len(last) or not text.startswith(first) or not text.endswith(last):
        return False
    place, end = len(first), len(text) - len(last)
    for piece in middle:
        found = text.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True
