"""The hash of a body (RFC 6376, 3.4.3 and 3.4.4), taken in one pass, block by block.

Nothing of the body is kept: of each block at most its last octets, and how many empty lines
stand at the end so far.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from mta.dkim.header_fields import Canonicalization

_LINES = b"\r\n" * 4096


class BodyHash:
    """The SHA-256 of a body under one canonicalization.

    :param way: the canonicalization.
    :ivar length: octets of the canonical body, once it is finished.
    """

    __slots__ = ("_empty_lines", "_hash", "_held", "_relaxed", "length")

    def __init__(self, way: Canonicalization) -> None:
        self._relaxed = way == "relaxed"
        self._hash = hashlib.sha256()
        # The end of a line that may not be whole yet: at most a space and a CR.
        self._held = b""
        self._empty_lines = 0
        self.length = 0

    def update(self, block: bytes) -> None:
        """Take some octets of the body."""
        data = self._held + block if self._held else block
        self._held = b""
        if data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        if self._relaxed:
            data = self._squeezed(data)
        if not data:
            return
        pairs = _line_ends(data[len(data.rstrip(b"\r\n")) :])
        text = data[: len(data) - 2 * pairs] if pairs else data
        if text:
            self._flush_lines()
            self._put(text)
        self._empty_lines += pairs

    def _squeezed(self, data: bytes) -> bytes:
        """White space within lines as one space, none at their ends; what may be an end is held."""
        text = data.rstrip(b" \t")
        if len(text) < len(data):
            data, self._held = text, b" " + self._held
        if b"\t" in data:
            data = data.replace(b"\t", b" ")
        while b"  " in data:
            data = data.replace(b"  ", b" ")
        return data.replace(b" \r\n", b"\r\n")

    def _flush_lines(self) -> None:
        while self._empty_lines:
            count = min(self._empty_lines, 4096)
            self._put(_LINES[: 2 * count])
            self._empty_lines -= count

    def _put(self, data: bytes) -> None:
        self._hash.update(data)
        self.length += len(data)

    def finish(self) -> bytes:
        """The hash; nothing more comes.

        A body that does not end with CRLF is completed, as a transfer with DATA does.
        """
        held, self._held = self._held, b""
        if held and not (self._relaxed and held == b" "):
            self._flush_lines()
            self._put(held)
            self._empty_lines = 0
        # All empty lines at the end but the end of the last line itself are ignored; of an empty
        # body, "simple" makes one.
        if self.length or not self._relaxed:
            self._put(b"\r\n")
        return self._hash.digest()


def _line_ends(end: bytes) -> int:
    """How many whole line ends stand at the end of what is CR and LF only.

    Those of a binary message may be halves, which are text like any other.
    """
    if not end.endswith(b"\n"):
        return 0
    halves = [1 if end.startswith(b"\n") else 0]
    halves += [at + 2 for at in (end.rfind(b"\n\n"),) if at >= 0]
    halves += [at + 1 for at in (end.rfind(b"\r\r"),) if at >= 0]
    return (len(end) - max(halves)) // 2


class BodyHashes:
    """The hashes of one body under several canonicalizations.

    :param ways: which.
    """

    def __init__(self, ways: Iterable[Canonicalization]) -> None:
        self._hashes = {way: BodyHash(way) for way in ways}

    def update(self, block: bytes) -> None:
        """Take some octets of the body."""
        for one in self._hashes.values():
            one.update(block)

    def finish(self) -> dict[Canonicalization, tuple[bytes, int]]:
        """For each canonicalization the hash, and how many octets it is of."""
        found = {}
        for way, one in self._hashes.items():
            digest = one.finish()
            found[way] = (digest, one.length)
        return found


class ContentReader:
    """Finds the body in the octets of a message, and hands it to hashes.

    :param hashes: what takes the body.
    :param header_size: octets of the header section that are kept.
    :ivar header: the header section, with its last CRLF; as much of it as is kept.
    """

    __slots__ = ("_hashes", "_header_size", "_in_body", "_tail", "header")

    def __init__(self, hashes: BodyHashes, header_size: int) -> None:
        self._hashes = hashes
        self._header_size = header_size
        self._in_body = False
        self._tail = b""
        self.header = b""

    @property
    def is_whole(self) -> bool:
        """Whether all of the header section was kept."""
        return len(self.header) <= self._header_size

    def update(self, block: bytes) -> None:
        """Take some octets of the message."""
        if self._in_body:
            self._hashes.update(block)
            return
        data = self._tail + block
        if not self.header and data.startswith(b"\r\n"):
            end = 0
        else:
            found = data.find(b"\r\n\r\n")
            end = found + 2 if found >= 0 else -1
        if end < 0:
            # The last three octets may be the beginning of what ends it.
            cut = max(len(data) - 3, 0)
            self._keep(data[:cut])
            self._tail = data[cut:]
            return
        self._keep(data[:end])
        self._tail = b""
        self._in_body = True
        if len(data) > end + 2:
            self._hashes.update(data[end + 2 :])

    def digests(self) -> dict[Canonicalization, tuple[bytes, int]]:
        """See :meth:`BodyHashes.finish`; nothing more comes."""
        if not self._in_body:
            self._keep(self._tail)
            self._tail = b""
        return self._hashes.finish()

    def _keep(self, data: bytes) -> None:
        if len(self.header) <= self._header_size:
            self.header += data[: self._header_size + 1 - len(self.header)]
