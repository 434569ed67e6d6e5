"""What messages say, as it is searched."""

from __future__ import annotations

import os
import time
from email.message import EmailMessage
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox.full_text import markup, text
from mta.mailbox.full_text import parts as text_parts
from mta.mailbox.full_text.parts import Source, content_type
from mta.mailbox.full_text.text import Text, header_values, read, when

_PIECES = [
    *(b"Content-Type: ", b"multipart/mixed", b"; boundary=b", b"\n", b"\r\n", b"--b", b"--", b"text/html"),
    *(b"message/rfc822", b"Content-Transfer-Encoding: ", b"base64", b"=?utf-8?q?", b"?=", b"<p", b"\xff"),
    *(b"Date: ", b"From: ", b'"', b"<", b"@", b"\x00", b"; charset=utf-16", b"; charset=utf-7"),
]


def said(octets: bytes) -> Text:
    """What a message says."""
    return read(Source(octets))


class TextTests(SynchronousTestCase):
    """See the module."""

    def test_plain(self) -> None:
        found = said(
            b"From: =?utf-8?q?J=C3=BCrgen?= <J.Gross@Example.org>\r\n"
            b"To: Friends: a@b.example, c@d.example;\r\n"
            b"Subject: Re: [x] Hello\r\n\tWorld\r\nDate: Thu, 26 Nov 2026 23:30:00 -0500\r\n"
            b"DKIM-Signature: b=c2VjcmV0\r\n\r\nLine one\r\nline two\r\n"
        )
        self.assertIn("subject: re: [x] hello world\n", found.header)
        self.assertNotIn("c2vjcmv0", found.header)
        self.assertEqual("line one line two\n", found.body)
        self.assertEqual("hello world", found.base)
        self.assertEqual(("j.gross", "friends", ""), found.boxes)
        self.assertEqual("ju\u0308rgen", found.names[0])
        self.assertEqual(when("Thu, 26 Nov 2026 00:00:00 +0000")[1], found.day, "the day that is written")
        self.assertEqual(1795753800, found.sent)

    def test_parts(self) -> None:
        message = EmailMessage()
        message["Subject"] = "x"
        message.set_content("Straße in plain text")
        message.add_alternative(
            "<html><style>p{color:red}</style><body><p>Straße in plain&nbsp;text</p>"
            "<p>only <b>in</b>side <i>HTML</i></p><img alt='a picture'></body></html>",
            subtype="html",
        )
        message.add_attachment(b"\x00" * 100, maintype="application", subtype="pdf", filename="März.pdf")
        forwarded = EmailMessage()
        forwarded["Subject"] = "=?utf-8?q?forw=C3=A4rts?="
        forwarded.set_content("deep\n", cte="base64")
        message.add_attachment(forwarded)
        body = said(bytes(message)).body
        self.assertEqual(1, body.count("strasse in plain text"), "what HTML says again is kept once")
        for words in ("only inside html", "a picture", "ma\u0308rz.pdf", "subject: forwa\u0308rts", "deep"):
            self.assertIn(words, body)
        self.assertNotIn("color", body)
        self.assertNotIn("<p>", body)

    def test_encodings(self) -> None:
        for encoding, content in (
            (b"base64", b"R3L8\r\n3w=="),
            (b"Quoted-Printable", b"Gr=FC=\r\n=DF"),
            (b"8bit", b"Gr\xfc\xdf"),
            (b"x-unknown", b"Gr\xfc\xdf"),
        ):
            octets = (
                (b'Content-Type: text/plain; charset="iso-8859-1"\r\nContent-Transfer-Encoding: ' + encoding)
                + b"\r\n\r\n"
                + content
            )
            self.assertEqual("gru\u0308ss\n", said(octets).body, encoding)

    def test_no_blank_line(self) -> None:
        self.assertEqual("", said(b"Subject: a").body.strip())
        self.assertEqual("a", said(b"Subject: a").subject)
        self.assertEqual("x\n", said(b"\nx").body)
        self.assertEqual("", said(b"").header.strip())

    def test_cut(self) -> None:
        """A multipart whose last line is missing."""
        found = said(b"Content-Type: multipart/mixed; boundary=b\n\npreamble\n--b\n\none\n--b\n\ntwo")
        self.assertEqual("one\ntwo\n", found.body)

    def test_boundaries(self) -> None:
        """One that begins with another, one in the middle of a line."""
        found = said(
            b"Content-Type: multipart/mixed; boundary=b\n\n"
            b"--b\nContent-Type: multipart/mixed; boundary=bb\n\n"
            b"--bb\n\ninner --b\n--bb--\n--b \n\nouter\n--b--\nepilogue"
        )
        self.assertEqual("inner --b\nouter\n", found.body)

    def test_long(self) -> None:
        """The index keeps the beginning, and says so."""
        found = read(Source(b"\n" + b"word " * 1000), 100)
        self.assertFalse(found.whole)
        self.assertEqual(100, len(found.body))
        self.assertTrue(said(b"\nword").whole)

    def test_file(self) -> None:
        """A file larger than the window says what it says in memory."""
        self.patch(text_parts, "WINDOW", 64)
        message = EmailMessage()
        message["Subject"] = "x" * 200
        for number in range(9):
            message.add_attachment(b"\x01" * 300, maintype="a", subtype="b", filename=f"{number}.bin")
            message.add_attachment(f"text number {number} " * 10)
        path = Path(self.mktemp())
        path.write_bytes(bytes(message))
        file = os.open(path, os.O_RDONLY)
        self.addCleanup(os.close, file)
        self.assertEqual(said(bytes(message)), read(Source.of_file(file)))

    def test_addresses(self) -> None:
        for value, box, name in (
            ("a@b.example", "a", "a@b.example"),
            ('"X, Y" <a@b.example>, c@d.example', "a", "x, y"),
            ("a@b.example (Real (old) Name)", "a", "real old name"),
            ("(c) A B <x.y@b.example>", "x.y", "a b"),
            # A group comes first with its own name, as in an envelope (RFC 5256, 3; RFC 5957, 3).
            ("undisclosed-recipients:;", "undisclosed-recipients", "undisclosed-recipients"),
            ("A Group: , c@d.example;", "a group", "a group"),
            ("a@b.example, Group: c@d.example;", "a", "a@b.example"),
            (":;", "", ""),
            ('"a \\"b\\" c" <d@e.example>', "d", 'a "b" c'),
            ("=?utf-8?q?F=C3=B6?= <f@e.example>", "f", "fo\u0308"),
            ("<", "", ""),
            ("nobody", "nobody", "nobody"),
        ):
            found = said(b"From: " + value.encode() + b"\n\n")
            self.assertEqual((box, name), (found.boxes[0], found.names[0]), value)

    def test_header_values(self) -> None:
        source = Source(b"X-A: One\nx-a: =?utf-8?q?Two?=\n\nX-A: three")
        self.assertEqual(["one", "two"], header_values(source, "x-a"))

    def test_dates(self) -> None:
        for bad in ("", "yesterday", "Thu, 99 Nov 2026 00:00:00", "1 Jan 99999 00:00:00 +0000", "\x00" * 9):
            self.assertEqual((None, None), when(bad), bad)

    def test_content_type(self) -> None:
        self.assertEqual(
            ("text/html", {"charset": "a b", "x": "12"}),
            content_type(b' Text/HTML; Charset="a b";\r\n\tx*0=1; x*1=2; broken'),
        )
        self.assertEqual(("", {}), content_type(b"nonsense"))

    def test_hostile(self) -> None:
        """Time grows with the size, whatever stands in it."""
        deep = b"".join(b"Content-Type: multipart/mixed; boundary=%d\n\n--%d\n" % (n, n) for n in range(3000))
        many = b"Content-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\nx\n" * 100_000
        forwards = b"Content-Type: message/rfc822\n\n" * 50_000
        tags = b"Content-Type: text/html\n\n" + b"<div>" * 200_000
        scripts = b"Content-Type: text/html\n\n" + b"<script" * 200_000
        words = b"Subject: " + b"=?utf-8?q?a" * 20_000 + b"\n\n"
        names = b"To: " + b"(" * 100_000 + b'"<' * 50_000 + b"\n\n"
        types = b"Content-Type: text/plain" + b'; a="' * 20_000 + b"\n\nx"
        begun = time.process_time()
        for octets in (
            deep,
            many,
            forwards,
            tags,
            scripts,
            words,
            names,
            types,
            b"\n" * 500_000,
            b":" * 500_000,
        ):
            said(octets)
        self.assertLess(time.process_time() - begun, 30.0)

    @given(st.lists(st.sampled_from(_PIECES), max_size=60).map(b"".join))
    @settings(max_examples=200, deadline=None)
    def test_anything(self, octets: bytes) -> None:
        """Whatever comes, there is an answer that SQLite takes, and the file gives the same as memory."""
        found = said(octets)
        (found.header + found.body + found.subject + found.base + "".join(found.names)).encode()
        self.assertLessEqual(len(found.body), text.KEPT)


class MarkupTests(SynchronousTestCase):
    """The words of pages."""

    def words(self, page: str) -> list[str]:
        return [" ".join(line.split()) for line in markup.words(page).split("\n") if line.strip()]

    def test_blocks(self) -> None:
        self.assertEqual(["a", "bcd", "e"], self.words("<p>a<p>b<b>c</b>d<br>e"))

    def test_unseen(self) -> None:
        self.assertEqual(
            ["a", "b"], self.words("a<script>if (x < y) z</script><style>s</style><!-- c -->\n<p>b")
        )

    def test_nothing(self) -> None:
        self.assertEqual([], self.words(""))
        self.assertEqual(["a b"], self.words("a\x00b"))

    def test_charset_in_page(self) -> None:
        """What the page says of its octets is not true any more."""
        self.assertEqual(["ü"], self.words('<meta charset="koi8-r"><?xml version="1" encoding="x"?><p>ü'))
