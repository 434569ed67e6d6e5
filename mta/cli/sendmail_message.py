"""From what a program writes to sendmail to a message that can be sent; pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from email.policy import SMTPUTF8
from itertools import pairwise

_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:")
_RESENT = re.compile(rb"^resent-(?:to|cc|bcc)[ \t]*:", re.IGNORECASE | re.MULTILINE)
_DOT = re.compile(rb"^\.\r?\n", re.MULTILINE)
_LINE_END = re.compile(rb"\r\n|\n|\r")


class MessageError(ValueError):
    """The message cannot be sent as it is; the text says why."""


def wire_form(data: bytes, dot_ends: bool = False) -> bytes:
    """The message with lines ended by CRLF, and its header closed by an empty line.

    :param data: as a program wrote it, with LF or CRLF.
    :param dot_ends: whether a line with a dot alone ends it.
    """
    if dot_ends:
        dot = _DOT.search(data)
        if dot:
            data = data[: dot.start()]
        elif data.endswith((b"\n.", b"\r.")) or data == b".":
            data = data[:-1]
    if data.startswith((b"From ", b">From ")):
        # The separator of an mbox file, which mail programs leave on top.
        data = data.partition(b"\n")[2]
    data = _LINE_END.sub(b"\r\n", data)
    if data and not data.endswith(b"\r\n"):
        data += b"\r\n"
    end = _header_end(data)
    if end == len(data):
        return data + b"\r\n"
    return data if data.startswith(b"\r\n", end) else data[:end] + b"\r\n" + data[end:]


def _header_end(data: bytes) -> int:
    """Where the header section ends: at an empty line, or at the first that is no field."""
    position = 0
    while position < len(data):
        line_end = data.find(b"\r\n", position) + 2
        if data.startswith(b"\r\n", position):
            return position
        is_folded = position > 0 and data[position : position + 1] in (b" ", b"\t")
        if not is_folded and not _FIELD.match(data, position):
            return position
        position = line_end
    return len(data)


def split(data: bytes) -> tuple[list[bytes], bytes]:
    """Each header field with its line ends, and the rest with the empty line on top."""
    end = _header_end(data)
    header = data[:end]
    starts = [match.start() for match in re.finditer(rb"^(?![ \t])", header, re.MULTILINE)]
    starts = [start for start in starts if start < end]
    fields = [header[start:stop] for start, stop in pairwise([*starts, end])]
    return fields, data[end:]


def recipients_of(data: bytes) -> list[str]:
    """The addresses of To, Cc and Bcc; of their Resent fields if there are any (RFC 5322, 3.6.6).

    :raise MessageError: if a field cannot be understood: nobody must be left out silently.
    """
    fields, _ = split(data)
    resent = any(_RESENT.match(field) for field in fields)
    names = ("resent-to", "resent-cc", "resent-bcc") if resent else ("to", "cc", "bcc")
    found: list[str] = []
    for field in fields:
        name, _, value = field.partition(b":")
        key = name.strip().lower().decode("ascii", "replace")
        if key in names:
            found += _addresses(name.strip().decode("ascii", "replace"), value)
    return list(dict.fromkeys(found))


def listed(text: str) -> list[str]:
    """The addresses of one word of a command line, which may be a list.

    :raise MessageError: if it cannot be understood.
    """
    if not set(text) & set(', <>"()'):
        return [text]
    return list(_addresses("recipient", text.encode("utf-8", "surrogateescape")))


def _addresses(name: str, value: bytes) -> Iterable[str]:
    text = value.replace(b"\r\n", b"").decode("utf-8", "surrogateescape").strip().rstrip(",")
    if not text:
        return []
    try:
        # Under any other name it would not be read as addresses.
        header = SMTPUTF8.header_factory("To", text)
        addresses = [address.addr_spec for group in header.groups for address in group.addresses]
    except Exception as error:
        # The standard library's parser fails in many ways on broken fields.
        raise MessageError(f"{name}: cannot be understood: {error or text[:80]}") from None
    # A name without a domain is one of ours.
    serious = [
        defect
        for defect in header.defects
        if type(defect).__name__ == "InvalidHeaderDefect" and "with no domain" not in str(defect)
    ]
    wrong = [address for address in addresses if not address or address in ("<>", "@")]
    if serious or wrong:
        why = str(serious[0]) if serious else "there is an empty address"
        raise MessageError(f"{name}: {text[:80]}: {why}")
    return addresses


def without_bcc(data: bytes) -> bytes:
    """The message without Bcc and Resent-Bcc, which are nobody's business."""
    fields, rest = split(data)
    kept = [
        field for field in fields if field.partition(b":")[0].strip().lower() not in (b"bcc", b"resent-bcc")
    ]
    return b"".join(kept) + rest


def with_from(data: bytes, name: str, sender: str) -> bytes:
    """The message with a From field with a person's name, if it has none.

    :param name: the full name.
    :param sender: the address.
    """
    from email.headerregistry import Address

    fields, _ = split(data)
    if any(field.partition(b":")[0].strip().lower() == b"from" for field in fields):
        return data
    clean = "".join(character for character in name if character.isprintable())
    shown = str(Address(display_name=clean, addr_spec=sender)) if sender.isascii() else f"{clean} <{sender}>"
    field = SMTPUTF8.header_factory("From", shown).fold(policy=SMTPUTF8)
    text: str = str(field)
    return text.encode("utf-8").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") + data
