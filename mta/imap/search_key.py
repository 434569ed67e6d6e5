"""What SEARCH asks for: a tree of conditions (RFC 3501, 6.4.4; RFC 5032; RFC 7162; RFC 5182).  Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import TypeAlias

from mta.imap.arguments import Arguments, number
from mta.imap.date_time import MONTHS
from mta.imap.refusal import Bad
from mta.imap.sequence_set import SequenceSet
from mta.mailbox.file_name import DRAFT, FLAGGED, REPLIED, SEEN, TRASHED

#: Keys of one command, and how deep they may be nested.  Clients write ``OR a OR b OR c d``.
_MOST, _DEEPEST = 500, 100


@dataclass(frozen=True, slots=True)
class All:
    """Every message."""


@dataclass(frozen=True, slots=True)
class And:
    """All of the keys fit."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """One of the keys fits."""

    keys: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The key does not fit."""

    key: Key


@dataclass(frozen=True, slots=True)
class Flagged:
    """A system flag is set: a bit of :data:`~mta.mailbox.file_name.LETTERS`."""

    bit: int


@dataclass(frozen=True, slots=True)
class Keyword:
    """A keyword is set."""

    word: str


@dataclass(frozen=True, slots=True)
class Recent:
    """No session was told of it before."""


@dataclass(frozen=True, slots=True)
class Header:
    """A header field has a text in it; any text, if it is empty.

    :ivar name: in lower case.
    :ivar text: decoded by the charset of the command.
    """

    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Body:
    """The body has a text in it."""

    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """Header or body have a text in them."""

    text: str


@dataclass(frozen=True, slots=True)
class Dated:
    """It came (INTERNALDATE), or was sent (``Date``), on days of a range, whatever the zone.

    :ivar first: the first day; ``None``: any before.
    :ivar end: the day after the last; ``None``: any after.
    """

    sent: bool
    first: date | None
    end: date | None


@dataclass(frozen=True, slots=True)
class Sized:
    """Its octets (RFC822.SIZE) are more than ``above``, or fewer than ``below``."""

    above: int | None
    below: int | None


@dataclass(frozen=True, slots=True)
class Numbered:
    """It is in a set of numbers, or of UIDs; ``None`` stands for ``$``, what the last search has saved."""

    numbers: SequenceSet | None
    by_uid: bool


@dataclass(frozen=True, slots=True)
class Changed:
    """It has changed at this MODSEQ or later."""

    modseq: int


@dataclass(frozen=True, slots=True)
class Aged:
    """It came less than so many seconds ago, or more (RFC 5032)."""

    seconds: int
    younger: bool


@dataclass(frozen=True, slots=True)
class Saved:
    """It came into the folder on days of a range (RFC 8514), as :class:`Dated` has them."""

    first: date | None
    end: date | None


Key: TypeAlias = (
    All
    | And
    | Or
    | Not
    | Flagged
    | Keyword
    | Recent
    | Header
    | Body
    | Text
    | Dated
    | Sized
    | Numbered
    | Changed
    | Aged
    | Saved
)

_SIMPLE: dict[str, Key] = {
    "ALL": All(),
    "ANSWERED": Flagged(REPLIED),
    "DELETED": Flagged(TRASHED),
    "DRAFT": Flagged(DRAFT),
    "FLAGGED": Flagged(FLAGGED),
    "SEEN": Flagged(SEEN),
    "UNANSWERED": Not(Flagged(REPLIED)),
    "UNDELETED": Not(Flagged(TRASHED)),
    "UNDRAFT": Not(Flagged(DRAFT)),
    "UNFLAGGED": Not(Flagged(FLAGGED)),
    "UNSEEN": Not(Flagged(SEEN)),
    "RECENT": Recent(),
    "OLD": Not(Recent()),
    # All folders know it.
    "SAVEDATESUPPORTED": All(),
    "NEW": And((Recent(), Not(Flagged(SEEN)))),
}
_HEADERS = {"BCC", "CC", "FROM", "SUBJECT", "TO"}
_OPEN, _CLOSE, _SPACE = re.compile(rb"\("), re.compile(rb"\)"), re.compile(rb" ")
_WORD = re.compile(rb"[A-Za-z]+(?=[ )]|\Z)")
_SET = re.compile(rb"[0-9*][0-9*:,]*(?=[ )]|\Z)")
_SAVED = re.compile(rb"\$(?=[ )]|\Z)")
_CHARSET = re.compile(
    r"utf-?8|us-ascii|ascii|iso-8859-\d{1,2}|windows-125\d|koi8-[ru]|utf-16(?:le|be)?", re.ASCII
)
_DATE = re.compile(rb"([0-9]{1,2})-([A-Za-z]{3})-([0-9]{4})\Z")


class BadCharset(Exception):
    """Nobody here knows the charset of the command: ``NO [BADCHARSET]``."""


def charset_of(name: bytes) -> str:
    """A charset that Python knows, and whose texts can be mail.

    :raise BadCharset: if there is none of this name.
    """
    text = name.decode("ascii", "replace").lower()
    if not _CHARSET.fullmatch(text):
        raise BadCharset("known are UTF-8, US-ASCII and ISO-8859-1 to 16")
    try:
        b"".decode(text)
    except LookupError:
        raise BadCharset("known are UTF-8, US-ASCII and ISO-8859-1 to 16") from None
    return text


def parse(arguments: Arguments, charset: str = "utf-8") -> Key:
    """The keys up to the end of the command: all of them must fit.

    :raise Bad: if there are none, or something else.
    """
    return _Reader(arguments, charset).together(0, b"")


