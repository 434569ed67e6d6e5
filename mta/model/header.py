"""Reading the header section of a message (RFC 5322, 2.2) as octets.

Only what the envelope's side needs: where the section ends, and the values of
a few fields.  Nothing here decodes, and nothing is rewritten but what is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from functools import lru_cache


def header_section(data: bytes) -> bytes:
    """The header section with its last CRLF, without the empty line after it.

    :param data: the message, or as much of its start as is at hand.
    """
    if data.startswith(b"\r\n"):
        return b""
    end = data.find(b"\r\n\r\n")
    return data if end < 0 else data[: end + 2]


@lru_cache(maxsize=64)
def _pattern(name: bytes) -> re.Pattern[bytes]:
    return re.compile(
        rb"^" + re.escape(name) + rb"[ \t]*:((?:[^\r\n]++|\r\n[ \t])*+)", re.IGNORECASE | re.MULTILINE
    )


def field_value(header: bytes, name: bytes) -> bytes | None:
    """The first field of this name, unfolded, without surrounding white space.

    :param header: a header section.
    :param name: the field's name in any case.
    :return: ``None`` if there is no such field.
    """
    match = _pattern(name).search(header)
    return None if match is None else match[1].replace(b"\r\n", b"").strip()


def take_fields(data: bytes, names: Sequence[bytes]) -> tuple[bytes, list[bytes]]:
    """The message without the fields of these names, and the first value of each; ``b""`` without.

    :param data: the message, or as much of its start as is at hand.
    """
    header = header_section(data)
    low = b"\n" + header.lower()
    if not any(b"\n" + name.lower() in low for name in names):
        # That is so of nearly every message, and found out much faster than by patterns.
        return data, [b""] * len(names)
    rest = data[len(header) :]
    values = []
    for name in names:
        pattern = _whole(name)
        match = pattern.search(header)
        values.append(b"" if match is None else match[1].replace(b"\r\n", b"").strip())
        if match is not None:
            header = pattern.sub(b"", header)
    return header + rest, values


@lru_cache(maxsize=64)
def _whole(name: bytes) -> re.Pattern[bytes]:
    return re.compile(_pattern(name).pattern + rb"(?:\r\n)?", re.IGNORECASE | re.MULTILINE)


def header_fields(header: bytes) -> tuple[bytes, ...]:
    """The fields of a header section, each with its name, its folds and its last CRLF.

    A line that is no field stands among them as it is.
    """
    if not header:
        return ()
    starts = [0, *(at for match in _NEXT_FIELD.finditer(header) if (at := match.end()) < len(header))]
    return tuple(header[start:end] for start, end in zip(starts, [*starts[1:], len(header)], strict=True))


#: Where no white space continues the field (RFC 5322, 2.2.3).
_NEXT_FIELD = re.compile(rb"\r\n(?![ \t])")


def has_field(header: bytes, name: bytes) -> bool:
    """Whether a field of this name stands in the header section."""
    return _pattern(name).search(header) is not None


def subject_of(header: bytes) -> str:
    """The subject as a person reads it (RFC 2047), on one line, at most 250 characters.

    :param header: a header section.
    """
    text = (field_value(header, b"subject") or b"")[:2000].decode("utf-8", "replace")
    if "=?" in text:
        with suppress(HeaderParseError, LookupError, ValueError):
            text = str(make_header(decode_header(text)))
    if not text.isprintable():
        text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return text[:250]
