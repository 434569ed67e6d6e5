"""Links that mean what they were made for, and nothing else."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.engagement.links import (
    Link,
    LinkError,
    MessageLinks,
    checked_target,
    master_key,
    message_key,
    read_link,
)
from mta.engagement.unsubscribing import is_one_click, unsubscribe_fields

MASTER = master_key(b"s" * 32)
ID = "0hs3b2kqv8g00"
OTHER = "0hs3b2kqv8g01"
BASE = "https://mail.example.org"


def links(message: str = ID, tenant: str = "shop", recipient: str = "ann@example.net") -> MessageLinks:
    """Links of one copy."""
    return MessageLinks(message_key(MASTER, message), BASE, message, tenant, recipient)


def token(link: str) -> str:
    """The token of a link."""
    return link.rpartition("/")[2]


class LinkTests(SynchronousTestCase):
    """Made here and read here."""

    def test_all_kinds(self) -> None:
        made = links()
        self.assertEqual(
            Link("click", ID, "shop", "ann@example.net", "https://example.org/a?b=c#d"),
            read_link(MASTER, "click", token(made.click("https://example.org/a?b=c#d"))),
        )
        self.assertEqual(
            Link("open", ID, "shop", "ann@example.net"), read_link(MASTER, "open", token(made.open()))
        )
        self.assertEqual(
            Link("unsubscribe", ID, "shop", "ann@example.net", "news"),
            read_link(MASTER, "unsubscribe", token(made.unsubscribe("news"))),
        )
        self.assertTrue(made.click("https://x.example/").startswith(f"{BASE}/c/"))

    def test_one_is_not_another(self) -> None:
        """No kind is taken for another: a click does not unsubscribe."""
        made = token(links().click("https://example.org/"))
        for kind in ("open", "unsubscribe"):
            self.assertRaises(LinkError, read_link, MASTER, kind, made)

    def test_no_octet_may_change(self) -> None:
        """Whatever is changed in a token, its target among the rest, it is ours no more."""
        octets = urlsafe_b64decode(token(links().click("https://example.org/")) + "==")
        for place in range(len(octets)):
            for bit in (1, 0x80):
                changed = bytearray(octets)
                changed[place] ^= bit
                text = urlsafe_b64encode(bytes(changed)).rstrip(b"=").decode()
                self.assertRaises(LinkError, read_link, MASTER, "click", text)

    def test_no_target_of_ones_own(self) -> None:
        """The signature of one link does not sign another target, and nothing may follow it."""
        made = token(links().click("https://example.org/"))
        octets = urlsafe_b64decode(made + "==")
        evil = octets.replace(b"example.org", b"evil.example")
        for text in (
            urlsafe_b64encode(evil).rstrip(b"=").decode(),
            urlsafe_b64encode(octets + b"@evil.example").rstrip(b"=").decode(),
            made + "=",
            made + "==",
            made + "\n",
            made[:10] + "!" + made[10:],
            "",
            "x",
            "A" * 9000,
        ):
            self.assertRaises(LinkError, read_link, MASTER, "click", text)

    def test_a_key_is_of_one_message(self) -> None:
        """Who has the key of a message makes no links of others."""
        stolen = MessageLinks(message_key(MASTER, ID), BASE, OTHER, "shop", "ann@example.net")
        self.assertRaises(LinkError, read_link, MASTER, "click", token(stolen.click("https://evil.example/")))
        elsewhere = master_key(b"t" * 32)
        self.assertRaises(LinkError, read_link, elsewhere, "open", token(links().open()))

    def test_targets(self) -> None:
        for wrong in (
            "javascript:alert(1)",
            "data:text/html,x",
            "//evil.example/",
            "https:///nowhere",
            "ftp://example.org/",
            "mailto:ann@example.org",
            "https://example.org/\r\nSet-Cookie: a=b",
            "https://example.org/\0",
            "https://example.org/ x",
            "https://[::1/",
            "https://example.org/" + "x" * 2000,
            "",
            "#top",
        ):
            self.assertRaises(LinkError, checked_target, wrong)
        self.assertEqual("HTTPS://Example.org/ä", checked_target("HTTPS://Example.org/ä"))

    @given(st.text(max_size=200))
    def test_strangers_tokens(self, text: str) -> None:
        """Nothing but :class:`LinkError` comes of what anybody may send."""
        self.assertRaises(LinkError, read_link, MASTER, "click", text)

    @given(st.binary(max_size=200))
    def test_strangers_octets(self, octets: bytes) -> None:
        text = urlsafe_b64encode(b"c" + octets).rstrip(b"=").decode()
        self.assertRaises(LinkError, read_link, MASTER, "click", text)


class UnsubscribeTests(SynchronousTestCase):
    """RFC 8058."""

    def test_fields(self) -> None:
        fields = dict(unsubscribe_fields(links(), "news"))
        self.assertEqual("List-Unsubscribe=One-Click", fields["List-Unsubscribe-Post"])
        value = fields["List-Unsubscribe"]
        self.assertTrue(value.startswith(f"<{BASE}/u/") and value.endswith(">"), value)

    def test_one_click(self) -> None:
        """Both ways in which a POST may say it (section 3.2)."""
        form = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
        for right in (b"List-Unsubscribe=One-Click", b"List-Unsubscribe=One-Click\r\n", form):
            self.assertTrue(is_one_click(right), right)
        for wrong in (b"", b"One-Click", b"List-Unsubscribe=No", b"x" * 5000):
            self.assertFalse(is_one_click(wrong), wrong)
