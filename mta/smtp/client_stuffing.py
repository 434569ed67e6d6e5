"""Content on its way out: dots doubled for DATA, and what it demands of the next server."""

from __future__ import annotations

from mta.model.header import header_section
from mta.model.message import Content

#: Octets in which the header section must end; what follows counts as content.
_HEADER = 1 << 20


class DotStuffer:
    """Doubles the dot at the start of each line (RFC 5321, 4.5.2), over blocks.

    A dot after a bare LF is doubled too.  Such a line end must not occur here,
    but a server that took it for one would otherwise find the end of the message
    where its author wants it (SMTP smuggling).
    """

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last = b"\r\n"

    def stuff(self, block: bytes) -> bytes:
        """The next block, of any size, as it goes to the network."""
        if not block:
            return block
        first = b"." if block[0] == 46 and self._last.endswith(b"\n") else b""
        self._last = block[-2:] if len(block) > 1 else self._last[-1:] + block
        # Base64 has no dot at all, and one octet is found ten times as fast as two.
        if b"." in block:
            block = block.replace(b"\n.", b"\n..")
        return first + block if first else block

    def end(self) -> bytes:
        """What ends the message: the dot on a line of its own."""
        return b".\r\n" if self._last == b"\r\n" else b"\r\n.\r\n"


def stuffed(head: bytes, body: bytes) -> bytes:
    """A whole message as DATA sends it, its end included."""
    data = (head + body).replace(b"\n.", b"\n..")
    if data.startswith(b"."):
        data = b"." + data
    if data.endswith(b"\r\n") or not data:
        return data + b".\r\n"
    return data + b"\r\n.\r\n"


def examine(content: Content) -> tuple[bool, bool]:
    """Read content for octets above 127.  May read a file: not in the reactor thread.

    :return: whether there are any, and whether there are any in the header section.
    """
    start = b""
    in_header = True
    in_all = in_head = False
    for block in content.blocks():
        if in_header:
            start += block
            header = header_section(start)
            in_head = not header.isascii()
            # Without the empty line the header section goes on in the next block.
            in_header = len(header) == len(start) < _HEADER and not start.startswith(b"\r\n") and not in_head
        in_all = in_all or not block.isascii()
        if in_all and not in_header:
            break
    return in_all, in_head
