"""Tag lists as the standard has them, and as strangers write them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.dkim.tags import TagError, parse_tags, without_folds


class TagTests(SynchronousTestCase):
    """RFC 6376, 3.2."""

    def test_good(self) -> None:
        for text, tags in (
            (b"", {}),
            (b" \r\n ", {}),
            (b"a=b", {"a": "b"}),
            (b" a = b ; c=;d =\r\n\t e f ;", {"a": "b", "c": "", "d": "e f"}),
            (b"a=b=c;A=1; x_9=", {"a": "b=c", "A": "1", "x_9": ""}),
            ("n=été".encode(), {"n": "été"}),
            (b"h=from :\r\n to", {"h": "from :\r\n to"}),
        ):
            self.assertEqual(tags, parse_tags(text), text)

    def test_bad(self) -> None:
        for text in (
            b"a",
            b"a;b=c",
            b"=b",
            b"9a=b",
            b"a b=c",
            b"a=b;;c=d",
            b";",
            b"a=1;a=2",
            b"a=\xff",
            b"a=\0",
            b"a-b=c",
            b"a=\x7f",
        ):
            with self.assertRaises(TagError, msg=text):
                parse_tags(text)

    def test_without_folds(self) -> None:
        self.assertEqual("abc", without_folds("a\r\n b\t c "))
