"""What FETCH can be asked for."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.imap.arguments import Arguments
from mta.imap.fetch_item import FetchItem, Section, parse
from mta.imap.refusal import Bad


def read(text: bytes, *more: bytes) -> tuple[FetchItem, ...]:
    arguments = Arguments((text, *more))
    found = parse(arguments)
    arguments.end()
    return found


class FetchItemTests(SynchronousTestCase):
    """See the module."""

    def test_words(self) -> None:
        self.assertEqual(["FLAGS", "UID"], [one.name for one in read(b"(flags uid FLAGS)")])
        self.assertEqual(
            ["FLAGS", "INTERNALDATE", "RFC822.SIZE", "ENVELOPE"], [one.name for one in read(b"all")]
        )
        self.assertEqual(
            [True, False, False], [one.peek for one in read(b"(RFC822.HEADER RFC822 RFC822.TEXT)")]
        )

    def test_sections(self) -> None:
        (item,) = read(b"body.peek[1.2.header.fields (Date {4}", b"F)oo", b")]<5.10>")
        self.assertEqual(Section((1, 2), "HEADER.FIELDS", (b"Date", b"F)oo")), item.section)
        self.assertEqual(((5, 10), True), (item.partial, item.peek))
        self.assertEqual(b'BODY[1.2.HEADER.FIELDS (Date "F)oo")]<5>', item.label)
        (item,) = read(b"BODY[]")
        self.assertEqual(("BODY[]", Section(), False), (item.name, item.section, item.peek))
        self.assertEqual(b"BODY[3.MIME]", read(b"BODY[3.MIME]")[0].label)
        self.assertEqual("BINARY.SIZE[]", read(b"BINARY.SIZE[1]")[0].name)

    def test_wrong(self) -> None:
        for text in (
            b"",
            b"()",
            b"FOO",
            b"(FLAGS",
            b"(FLAGS  UID)",
            b"(ALL FLAGS)",
            b"BODY[",
            b"BODY[0]",
            b"BODY[1.]",
            b"BODY[MIME]",
            b"BODY[HEADER.FIELDS ()]",
            b"BODY[TEXT]<0.0>",
            b"BODY[TEXT]<1>",
            b"BINARY[TEXT]",
            b"BODY[" + b"1." * 200 + b"1]",
        ):
            self.assertRaises(Bad, read, text)
