"""The parts of a report: the standard library's parser, and what it leaves to do; pure."""

from __future__ import annotations

import binascii
import quopri
import re
from collections.abc import Iterator
from contextlib import suppress
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import Message
from email.parser import BytesParser, Parser
from email.policy import compat32
from typing import Any

_PARSER = BytesParser(policy=compat32)
_FIELDS = Parser(policy=compat32)
_COMMENT = re.compile(r"\([^()]*\)")
_ADDRESS = re.compile(r"<([^<>\s]*@[^<>\s]+)>|([^<>\s\"',;:()]+@[^<>\s\"',;:()]+)")
_QUOTED = re.compile(r"(\"(?:[^\"\\]|\\.)+\"@[^<>\s]+)")
#: The longest address (RFC 5321, 4.5.3.1.3) with room for what is wrong with it.
_LONGEST = 320


def parse(octets: bytes) -> Message[str, str]:
    """A message, however broken."""
    return _PARSER.parsebytes(octets)


def parts(message: Message[str, str], deepest: int = 4) -> Iterator[Message[str, str]]:
    """The message's own parts: what is inside a returned message is not one of them."""
    yield message
    payload = message.get_payload()
    if deepest and message.get_content_maintype() == "multipart" and isinstance(payload, list):
        for part in payload:
            yield from parts(part, deepest - 1)  # type: ignore[arg-type]


def content(part: Message[str, str]) -> bytes:
    """The octets of a part, its transfer encoding undone; of ``message/*`` as well.

    The parser takes those apart before anybody could undo their encoding.
    """
    payload: Any = part.get_payload()
    if not isinstance(payload, list):
        found = part.get_payload(decode=True)
        return found if isinstance(found, bytes) else b""
    octets = b"\n".join(_flat(inner) for inner in payload)
    encoding = str(part.get("Content-Transfer-Encoding", "")).strip().lower()
    if encoding == "base64":
        try:
            return binascii.a2b_base64(octets)
        except binascii.Error:
            return octets
    return quopri.decodestring(octets) if encoding == "quoted-printable" else octets


def _flat(message: Message[str, str]) -> bytes:
    try:
        return message.as_bytes()
    except Exception:
        # The generator of the library fails with some broken charsets.
        head = "".join(f"{name}: {value}\n" for name, value in message.items())
        body = message.get_payload()
        return f"{head}\n{body if isinstance(body, str) else ''}".encode("utf-8", "replace")


def blocks(octets: bytes) -> list[Message[str, str]]:
    """Groups of fields, separated by empty lines (RFC 3464, 2.1)."""
    text = octets.replace(b"\r\n", b"\n").strip(b"\n")
    found = (block for block in re.split(rb"\n[ \t]*\n+", text) if block.strip())
    # As text, because the parser of octets gives up what is not ASCII.
    return [_FIELDS.parsestr(block.decode("utf-8", "replace"), headersonly=True) for block in found]


def words(value: Any, limit: int = 1000) -> str:
    """A field's value as a person reads it, on one line."""
    text = str(value or "")[: 4 * limit]
    with suppress(HeaderParseError, LookupError, ValueError):
        text = str(make_header(decode_header(text)))
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:limit]


def typed(value: Any, limit: int = 1000) -> str:
    """The value behind the type of ``rfc822; ann@far.example``, or all of it where there is no type."""
    text = words(value, limit)
    kind, semicolon, rest = text.partition(";")
    return rest.strip() if semicolon and re.fullmatch(r"[\w\-.]+\s*", kind) else text


def address(value: Any) -> str:
    """The address in a field such as ``rfc822; <ann@far.example> (Ann)``; ``""`` if there is none."""
    text = typed(value)
    if match := _QUOTED.search(text):
        return match[1][:_LONGEST]
    match = _ADDRESS.search(_COMMENT.sub(" ", text)) or _ADDRESS.search(text)
    return (match[1] or match[2]).rstrip(".")[:_LONGEST] if match else ""
