"""The fields of a header section, and those that a signature covers (RFC 6376, 3.4 and 5.4.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

Canonicalization: TypeAlias = Literal["simple", "relaxed"]

_BETWEEN = re.compile(rb"\r\n(?![ \t])")
#: A tag b=, but not bh=, with its value: what a signature cannot cover.
_B = re.compile(rb"((?:^|;)[ \t\r\n]*b[ \t\r\n]*=)[^;]*")


@dataclass(frozen=True, slots=True)
class HeaderField:
    """One field.

    :ivar name: in lower case, without white space.
    :ivar raw: all of it, folded as it came, without the CRLF at its end.
    """

    name: str
    raw: bytes

    @property
    def value(self) -> bytes:
        """What stands behind the colon, folded as it came."""
        return self.raw.partition(b":")[2]

    def canonical(self, way: Canonicalization) -> bytes:
        """As a signature covers it (3.4.1, 3.4.2), without a CRLF at its end."""
        if way == "simple":
            return self.raw
        name, _, value = self.raw.partition(b":")
        value = value.replace(b"\r\n", b"").replace(b"\t", b" ")
        while b"  " in value:
            value = value.replace(b"  ", b" ")
        return name.rstrip(b" \t").lower() + b":" + value.strip(b" ")

    def unsigned(self) -> HeaderField:
        """A signature's own field with the value of ``b=`` taken out (3.7)."""
        name, colon, value = self.raw.partition(b":")
        return HeaderField(self.name, name + colon + _B.sub(rb"\1", value))


def split_fields(header: bytes) -> list[HeaderField]:
    """The fields of a header section, from the top.

    A line that is no field, and no part of one, is passed over: no signature can name it.
    """
    found = []
    for raw in _BETWEEN.split(header):
        name, colon, _ = raw.partition(b":")
        if colon:
            found.append(HeaderField(name.rstrip(b" \t").lower().decode("latin-1"), raw))
    return found


class HeaderFields:
    """The fields of a header section, to be chosen from several times.

    :param fields: from the top.
    """

    __slots__ = ("_by_name", "all")

    def __init__(self, fields: Sequence[HeaderField]) -> None:
        self.all = fields
        self._by_name: dict[str, list[HeaderField]] = {}
        for field in fields:
            self._by_name.setdefault(field.name, []).append(field)

    def count(self, name: str) -> int:
        """How many there are of a name, in lower case."""
        return len(self._by_name.get(name, ()))

    def select(self, names: Iterable[str], without: HeaderField | None = None) -> list[HeaderField]:
        """The fields that a list of names means: of each name from the bottom up (5.4.2).

        A name for which no field is left means none: it says that there is no further one.

        :param names: in lower case.
        :param without: a field that none of them means: the signature's own.
        """
        left: dict[str, int] = {}
        selected = []
        for name in names:
            fields = self._by_name.get(name)
            if fields is None:
                continue
            at = left.get(name, len(fields)) - 1
            if at >= 0 and fields[at] is without:
                at -= 1
            if at >= 0:
                selected.append(fields[at])
            left[name] = max(at, 0)
        return selected


def signed_text(fields: Iterable[HeaderField], way: Canonicalization, signature: HeaderField) -> bytes:
    """What is signed: the fields, and the signature's own without a value of ``b=`` (3.7).

    :param fields: selected, in the order of the signature's ``h=``.
    """
    parts = [field.canonical(way) for field in fields]
    parts.append(signature.unsigned().canonical(way))
    return b"\r\n".join(parts)
