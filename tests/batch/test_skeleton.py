"""Copies, as the standard library's parser reads them."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, ClassVar, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.batch.process import finished
from mta.batch.skeleton import Copy, Skeleton, composed, field, fields, mailbox
from mta.engagement.links import master_key, message_key, read_link
from mta.template.bundle import Rendered
from mta.template.rendering import header_text

ID = "0hs3b2kqv8g00"
SKELETON = Skeleton(
    mailbox("shop@example.org", "The Shop"), "example.org", "Wed, 25 Nov 2026 19:00:00 +0000", "=_b0undary"
)


def read(text: str) -> EmailMessage:
    """A message as others read it; it keeps to RFC 5322 in form."""
    for line in text.split("\r\n"):
        assert len(line) <= 998 and "\n" not in line and "\r" not in line, line
    message = cast(EmailMessage, message_from_bytes(text.encode("ascii"), policy=policy.default))
    assert not message.defects, message.defects
    return message


def content(part: Any) -> str:
    """What a part says, with the line ends of Python."""
    return str(part.get_content()).replace("\r\n", "\n")


class CopyTests(SynchronousTestCase):
    """One of many."""

    def copy(self, **facts: str) -> EmailMessage:
        values = {"id": ID, "to": "ann@example.net", "subject": "Hi", "text": "", "html": "", **facts}
        return read(composed(SKELETON, Copy(**values)))

    def test_alternative(self) -> None:
        message = self.copy(text="Grüße\n", html="<p>Grüße</p>\n")
        self.assertEqual("multipart/alternative", message.get_content_type())
        plain, html = message.iter_parts()
        self.assertEqual(("text/plain", "Grüße\n"), (plain.get_content_type(), content(plain)))
        self.assertEqual(("text/html", "<p>Grüße</p>\n"), (html.get_content_type(), content(html)))
        self.assertEqual("The Shop <shop@example.org>", message["from"])
        self.assertEqual("ann@example.net", message["to"])
        self.assertEqual(f"<{ID}@example.org>", message["message-id"])

    def test_single_part(self) -> None:
        self.assertEqual("text/plain", self.copy(text="x").get_content_type())
        self.assertEqual("text/html", self.copy(html="x").get_content_type())
        self.assertEqual("text/plain", self.copy().get_content_type())

    def test_encodings(self) -> None:
        for text, encoding in (
            ("plain\n", "7bit"),
            ("x" * 2000 + "\n", "quoted-printable"),
            ("Grüße aus Wien, wo es schön ist\n", "quoted-printable"),
            ("Привет, мир\n" * 20, "base64"),
            ("nul\0\n", "quoted-printable"),
        ):
            message = self.copy(text=text)
            self.assertEqual((encoding, text), (message["content-transfer-encoding"], content(message)))

    def test_line_ends(self) -> None:
        self.assertEqual("a\nb\nc\n", content(self.copy(text="a\r\nb\rc")))

    @given(st.text(max_size=300), st.text(max_size=300), st.text(max_size=100))
    def test_any_text(self, text: str, subject: str, name: str) -> None:
        """What comes out is what went in, line ends and unprintable characters of fields aside."""
        text = text.encode("utf-8", "replace").decode()
        message = read(
            composed(SKELETON, Copy(ID, mailbox("ann@example.net", name), header_text(subject), text, "x"))
        )
        expected = text.replace("\r\n", "\n").replace("\r", "\n")
        plain = next(message.iter_parts(), message)
        expected += "" if expected.endswith("\n") else "\n"
        self.assertEqual(expected if text else "", content(plain) if text else "")
        self.assertEqual(
            ["Date", "From", "To", "Subject", "Message-ID", "MIME-Version", "Content-Type"],
            message.keys()[:7],
        )
        self.assertEqual(["ann@example.net"], [one.addr_spec for one in message["to"].addresses])


class FieldTests(SynchronousTestCase):
    """Header fields."""

    def test_one_field_of_each(self) -> None:
        for text in ("x" * 900, "ä" * 500, "a b " * 200, "=?utf-8?q?x?=", "x\r\nBcc: y@z", "tab\there"):
            found = read(field("X-Test", text) + "\r\n")
            self.assertEqual(["X-Test"], found.keys())
            self.assertEqual(" ".join(header_text(text).split()), " ".join(found["x-test"].split()))

    def test_display_names(self) -> None:
        for name in ("Ann", 'Ann "the" Example', "Example, Ann", "Ännchen", "a" * 150, "ü" * 90, "=?x?="):
            found = read(f"To: {mailbox('ann@example.net', name)}\r\n\r\n")["to"].addresses[0]
            # Python's reader puts a space between encoded words, which RFC 2047 (6.2) has nobody see.
            shown = found.display_name if len(name) < 60 else found.display_name.replace(" ", "")
            self.assertEqual((name, "ann@example.net"), (shown, found.addr_spec))

    def test_fields(self) -> None:
        self.assertEqual("A: b\r\nC: d\r\n", fields({"A": "b", "C": "d"}))


class ProcessTests(SynchronousTestCase):
    """What is made of a rendering."""

    master = master_key(b"s" * 32)
    more: ClassVar[dict[str, object]] = {
        "id": ID,
        "to": "Ann <ann@example.net>",
        "recipient": "ann@example.net",
        "key": message_key(master, ID).hex(),
    }
    common: ClassVar[dict[str, object]] = {
        "skeleton": SKELETON.told(),
        "base": "https://mail.example.org",
        "tenant": "shop",
        "clicks": False,
        "opens": False,
        "unsubscribe": None,
    }
    rendered = Rendered("Hi", "text\n", "<body><a href='https://x.example/'>x</a></body>", "en")

    def test_nothing_is_added_unasked(self) -> None:
        message = read(finished(self.rendered, self.common, self.more)["octets"])
        self.assertNotIn("mail.example.org", str(message))
        self.assertNotIn("List-Unsubscribe", message)

    def test_all(self) -> None:
        common = {**self.common, "clicks": True, "opens": True, "unsubscribe": "news"}
        message = read(finished(self.rendered, common, self.more)["octets"])
        _, html = message.iter_parts()
        self.assertIn("https://mail.example.org/c/", content(html))
        self.assertIn("https://mail.example.org/o/", content(html))
        token = message["list-unsubscribe"].strip("<>").rpartition("/")[2]
        link = read_link(self.master, "unsubscribe", token)
        self.assertEqual(("ann@example.net", "news", "shop"), (link.recipient, link.more, link.tenant))
        self.assertEqual("List-Unsubscribe=One-Click", message["list-unsubscribe-post"])

    def test_look(self) -> None:
        self.assertEqual({}, finished(self.rendered, {"look": True}, {}))
