"""Next hops and domain names as text."""

from __future__ import annotations

from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

from mta.route.domain_name import ascii_domain, domain_name
from mta.route.next_hop import NextHop, literal_address, parse_next_hop


class NextHopTests(SynchronousTestCase):
    """What the relay is told."""

    GOOD: ClassVar = {
        "Far.Test": NextHop("far.test", 0, True),
        "localhost": NextHop("localhost", 0, True),
        "smart.far.test:587": NextHop("smart.far.test", 587),
        "127.0.0.1:2525": NextHop("127.0.0.1", 2525),
        "192.0.2.1": NextHop("192.0.2.1"),
        "2001:DB8::1": NextHop("2001:db8::1"),
        "[192.0.2.1]": NextHop("192.0.2.1"),
        "[192.0.2.1]:26": NextHop("192.0.2.1", 26),
        "[IPv6:2001:db8::1]": NextHop("2001:db8::1"),
        "[IPv6:2001:db8::1]:26": NextHop("2001:db8::1", 26),
        "[2001:db8::1]:26": NextHop("2001:db8::1", 26),
        "[smart.far.test]:587": NextHop("smart.far.test", 587),
        "[smart.far.test]": NextHop("smart.far.test"),
        "münchen.test": NextHop("münchen.test", 0, True),
    }
    BAD = ("", "a b", "[", "[]", "[x", "far.test:", "far.test:0", "far.test:99999", "[x y]", "a@b", "unix:/x")

    def test_good(self) -> None:
        for text, expected in self.GOOD.items():
            with self.subTest(text):
                self.assertEqual(expected, parse_next_hop(text))

    def test_bad(self) -> None:
        for text in self.BAD:
            with self.subTest(text):
                self.assertRaises(ValueError, parse_next_hop, text)

    def test_literals(self) -> None:
        for text, expected in {
            "[127.0.0.1]": "127.0.0.1",
            "[ipv6:::1]": "::1",
            "[::1]": "::1",
            "[x400:1]": None,
            "[far.test]": None,
            "far.test": None,
        }.items():
            with self.subTest(text):
                self.assertEqual(expected, literal_address(text))


class DomainNameTests(SynchronousTestCase):
    """Names as the DNS has them."""

    def test_good(self) -> None:
        for text, expected in {
            "Far.Test": "far.test",
            "far.test.": "far.test",
            "_dmarc.far.test": "_dmarc.far.test",
            "s1._domainkey.far.test": "s1._domainkey.far.test",
            "münchen.test": "xn--mnchen-3ya.test",
            "MÜNCHEN.test": "xn--mnchen-3ya.test",
            "straße.test": "xn--strae-oqa.test",
            "例え。テスト": "xn--r8jz45g.xn--zckzah",
            "_dmarc.münchen.test": "_dmarc.xn--mnchen-3ya.test",
            "1.2.0.192.in-addr.arpa": "1.2.0.192.in-addr.arpa",
        }.items():
            with self.subTest(text):
                self.assertEqual(expected, domain_name(text))

    def test_bad(self) -> None:
        for text in ("", ".", "a..b", "-a.test", "a b", "[192.0.2.1]", "a" * 64, "a." * 130, "\u2028", "a/b"):
            with self.subTest(text):
                self.assertRaises(ValueError, domain_name, text)
        self.assertEqual("[192.0.2.1]", ascii_domain("[192.0.2.1]"))