class _Reader:
    def __init__(self, arguments: Arguments, charset: str) -> None:
        self._arguments = arguments
        self._charset = charset
        self._count = 0

    def together(self, depth: int, end: bytes) -> Key:
        """Keys side by side, up to a parenthesis or the end."""
        keys = [self.key(depth)]
        while self._arguments.match(_SPACE):
            keys.append(self.key(depth))
        if end and not self._arguments.match(_CLOSE):
            raise Bad("a parenthesis is missing behind the keys")
        if not end:
            self._arguments.end()
        return keys[0] if len(keys) == 1 else And(tuple(keys))

    def key(self, depth: int) -> Key:
        self._count += 1
        if depth > _DEEPEST or self._count > _MOST:
            raise Bad("there are too many keys")
        arguments = self._arguments
        if arguments.match(_OPEN):
            return self.together(depth + 1, b")")
        numbers = arguments.match(_SET)
        if numbers is not None:
            return Numbered(_set(numbers[0]), False)
        if arguments.match(_SAVED):
            return Numbered(None, True)
        word = arguments.match(_WORD)
        if word is None:
            raise Bad("a search key is missing")
        name = word[0].decode().upper()
        if name in _SIMPLE:
            return _SIMPLE[name]
        arguments.space()
        if name == "NOT":
            return Not(self.key(depth + 1))
        if name == "OR":
            first = self.key(depth + 1)
            arguments.space()
            second = self.key(depth + 1)
            return Or((first, *(second.keys if isinstance(second, Or) else (second,))))
        if name in _HEADERS:
            return Header(name.lower(), self.text())
        if name not in _WITH_ARGUMENT:
            raise Bad(f"SEARCH does not know {name[:30]}")
        return _WITH_ARGUMENT[name](self)

    def text(self) -> str:
        octets = self._arguments.word()
        try:
            return octets.decode(self._charset)
        except UnicodeDecodeError:
            raise Bad("the text is not in the charset of the command") from None

    def field(self) -> Key:
        name = self._arguments.word()
        if not re.fullmatch(rb"[\x21-\x39\x3b-\x7e]{1,200}", name):
            raise Bad("this is no name of a header field")
        self._arguments.space()
        return Header(name.decode().lower(), self.text())

    def keyword(self) -> Key:
        return Keyword(self._arguments.word().decode("ascii", "replace"))

    def number(self) -> int:
        return number(self._arguments.word())

    def uids(self) -> Key:
        if self._arguments.match(_SAVED):
            return Numbered(None, True)
        return Numbered(_set(self._arguments.word()), True)

    def changed(self) -> Key:
        """MODSEQ; names of entries make no difference here (RFC 7162, 3.1.5)."""
        word = self._arguments.word()
        if not word[:1].isdigit():
            self._arguments.space()
            self._arguments.word()
            self._arguments.space()
            word = self._arguments.word()
        return Changed(number(word))

    def aged(self, younger: bool) -> Key:
        seconds = self.number()
        if not seconds:
            raise Bad("an interval has one second at least")
        return Aged(seconds, younger)

    def day(self) -> date:
        found = _DATE.match(self._arguments.word())
        months = [month.upper().encode() for month in MONTHS]
        if found is None or found[2].upper() not in months:
            raise Bad("a day is written 1-Feb-2024")
        try:
            return date(int(found[3]), months.index(found[2].upper()) + 1, int(found[1]))
        except ValueError:
            raise Bad("there is no such day") from None

    def dated(self, sent: bool, how: str) -> Key:
        return Dated(sent, *self.days(how))

    def saved(self, how: str) -> Key:
        return Saved(*self.days(how))

    def days(self, how: str) -> tuple[date | None, date | None]:
        """The first day, and the one after the last."""
        day = self.day()
        if how == "BEFORE":
            return None, day
        if how == "SINCE":
            return day, None
        return day, date.fromordinal(min(day.toordinal() + 1, date.max.toordinal()))


_WITH_ARGUMENT: dict[str, Callable[[_Reader], Key]] = {
    "BEFORE": lambda reader: reader.dated(False, "BEFORE"),
    "ON": lambda reader: reader.dated(False, "ON"),
    "SINCE": lambda reader: reader.dated(False, "SINCE"),
    "SENTBEFORE": lambda reader: reader.dated(True, "BEFORE"),
    "SENTON": lambda reader: reader.dated(True, "ON"),
    "SENTSINCE": lambda reader: reader.dated(True, "SINCE"),
    "SAVEDBEFORE": lambda reader: reader.saved("BEFORE"),
    "SAVEDON": lambda reader: reader.saved("ON"),
    "SAVEDSINCE": lambda reader: reader.saved("SINCE"),
    "BODY": lambda reader: Body(reader.text()),
    "TEXT": lambda reader: Text(reader.text()),
    "HEADER": _Reader.field,
    "KEYWORD": _Reader.keyword,
    "UNKEYWORD": lambda reader: Not(reader.keyword()),
    "LARGER": lambda reader: Sized(reader.number(), None),
    "SMALLER": lambda reader: Sized(None, reader.number()),
    "UID": _Reader.uids,
    "MODSEQ": _Reader.changed,
    "YOUNGER": lambda reader: reader.aged(True),
    "OLDER": lambda reader: reader.aged(False),
}


def _set(text: bytes) -> SequenceSet:
    try:
        return SequenceSet.parse(text)
    except ValueError as problem:
        raise Bad(str(problem)) from None
