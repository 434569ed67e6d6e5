from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.judge.spf.macro import EXPLANATION_LETTERS, MacroError, MacroString

BOUNDED = settings(max_examples=300)
#: RFC 7208, 7.4.
VALUES = {
    "s": "strong-bad@email.example.com",
    "l": "strong-bad",
    "o": "email.example.com",
    "d": "email.example.com",
    "i": "192.0.2.3",
    "p": "unknown",
    "v": "in-addr",
    "h": "mx.example.net",
    "c": "192.0.2.3",
    "r": "mx.example.org",
    "t": "1800000000",
}
#: Texts that are mostly macros.
TEXT = st.lists(
    st.one_of(
        st.sampled_from(
            ["%{", "}", "%%", "%_", "%-", "%", ".", "/", "r", "R", "0", "99", "12345", "a-b", "-", " "]
        ),
        st.sampled_from(sorted(EXPLANATION_LETTERS)).map(lambda letter: f"%{{{letter}2r.-/}}"),
        st.text(max_size=4),
    ),
    max_size=12,
).map("".join)


class ExpansionTests(SynchronousTestCase):
    """What stands for what."""

    def expanded(self, text: str, **values: str) -> str:
        return MacroString.parse(text, explanation=True).expand({**VALUES, **values})

    def test_examples(self) -> None:
        """Those of 7.4."""
        for text, expected in (
            ("%{s}", "strong-bad@email.example.com"),
            ("%{o}", "email.example.com"),
            ("%{d}", "email.example.com"),
            ("%{d4}", "email.example.com"),
            ("%{d3}", "email.example.com"),
            ("%{d2}", "example.com"),
            ("%{d1}", "com"),
            ("%{dr}", "com.example.email"),
            ("%{d2r}", "example.email"),
            ("%{l}", "strong-bad"),
            ("%{l-}", "strong.bad"),
            ("%{lr}", "strong-bad"),
            ("%{lr-}", "bad.strong"),
            ("%{l1r-}", "strong"),
            ("%{ir}.%{v}._spf.%{d2}", "3.2.0.192.in-addr._spf.example.com"),
            ("%{lr-}.lp._spf.%{d2}", "bad.strong.lp._spf.example.com"),
            ("%{lr-}.lp.%{ir}.%{v}._spf.%{d2}", "bad.strong.lp.3.2.0.192.in-addr._spf.example.com"),
            ("%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "3.2.0.192.in-addr.strong.lp._spf.example.com"),
            ("%{d2}.trusted-domains.example.net", "example.com.trusted-domains.example.net"),
        ):
            self.assertEqual(expected, self.expanded(text), text)

    def test_escapes(self) -> None:
        self.assertEqual("100% a%20b c", self.expanded("100%% a%-b%_c"))
        self.assertEqual("jack%26jill%3Dup~-._", self.expanded("%{L}", l="jack&jill=up~-._"))

    def test_numbers(self) -> None:
        self.assertEqual("c", self.expanded("%{d01}", d="a.b.c"))
        self.assertEqual("a.b.c", self.expanded("%{d99999999999999999999}", d="a.b.c"))

    def test_mistakes(self) -> None:
        for text in (
            "%",
            "%x",
            "%{",
            "%{s",
            "%{}",
            "%{x}",
            "%{d0}",
            "%{dr2}",
            "%{d!}",
            "a b",
            "é",
            "\x7f",
            "%{t}",
        ):
            self.assertRaises(MacroError, MacroString.parse, text)
        self.assertRaises(MacroError, MacroString.parse, "é", True)

    def test_domain(self) -> None:
        for text in (
            "example.com",
            "a.b.example.com.",
            "%{d}",
            "x.%{d2}",
            "a.%%",
            "a.b-c",
            "a.1-2",
            "a/b.com",
        ):
            self.assertEqual(text, MacroString.parse_domain(text).text)
        for text in ("", "com", "a.1", "a.com-", "a.-com", "a..", "a.com/24", "%{d}com", "%{d}."):
            self.assertRaises(MacroError, MacroString.parse_domain, text)


class FuzzTests(SynchronousTestCase):
    @BOUNDED
    @given(TEXT, TEXT)
    def test_anything(self, text: str, value: str) -> None:
        """It is a mistake, or it can be expanded, whatever the values are."""
        for explanation in (False, True):
            with contextlib.suppress(MacroError):
                found = MacroString.parse(text, explanation)
                self.assertEqual(text, found.text)
                found.expand(dict.fromkeys(VALUES, value))
        with contextlib.suppress(MacroError):
            MacroString.parse_domain(text).expand(dict.fromkeys(VALUES, value))
