"""A message's octets as protocols send them: lines ended by CRLF, dots doubled, a block at a time.

Files have LF, or CRLF, or both; a message can have any size, and only a block of it is in memory.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator

#: Octets that are read at once.
BLOCK = 64 * 1024


def open_file(path: bytes, directory: int | None = None) -> int:
    """Open a message.

    :param directory: descriptor of the one that ``path`` is below.
    :raise OSError: if it cannot be opened, or is no plain file: a link may lead anywhere, and who
        opens a pipe waits.
    """
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "no plain file", path)
    return file


def beginning_of(path: bytes, most: int) -> bytes:
    """The first octets of a small file beside messages; nothing if it is not there, or is none to be read.

    :param most: octets.
    """
    try:
        file = open_file(path)
    except OSError:
        return b""
    try:
        return os.read(file, most)
    except OSError:
        return b""
    finally:
        os.close(file)


def whole_of(path: bytes, most: int) -> bytes:
    """All of a file beside messages.

    :param most: octets.
    :raise OSError: if it is not there, cannot be read, is no plain file, or is larger than that.
    """
    file = open_file(path)
    try:
        if os.fstat(file).st_size > most:
            raise OSError(errno.EFBIG, f"larger than {most} octets", path)
        return b"".join(blocks(file))
    finally:
        os.close(file)


def blocks(file: int) -> Iterator[bytes]:
    """What is in a file."""
    while block := os.read(file, BLOCK):
        yield block


class Lines:
    """Turns blocks of a file into blocks with CRLF at each line's end.

    :param stuffed: whether a dot that begins a line is doubled (RFC 1939, 3).
    """

    def __init__(self, stuffed: bool = False) -> None:
        self._stuffed = stuffed
        self._held = b""
        self._begins = True

    def feed(self, block: bytes) -> bytes:
        """The next octets."""
        if self._held:
            block = self._held + block
            self._held = b""
        if block.endswith(b"\r"):
            # Whether a LF follows decides what it is.
            self._held, block = b"\r", block[:-1]
        return self._turn(block)

    def _turn(self, block: bytes) -> bytes:
        if not block:
            return b""
        dotted = self._stuffed and self._begins and block.startswith(b".")
        self._begins = block.endswith(b"\n")
        block = block.replace(b"\r\n", b"\n")
        if self._stuffed:
            block = block.replace(b"\n.", b"\n..")
        block = block.replace(b"\n", b"\r\n")
        return b"." + block if dotted else block

    def rest(self) -> bytes:
        """What is left."""
        held, self._held = self._held, b""
        return self._turn(held) if held else b""

    def end(self) -> bytes:
        """What is left, with an end for a last line that has none."""
        rest = self.rest()
        if not self._begins:
            rest += b"\r\n"
            self._begins = True
        return rest


class Top:
    """Cuts a file's blocks after the header section and so many lines (TOP of POP3).

    :param lines: of the body.
    :ivar over: whether nothing more is wanted.
    """

    def __init__(self, lines: int) -> None:
        self._left = lines
        self._in_body = False
        self._line = b""
        self.over = False

    def feed(self, block: bytes) -> bytes:
        """As much of a block as is wanted."""
        place = 0
        if not self._in_body:
            place = self._header(block)
            if place < 0:
                return block
        while self._left > 0:
            end = block.find(b"\n", place)
            if end < 0:
                return block
            place = end + 1
            self._left -= 1
        self.over = True
        return block[:place]

    def _header(self, block: bytes) -> int:
        """Where the body begins, or -1: not in this block."""
        # Only whether a line is empty matters, so what is kept of one is its first two octets.
        place = 0
        while True:
            end = block.find(b"\n", place)
            if end < 0:
                self._line = (self._line + block[place : place + 2])[:2]
                return -1
            line = (self._line + block[place : min(end, place + 2)])[:2]
            self._line = b""
            place = end + 1
            if line in (b"", b"\r"):
                self._in_body = True
                return place


def virtual_size(file: int) -> int:
    """The octets with CRLF at each line's end.

    :raise OSError: if it cannot be read.
    """
    size = 0
    lines = Lines()
    for block in blocks(file):
        size += len(lines.feed(block))
    return size + len(lines.end())
