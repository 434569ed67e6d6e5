"""The report on a day, its size, and the mail around it."""

from __future__ import annotations

import gzip
from email import message_from_bytes
from email.policy import SMTP
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.daily_report.composition import Reporter
from mta.dmarc.record import Record, parse_record
from mta.dmarc_report.composition import fitted, mail, report
from mta.model.dmarc_report import DmarcReport, Published, Row
from tests.dmarc_report.published import mistakes

DAY = "2026-01-15"
WHO = Reporter("Example", "dmarc@example.org", "noreply@example.org", "mx.example.org")
ROWS = [
    Row("192.0.2.9", "reject", False, False, "bank.test", "crook.test", count=3),
    Row("192.0.2.1", "pass", True, False, "bank.test", "bank.test"),
]


def record(text: str) -> Record:
    found = parse_record(text.encode())
    assert found is not None
    return found


def made(
    text: str = "v=DMARC1; p=reject; rua=mailto:d@bank.test", rows: Any = ROWS, left_out: int = 0
) -> DmarcReport:
    identifier = WHO.identifier(DAY, "bank.test", "mailto:d@bank.test", "v")
    return report(WHO, identifier, DAY, "bank.test", record(text), rows, left_out, "mta 1")


class ReportTests(SynchronousTestCase):
    def test_published(self) -> None:
        for text, expected in (
            (
                "v=DMARC1; p=reject; rua=mailto:d@b.test",
                Published("bank.test", "reject", "reject", "reject", "r", "r", "0", "n", "treewalk"),
            ),
            (
                "v=DMARC1; p=reject; sp=none; np=quarantine; adkim=s; aspf=s; t=y; fo=1; rua=mailto:d@b.test",
                Published("bank.test", "reject", "none", "quarantine", "s", "s", "1", "y", "treewalk"),
            ),
            (
                "v=DMARC1; rua=mailto:d@b.test",
                Published("bank.test", "none", "none", "none", "r", "r", "0", "n", "treewalk"),
            ),
        ):
            one = made(text)
            self.assertEqual(expected, one.published)
            self.assertEqual([], mistakes(one.written()))

    def test_day(self) -> None:
        self.assertEqual((1768435200.0, 1768521599.0), (made().begins, made().ends))

    def test_error(self) -> None:
        """What is wrong with the record is told to whoever wrote it (2.1.5)."""
        self.assertIn("adkim", made("v=DMARC1; p=none; adkim=x; rua=mailto:d@b.test").error)
        self.assertIn("no room for 9 more", made(left_out=9).error)

    def test_size(self) -> None:
        """The rows with the fewest messages are left out, and that is told."""
        rows = [
            Row(f"2001:db8::{number:x}", "reject", False, False, "bank.test", count=10000 - number)
            for number in range(5000)
        ]
        whole, data = fitted(made(rows=rows), 10**7)
        self.assertEqual(5000, len(whole.rows))
        most = len(data) // 3
        part, data = fitted(made(rows=rows), most)
        self.assertLessEqual(len(data), most)
        self.assertEqual(tuple(rows[: len(part.rows)]), part.rows)
        self.assertIn(f"no room for {whole.messages - part.messages} more messages", part.error)
        self.assertEqual([], mistakes(gzip.decompress(data)))

    def test_mail(self) -> None:
        """RFC 9990, 2.5: subject, media type, file name."""
        one, data = fitted(made(), 10**7)
        octets = mail(WHO, one, data, "d@bank.test", 1.8e9)
        parsed: Any = message_from_bytes(octets, policy=SMTP)
        identifier = one.report
        self.assertEqual(
            f"Report Domain: bank.test Submitter: example.org Report-ID: <{identifier}>",
            " ".join(parsed["subject"].split()),
        )
        self.assertEqual(("noreply@example.org", "d@bank.test"), (parsed["from"], parsed["to"]))
        text, part = parsed.iter_parts()
        self.assertEqual("application/gzip", part.get_content_type())
        unique = identifier.partition("_")[2].partition("@")[0]
        self.assertEqual(f"example.org!bank.test!1768435200!1768521599!{unique}.xml.gz", part.get_filename())
        self.assertTrue(unique.isalnum())
        self.assertEqual(one, DmarcReport.read(gzip.decompress(part.get_content())))
        self.assertIn("4 messages, of which 3 fail", text.get_content())
        self.assertIn("3 x from 192.0.2.9 as bank.test: reject", text.get_content())
        self.assertNotIn(b"\n\n", octets)
