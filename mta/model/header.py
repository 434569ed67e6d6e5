"""Reading the header section of a message (RFC 5322, 2.2) as octets.

Only what the envelope's side needs: where the section ends, and the values of
a few fields.  Nothing here decodes or rewrites.
"""

from __future__ import annotations

import re
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


def has_field(header: bytes, name: bytes) -> bool:
    """Whether a field of this name stands in the header section."""
    return _pattern(name).search(header) is not None
