"""Our links in messages that were written elsewhere, and every other octet as it was."""

from __future__ import annotations

import base64
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.engagement.links import read_link
from mta.engagement.mime import linked
from mta.model.linked import Linked, Wish
from tests.engagement.test_links import BASE, MASTER, links, token
from tests.engagement.test_rewriting import targets

HTML = '<html><body><p>Gr\u00fc\u00dfe <a href="https://x.example/?a=1&amp;b=2">x</a></p></body></html>'


def written(html: str = HTML, cte: str | None = None) -> EmailMessage:
    """A message as a program writes one."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"], message["Subject"] = "a@example.org", "ann@example.net", "x"
    message.set_content("Hello\n")
    message.add_alternative(html, subtype="html", cte=cte)
    return message


def put(octets: bytes, **wish: Any) -> Linked:
    """What becomes of it; without anything said, of clicks."""
    return linked(octets, links(), Wish(**{"clicks": True, "base": BASE, **wish}))


def read(octets: bytes) -> EmailMessage:
    """As others read it."""
    return cast(EmailMessage, message_from_bytes(octets, policy=policy.default))


def body_of(octets: bytes, kind: str = "html") -> str:
    """Its HTML, or text."""
    part: Any = read(octets).get_body((kind,))
    return str(part.get_content())


class LinkingTests(SynchronousTestCase):
    """What is put in."""

    def test_every_encoding(self) -> None:
        for way in ("quoted-printable", "base64", "8bit"):
            octets = written(cte=way).as_bytes()
            found = put(octets, opens=True)
            self.assertEqual((1, True, ""), (found.links, found.opens, found.why), way)
            html = body_of(found.content)
            self.assertEqual(["https://x.example/?a=1&b=2"], targets(html))
            self.assertIn("Gr\u00fc\u00dfe", html)
            self.assertIn(f"{BASE}/o/", html)
            self.assertEqual([], read(found.content).defects)
            self.assertLessEqual(max(map(len, found.content.split(b"\r\n"))), 998)
            before = octets[: octets.index(b"text/html")]
            self.assertTrue(found.content.startswith(before), "what is not HTML stays as it was")

    def test_a_long_line_becomes_quoted(self) -> None:
        html = "".join(f'<a href="https://x.example/{n}">x</a>' for n in range(30))
        octets = f"Subject: x\r\nContent-Type: text/html\r\n\r\n{html}\r\n".encode()
        found = put(octets)
        self.assertEqual(30, found.links)
        self.assertLessEqual(max(map(len, found.content.split(b"\r\n"))), 998)
        self.assertEqual(30, len(targets(body_of(found.content))))

    def test_charsets(self) -> None:
        for charset in ("iso-8859-1", "windows-1252", "utf-8"):
            head = f"Content-Type: text/html; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            found = put(head.encode() + HTML.encode(charset))
            self.assertIn("Gr\u00fc\u00dfe".encode(charset), found.content)
            self.assertEqual(1, found.links)
        head = "Content-Type: text/html; charset=utf-16\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        octets = head.encode() + base64.b64encode(HTML.encode("utf-16"))
        found = put(octets)
        self.assertEqual((octets, 0), (found.content, found.links))
        self.assertIn("cannot be read as utf-16", found.why)

    def test_only_what_is_shown(self) -> None:
        message = written()
        message.add_attachment(HTML, subtype="html", filename="page.html")
        message.add_attachment(written())
        found = put(message.as_bytes())
        self.assertEqual(1, found.links)
        page, letter = read(found.content).iter_attachments()
        self.assertEqual(HTML, cast(Any, page).get_content().strip())
        self.assertNotIn(BASE, letter.as_string())

    def test_one_picture(self) -> None:
        message = written()
        parts: Any = message.get_payload()
        parts.append(parts[1])
        found = put(message.as_bytes(), clicks=False, opens=True)
        self.assertEqual((0, True, 1), (found.links, found.opens, found.content.count(b"/o/")))

    def test_unsubscribing(self) -> None:
        message = written('<a href="%unsubscribe_url%">leave</a>')
        message["List-Unsubscribe"] = "<mailto:leave@example.org>"
        parts: Any = message.get_payload()
        parts[0].set_content("Leave: %unsubscribe_url%\n")
        found = put(message.as_bytes(), unsubscribe="news")
        again = read(found.content)
        self.assertEqual((0, True), (found.links, found.unsubscribe))
        self.assertEqual(["List-Unsubscribe=One-Click"], again.get_all("List-Unsubscribe-Post"))
        (value,) = again.get_all("List-Unsubscribe", [])
        address = value.strip("<>")
        link = read_link(MASTER, "unsubscribe", token(address))
        self.assertEqual(("ann@example.net", "news"), (link.recipient, link.more))
        self.assertEqual(f"Leave: {address}", body_of(found.content, "plain").strip())
        self.assertIn(f'href="{address}"', body_of(found.content))

    def test_no_html(self) -> None:
        octets = b"Subject: x\r\n\r\nhttps://x.example/\r\n"
        found = put(octets)
        self.assertEqual(octets, found.content)
        self.assertEqual("nothing was put in: it has no HTML part that is shown", found.words)


class SealedTests(SynchronousTestCase):
    """What would not verify, or cannot be read, any more stays as it is."""

    def test_reasons(self) -> None:
        plain = written().as_bytes()
        body = f"Content-Type: text/html\r\n\r\n{HTML}\r\n--b--".encode()
        signed = b'Content-Type: multipart/signed; protocol="application/%s"; boundary=b\r\n\r\n--b\r\n'
        envelope = b"Content-Type: application/pkcs7-mime; smime-type=%s\r\n\r\nx"
        armour = b"Subject: x\r\n\r\n-----BEGIN PGP %s-----\r\n\r\nx"
        for octets, why in (
            (b"DKIM-Signature: v=1; d=shop.example; s=x; b=\r\n" + plain, "with DKIM by shop.example"),
            (b"ARC-Seal: i=1\r\n" + plain, "ARC"),
            (signed % b"pkcs7-signature" + body, "signed with S/MIME"),
            (signed % b"pgp-signature" + body, "signed with PGP"),
            (b"Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--", "encrypted"),
            (envelope % b"enveloped-data", "encrypted with S/MIME"),
            (envelope % b"signed-data", "signed with S/MIME"),
            (armour % b"MESSAGE", "encrypted with PGP"),
            (armour % b"SIGNED MESSAGE", "signed with PGP"),
        ):
            found = put(octets, opens=True, unsubscribe="")
            self.assertEqual((octets, False), (found.content, found.changed))
            self.assertIn(why, found.words)

    def test_signed_inside(self) -> None:
        """A list has put a footer below what was signed."""
        octets = (
            b"Content-Type: multipart/mixed; boundary=o\r\n\r\n--o\r\n"
            b'Content-Type: multipart/signed; protocol="application/pgp-signature"; boundary=i\r\n\r\n'
            b"--i--\r\n--o\r\nContent-Type: text/html\r\n\r\n" + HTML.encode() + b"\r\n--o--\r\n"
        )
        self.assertEqual(octets, put(octets).content)

    def test_levels(self) -> None:
        octets = b"".join(
            b"Content-Type: multipart/mixed; boundary=%d\r\n\r\n--%d\r\n" % (n, n) for n in range(40)
        )
        found = put(octets)
        self.assertEqual((octets, "it has too many parts to be looked through"), (found.content, found.why))


_PIECES = (
    b"Content-Type: multipart/mixed; boundary=b\r\n",
    b"Content-Type: text/html; charset=x\r\n",
    b"Content-Type: text/html\r\n",
    b"Content-Transfer-Encoding: base64\r\n",
    b"Content-Type: ;;=\r\n",
    b"Content-Disposition: attachment\r\n",
    b"x: y\r\n",
    b"\r\n",
    b"--b\r\n",
    b"--b--",
    b"\xff\xfe",
    b"<a href=https://x.example>",
    b"=\r\n",
    b"%unsubscribe_url%",
    b" ",
)


class AnyOctetsTests(SynchronousTestCase):
    """Strangers write it."""

    @given(st.lists(st.sampled_from(_PIECES), max_size=30))
    def test_never_fails(self, pieces: list[bytes]) -> None:
        octets = b"".join(pieces)
        self.assertTrue(put(octets, opens=True, unsubscribe="n").unsubscribe)
        self.assertEqual(octets, put(octets, clicks=False).content)
