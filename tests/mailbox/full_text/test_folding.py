"""Text as it is compared."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox.full_text.folding import base64_decoded, decoded, fold, fold_wanted, unfolded


class FoldingTests(SynchronousTestCase):
    """See the module."""

    def test_space(self) -> None:
        self.assertEqual("a b c", fold("  A\r\n\t b\x00c "))

    def test_case_and_accents(self) -> None:
        self.assertEqual(fold("STRASSE"), fold("Straße"))
        self.assertEqual(fold("CAFÉ"), fold("cafe\u0301"))
        self.assertIn(fold("cafe"), fold("Café"), "RFC 5051: the accent comes after its letter")
        self.assertNotIn(fold("café"), fold("cafe"))

    def test_unseen(self) -> None:
        self.assertEqual("invisible", fold("in\u00advis\u200bible"))

    def test_half_pairs(self) -> None:
        """What SQLite would not take."""
        fold("\ud800x").encode()

    def test_wanted(self) -> None:
        self.assertEqual(" foo bar ", fold_wanted(" Foo  Bar\t"))
        self.assertEqual(" ", fold_wanted("   "))
        self.assertEqual("", fold_wanted(""))

    def test_charsets(self) -> None:
        self.assertEqual("ü", decoded(b"\xc3\xbc", "us-ascii"), "who says ASCII mostly writes UTF-8")
        self.assertEqual("ü", decoded(b"\xfc", ""))
        self.assertEqual("ü", decoded(b"\xfc", "ISO-8859-1"))
        self.assertEqual("ж", decoded(b"\xd6", "koi8-r"))
        for name in ("idna", "zip", "rot13", "undefined", "\x00", "x" * 99, "unicode_escape"):
            self.assertEqual("a\\n", decoded(b"a\\n", name), name)

    def test_encoded_words(self) -> None:
        self.assertEqual("Grüße", unfolded(b"=?UTF-8?Q?Gr=C3=BC?=\n =?utf-8?b?w59l?="))
        self.assertEqual("ü", unfolded(b"=?utf-8?q?=C3?= =?utf-8?q?=BC?="), "cut within a character")
        self.assertEqual("a ü b", unfolded(b"a =?iso-8859-1*de?q?=FC?= b"))
        self.assertEqual("=?nowhere?q?x?= y", unfolded(b"=?nowhere?q?x?= y"))
        self.assertEqual("=?utf-8?q?unended", unfolded(b"=?utf-8?q?unended"))

    def test_base64(self) -> None:
        self.assertEqual(b"abc", base64_decoded(b"YW\r\nJ j"))
        self.assertEqual(b"aa", base64_decoded(b"YQ==YQ=="))
        self.assertEqual(b"abc", base64_decoded(b"YWJjZ"), "the rest is lost, not all of it")
        self.assertEqual(b"", base64_decoded(b"===="))
