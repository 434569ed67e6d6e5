from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.model.authentication import AuthenticationResult
from mta.model.authentication_results import AuthenticationResults, Unreadable, without_forged

BOUNDED = settings(max_examples=300)
SPF = AuthenticationResult(
    "spf",
    "fail",
    (("smtp.mailfrom", "ann@example.net"), ("smtp.helo", "mx.example.net")),
    "192.0.2.1 may not send for example.net",
)
KEYWORD = st.from_regex(r"[a-z][a-z0-9-]{0,8}[a-z0-9]", fullmatch=True).filter(lambda word: word != "reason")
TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=60)
RESULT = st.builds(
    AuthenticationResult,
    KEYWORD,
    KEYWORD,
    st.lists(st.tuples(st.builds("{}.{}".format, KEYWORD, KEYWORD), TEXT), max_size=3).map(tuple),
    TEXT,
)


class WrittenTests(SynchronousTestCase):
    """What we put on top."""

    def test_nothing_looked_at(self) -> None:
        self.assertEqual(
            b"Authentication-Results: mx.local.test; none\r\n", AuthenticationResults("mx.local.test").field()
        )

    def test_folded(self) -> None:
        """A line for each result, and more where one would be too long."""
        field = AuthenticationResults("mx.local.test", (SPF, AuthenticationResult("dkim", "none"))).field()
        self.assertEqual(
            b"Authentication-Results: mx.local.test;\r\n"
            b'\tspf=fail reason="192.0.2.1 may not send for example.net"\r\n'
            b"\t smtp.mailfrom=ann@example.net smtp.helo=mx.example.net;\r\n"
            b"\tdkim=none\r\n",
            field,
        )

    def test_quoted(self) -> None:
        """What is no token stands in quotes; nothing begins a line of its own."""
        result = AuthenticationResult(
            "dkim", "pass", (("header.b", "a/b="), ("header.i", '"a b"@x.test')), 'say "no"\r\nBcc: x'
        )
        self.assertEqual(
            b"Authentication-Results: mx.local.test;\r\n"
            b'\tdkim=pass reason="say \\"no\\"  Bcc: x" header.b="a/b=" header.i="a b"@x.test\r\n',
            AuthenticationResults("mx.local.test", (result,)).field(),
        )

    def test_no_line_is_too_long(self) -> None:
        result = AuthenticationResult("spf", "pass", (("smtp.mailfrom", "a" * 3000),), "b" * 3000)
        field = AuthenticationResults("mx.local.test", (result,)).field()
        self.assertLess(max(map(len, field.split(b"\r\n"))), 998)


class ReadTests(SynchronousTestCase):
    """The examples of RFC 8601, appendix B, and what else there is."""

    def test_none(self) -> None:
        self.assertEqual(
            AuthenticationResults("example.org", (), 1), AuthenticationResults.parse("example.org 1; none")
        )

    def test_comments_and_folding(self) -> None:
        """Appendix B.7."""
        found = AuthenticationResults.parse(
            "foo.example.net (foobar) 1 (baz);\r\n"
            "    dkim (Because I like it) / 1 (One yay) = (wait for it) fail\r\n"
            "     policy (A dot can go here) . (like that) expired\r\n"
            "     (this surprised me) = (as I wasn't expecting it) 1362471462"
        )
        self.assertEqual(
            AuthenticationResults(
                "foo.example.net",
                (AuthenticationResult("dkim", "fail", (("policy.expired", "1362471462"),)),),
            ),
            found,
        )

    def test_several(self) -> None:
        """Appendix B.5."""
        found = AuthenticationResults.parse(
            b'example.com;\r\n      dkim=pass reason="good signature"\r\n'
            b"       header.i=@mail-router.example.net;\r\n"
            b'      dkim=fail reason="bad signature"\r\n       header.i=@newyork.example.com'
        )
        self.assertEqual(
            [("pass", "good signature", "@mail-router.example.net")],
            [(one.result, one.reason, one.get("header.i")) for one in found.results[:1]],
        )
        self.assertEqual("@newyork.example.com", found.results[1].get("header.i"))

    def test_local_part_in_quotes(self) -> None:
        found = AuthenticationResults.parse('a.test; spf=pass smtp.mailfrom="a \\"b"@x.test')
        self.assertEqual('"a \\"b"@x.test', found.results[0].get("smtp.mailfrom"))

    def test_unreadable(self) -> None:
        for value in (
            "", ";", "a.test", "a.test;", "a.test; spf", "a.test; spf=", "a.test; none x",
            "a.test b; spf=pass", 'a.test; spf=pass reason="x', "a.test; spf=pass smtp=x",
            "a.test; spf=pass =", "a.test (; spf=pass",
        ):  # fmt: skip
            self.assertRaises(Unreadable, AuthenticationResults.parse, value)

    @BOUNDED
    @given(st.builds(AuthenticationResults, st.just("mx.local.test"), st.lists(RESULT).map(tuple)))
    def test_what_is_written_is_read(self, results: AuthenticationResults) -> None:
        self.assertEqual(results, AuthenticationResults.parse(results.value()))

    @BOUNDED
    @given(st.binary(max_size=200))
    def test_anything(self, value: bytes) -> None:
        with contextlib.suppress(Unreadable):
            AuthenticationResults.parse(value)


