"""A mailbox address as RFC 5321 (4.1.2) and RFC 6531 (3.3) write it.

Elsewhere in the program an address travels as ``str`` in its canonical form
(domain in lower case, local part quoted only where it must be); the null
reverse-path is the empty string.  This module takes such strings apart.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_DOT_STRING = re.compile(
    r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+"
    r"(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u0080-\U0010ffff]+)*\Z"
)

#: RFC 5321, 4.5.3.1.1 and 4.5.3.1.2, in octets.
MAX_LOCAL_PART = 64
MAX_DOMAIN = 255


class AddressError(ValueError):
    """The text is no mailbox address; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Address:
    """One mailbox: ``local`` without quotes or escapes, ``domain`` in lower case.

    ``domain`` is empty only for the bare ``postmaster`` (RFC 5321, 4.1.1.3),
    and keeps its brackets when it is an address literal.
    """

    local: str
    domain: str

    def __str__(self) -> str:
        local = self.local
        if not _DOT_STRING.match(local):
            escaped = local.replace("\\", "\\\\").replace('"', '\\"')
            local = f'"{escaped}"'
        return f"{local}@{self.domain}" if self.domain else local

    @property
    def is_literal(self) -> bool:
        """Whether the domain is an address literal such as ``[192.0.2.1]``."""
        return self.domain.startswith("[")

    @property
    def is_ascii(self) -> bool:
        """Whether the address can be sent without SMTPUTF8."""
        return self.local.isascii() and self.domain.isascii()

    def without_detail(self, separator: str = "+") -> tuple[Address, str]:
        """Split ``user+detail`` (RFC 5233) into the plain address and the detail.

        :param separator: the character between user and detail; empty: none.
        :return: the address without detail, and the detail or ``""``.
        """
        if not separator or separator not in self.local[1:]:
            return self, ""
        user, _, detail = self.local[1:].partition(separator)
        return Address(self.local[0] + user, self.domain), detail


@lru_cache(maxsize=4096)
def parse_address(text: str) -> Address:
    """Take a canonical address apart.

    :param text: ``local@domain``, with the local part quoted where needed.
    :raise AddressError: if it has no local part, no domain, or bad quoting.
    """
    if text.startswith('"'):
        local, rest = _unquote(text)
    else:
        local, at, rest = text.rpartition("@")
        rest = at + rest
        if not at and text.lower() == "postmaster":
            return Address(text, "")
        if not at:
            raise AddressError(f"{text!r}: an address is local-part@domain")
        if not _DOT_STRING.match(local):
            raise AddressError(f"{text!r}: the part before the @ is not a valid local part")
    if not rest.startswith("@") or len(rest) < 2:
        raise AddressError(f"{text!r}: an address is local-part@domain")
    if len(local.encode()) > MAX_LOCAL_PART:
        raise AddressError(f"{text!r}: the local part is longer than {MAX_LOCAL_PART} octets")
    if len(rest) - 1 > MAX_DOMAIN:
        raise AddressError(f"{text!r}: the domain is longer than {MAX_DOMAIN} octets")
    return Address(local, rest[1:].lower())


def _unquote(text: str) -> tuple[str, str]:
    """Read a quoted-string at the start of ``text``; return its value and the rest."""
    value: list[str] = []
    index = 1
    while index < len(text):
        character = text[index]
        if character == '"':
            return "".join(value), text[index + 1 :]
        if character == "\\":
            index += 1
            if index == len(text):
                break
            character = text[index]
        value.append(character)
        index += 1
    raise AddressError(f"{text!r}: the quoted local part has no end")


def domain_of(text: str) -> str:
    """The domain of a canonical address; ``""`` for the null path or bare postmaster."""
    return text.rpartition("@")[2].lower() if "@" in text else ""
