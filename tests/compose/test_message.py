"""What is written is read again by the standard library, part by part."""

from __future__ import annotations

import re
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.compose.fields import Mailbox, checked_field
from mta.compose.message import Draft, File, written

ANN = Mailbox("ann@example.org", "Ann")
DATE = "Wed, 25 Nov 2026 19:00:00 +0000"


def read(draft: Draft) -> EmailMessage:
    octets = written(draft, "1aaaaaaaaaaaa", DATE)
    # No bare CR or LF, no line that is too long, and seven bits unless an address needs more.
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)", octets), octets
    assert max(map(len, octets.split(b"\r\n"))) <= 998
    assert draft.utf8 or octets.isascii()
    return BytesParser(policy=policy.default).parsebytes(octets)  # type: ignore[return-value]


def texts(message: EmailMessage) -> dict[str, str]:
    parts = message.walk() if message.is_multipart() else [message]
    return {
        part.get_content_type(): part.get_content().replace("\r\n", "\n")
        for part in parts
        if part.get_content_maintype() == "text" and not part.is_attachment()
    }


class MessageTests(SynchronousTestCase):
    def test_text(self) -> None:
        message = read(Draft(ANN, [Mailbox("ben@example.org")], subject="Hello", text="One\nTwo"))
        self.assertEqual("text/plain", message.get_content_type())
        self.assertEqual("One\r\nTwo\r\n", message.get_content())
        self.assertEqual(
            ["Ann <ann@example.org>", "ben@example.org", "Hello", DATE, "<1aaaaaaaaaaaa@example.org>", "1.0"],
            [message[name] for name in ("From", "To", "Subject", "Date", "Message-ID", "MIME-Version")],
        )

    def test_everything(self) -> None:
        """mixed(alternative(text, related(html, image)), file)."""
        image = File("zebra.png", "image/png", bytes(range(256)) * 3, "zebra@x")
        paper = File('Übersicht "a".pdf', "application/pdf", b"%PDF" * 100)
        draft = Draft(
            ANN,
            [Mailbox("ben@example.org", "Ben, Über")],
            [Mailbox("cay@example.org", 'C "Q" \\ D')],
            [Mailbox("help@example.org")],
            "Grüße " * 30,
            "Grüße = \t\nFrom here\n.\n",
            "<p>" + "x" * 2000 + "ü</p>",
            {"X-Order": "17", "List-Id": "Zebra <z.example.org>", "In-Reply-To": "<a@b>"},
            [image, paper],
        )
        message = read(draft)
        kinds = [part.get_content_type() for part in message.walk()]
        self.assertEqual(
            [
                "multipart/mixed",
                "multipart/alternative",
                "text/plain",
                "multipart/related",
                "text/html",
                "image/png",
                "application/pdf",
            ],
            kinds,
        )
        self.assertEqual({"text/plain": draft.text, "text/html": f"{draft.html}\n"}, texts(message))
        parts = list(message.walk())
        self.assertEqual(image.content, parts[5].get_content())
        self.assertEqual("<zebra@x>", parts[5]["Content-ID"])
        self.assertEqual((paper.name, paper.content), (parts[6].get_filename(), parts[6].get_content()))
        self.assertEqual(draft.subject.strip(), message["Subject"].strip())
        (ben,), (cay,) = message["To"].addresses, message["Cc"].addresses
        self.assertEqual(("Ben, Über", 'C "Q" \\ D'), (ben.display_name, cay.display_name))
        self.assertEqual(("17", "Zebra <z.example.org>"), (message["X-Order"], message["List-Id"]))

    def test_small_things(self) -> None:
        self.assertEqual("undisclosed-recipients:;", read(Draft(ANN, text="x"))["To"])
        self.assertEqual("\r\n", read(Draft(ANN)).get_content())
        own = read(Draft(ANN, text="x", headers={"Message-Id": "<mine@x>"}))
        self.assertEqual(["<mine@x>"], own.get_all("Message-ID"))
        self.assertEqual("text/html", read(Draft(ANN, html="<p>x")).get_content_type())
        forwarded = read(Draft(ANN, text="x", files=[File("m.eml", "message/rfc822", b"From: a\n\n\xfc")]))
        self.assertEqual(b"From: a\n\n\xfc", next(forwarded.iter_attachments()).get_content())
        # Without HTML nobody refers to it.
        lone = read(Draft(ANN, text="x", files=[File("i.png", "image/png", b"1", "cid")]))
        self.assertEqual("attachment", next(lone.iter_attachments()).get_content_disposition())

    def test_utf8_addresses(self) -> None:
        draft = Draft(ANN, [Mailbox("bøb@example.org", "Bøb")], subject="ø", text="x")
        self.assertTrue(draft.utf8)
        octets = written(draft, "1", DATE)
        self.assertIn('To: "Bøb" <bøb@example.org>\r\n'.encode(), octets)

    @given(st.text(), st.text(alphabet=st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))))
    def test_any_text(self, text: str, subject: str) -> None:
        lines = text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode()
        message = read(Draft(ANN, subject=subject, text=text, html=text))
        whole = lines if lines.endswith("\n") else lines + "\n"
        self.assertEqual({"text/plain": whole, "text/html": whole}, texts(message))
        self.assertEqual("".join(subject.split()), "".join(message["Subject"].split()))

    @given(st.text(min_size=1, alphabet=st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"))))
    def test_any_name(self, name: str) -> None:
        (found,) = read(Draft(Mailbox("ann@example.org", name), text="x"))["From"].addresses
        self.assertEqual("ann@example.org", found.addr_spec)
        self.assertEqual("".join(name.split()), "".join(found.display_name.split()))

    def test_fields_that_nobody_may_set(self) -> None:
        for name in ("From", "bcc", "DKIM-Signature", "Content-Type", "X-MTA-Tags", "a b", "", "ü"):
            self.assertRaises(ValueError, checked_field, name, "x")
        for value in ("a\r\nBcc: x@y", "a\nb", "\0", "a\u2028b", "x" * 10_001):
            self.assertRaises(ValueError, checked_field, "X-Order", value)
        checked_field("List-Unsubscribe", "<https://example.org/>")
