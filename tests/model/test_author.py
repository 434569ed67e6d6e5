"""From fields as people's programs write them, and as others do."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.model.author import addresses, authors


class AuthorTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        for value, expected in (
            ("ann@example.org", ["ann@example.org"]),
            (" Ann <ann@example.org>", ["ann@example.org"]),
            ('"Ann, of \\"x@y.test\\"" <ann@example.org>', ["ann@example.org"]),
            ("ann@example.org (bob@b.test (nested) )", ["ann@example.org"]),
            ("bob@b.test <ann@example.org>", ["ann@example.org"]),
            ("<ann@example.org> bob@b.test", ["ann@example.org"]),
            ("Ann <ann@example.org>, bob@b.test", ["ann@example.org", "bob@b.test"]),
            ("Friends: Ann <ann@example.org>, bob@b.test;", ["ann@example.org", "bob@b.test"]),
            ("<@relay.test,@x.test:ann@example.org>", ["ann@example.org"]),
            ('"a b"@example.org', ['"a b"@example.org']),
            ("ann @ example . org", ["ann@example.org"]),
            ("ann\r\n\t@example.org", ["ann@example.org"]),
            ("ann@[192.0.2.1]", ["ann@[192.0.2.1]"]),
            ("Ann <ann@example.org", ["ann@example.org"]),
            ("änn@exämple.org", ["änn@exämple.org"]),
            ("=?utf-8?q?ann=40example=2Eorg?= <bob@b.test>", ["bob@b.test"]),
            ("undisclosed:;", []),
            ("ann", []),
            ("<>", []),
            ("@example.org", []),
            ("ann@", []),
            ("", []),
        ):
            self.assertEqual(expected, authors(f"From:{value}\r\n".encode()), value)

    def test_fields(self) -> None:
        """All of them count, whatever their case; those of others do not."""
        header = b"from : a@a.test\r\nX-From: b@b.test\r\nFROM:\r\n c@c.test\r\nSubject: From: d@d.test\r\n"
        self.assertEqual(["a@a.test", "c@c.test"], authors(header))
        self.assertEqual([], authors(b""))

    @settings(max_examples=300)
    @given(st.text(st.sampled_from('a@.<>()",;:[]\\ \t\r\n\0é'), max_size=40))
    def test_anything(self, value: str) -> None:
        for address in authors(f"From:{value}\r\n".encode()):
            local, at, domain = address.rpartition("@")
            self.assertTrue(local and at and domain, (value, address))

    def test_long(self) -> None:
        for value in ("(" * 50_000, '"' * 49_999, "<" * 50_000, "a@" * 25_000, "\\" * 50_000, "[" * 50_000):
            list(addresses(value))
