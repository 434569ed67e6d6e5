"""What SEARCH and SORT ask for."""

from __future__ import annotations

from datetime import date

from twisted.trial.unittest import SynchronousTestCase

from mta.imap import search_key
from mta.imap.arguments import Arguments
from mta.imap.refusal import Bad
from mta.imap.search_command import Criterion, Returned, Search, parse_search, parse_sort
from mta.imap.search_key import (
    Aged,
    All,
    And,
    BadCharset,
    Changed,
    Dated,
    Flagged,
    Header,
    Key,
    Keyword,
    Not,
    Numbered,
    Or,
    Sized,
    Text,
)
from mta.imap.sequence_set import SequenceSet
from mta.mailbox.file_name import SEEN


def key(text: bytes, *more: bytes) -> Key:
    return parse_search(Arguments((text, *more))).key


class SearchCommandTests(SynchronousTestCase):
    """See the module."""

    def test_keys(self) -> None:
        for text, wanted in (
            (b"all", All()),
            (b"UNSEEN", Not(Flagged(SEEN))),
            (b"1:3,5", Numbered(SequenceSet.parse(b"1:3,5"), False)),
            (b"UID 7:*", Numbered(SequenceSet.parse(b"7:*"), True)),
            (b"$", Numbered(None, True)),
            (b"KEYWORD $Junk", Keyword("$Junk")),
            (b'SUBJECT "a b"', Header("subject", "a b")),
            (b"header X-Foo {0}", Header("x-foo", "")),
            (b"SINCE 1-Feb-2024", Dated(False, date(2024, 2, 1), None)),
            (b'SENTON "28-feb-2024"', Dated(True, date(2024, 2, 28), date(2024, 2, 29))),
            (b"LARGER 10", Sized(10, None)),
            (b'MODSEQ "/flags/\\\\draft" all 620', Changed(620)),
            (b"YOUNGER 60", Aged(60, True)),
            (b"OR SEEN (ALL NOT SEEN)", Or((Flagged(SEEN), And((All(), Not(Flagged(SEEN))))))),
        ):
            more = (b"", b"") if text.endswith(b"}") else ()
            self.assertEqual(wanted, key(text, *more), text)

    def test_texts(self) -> None:
        self.assertEqual(Text("Größe"), key(b"CHARSET UTF-8 TEXT {7}", "Größe".encode(), b""))
        self.assertEqual(Text("é"), key(b"CHARSET iso-8859-1 TEXT \xe9"))
        self.assertRaises(BadCharset, key, b"CHARSET rot13 TEXT a")
        self.assertRaises(BadCharset, key, b"CHARSET base64 TEXT a")

    def test_wrong(self) -> None:
        for text in (
            b"",
            b"FOO",
            b"(ALL",
            b"ALL)",
            b"NOT",
            b"OR ALL",
            b"SINCE 30-Feb-2024",
            b"LARGER x",
            b"UID x",
            b"ALL  SEEN",
            b"OLDER 0",
            b"TEXT \xff",
            b"NOT " * 150 + b"ALL",
            b"ALL " * 600 + b"ALL",
            b"RETURN (FOO) ALL",
            b"RETURN (ALL PARTIAL 1:2) ALL",
            b"RETURN (PARTIAL 1:-2) ALL",
        ):
            self.assertRaises(Bad, key, text)

    def test_returned(self) -> None:
        found = parse_search(Arguments((b"RETURN () ALL",)))
        self.assertEqual(Search(All(), Returned(frozenset({"ALL"}))), found)
        found = parse_search(Arguments((b"return (min COUNT PARTIAL -100:-1) ALL",)))
        self.assertEqual(Returned(frozenset({"MIN", "COUNT"}), (-1, -100)), found.returned)

    def test_sort(self) -> None:
        found = parse_sort(Arguments((b"RETURN (ALL) (REVERSE date SUBJECT) UTF-8 ALL",)))
        self.assertEqual((Criterion("DATE", True), Criterion("SUBJECT")), found.criteria)
        for text in (b"(FOO) UTF-8 ALL", b"(DATE) ALL", b"DATE UTF-8 ALL", b"() UTF-8 ALL"):
            self.assertRaises((Bad, BadCharset), parse_sort, Arguments((text,)))  # type: ignore[arg-type]

    def test_no_charset_with_utf8(self) -> None:
        self.assertRaises(Bad, parse_search, Arguments((b"CHARSET UTF-8 ALL",)), True)
        self.assertEqual(search_key.All(), parse_search(Arguments((b"ALL",)), True).key)
