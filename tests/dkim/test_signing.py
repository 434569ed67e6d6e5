"""What our signatures look like, and what they cover."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.dkim.header_fields import HeaderField, HeaderFields, split_fields
from mta.dkim.signing import Manner, signature_fields
from tests.dkim.test_verification import HEADER, KEYS, NOW, outcomes, signed, verified


class HeaderFieldTests(SynchronousTestCase):
    """RFC 6376, 3.4.1, 3.4.2 and 5.4.2."""

    def test_example(self) -> None:
        """3.4.5."""
        fields = split_fields(b"A: X\r\nB : Y\t\r\n\tZ  \r\n")
        self.assertEqual([b"a:X", b"b:Y Z"], [field.canonical("relaxed") for field in fields])
        self.assertEqual([b"A: X", b"B : Y\t\r\n\tZ  "], [field.canonical("simple") for field in fields])

    def test_split(self) -> None:
        """What is no field is passed over; what is folded stays together."""
        fields = split_fields(b"a:1\r\nrubbish\r\n b:2\r\nC\t:\r\n 3\r\n\td:4\r\n")
        self.assertEqual(["a", "rubbish\r\n b", "c"], [field.name for field in fields])
        self.assertEqual([], split_fields(b""))

    def test_bottom_up(self) -> None:
        fields = split_fields(b"a:1\r\nb:2\r\nA:3\r\n")
        chosen = HeaderFields(fields).select(("a", "c", "a", "a", "b"))
        self.assertEqual([b"A:3", b"a:1", b"b:2"], [field.raw for field in chosen])

    def test_own_field(self) -> None:
        """A signature is not among those that it names."""
        fields = split_fields(b"X: 1\r\nX: 2\r\nX: 3\r\n")
        for own, expected in ((0, "3 2"), (1, "3 1"), (2, "2 1")):
            chosen = HeaderFields(fields).select(["x"] * 5, fields[own])
            self.assertEqual(expected, " ".join(field.value.decode().strip() for field in chosen))

    def test_unsigned(self) -> None:
        """The value of b= goes, and nothing else."""
        for before, after in (
            (b"X: v=1; b=abc\r\n def; bh=b=1", b"X: v=1; b=; bh=b=1"),
            (b"X: b = abc", b"X: b ="),
            (b"X:bb=1;\r\n b\r\n =2;d=b=3", b"X:bb=1;\r\n b\r\n =;d=b=3"),
        ):
            self.assertEqual(after, HeaderField("x", before).unsigned().raw)


class SigningTests(SynchronousTestCase):
    """DKIM-Signature fields."""

    def test_names(self) -> None:
        """Every occurrence of a field, from the bottom up, and those that none may be added to."""
        how = Manner("relaxed", "relaxed", frozenset(("from", "to", "list-id")), ("from", "to", "reply-to"))
        fields = split_fields(b"From: a\r\nX: y\r\nTO: b\r\nTo: c\r\n")
        self.assertEqual(["to", "to", "from", "from", "to", "reply-to"], how.names(fields))

    def test_lines(self) -> None:
        """No line is longer than it should be (RFC 5322, 2.1.1), whatever is signed."""
        names = [f"x-{'long' * (number % 5)}-{number}" for number in range(60)]
        header = b"".join(f"{name}: 1\r\n".encode() for name in names) + HEADER
        how = Manner("relaxed", "relaxed", frozenset((*names, "from")), ("from",), 86400)
        whole = signed(how, header=header)
        made = whole[: -len(header)]
        self.assertLessEqual(max(map(len, made.split(b"\r\n"))), 78)
        self.assertEqual(["pass", "pass"], outcomes(verified(whole)))
        self.assertIn(b"x=1800086400;", made)

    def test_same_again(self) -> None:
        """What is signed again is signed alike: both algorithms leave nothing to chance."""
        self.assertEqual(signed(), signed())

    def test_one_for_each_key(self) -> None:
        how = Manner("simple", "relaxed", frozenset(("from",)), ())
        made = signature_fields(split_fields(HEADER), b"x" * 32, KEYS, how, NOW)
        self.assertEqual(2, made.count(b"DKIM-Signature: v=1; a="))
        self.assertEqual(2, made.count(b"c=simple/relaxed;"))
        self.assertTrue(made.endswith(b"\r\n"))
        self.assertNotIn(b"l=", made.replace(b"rel", b""))
        self.assertEqual(b"", signature_fields(split_fields(HEADER), b"", (), how, NOW))
