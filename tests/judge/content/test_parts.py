"""The parts of a message, held against the standard library's parser."""

from __future__ import annotations

from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.judge.content.parts import DEEPEST, MOST_PARTS, Part, PartScanner


def scan(octets: bytes, size: int = 0) -> list[Part]:
    scanner = PartScanner()
    for start in range(0, len(octets), size or len(octets) or 1):
        scanner.feed(octets[start : start + (size or len(octets))])
    return scanner.close()


def attached(header: str, body: bytes = b"x\r\n") -> bytes:
    """A message with one attachment."""
    return (
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n"
        + header.encode()
        + b"\r\n\r\n"
        + body
        + b"--b--\r\n"
    )


_PIECES = [
    *(b"--b", b"--b--", b"\r\n", b"\n", b"--", b"b", b" ", b"\r\n\r\n", b"\xff", b"=?x?q?=41?=", b'"'),
    *(b"Content-Type: multipart/mixed; boundary=b\r\n", b"Content-Type: message/rfc822\r\n"),
    *(b"Content-Disposition: attachment; filename*=utf-8''%", b"filename*0*=a", b"; name="),
    *(b"Content-Transfer-Encoding: base64\r\n", b"Content-Type: multipart/x; boundary=b--\r\n"),
]
TREES: Any = st.recursive(
    st.tuples(
        st.just("leaf"),
        st.sampled_from(["text/plain", "image/png", "application/zip"]),
        st.binary(max_size=300),
    ),
    lambda inner: st.tuples(st.sampled_from(["mixed", "message"]), st.lists(inner, min_size=1, max_size=4)),
    max_leaves=8,
)


def built(tree: Any) -> EmailMessage:
    message = EmailMessage(policy=policy.SMTP)
    if tree[0] == "leaf":
        kind, sub = tree[1].split("/")
        if kind == "text":
            message.set_content(tree[2].hex())
        else:
            message.set_content(tree[2], kind, sub, filename=f"n{len(tree[2])}.bin")
    elif tree[0] == "message":
        inner = built(tree[1][0])
        inner["Subject"] = "inner"
        message.set_content(inner)
    else:
        message.make_mixed()
        for one in tree[1]:
            message.attach(built(one))
    return message


class ScannerTests(SynchronousTestCase):
    @given(TREES, st.integers(1, 60))
    def test_like_the_library(self, tree: Any, size: int) -> None:
        """The same parts, whatever the pieces in which they come."""
        octets = built(tree).as_bytes()
        parsed = BytesParser(policy=policy.default).parsebytes(octets)
        expected = [
            (part.get_content_type(), part.get_filename() or "")
            for part in parsed.walk()
            if not part.is_multipart() or part.get_content_type() == "message/rfc822"
        ]
        found = scan(octets, size)
        self.assertEqual(expected, [(part.type, part.names[0] if part.names else "") for part in found])
        self.assertEqual(found, scan(octets))
        sizes = [
            len(part.get_payload(decode=True) or b"")  # type: ignore[arg-type]
            for part in parsed.walk()
            if not part.is_multipart()
        ]
        leaves = [part for part in found if part.type != "message/rfc822"]
        for wanted, part in zip(sizes, leaves, strict=True):
            self.assertLessEqual(abs(wanted - part.size), 8, part)

    @given(
        st.lists(
            st.sampled_from(_PIECES),
            max_size=40,
        ).map(b"".join),
        st.integers(1, 9),
    )
    def test_anything(self, octets: bytes, size: int) -> None:
        """Whatever comes is read to its end, the same however it comes."""
        self.assertEqual(scan(octets), scan(octets, size))

    def test_names(self) -> None:
        """Wherever a mail program may take the name from, and however it is hidden."""
        for header, name in (
            ("Content-Type: x/y; name=A.EXE", "a.exe"),
            ("Content-Disposition: attachment; filename=a.exe", "a.exe"),
            ('Content-Disposition: attachment; filename="a.exe . "', "a.exe"),
            ("Content-Disposition: attachment; filename*=utf-8''a%2Eexe", "a.exe"),
            ("Content-Disposition: attachment;\r\n filename*0=a.;\r\n filename*1=exe", "a.exe"),
            ("Content-Disposition: attachment; filename==?utf-8?b?YS5leGU=?=", "a.exe"),
            ('Content-Disposition: attachment; filename="=?utf-8?q?a=2Eexe?="', "a.exe"),
            ("Content-Disposition: attachment; filename*=utf-8''a%E2%80%AE%2Eexe", "a.exe"),
            ("Content-Disposition: attachment; filename*=utf-8''a%EF%BC%8Eexe", "a.exe"),
            ("CONTENT-TYPE : x/y;\r\n\tname\r\n =\r\n a.exe", "a.exe"),
        ):
            for part in scan(attached(header)):
                self.assertIn(name, part.names, header)

    def test_sizes(self) -> None:
        import base64

        data = bytes(range(256)) * 100
        body = base64.encodebytes(data).replace(b"\n", b"\r\n")
        header = "Content-Type: x/y\r\nContent-Transfer-Encoding: BASE64\r\nContent-Disposition: attachment"
        [part] = scan(attached(header, body))
        self.assertLessEqual(abs(part.size - len(data)), 4)
        self.assertTrue(part.attached)
        [part] = scan(attached("Content-Type: x/y", b"12345678\r\n" * 10))
        self.assertLessEqual(abs(part.size - 100), 4)

    def test_hidden(self) -> None:
        """Prefixes of boundaries, inner ones that are never closed, and parts without a header section."""
        nested = attached(
            "Content-Type: multipart/mixed; boundary=bb",
            b"--bb\r\n\r\ntext\r\n--bb\r\nContent-Type: x/y; name=in.exe\r\n\r\n1\r\n"
            b"--b\r\nContent-Type: x/y; name=out.exe\r\n\r\n2\r\n",
        )
        self.assertEqual([(), ("in.exe",), ("out.exe",)], [part.names for part in scan(nested)])
        inner = attached("Content-Type: message/rfc822", attached("Content-Type: x/y; name=a.exe"))
        self.assertEqual(["message/rfc822", "x/y"], [part.type for part in scan(inner)])
        self.assertEqual(["text/plain"], [part.type for part in scan(b"no header at all")])
        self.assertEqual(["text/plain"], [part.type for part in scan(b"")])

    def test_excess(self) -> None:
        """Parts and levels without end are not looked through."""
        for octets in (
            b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * (MOST_PARTS + 10),
            b"Content-Type: message/rfc822\r\n\r\n" * (DEEPEST + 10),
        ):
            scanner = PartScanner()
            scanner.feed(octets)
            scanner.close()
            self.assertTrue(scanner.excess)
