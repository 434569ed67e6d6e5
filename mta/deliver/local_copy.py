"""What a message looks like at its final place: the fields on top, and the ends of its lines.

At final delivery Return-Path comes first (RFC 5321, 4.4), then Delivered-To, by which a
message that comes back to the same mailbox is known.  Lines end with LF, as every reader of
Maildirs and every program on Unix expects; only BINARYMIME content is left as it was sent.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator

from mta.model.message import Content

_DELIVERED_TO = re.compile(rb"^delivered-to[ \t]*:[ \t]*([^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")


def top_fields(sender: str, address: str) -> bytes:
    """Return-Path and Delivered-To, each ended by CRLF.

    :param sender: the reverse-path; ``""`` for the null one.
    :param address: the recipient.
    """
    if not sender.isprintable():
        sender = _UNSAFE.sub("?", sender)
    if not address.isprintable():
        address = _UNSAFE.sub("?", address)
    return f"Return-Path: <{sender}>\r\nDelivered-To: {address}\r\n".encode("utf-8", "surrogateescape")


def whole_content(content: Content) -> Iterator[bytes]:
    """The blocks of queued content.

    :raise OSError: if it is not as long as the queue says: half a message is none.
    """
    read = 0
    for block in content.blocks():
        read += len(block)
        yield block
    if read != content.size:
        raise OSError(errno.EIO, f"the queued content has {read} octets instead of {content.size}")


def has_been_at(start: bytes, address: str) -> bool:
    """Whether the message was delivered to this address before: a loop.

    :param start: the message, or enough of its start to hold the header section.
    :param address: whom it is to be delivered to now; case does not matter.
    """
    end = start.find(b"\r\n\r\n")
    header = start if end < 0 else start[:end]
    # Nearly no message has one, and this is much quicker than the pattern.
    if b"delivered-to" not in header.lower():
        return False
    wanted = address.lower().encode("utf-8", "surrogateescape")
    return any(match[1].strip().lower() == wanted for match in _DELIVERED_TO.finditer(header))


def with_lf(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """The same octets with CRLF made LF, wherever a block ends."""
    rest = b""
    for block in blocks:
        if rest:
            block = rest + block
            rest = b""
        if block.endswith(b"\r"):
            rest = b"\r"
            block = block[:-1]
        yield block.replace(b"\r\n", b"\n")
    if rest:
        yield rest


def excess(block: bytes) -> int:
    """How many octets longer the block is with every line ended by CRLF."""
    return block.count(b"\n") - block.count(b"\r\n")
