"""An aggregate report as XML: what we write is read again, and what is hostile is refused with words."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.model.dmarc_report import BadDmarcReport, DmarcReport, Published, Reason, Row, Sender, Signature
from tests.dmarc_report.published import OLDER, mistakes

ROW = Row(
    source="192.0.2.1",
    disposition="quarantine",
    dkim=False,
    spf=False,
    author="mail.bank.test",
    sender="crook.test",
    reasons=(Reason("mailing_list"), Reason("other", "so & so")),
    signatures=(Signature("list.test", "k1", "pass"), Signature("bank.test", "k2", "fail", "body")),
    senders=(Sender("crook.test", "softfail", "~all"),),
    count=7,
)
REPORT = DmarcReport(
    organization="Example <&>",
    contact="dmarc@example.org",
    report="2026-01-15_ab@example.org",
    begins=1768435200.0,
    ends=1768521599.0,
    published=Published("bank.test", "reject", "reject", "none", "s", "r", "1", "y", "treewalk"),
    rows=(ROW, Row("2001:db8::1", "pass", True, True, "bank.test", count=1)),
    error="pct is no tag",
    generator="mta",
)


class DmarcReportTests(SynchronousTestCase):
    def bad(self, data: bytes) -> str:
        return str(self.assertRaises(BadDmarcReport, DmarcReport.read, data))

    def test_both_ways(self) -> None:
        data = REPORT.written()
        self.assertEqual([], mistakes(data))
        self.assertEqual(REPORT, DmarcReport.read(data))
        self.assertEqual((8, 7), (REPORT.messages, REPORT.failures))

    def test_strangers_words(self) -> None:
        """What XML cannot say does not break the report, and what a terminal obeys is not shown."""
        row = Row(
            "192.0.2.1",
            "none",
            False,
            False,
            "a\x00b\ud800.test",
            signatures=(Signature("d", "\x1b[2J", "fail"),),
        )
        data = DmarcReport("x", "y", "z", 0.0, 1.0, Published("b.test"), (row,)).written()
        self.assertEqual([], mistakes(data))
        [read] = DmarcReport.read(data).rows
        self.assertEqual(("a?b?.test", "?[2J"), (read.author, read.signatures[0].selector))

    def test_older(self) -> None:
        """As many write it still (RFC 7489)."""
        read = DmarcReport.read(OLDER)
        self.assertEqual(
            ("big.example", "example.org", 15, 3),
            (read.organization, read.published.domain, read.messages, read.failures),
        )
        good, bad = read.rows
        self.assertEqual((Signature("example.org", "k1", "pass"),), good.signatures)
        self.assertEqual(
            [Sender("mx.crook.example", "none"), Sender("crook.example", "softfail")], list(bad.senders)
        )
        self.assertEqual((Reason("local_policy", "arc=pass"),), bad.reasons)

    def test_hostile(self) -> None:
        bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><feedback>&b;</feedback>'
        file = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><feedback>&f;</feedback>'
        for data in (bomb, file, b'<!DOCTYPE feedback SYSTEM "http://127.0.0.1/x.dtd"><feedback/>'):
            self.assertIn("DTD", self.bad(data))
        self.assertIn("no XML", self.bad(b"<feedback>"))
        self.assertIn("no XML", self.bad(b"\x1f\x8b"))
        self.assertIn("no XML", self.bad(b'<?xml version="1.0" encoding="klingon"?><feedback/>'))
        self.assertIn("more elements", self.bad(b"<a>" * 1_000_001))

    def test_deep(self) -> None:
        """However deep, it does not take the process with it."""
        self.assertIn(
            "no report_metadata",
            self.bad(b"<feedback>" + b"<a>" * 100_000 + b"</a>" * 100_000 + b"</feedback>"),
        )

    def test_lacking(self) -> None:
        for old, new, words in (
            (b"<feedback>", b"<report>", "no XML"),
            (b"<count>12</count>", b"<count>-1</count>", "no number as count: '-1'"),
            (b"<count>12</count>", b"<count>" + b"9" * 30 + b"</count>", "no number as count"),
            (b"<count>12</count>", b"", "row has no number as count"),
            (b"<domain>Example.org</domain><adkim>", b"<adkim>", "names no domain"),
            (b"<end>1768521599</end>", b"<end>1</end>", "ends before it begins"),
            (
                b"<identifiers><header_from>example.org</header_from></identifiers>",
                b"",
                "record has no identifiers",
            ),
        ):
            self.assertIn(words, self.bad(OLDER.replace(old, new)))
        self.assertIn("'html', not 'feedback'", self.bad(b"<html/>"))