class ForgedTests(SynchronousTestCase):
    """Nobody else's field bears our name (RFC 8601, 5)."""

    def kept(self, field: bytes) -> bool:
        message = (
            b"Received: x\r\n" + field + b"\r\nSubject: y\r\n\r\nAuthentication-Results: mx.local.test\r\n"
        )
        found = without_forged(message, "mx.local.test")
        rest = b"Received: x\r\nSubject: y\r\n\r\nAuthentication-Results: mx.local.test\r\n"
        self.assertIn(found, (message, rest))
        return found == message

    def test_ours(self) -> None:
        for value in (
            b"mx.local.test; spf=pass",
            b"MX.Local.Test; spf=pass",
            b" \t mx.local.test\t1 ; none",
            b"\r\n mx.local.test;\r\n\tspf=pass\r\n\tsmtp.mailfrom=a@b.test",
            b"(a comment) mx.local.test; spf=pass",
            b"(a (deep; one) with \\) )mx.local.test(;)\r\n\t; spf=pass",
            b'"mx.local.test"; spf=pass',
            b'"m\\x.local.test"; spf=pass',
            b"mx.local.test.; spf=pass",
            b"mx.local(x).test; spf=pass",
            b"other.test mx.local.test; spf=pass",
            b'mx."local".test; spf=pass',
            "mx.\u200blocal.test; spf=pass".encode(),
            "\uff4d\uff58.local.test; spf=pass".encode(),
            b"=?utf-8?q?mx.local.test?=; spf=pass",
            b"(no end mx.local.test; spf=pass",
            b"mx.local.test" + b"\xe2\x80\x8b" * 1000 + b"; spf=pass",
            b"mx.local (" + b"x" * 1000 + b") .test; spf=pass",
            b'"mx.local.test; spf=pass',
            b"; spf=pass",
            b"",
            b"mx.local.test",
        ):
            for name in (b"Authentication-Results:", b"authentication-RESULTS \t:"):
                self.assertFalse(self.kept(name + value), name + value)

    def test_others(self) -> None:
        for field in (
            b"Authentication-Results: mx.other.test; spf=pass",
            b"Authentication-Results: mx.other.test; spf=pass reason=mx.local.test",
            b"Authentication-Results: notmx.local.test; spf=pass",
            b"Authentication-Results: spf=pass (mx.local.test) smtp.mailfrom=a@b.test; dkim=none",
            b"ARC-Authentication-Results: i=1; mx.local.test; spf=pass",
            b"Authentication-Results-Original: mx.local.test; spf=pass",
            b"X: a\r\n Authentication-Results: mx.local.test; spf=pass",
        ):
            self.assertTrue(self.kept(field), field)

    def test_at_the_beginning_and_the_end(self) -> None:
        forged = b"Authentication-Results: mx.local.test; spf=pass\r\n"
        self.assertEqual(
            b"A: b\r\n\r\nx", without_forged(forged + b"A: b\r\n" + forged + b"\r\nx", "mx.local.test")
        )
        self.assertEqual(b"A: b\r\n", without_forged(b"A: b\r\n" + forged[:-2], "mx.local.test"))

    def test_none_costs_no_copy(self) -> None:
        message = b"Subject: y\r\n\r\nbody"
        self.assertIs(message, without_forged(message, "mx.local.test"))

    @BOUNDED
    @given(st.binary(max_size=200))
    def test_anything(self, value: bytes) -> None:
        """Whatever is found is gone after the first time."""
        once = without_forged(b"Authentication-Results:" + value + b"\r\n\r\n", "mx.local.test")
        self.assertEqual(once, without_forged(once, "mx.local.test"))
