"""What rules ask of a message: its header fields as a person reads them.  Pure.

Messages come from strangers, so everything is bounded: as much of each field is looked at as a person would.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import getaddresses
from functools import cached_property

from mta.model.header import header_fields, header_section

#: Octets of a header section, and characters of a field.
_SECTION, _FIELD = 1 << 18, 16_000


class Letter:
    """One message.

    :param start: the message, or as much of its start as holds the header section.
    :param size: octets of the whole.
    :param recipients: whom it was sent to, by the envelope.
    :param junk: whether a filter calls it spam.
    """

    def __init__(self, start: bytes, size: int, recipients: tuple[str, ...] = (), junk: bool = False) -> None:
        self._header = header_section(start[:_SECTION])
        self.size = size
        self.recipients = recipients
        self.junk = junk

    @cached_property
    def _fields(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for octets in header_fields(self._header):
            name, colon, value = octets.partition(b":")
            if colon:
                text = value[:_FIELD].decode("utf-8", "replace")
                found.setdefault(name.strip().lower().decode("latin-1"), []).append(text)
        return found

    def raw(self, name: str) -> str:
        """The first field of this name, on one line; ``""``: there is none."""
        values = self._fields.get(name.lower())
        return " ".join(values[0].split()) if values else ""

    def has(self, name: str) -> bool:
        """Whether there is a field of this name."""
        return name.lower() in self._fields

    def names(self) -> Iterator[str]:
        """The names of its fields, in lower case."""
        return iter(self._fields)

    def texts(self, name: str) -> list[str]:
        """All fields of this name as a person reads them (RFC 2047)."""
        return [_decoded(value) for value in self._fields.get(name.lower(), ())]

    def people(self, *names: str) -> list[tuple[str, str]]:
        """Names and addresses in fields."""
        values = [value for name in names for value in self._fields.get(name, ())]
        try:
            found = getaddresses([" ".join(value.split()) for value in values])
        except (ValueError, IndexError, RecursionError):
            return []
        return [(_decoded(name), address) for name, address in found if address]


def _decoded(value: str) -> str:
    text = " ".join(value.split())
    if "=?" in text:
        with suppress(HeaderParseError, LookupError, ValueError):
            text = str(make_header(decode_header(text)))
    return " ".join(text.split())
