"""The first words of messages."""

from __future__ import annotations

import base64
from email.message import EmailMessage

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox.full_text.parts import Source
from mta.mailbox.full_text.preview import LONGEST, preview

HEAD = b"Subject: x\n\n"


def of(octets: bytes) -> str:
    """What is seen of a message."""
    return preview(Source(octets))


class PreviewTests(SynchronousTestCase):
    """See the module."""

    def test_plain(self) -> None:
        """One line, without quotes and signature."""
        self.assertEqual("Hello, all is well.", of(HEAD + b"Hello,\n\n\tall  is\r\nwell.\n-- \nAnn\n"))
        self.assertEqual("I agree.", of(HEAD + b"> Do you?\n> Ben\nI agree.\n"))
        self.assertEqual("> Do you?", of(HEAD + b"> Do you?\n"))
        self.assertEqual("", of(HEAD))
        self.assertEqual("", of(b"Subject: no body"))
        self.assertEqual("a" * LONGEST, of(HEAD + b"a" * 5000))

    def test_decoded(self) -> None:
        """Charsets and encodings; a character is not cut."""
        text = base64.encodebytes("Grüße ☃".encode())
        head = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: base64\n\n"
        self.assertEqual("Grüße ☃", of(head + text))
        head = b"Content-Type: text/plain; charset=latin1\nContent-Transfer-Encoding: quoted-printable\n\n"
        self.assertEqual("Grüße", of(head + b"Gr=FC=\n=DFe"))
        head = b"Content-Type: text/plain; charset=utf-8\n\n"
        self.assertEqual("会" * LONGEST, of(head + ("会" * 70_000).encode()))

    def test_page(self) -> None:
        """As a person sees it: no title, no styles, no characters that nobody sees."""
        page = (
            "<html><head><title>News</title><style>p { color: red }</style></head>"
            "<body><p>Dear&nbsp;Ann,&zwnj;&#8203;&#847;</p><p>all is <b>well</b>.</p></body></html>"
        )
        message = EmailMessage()
        message.set_content(page, subtype="html")
        self.assertEqual("Dear Ann, all is well.", of(bytes(message)))

    def test_parts(self) -> None:
        """The first part that says something; attachments say nothing here."""
        message = EmailMessage()
        message.set_content(" \n")
        message.add_alternative("<p>The page</p>", subtype="html")
        self.assertEqual("The page", of(bytes(message)))
        message = EmailMessage()
        message.add_attachment("in the file", filename="a.txt")
        self.assertEqual("", of(bytes(message)))
        message = EmailMessage()
        message.set_content("In the body")
        message.add_alternative("<p>The page</p>", subtype="html")
        message.add_attachment("in the file", filename="a.txt")
        self.assertEqual("In the body", of(bytes(message)))

    def test_sealed(self) -> None:
        """There is nothing to be read in what is encrypted."""
        self.assertEqual("", of(HEAD + b"-----BEGIN PGP MESSAGE-----\nhQEMA\n"))

    @given(
        st.lists(
            st.sampled_from((b"\n", b"--b", b"--", b"<head", b"</head", b"<p>", b"text", b"\xff", b"\0"))
        )
    )
    @settings(max_examples=100, deadline=None)
    def test_anything(self, parts: list[bytes]) -> None:
        """Whatever a stranger writes, it is one line that is short enough."""
        for kind in (b"text/html", b"multipart/mixed; boundary=b", b"text/plain; charset=utf-16"):
            found = of(b"Content-Type: " + kind + b"\n\n" + b"".join(parts))
            self.assertLessEqual(len(found), LONGEST)
            self.assertNotRegex(found, "[\\x00-\\x1f]")
