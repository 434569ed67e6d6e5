"""What FETCH can be asked for (RFC 3501, 6.4.5; RFC 3516; RFC 7162; RFC 8514; RFC 8970).  Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from mta.imap.arguments import Arguments
from mta.imap.refusal import Bad

#: Items that are a word.
WORDS = frozenset(
    {
        "BODY",
        "BODYSTRUCTURE",
        "ENVELOPE",
        "FLAGS",
        "INTERNALDATE",
        "MODSEQ",
        "PREVIEW",
        "RFC822",
        "RFC822.HEADER",
        "RFC822.SIZE",
        "RFC822.TEXT",
        "SAVEDATE",
        "UID",
    }
)
#: Words that stand for several.
MACROS = {
    "ALL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"),
    "FAST": ("FLAGS", "INTERNALDATE", "RFC822.SIZE"),
    "FULL": ("FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE", "BODY"),
}
#: Items of one command.
_MOST = 200
#: Levels of a part's number.
_DEEPEST = 100

_WORD = re.compile(rb"[A-Za-z0-9.]+")
_BEGIN = re.compile(rb"(BODY|BODY\.PEEK|BINARY|BINARY\.PEEK|BINARY\.SIZE)\[", re.IGNORECASE)
_PART = re.compile(rb"[1-9][0-9]{0,9}(?:\.[1-9][0-9]{0,9})*(?![0-9])")
_TEXT = re.compile(rb"HEADER\.FIELDS\.NOT|HEADER\.FIELDS|HEADER|TEXT|MIME", re.IGNORECASE)
_DOT = re.compile(rb"\.")
_SPACE = re.compile(rb" ")
_OPEN, _CLOSE = re.compile(rb"\("), re.compile(rb"\)")
_MODIFIERS, _LAZY = re.compile(rb" \("), re.compile(rb"LAZY(?: LAZY)*\)", re.IGNORECASE)
_END = re.compile(rb"\]")
_PARTIAL = re.compile(rb"<([0-9]{1,19})\.([0-9]{1,19})>")


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a message.

    :ivar part: numbers of it, the outermost first; none for the message itself.
    :ivar text: ``HEADER``, ``HEADER.FIELDS``, ``HEADER.FIELDS.NOT``, ``TEXT``, ``MIME``; ``""``: all of it.
    :ivar fields: names of header fields, as they were written.
    """

    part: tuple[int, ...] = ()
    text: str = ""
    fields: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class FetchItem:
    """One item.

    :ivar name: one of :data:`WORDS`, or ``BODY[]``, ``BINARY[]``, ``BINARY.SIZE[]``: those have a section.
    :ivar partial: first octet, and how many at the most.
    :ivar peek: whether the message is not marked as seen by it.
    :ivar lazy: whether it is wanted only if it is there at once (RFC 8970, 4).
    :ivar label: what it is called in the answer.
    """

    name: str
    label: bytes
    section: Section | None = None
    partial: tuple[int, int] | None = None
    peek: bool = True
    lazy: bool = False

    @property
    def marks_seen(self) -> bool:
        """Whether the message is marked as seen by it."""
        return not self.peek


def parse(arguments: Arguments) -> tuple[FetchItem, ...]:
    """One item, a macro, or a list of items.

    :raise Bad: if there is something else.
    """
    if not arguments.match(_OPEN):
        macro = arguments.match(re.compile(rb"(ALL|FAST|FULL)(?= |\Z)", re.IGNORECASE))
        if macro is not None:
            return tuple(_word(name) for name in MACROS[macro[0].decode().upper()])
        return (_item(arguments),)
    found = [_item(arguments)]
    while arguments.match(_SPACE):
        if len(found) >= _MOST:
            raise Bad(f"there can be {_MOST} items")
        found.append(_item(arguments))
    _must(arguments, _CLOSE, "a parenthesis is missing behind the items")
    return tuple(dict.fromkeys(found))


def _must(arguments: Arguments, pattern: re.Pattern[bytes], problem: str) -> re.Match[bytes]:
    found = arguments.match(pattern)
    if found is None:
        raise Bad(problem)
    return found


def _item(arguments: Arguments) -> FetchItem:
    begin = arguments.match(_BEGIN)
    if begin is not None:
        return _section(arguments, begin[1].decode().upper())
    word = _must(arguments, _WORD, "an item is missing")[0].decode().upper()
    if word not in WORDS:
        raise Bad(f"FETCH does not know {word[:30]}")
    if word == "PREVIEW" and arguments.match(_MODIFIERS):
        _must(arguments, _LAZY, "PREVIEW knows the modifier LAZY")
        return FetchItem("PREVIEW", b"PREVIEW", lazy=True)
    return _word(word)


def _word(word: str) -> FetchItem:
    return FetchItem(word, word.encode(), peek=word not in ("RFC822", "RFC822.TEXT"))


def _section(arguments: Arguments, word: str) -> FetchItem:
    kind = word.removesuffix(".PEEK")
    part: tuple[int, ...] = ()
    number = arguments.match(_PART)
    if number is not None:
        part = tuple(map(int, number[0].split(b".")))
        if len(part) > _DEEPEST:
            raise Bad("parts are not nested so deep")
    text = ""
    fields: tuple[bytes, ...] = ()
    if kind == "BODY" and (number is None or arguments.match(_DOT)):
        text, fields = _text(arguments, part)
    _must(arguments, _END, "a bracket is missing behind the section")
    partial = None
    if kind != "BINARY.SIZE":
        cut = arguments.match(_PARTIAL)
        if cut is not None:
            partial = int(cut[1]), int(cut[2])
            if not partial[1]:
                raise Bad("a piece has one octet at least")
    section = Section(part, text, fields)
    label = _label(kind, section, partial)
    return FetchItem(f"{kind}[]", label, section, partial, word.endswith((".PEEK", ".SIZE")))


def _text(arguments: Arguments, part: tuple[int, ...]) -> tuple[str, tuple[bytes, ...]]:
    found = arguments.match(_TEXT)
    if found is None:
        if part:
            raise Bad("HEADER, TEXT or MIME must follow the part")
        return "", ()
    text = found[0].decode().upper()
    if text == "MIME" and not part:
        raise Bad("MIME is of a part")
    if "FIELDS" not in text:
        return text, ()
    _must(arguments, _SPACE, "names of fields are missing")
    _must(arguments, _OPEN, "names of fields are missing")
    fields = [arguments.word()]
    while arguments.match(_SPACE):
        fields.append(arguments.word())
    _must(arguments, _CLOSE, "a parenthesis is missing behind the names of fields")
    return text, tuple(fields)


def _label(kind: str, section: Section, partial: tuple[int, int] | None) -> bytes:
    words = [".".join(map(str, section.part))] if section.part else []
    if section.text:
        words.append(section.text)
    inner = ".".join(words).encode()
    if section.fields:
        inner += b" (" + b" ".join(map(_astring, section.fields)) + b")"
    origin = b"<%d>" % partial[0] if partial else b""
    return kind.encode() + b"[" + inner + b"]" + origin


def _astring(octets: bytes) -> bytes:
    if octets and re.fullmatch(rb"[^\x00-\x20\x7f-\xff(){%*\"\\]+", octets):
        return octets
    if re.fullmatch(rb"[^\x00\r\n\x80-\xff]*", octets):
        return b'"' + octets.replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'
    return b"{%d}\r\n%s" % (len(octets), octets)
