"""Whose address stands in From, whatever tricks are played with it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.dmarc.author import MOST_AUTHORS, authors_of


class AuthorTests(SynchronousTestCase):
    def test_one(self) -> None:
        for value in (
            "ann@Example.ORG",
            "<ann@example.org>",
            "Ann <ann@example.org>",
            '"Ann, of <bank@bank.test>" <ann@example.org>',
            "=?utf-8?q?bank=40bank.test?= <ann@example.org>",
            "ann@example.org (bank@bank.test)",
            "ann(hidden)@(more (nested)) example.org",
            "Ann\r\n\t<ann@example.org>",
            '"ann@bank.test"@example.org',
            '"ann\\"@bank.test"@example.org',
            "<@relay.test,@other.test:ann@example.org>",
            "Team: Ann <ann@example.org>;",
            "ann@example.org, bob@example.org",
            "ann@example.org.",
            "bank@bank.test <ann@example.org>",
            "Ann <ann@example.org",
            ",, ann@example.org,",
        ):
            found = authors_of(f"Subject: x\r\nFrom: {value}\r\nTo: y@z.test\r\n".encode())
            self.assertEqual((("example.org",), ""), (found.domains, found.trouble), value)

    def test_internationalised(self) -> None:
        found = authors_of("From: ann@bücher.example\r\n".encode())
        self.assertEqual(("xn--bcher-kva.example",), found.domains)

    def test_several(self) -> None:
        """All of them count, so that nobody hides behind another."""
        found = authors_of(b"From: ann@example.org, Bank <x@bank.test>\r\n")
        self.assertEqual(("example.org", "bank.test"), found.domains)
        self.assertIn("2 domains", found.trouble)
        found = authors_of(b"From: ann@example.org\r\nfrom : x@bank.test\r\n")
        self.assertEqual((("example.org", "bank.test"), 2), (found.domains, found.fields))
        self.assertIn("2 From fields", found.trouble)
        found = authors_of(b"From: Friends: ann@example.org, bob@bank.test;\r\n")
        self.assertEqual(("example.org", "bank.test"), found.domains)

    def test_none(self) -> None:
        for header, words in (
            (b"Subject: x\r\n", "no From field"),
            (b"From:\r\n", "names no address"),
            (b"From: Ann\r\n", "no address with a domain"),
            (b"From: ann@[192.0.2.1]\r\n", "no address with a domain"),
            (b"From: undisclosed:;\r\n", "names no address"),
            (b"From: ann@" + b"x" * 64 + b".test\r\n", "is no domain"),
            (b"From: ann@a..b\r\n", "is no domain"),
            (b"From: @example.org\r\n", "no address with a domain"),
            (b"From: ann@\xff\xfe\r\n", "is no domain"),
            (b"X-From: ann@example.org\r\n", "no From field"),
        ):
            found = authors_of(header)
            self.assertEqual((), found.domains, header)
            self.assertIn(words, found.trouble, header)

    def test_too_many(self) -> None:
        header = b"From: " + b",".join(b"a@d%d.test" % number for number in range(1000)) + b"\r\n"
        found = authors_of(header)
        self.assertEqual(MOST_AUTHORS, len(found.domains))
        self.assertIn("more than", found.trouble)

    @given(st.binary(max_size=300))
    def test_anything(self, octets: bytes) -> None:
        """Never an exception, and never a domain that the DNS cannot spell."""
        for domain in authors_of(b"From: " + octets + b"\r\n").domains:
            self.assertTrue(domain.isascii() and 0 < len(domain) <= 253, domain)

    @given(st.text('a@."<>(),:;[]\\ ', max_size=60))
    def test_any_nesting(self, text: str) -> None:
        authors_of(f"From: {text}\r\n".encode())
