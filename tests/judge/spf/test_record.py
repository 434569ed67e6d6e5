from __future__ import annotations

import contextlib

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.judge.spf.record import LONGEST, Record, RecordError, spf_records

BOUNDED = settings(max_examples=300)
#: Pieces of records.
PIECES = st.sampled_from(
    [
        " ", " a", " mx", " ptr", " all", " -", "~", "?", "+", "ip4", "ip6", "include", "exists", "redirect",
        "exp", ":", "=", "/", "//", "/24", "//64", "0", "1.2.3.4", "::1", "2001:db8::/32", "example.com",
        "%{d}", "%", ".",
    ]
)  # fmt: skip


def records() -> st.SearchStrategy[bytes]:
    """Octets that might be a record."""
    text = st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=20).map("".join)
    return text.map(lambda rest: b"v=spf1" + rest.encode("utf-8", "surrogatepass"))


class RecordTests(SynchronousTestCase):
    """What a record says."""

    def test_all_there_is(self) -> None:
        record = Record.parse(
            b"V=SPF1 +A mx:m.example.com/24//64 ~ip4:192.0.2.0/24 ?ip6:2001:db8::/32  "
            b"-include:%{d2} a//0 exists:%{i}._spf.%{d} ptr x=%{s} EXP=e.%{d} redirect=r.example.com -ALL "
        )
        self.assertEqual(
            [
                ("+", "a", None, None, 32, 128),
                ("+", "mx", "m.example.com", None, 24, 64),
                ("~", "ip4", None, "192.0.2.0/24", 32, 128),
                ("?", "ip6", None, "2001:db8::/32", 32, 128),
                ("-", "include", "%{d2}", None, 32, 128),
                ("+", "a", None, None, 32, 0),
                ("+", "exists", "%{i}._spf.%{d}", None, 32, 128),
                ("+", "ptr", None, None, 32, 128),
                ("-", "all", None, None, 32, 128),
            ],
            [
                (
                    one.qualifier,
                    one.name,
                    one.domain.text if one.domain else None,
                    str(one.network) if one.network else None,
                    one.length4,
                    one.length6,
                )
                for one in record.mechanisms
            ],
        )
        assert record.exp is not None and record.redirect is not None
        self.assertEqual(("e.%{d}", "r.example.com"), (record.exp.text, record.redirect.text))

    def test_mistakes(self) -> None:
        for terms in (
            "all:x", "all/8", "ip4", "ip4:", "ip4:1.2.3", "ip4:1.2.3.4/33", "ip4:1.2.3.4/08", "ip4:01.2.3.4",
            "ip4:1.2.3.4//32", "ip6:1.2.3.4", "ip6:::1/129", "ip6:fe80::1%eth0", "a:", "a/", "a/33", "a/024",
            "a//129", "a/1/1", "a//", "include", "include:", "exists", "exists:a.com/24", "-redirect=a.b",
            "redirect=a.b redirect=a.b", "exp=a.b exp=c.d", "x=%", "1x", "-", "a\tmx", "xyz", "redirect:a.b",
            "ptr/24", "é", "a :b",
        ):  # fmt: skip
            error = self.assertRaises(RecordError, Record.parse, b"v=spf1 " + terms.encode())
            self.assertTrue(str(error), terms)
        self.assertRaises(RecordError, Record.parse, b"v=spf1" + b" " * LONGEST)

    def test_which_records(self) -> None:
        """4.5: the version, alone or before a space, in any case."""
        found = spf_records(
            [b"v=spf1", b"V=SpF1 -all", b"v=spf10", b"v=spf1\t", b" v=spf1", b"spf2.0/pra", b""]
        )
        self.assertEqual([b"v=spf1", b"V=SpF1 -all"], found)


class FuzzTests(SynchronousTestCase):
    @BOUNDED
    @given(st.one_of(records(), st.binary(max_size=100).map(lambda rest: b"v=spf1 " + rest)))
    def test_anything(self, octets: bytes) -> None:
        """It is a mistake, or a record."""
        with contextlib.suppress(RecordError):
            self.assertEqual(octets, Record.parse(octets).text.encode("ascii"))
