"""Header fields of a message that we write (RFC 5322, 2047), each folded and ended by CRLF."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from email.header import Header

#: Where a line is folded, if it can be (RFC 5322, 2.1.1).
_WIDTH = 76
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\- ]+\Z")
_NAME = re.compile(r"[!-9;-~]{1,76}\Z")
#: Fields that are made here, or that only servers add.
RESERVED = frozenset(
    {
        "from",
        "to",
        "cc",
        "bcc",
        "subject",
        "reply-to",
        "date",
        "mime-version",
        "received",
        "return-path",
        "dkim-signature",
        "authentication-results",
        "received-spf",
        "delivered-to",
    }
)
_RESERVED_BEGINNINGS = ("content-", "resent-", "arc-", "x-mta-")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address with the name of who has it.

    :ivar address: canonical, the domain with A-labels.
    """

    address: str
    name: str = ""

    def encode(self, utf8: bool = False) -> str:
        """As it stands in a field.

        :param utf8: whether the header is UTF-8 (RFC 6532).
        """
        if not self.name:
            return self.address
        name = _in_line(self.name)
        if _ATOMS.match(name):
            shown = name
        elif name.isascii() or utf8:
            escaped = name.replace("\\", "\\\\").replace('"', '\\"')
            shown = f'"{escaped}"'
        else:
            shown = _encoded(name, 10)
        return f"{shown} <{self.address}>"


def checked_field(name: str, value: str) -> None:
    """Whether a program may set a field.

    :raise ValueError: if it may not, or the value cannot stand in a field.
    """
    low = name.lower()
    if not _NAME.match(name):
        raise ValueError(f"{name!r} is no name of a header field")
    if low in RESERVED or low.startswith(_RESERVED_BEGINNINGS):
        raise ValueError(f"{name} cannot be set here: the server writes it")
    if not _stays_in_line(value):
        raise ValueError(f"{name}: a value has no line breaks and no controls in it")
    if len(value) > 10_000:
        raise ValueError(f"{name}: a value has at most 10000 characters")


def _stays_in_line(text: str) -> bool:
    return not any(map(_ends_line, text))


def _ends_line(letter: str) -> bool:
    return (letter < " " and letter != "\t") or letter in "\x7f\u2028\u2029\x85"


def _in_line(text: str) -> str:
    return text if _stays_in_line(text) else "".join(" " if _ends_line(c) else c for c in text)


def text_field(name: str, value: str, utf8: bool = False) -> str:
    """A field whose value is text for people; what would end it becomes a space."""
    value = _in_line(value)
    if value.isascii() and max(map(len, value.split()), default=0) <= 900:
        return _folded(name, value.split(" ")) if len(value) + len(name) > _WIDTH else f"{name}: {value}\r\n"
    if utf8 and len(value.encode()) < 900:
        return f"{name}: {value}\r\n"
    return f"{name}: {_encoded(value, len(name) + 2)}\r\n"


def address_field(name: str, mailboxes: Sequence[Mailbox], utf8: bool = False) -> str:
    """A field with addresses; ``""`` without any."""
    if not mailboxes:
        return ""
    return f"{name}: " + ",\r\n ".join(mailbox.encode(utf8) for mailbox in mailboxes) + "\r\n"


def _folded(name: str, words: Iterable[str]) -> str:
    lines, line, words_there = [], f"{name}:", False
    for word in words:
        # A fold is white space, of which a line must not consist alone (RFC 5322, 3.2.2).
        if words_there and word and len(line) + 1 + len(word) > _WIDTH:
            lines.append(line)
            line, words_there = "", False
        line += f" {word}"
        words_there = words_there or bool(word)
    return "\r\n".join([*lines, line]) + "\r\n"


def _encoded(text: str, before: int) -> str:
    return Header(text, "utf-8", maxlinelen=_WIDTH, header_name=" " * max(0, before - 2)).encode(
        linesep="\r\n", maxlinelen=_WIDTH
    )
