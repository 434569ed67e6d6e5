"""Modified UTF-7 (RFC 3501, 5.1.3)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from mta.model.utf7 import decode, encode


class Utf7Tests(SynchronousTestCase):
    """There and back, and nothing else."""

    def test_pairs(self) -> None:
        for text, octets in (
            ("~peter/mail/台北/日本語", b"~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("Hi Mom -☺-!", b"Hi Mom -&Jjo--!"),
            ("a&b", b"a&-b"),
            ("", b""),
        ):
            self.assertEqual(octets, encode(text))
            self.assertEqual(text, decode(octets))

    def test_wrong(self) -> None:
        """RFC 3501 names the first two."""
        for octets in (
            b"Hi Mom -&Jjo-&Jjo-",
            b"&AGE-",
            b"&",
            b"&x",
            b"&*-",
            b"&2D0-",
            b"&Jj-",
            b"\xc3\xbc",
            b"&Jjo=-",
            b"a\n",
        ):
            self.assertRaises(ValueError, decode, octets)
        self.assertRaises(UnicodeEncodeError, encode, "\ud800")

    @given(some.text(some.characters(exclude_categories=("Cs",)), max_size=40))
    def test_any(self, text: str) -> None:
        octets = encode(text)
        self.assertTrue(octets.isascii() and not set(octets) & set(range(32)))
        self.assertEqual(text, decode(octets))

    @given(some.binary(max_size=20))
    def test_one_way(self, octets: bytes) -> None:
        """What is taken is what would be written."""
        try:
            text = decode(octets)
        except ValueError:
            return
        self.assertEqual(octets, encode(text))
