"""Parts of messages, and how IMAP writes them down."""

from __future__ import annotations

import os
import tempfile
import time

from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox.message import mime
from mta.mailbox.message.header_field import value
from mta.mailbox.message.mail_address import MailAddress, addresses
from mta.mailbox.message.mime import Part, Reader
from mta.mailbox.message.rendering import envelope, structure

MIXED = b"""\
From: "Anna B." <anna@example.org>
To: team: a@x.org, Ben <b@y.org>;, c@z.org (Carl)
Subject: =?utf-8?q?Gr=C3=B6=C3=9Fe?=
Content-Type: multipart/mixed;
 boundary="=_b 1"

preamble
--=_b 1
Content-Type: text/html; charset=utf-8
Content-Transfer-Encoding: quoted-printable

<p>
hello
--=_b 1
Content-Type: message/rfc822
Content-Disposition: attachment; filename="a \\"b\\".eml"

Subject: inner
Content-Type: multipart/alternative; boundary=c

--c

one
--c
Content-Type: image/png
Content-Transfer-Encoding: BASE64

AAAA
--c--
--=_b 1--
epilogue
"""


class MimeCase(SynchronousTestCase):
    """Reads messages from files."""

    def read(self, text: bytes) -> tuple[Part, bytes]:
        with tempfile.TemporaryFile() as file:
            file.write(text)
            file.flush()
            return Reader(file.fileno()).read(), text


class PartsTests(MimeCase):
    """Where parts are."""

    def body(self, text: bytes, *numbers: int) -> bytes | None:
        message, text = self.read(text)
        part = message.find(numbers)
        return None if part is None else text[part.body : part.end]

    def test_numbers(self) -> None:
        self.assertEqual(b"<p>\nhello", self.body(MIXED, 1))
        self.assertEqual(b"one", self.body(MIXED, 2, 1))
        self.assertEqual(b"AAAA", self.body(MIXED, 2, 2))
        for numbers in ((3,), (1, 1), (2, 3), (2, 1, 1)):
            self.assertIsNone(self.body(MIXED, *numbers), numbers)

    def test_crlf(self) -> None:
        self.assertEqual(b"<p>\r\nhello", self.body(MIXED.replace(b"\n", b"\r\n"), 1))

    def test_single(self) -> None:
        text = b"Subject: a\n\nbody\n"
        self.assertEqual(b"body\n", self.body(text, 1))
        self.assertIsNone(self.body(text, 2))
        self.assertIsNone(self.body(text, 1, 1))

    def test_message_in_a_message(self) -> None:
        text = b"Content-Type: message/rfc822\n\nContent-Type: message/rfc822\n\nSubject: x\n\ny\n"
        self.assertEqual(b"Subject: x\n\ny\n", self.body(text, 1, 1))
        self.assertEqual(b"y\n", self.body(text, 1, 1, 1))

    def test_broken(self) -> None:
        """Whatever it is, it has a structure, and positions in it are in order."""
        for text in (
            b"",
            b"\n",
            b"no header",
            b"Content-Type: multipart/mixed\n\n--\n",
            b"Content-Type: multipart/mixed; boundary=a\n\nno boundary",
            b"Content-Type: multipart/mixed; boundary=a\n\n--a",
            b"Content-Type: multipart/mixed; boundary=a\n\n--a\n--a\n--a--",
            b"Content-Type: multipart/x; boundary=a\n\n--a\nContent-Type: multipart/x; boundary=a\n\n--a\n",
            b"Content-Type: ;;;=\n\nx",
            b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\nQUFB\n",
        ):
            message, _ = self.read(text)
            self.assertTrue(structure(message, True).startswith(b"("), text)
            self.assertTrue(0 <= message.start <= message.body <= message.end == len(text), text)

    def test_hostile(self) -> None:
        """Depth and number are bounded, and so is the time."""
        began = time.process_time()
        deep = b"".join(b"Content-Type: multipart/x; boundary=b%d\n\n--b%d\n" % (n, n) for n in range(5000))
        many = b"Content-Type: multipart/x; boundary=b\n\n" + b"--b\n\n" * 100_000
        message, _ = self.read(deep)
        self.assertLess(len(structure(message, True)), 10_000)
        message, _ = self.read(many)
        self.assertLessEqual(len(message.children), mime.MOST)
        self.assertLess(time.process_time() - began, 5)

    def test_boundaries_at_the_ends_of_blocks(self) -> None:
        for size in range(16 * 65536 - 40, 16 * 65536 + 10, 7):
            text = (
                b"Content-Type: multipart/x; boundary=abc\n\n--abc\n\n"
                + b"x" * size
                + b"\n--abc\n\nend\n--abc--\n"
            )
            self.assertEqual(b"end", self.body(text, 2), size)


