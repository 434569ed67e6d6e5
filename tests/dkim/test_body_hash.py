"""Bodies under both canonicalizations, whole and in pieces, against a plain reading of the standard."""

from __future__ import annotations

import base64
import hashlib
import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.dkim.body_hash import BodyHash, BodyHashes, ContentReader
from mta.dkim.header_fields import Canonicalization

BOUNDED = settings(max_examples=400)
PIECES = st.lists(
    st.sampled_from(
        [b"\r\n", b"\r\n\r\n", b"\r", b"\n", b" ", b"\t", b"   ", b"a", b"b c", b" \r\n", b"\t\r"]
    ),
    max_size=25,
)


def canonical(body: bytes, way: str) -> bytes:
    """RFC 6376, 3.4.3 and 3.4.4, to the letter."""
    lines = body.split(b"\r\n")
    if way == "relaxed":
        lines = [re.sub(rb"[ \t]+", b" ", line).rstrip(b" \t") for line in lines]
    while lines and not lines[-1]:
        lines.pop()
    if not lines:
        return b"\r\n" if way == "simple" else b""
    return b"\r\n".join(lines) + b"\r\n"


def hashed(pieces: list[bytes], way: Canonicalization) -> tuple[bytes, int]:
    one = BodyHash(way)
    for piece in pieces:
        one.update(piece)
    digest = one.finish()
    return digest, one.length


class BodyHashTests(SynchronousTestCase):
    """Both canonicalizations."""

    def same(self, pieces: list[bytes], way: Canonicalization) -> None:
        expected = canonical(b"".join(pieces), way)
        self.assertEqual((hashlib.sha256(expected).digest(), len(expected)), hashed(pieces, way), pieces)

    def test_example(self) -> None:
        """RFC 6376, 3.4.5."""
        body = b" C \r\nD \t E\r\n\r\n\r\n"
        self.assertEqual(b" C\r\nD E\r\n", canonical(body, "relaxed"))
        self.assertEqual(b" C \r\nD \t E\r\n", canonical(body, "simple"))
        for way in ("relaxed", "simple"):
            self.same([body], way)  # type: ignore[arg-type]

    def test_empty(self) -> None:
        """An empty body, and one of empty lines only; the hashes stand in RFC 6376, 3.4.3 and 3.4.4."""
        simple = "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY="
        relaxed = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        for body in (b"", b"\r\n", b"\r\n\r\n"):
            self.assertEqual(simple, base64.b64encode(hashed([body], "simple")[0]).decode())
            self.assertEqual(relaxed, base64.b64encode(hashed([body], "relaxed")[0]).decode())

    @BOUNDED
    @given(PIECES)
    def test_any_pieces(self, pieces: list[bytes]) -> None:
        """However it is cut, and whatever stands in it."""
        for way in ("relaxed", "simple"):
            self.same(pieces, way)  # type: ignore[arg-type]
            octets = b"".join(pieces)
            self.same([octets[i : i + 1] for i in range(len(octets))], way)  # type: ignore[arg-type]

    def test_nothing_grows(self) -> None:
        """Lines, blanks and half line ends without end are not kept."""
        for block in (b"\r\n" * 5000, b" " * 10000, b"\t\t", b"\n\r" * 5000, b"\r", b" \r\n" * 3000):
            for way in ("relaxed", "simple"):
                one = BodyHash(way)  # type: ignore[arg-type]
                for _ in range(50):
                    one.update(block)
                self.assertLess(len(one._held), 3)
                one.finish()
                self.same([block] * 50 + [b"x"], way)  # type: ignore[arg-type]


class ContentReaderTests(SynchronousTestCase):
    """Where the header section ends."""

    @BOUNDED
    @given(
        st.sampled_from([b"", b"A: b\r\n", b"A: b\r\nC: d\r\n e\r\n", b"rubbish", b"\r", b"A: b"]),
        st.sampled_from([None, b"", b"hello\r\n", b"\r\n\r\nx\r\n", b"\r\n"]),
        st.integers(1, 9),
    )
    def test_any_pieces(self, header: bytes, body: bytes | None, size: int) -> None:
        whole = header if body is None else header + b"\r\n" + body
        if body is None or (header and not header.endswith(b"\r\n")):
            end = whole.find(b"\r\n\r\n")
            header, body = (whole, b"") if end < 0 else (whole[: end + 2], whole[end + 4 :])
            if whole.startswith(b"\r\n"):
                header, body = b"", whole[2:]
        reader = ContentReader(BodyHashes(("simple", "relaxed")), 1000)
        for start in range(0, len(whole), size):
            reader.update(whole[start : start + size])
        found = reader.digests()
        self.assertEqual(header, reader.header)
        for way in ("relaxed", "simple"):
            expected = hashlib.sha256(canonical(body, way)).digest()
            self.assertEqual(expected, found[way][0])  # type: ignore[index]

    def test_header_without_end(self) -> None:
        """No more is kept than is wanted."""
        reader = ContentReader(BodyHashes(("relaxed",)), 100)
        for _ in range(1000):
            reader.update(b"X: y\r\n")
        self.assertFalse(reader.is_whole)
        self.assertEqual(101, len(reader.header))
