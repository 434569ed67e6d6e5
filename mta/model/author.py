"""Who a message says it is from: the addresses of its From fields (RFC 5322, 3.6.2).

What a person sees there decides whose signature counts, so it is read as a mail program would:
comments and quoted words go, and what stands in angle brackets is the address.
"""

from __future__ import annotations

import re

from mta.model.header import header_fields

#: Octets of a field that are read.
_MOST = 16 * 1024
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"?|\[[^\]]*\]?|[<>,;:()@.]|\\.|[^\s"\[<>,;:()@.\\]+|\s+', re.DOTALL)


def authors(header: bytes) -> list[str]:
    """The addresses of all From fields, in order, as they are written.

    What is no address is passed over; an address without a domain is none.

    :param header: a header section.
    """
    found: list[str] = []
    for field in header_fields(header):
        name, _, value = field.partition(b":")
        if name.rstrip(b" \t").lower() == b"from":
            found += addresses(value[:_MOST].decode("utf-8", "replace"))
    return found


def addresses(value: str) -> list[str]:
    """The addresses of a list of mailboxes."""
    found: list[str] = []
    words: list[str] = []
    inside: list[str] | None = None
    depth = 0
    for piece in (*_PIECE.findall(value), ","):
        if depth:
            depth += (piece == "(") - (piece == ")")
        elif piece == "(":
            depth = 1
        elif piece == "<" and inside is None:
            inside = []
        elif piece == ">" and inside is not None:
            words, inside = inside, None
            # What follows until the comma is no address any more.
            _add(words, found)
            words = ["\0"]
        elif inside is not None:
            inside.append(piece)
        elif piece in ",;":
            _add(words, found)
            words = []
        elif piece == ":":
            words = []  # The name of a group.
        else:
            words.append(piece)
    if inside:
        _add(inside[:-1], found)
    return found


def _add(pieces: list[str], found: list[str]) -> None:
    words = [piece for piece in pieces if not piece.isspace()]
    if "@" not in words or "\0" in words:
        return
    # A source route comes before the address (RFC 5322, 4.4).
    if ":" in words:
        words = words[len(words) - words[::-1].index(":") :]
    if "@" not in words or "," in words:
        return
    at = len(words) - 1 - words[::-1].index("@")
    local, domain = "".join(words[:at]), "".join(words[at + 1 :])
    if local and domain:
        found.append(f"{local}@{domain}")
