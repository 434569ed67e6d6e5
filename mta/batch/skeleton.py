"""The octets of a personalised copy, from what all copies of a batch have in common.

A copy has few header fields and one or two parts of text, always in 7 bits, so that it needs nothing
of the servers on its way.  It is written out here and not by :mod:`email`, which takes a millisecond
for what this does in a tenth of one; the tests hold the two together.
"""

from __future__ import annotations

import re
from base64 import encodebytes
from binascii import b2a_qp
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from email.header import Header
from email.utils import quote
from typing import Any

from mta.template.rendering import header_text

#: Characters of a line that needs no folding, and of one that is allowed (RFC 5322, 2.1.1).
_SHORT = 76
_LONG_LINE = 990
#: RFC 5322, 3.2.3: a display name of these needs no quotes.
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]*\Z")


@dataclass(frozen=True, slots=True)
class Skeleton:
    """What all copies have in common.

    :ivar sender: the From field's value, encoded.
    :ivar reply_to: likewise; ``""``: none.
    :ivar fields: further header fields, encoded, each ended by CRLF.
    :ivar domain: right of the ``@`` in Message-IDs.
    :ivar date: as RFC 5322 has it.
    :ivar boundary: between the parts; it stands in no copy.
    """

    sender: str
    domain: str
    date: str
    boundary: str
    reply_to: str = ""
    fields: str = ""

    def told(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Copy:
    """One of the copies.

    :ivar id: queue id.
    :ivar to: the To field's value, encoded.
    :ivar subject: one line.
    :ivar text: lines ended by LF; ``""``: none.
    :ivar html: likewise.
    :ivar fields: further header fields, encoded, each ended by CRLF.
    """

    id: str
    to: str
    subject: str
    text: str
    html: str
    fields: str = ""


def composed(skeleton: Skeleton, copy: Copy) -> str:
    """A message: ASCII, lines ended by CRLF."""
    head = [
        f"Date: {skeleton.date}\r\nFrom: {skeleton.sender}\r\nTo: {copy.to}\r\n",
        f"Reply-To: {skeleton.reply_to}\r\n" if skeleton.reply_to else "",
        field("Subject", copy.subject),
        f"Message-ID: <{copy.id}@{skeleton.domain}>\r\n",
        skeleton.fields,
        copy.fields,
        "MIME-Version: 1.0\r\n",
    ]
    parts = [part("plain", copy.text)] if copy.text or not copy.html else []
    if copy.html:
        parts.append(part("html", copy.html))
    if len(parts) == 1:
        return "".join([*head, parts[0]])
    return "".join(
        [
            *head,
            f'Content-Type: multipart/alternative; boundary="{skeleton.boundary}"\r\n',
            # The line end before a border is part of it (RFC 2046, 5.1.1).
            *(f"\r\n--{skeleton.boundary}\r\n{one}" for one in parts),
            f"\r\n--{skeleton.boundary}--\r\n",
        ]
    )


def part(subtype: str, text: str) -> str:
    """A part with its header; the shortest of three encodings that keeps it."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.endswith("\n"):
        text += "\n"
    if text.isascii() and "\0" not in text and longest_line(text) <= _LONG_LINE:
        encoding, body = "7bit", text.replace("\n", "\r\n")
    else:
        octets = text.encode("utf-8", "replace")
        # A character of two or more octets is six or more in quoted-printable, and four thirds in base 64.
        if len(octets) - len(text) > len(text) // 4:
            encoding, body = (
                "base64",
                encodebytes(octets.replace(b"\n", b"\r\n")).decode().replace("\n", "\r\n"),
            )
        else:
            encoding = "quoted-printable"
            body = b2a_qp(octets, istext=True).decode("ascii").replace("\n", "\r\n")
    return (
        f"Content-Type: text/{subtype}; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{body}"
    )


def longest_line(text: str) -> int:
    """Characters of the longest line."""
    return max(map(len, text.split("\n")))


def field(name: str, text: str) -> str:
    """A header field of free text, folded and encoded as RFC 2047 has it; ended by CRLF.

    :param text: whatever it is, one field comes of it.
    """
    text = header_text(text)
    if len(name) + len(text) + 2 <= _SHORT and text.isascii() and "=?" not in text:
        return f"{name}: {text}\r\n"
    plain = text.isascii() and "=?" not in text and all(len(word) < 70 for word in text.split())
    header = Header(text, "us-ascii" if plain else "utf-8", header_name=name, maxlinelen=_SHORT)
    return f"{name}: {header.encode(linesep=chr(13) + chr(10))}\r\n"


def mailbox(address: str, name: str = "") -> str:
    """The value of an address field: a mailbox with its display name, encoded.

    :param address: canonical; ASCII.
    """
    name = header_text(name)
    if not name:
        return address
    if name.isascii() and "=?" not in name and len(name) < 60:
        shown = name if _ATOMS.match(name) else f'"{quote(name)}"'
        return f"{shown} <{address}>"
    encoded = Header(name, "utf-8", maxlinelen=_SHORT).encode(linesep="\r\n")
    return f"{encoded}\r\n <{address}>"


def fields(values: Iterable[tuple[str, str]] | Mapping[str, str]) -> str:
    """Header fields, each ended by CRLF."""
    pairs = values.items() if isinstance(values, Mapping) else values
    return "".join([field(name, value) for name, value in pairs])
