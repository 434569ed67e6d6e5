"""The commands SEARCH and SORT (RFC 3501, 6.4.4; RFC 4731; RFC 5256; RFC 5267; RFC 5182; RFC 9394).  Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mta.imap.arguments import Arguments
from mta.imap.refusal import Bad
from mta.imap.search_key import Key, charset_of, parse

#: What can be returned besides PARTIAL.
_RETURNED = frozenset({"MIN", "MAX", "ALL", "COUNT", "SAVE"})
#: By what can be sorted.
CRITERIA = frozenset({"ARRIVAL", "CC", "DATE", "DISPLAYFROM", "DISPLAYTO", "FROM", "SIZE", "SUBJECT", "TO"})

_RETURN = re.compile(rb"RETURN \(", re.IGNORECASE)
_WORD = re.compile(rb"[A-Za-z]+")
_PARTIAL = re.compile(rb"(-?)([1-9][0-9]{0,9}):(-?)([1-9][0-9]{0,9})(?=[ )])")
_OPEN, _CLOSE, _SPACE = re.compile(rb"\("), re.compile(rb"\)"), re.compile(rb" ")
_CHARSET = re.compile(rb"CHARSET ", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Returned:
    """What of the found messages is told (ESEARCH).

    :ivar options: some of ``MIN``, ``MAX``, ``ALL``, ``COUNT``, ``SAVE``.
    :ivar partial: first and last of those that are told, from 1; negative numbers count from the end.
    """

    options: frozenset[str]
    partial: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Criterion:
    """By what is sorted.

    :ivar name: of :data:`CRITERIA`.
    :ivar reverse: whether the other way round.
    """

    name: str
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Search:
    """A command.

    :ivar criteria: of SORT; none for SEARCH.
    :ivar returned: ``None``: the numbers, as in RFC 3501.
    """

    key: Key
    returned: Returned | None = None
    criteria: tuple[Criterion, ...] = ()


def parse_search(arguments: Arguments, utf8: bool = False) -> Search:
    """SEARCH.

    :param utf8: whether UTF-8 was enabled: then no charset may be named (RFC 6855, 3).
    :raise Bad: if it is none.
    :raise BadCharset: if its charset is not known.
    """
    returned = _returned(arguments)
    charset = "utf-8"
    if arguments.match(_CHARSET):
        if utf8:
            raise Bad("no charset is named once UTF8=ACCEPT is enabled")
        charset = charset_of(arguments.word())
        arguments.space()
    return Search(parse(arguments, charset), returned)


def parse_sort(arguments: Arguments) -> Search:
    """SORT.

    :raise Bad: if it is none.
    :raise BadCharset: if its charset is not known.
    """
    returned = _returned(arguments)
    if not arguments.match(_OPEN):
        raise Bad("SORT takes criteria in parentheses, a charset, and search keys")
    criteria = [_criterion(arguments)]
    while arguments.match(_SPACE):
        criteria.append(_criterion(arguments))
    if not arguments.match(_CLOSE):
        raise Bad("a parenthesis is missing behind the criteria")
    arguments.space()
    charset = charset_of(arguments.word())
    arguments.space()
    return Search(parse(arguments, charset), returned, tuple(dict.fromkeys(criteria)))


def _criterion(arguments: Arguments) -> Criterion:
    name = _word(arguments)
    reverse = name == "REVERSE"
    if reverse:
        arguments.space()
        name = _word(arguments)
    if name not in CRITERIA:
        raise Bad(f"SORT does not know {name[:30]}")
    return Criterion(name, reverse)


def _word(arguments: Arguments) -> str:
    found = arguments.match(_WORD)
    if found is None:
        raise Bad("a word is missing")
    return found[0].decode().upper()


def _returned(arguments: Arguments) -> Returned | None:
    if not arguments.match(_RETURN):
        return None
    options: set[str] = set()
    partial = None
    if not arguments.match(_CLOSE):
        while True:
            word = _word(arguments)
            if word == "PARTIAL":
                if partial is not None:
                    raise Bad("PARTIAL is returned once")
                arguments.space()
                partial = _range(arguments)
            elif word in _RETURNED:
                options.add(word)
            else:
                raise Bad(f"RETURN does not know {word[:30]}")
            if arguments.match(_CLOSE):
                break
            arguments.space()
    arguments.space()
    if not options and partial is None:
        options.add("ALL")
    if partial is not None and "ALL" in options:
        raise Bad("ALL and PARTIAL are not returned together")
    return Returned(frozenset(options), partial)


def _range(arguments: Arguments) -> tuple[int, int]:
    found = arguments.match(_PARTIAL)
    if found is None or found[1] != found[3]:
        raise Bad("PARTIAL takes a range, such as 1:500 or -1:-500")
    sign = -1 if found[1] else 1
    first, last = sorted((int(found[2]), int(found[4])))
    return sign * first, sign * last
