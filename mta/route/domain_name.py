"""Domain names as the DNS spells them (RFC 1035, RFC 5890)."""

from __future__ import annotations

import re

import idna

# Underscores are for names such as _dmarc; the DNS itself allows any octet.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?\Z")


def domain_name(text: str) -> str:
    """The name in lower case, without a final dot, U-labels turned into A-labels.

    :raise ValueError: if no name in the DNS can be spelt so; says why.
    """
    name = text
    if len(name) > 254:
        raise ValueError(f"{text[:60]!r}... is too long for a domain name")
    if not name.isascii():
        try:
            mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
            name = ".".join(
                label if label.isascii() else idna.alabel(label).decode("ascii")
                for label in mapped.split(".")
            )
        except UnicodeError as error:
            raise ValueError(f"{text!r} is no internationalised domain name: {error}") from None
    name = name.lower().removesuffix(".")
    if len(name) > 253:
        raise ValueError(f"{text[:60]!r}... is too long for a domain name")
    for label in name.split("."):
        if not _LABEL.match(label):
            raise ValueError(f"{text!r} is no domain name: {label!r} is no label")
    return name


def ascii_domain(text: str) -> str:
    """:func:`domain_name`, or ``text`` in lower case where that is none (an address literal)."""
    try:
        return domain_name(text)
    except ValueError:
        return text.lower()


def query_name(text: str) -> str:
    """A name to ask the DNS for, which may have any octets in it (RFC 2181, 11).

    :return: as a zone file spells it: octets that no host has are ``\\`` and three digits (RFC 1035, 5.1).
    :raise ValueError: if no name in the DNS can be spelt so.
    """
    try:
        return domain_name(text)
    except ValueError:
        labels = [label.encode("utf-8", "surrogateescape") for label in text.removesuffix(".").split(".")]
    if sum(len(label) + 1 for label in labels) > 254 or not all(0 < len(label) < 64 for label in labels):
        raise ValueError(f"{text[:60]!r} is no name in the DNS")
    return ".".join("".join(_SPELT[octet] for octet in label) for label in labels)


# By octet: letters in lower case, digits, "-" and "_" as they are.
_SPELT = [
    chr(octet).lower() if re.match(rb"[A-Za-z0-9_-]", bytes([octet])) else f"\\{octet:03}"
    for octet in range(256)
]