class RenderingTests(MimeCase):
    """ENVELOPE and BODYSTRUCTURE."""

    def test_envelope(self) -> None:
        message, _ = self.read(MIXED)
        anna = b'(("Anna B." NIL "anna" "example.org"))'
        to = (
            b'((NIL NIL "team" NIL)(NIL NIL "a" "x.org")("Ben" NIL "b" "y.org")(NIL NIL NIL NIL)'
            b'("Carl" NIL "c" "z.org"))'
        )
        wanted = b'(NIL "=?utf-8?q?Gr=C3=B6=C3=9Fe?=" %s %s %s %s NIL NIL NIL NIL)' % (anna, anna, anna, to)
        self.assertEqual(wanted, envelope(message))

    def test_structure(self) -> None:
        message, _ = self.read(MIXED)
        html = b'("TEXT" "HTML" ("CHARSET" "utf-8") NIL NIL "QUOTED-PRINTABLE" 10 1 NIL NIL NIL NIL)'
        one = b'("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 3 0 NIL NIL NIL NIL)'
        image = b'("IMAGE" "PNG" NIL NIL NIL "BASE64" 4 NIL NIL NIL NIL)'
        inner = b'(%s%s "ALTERNATIVE" ("BOUNDARY" "c") NIL NIL NIL)' % (one, image)
        where = b'("ATTACHMENT" ("FILENAME" "a \\"b\\".eml"))'
        head = b'(NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL)'
        found = structure(message, True)
        start = b'("MESSAGE" "RFC822" NIL NIL NIL "7BIT" '
        self.assertTrue(found.startswith(b"(" + html + start), found)
        self.assertIn(b" %s %s 11 NIL %s NIL NIL)" % (head, inner, where), found)
        self.assertTrue(found.endswith(b' "MIXED" ("BOUNDARY" "=_b 1") NIL NIL NIL)'), found)
        self.assertEqual(
            b'("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 6 1)',
            structure(self.read(b"a: b\n\nbody\n")[0], False),
        )

    def test_encoded_message(self) -> None:
        """What is said to be a message is told of as one, also if it cannot be read."""
        message, _ = self.read(
            b"Content-Type: message/rfc822\nContent-Transfer-Encoding: base64 (x)\n\nQUFB\n"
        )
        head = b"(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"
        text = b'("TEXT" "PLAIN" ("CHARSET" "us-ascii") NIL NIL "7BIT" 0 0)'
        self.assertEqual(
            b'("MESSAGE" "RFC822" NIL NIL NIL "BASE64" 6 %s %s 1)' % (head, text), structure(message, False)
        )

    def test_octets(self) -> None:
        """What is not ASCII, or has quotation marks, is written so that nobody loses the place."""
        message, _ = self.read('Subject: "ä"\n\n'.encode() + b"x")
        self.assertIn(b'{4}\r\n"\xc3\xa4"', envelope(message))
        message, _ = self.read(b'Subject: a"b\\\0c\n\nx')
        self.assertIn(b'"a\\"b\\\\c"', envelope(message))


class FieldTests(SynchronousTestCase):
    """Header fields of strangers."""

    def test_values(self) -> None:
        found = value(b'Text/Plain (a; b) ; Charset = "utf\\-8"; name=a b.txt; x*0=1 ; name=c')
        self.assertEqual(b"text/plain", found.word)
        self.assertEqual({b"charset": b"utf-8", b"name": b"a b.txt", b"x": b"1"}, found.parameters)

    def test_spaces_around_the_slash(self) -> None:
        for text in (b"text / html ; a=b", b"text/ html; a=b", b"text /html;a=b"):
            self.assertEqual((b"text/html", {b"a": b"b"}), (value(text).word, value(text).parameters), text)

    def test_pieces(self) -> None:
        """Pieces of parameters are put together (RFC 2231, 3 and 6)."""
        for text, wanted in (
            (b"x; n*1=b; n*0=a", {b"n": b"ab"}),
            (b"x; n*0*=utf-8''%c3%a4; n*1=\"b c\"", {b"n*": b"utf-8''%c3%a4b%20c"}),
            (b"x; n*0=a'; n*1*=%62", {b"n*": b"''a%27%62"}),
            (b"x; n*1=b; m*=utf-8''a", {b"n*1": b"b", b"m*": b"utf-8''a"}),
            (b"x; n*0=a; n*2=c; n=d", {b"n": b"d"}),
        ):
            self.assertEqual(wanted, value(text).parameters, text)

    def test_addresses(self) -> None:
        for text, wanted in (
            (b"a@b", [MailAddress(None, None, b"a", b"b")]),
            (b"A B <@x,@y:a@b>", [MailAddress(b"A B", b"@x,@y", b"a", b"b")]),
            (
                b'"A, B" <a@b>, c@d',
                [MailAddress(b"A, B", None, b"a", b"b"), MailAddress(None, None, b"c", b"d")],
            ),
            (b"a . b @ c . d", [MailAddress(None, None, b"a.b", b"c.d")]),
            (b"nobody", [MailAddress(None, None, b"nobody", b"")]),
            (b"g:;", [MailAddress(None, None, b"g", None), MailAddress(None, None, None, None)]),
            (b"a@[IPv6:::1]", [MailAddress(None, None, b"a", b"[IPv6:::1]")]),
            (b'"a\\', [MailAddress(None, None, b"a", b"")]),
            (b"<>", [MailAddress(None, None, b"", b"")]),
            (b" , ,", []),
        ):
            self.assertEqual(wanted, addresses(text), text)

    def test_hostile(self) -> None:
        began = time.process_time()
        for text in (
            b"(" * 100_000,
            b"<" * 100_000,
            b'"' * 100_001,
            b"@" * 100_000,
            b":" * 100_000,
            b"a," * 100_000,
        ):
            addresses(text)
            value(b"a;" + text)
        self.assertLess(time.process_time() - began, 5)
        self.assertLess(len(addresses(os.urandom(100_000))), 100_000)
