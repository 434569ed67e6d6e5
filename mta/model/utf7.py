"""Modified UTF-7: how names of folders are written in ASCII (RFC 3501, 5.1.3).  Pure.

``Entwürfe`` is ``Entw&APw-rfe``: visible ASCII stands for itself, ``&`` is ``&-``, and everything else is
UTF-16 in base64 between ``&`` and ``-``, with ``,`` where base64 has ``/``.  A text is written in one way
only, so what :func:`decode` takes is what :func:`encode` gives, and nothing else.
"""

from __future__ import annotations

import base64
import binascii


def encode(text: str) -> bytes:
    """A text in modified UTF-7.

    :raise UnicodeEncodeError: if there are lone surrogates in it, which no text has.
    """
    parts: list[bytes] = []
    pending: list[str] = []
    for character in text:
        if not " " <= character <= "~":
            pending.append(character)
            continue
        if pending:
            parts.append(_shifted("".join(pending)))
            pending.clear()
        parts.append(b"&-" if character == "&" else character.encode())
    if pending:
        parts.append(_shifted("".join(pending)))
    return b"".join(parts)


def _shifted(text: str) -> bytes:
    coded = base64.b64encode(text.encode("utf-16-be")).rstrip(b"=")
    return b"&" + coded.replace(b"/", b",") + b"-"


def decode(octets: bytes) -> str:
    """The text that is written so.

    :raise ValueError: if the octets are not modified UTF-7, with words that say where.
    """
    parts: list[str] = []
    place = 0
    while (start := octets.find(b"&", place)) >= 0:
        parts.append(octets[place:start].decode("latin-1"))
        end = octets.find(b"-", start)
        if end < 0:
            raise ValueError(f"the & at octet {start + 1} has no - behind it")
        parts.append(_unshifted(octets[start + 1 : end], start))
        place = end + 1
    parts.append(octets[place:].decode("latin-1"))
    text = "".join(parts)
    try:
        same = encode(text) == octets
    except UnicodeEncodeError:
        same = False
    if not same:
        # Other octets than visible ASCII, ASCII in base64, parts that could be one, bits that are left.
        raise ValueError("it is not written as modified UTF-7 wants it")
    return text


def _unshifted(coded: bytes, start: int) -> str:
    if not coded:
        return "&"
    try:
        padded = coded.replace(b",", b"/") + b"=" * (-len(coded) % 4)
        return base64.b64decode(padded, validate=True).decode("utf-16-be")
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError(f"what follows the & at octet {start + 1} is no base64 of UTF-16") from None
