"""The report, its name, and the mail around it."""

from __future__ import annotations

import gzip
import json
from email import message_from_bytes
from email.policy import SMTP

from twisted.trial.unittest import SynchronousTestCase

from mta.daily_report.composition import Reporter
from mta.feedback.mime import parse
from mta.feedback.tls_report import tls_report
from mta.tls_report.composition import mail, packed, report
from mta.tls_report.ledger import Sessions
from tests.tls_report.published import mistakes

DAY = "2026-01-15"
WHO = Reporter("Example & Söhne", "tls@example.org", "reports@example.org", "mx.example.org")
STS = ("version: STSv1", "mode: enforce", "mx: *.far.test", "max_age: 86400")


def sessions(
    policy: str = "no-policy-found", result: str = "success", count: int = 1, **facts: object
) -> Sessions:
    values: dict[str, object] = dict.fromkeys(("sending", "receiving", "host", "helo", "reason"), "")
    return Sessions(
        **{  # type: ignore[arg-type]
            "policy": policy,
            "strings": (),
            "patterns": (),
            "result": result,
            "count": count,
            **values,
            **facts,
        }
    )


SOME = [
    sessions("sts", count=40, strings=STS, patterns=("*.far.test",)),
    sessions(
        "sts",
        "certificate-host-mismatch",
        3,
        strings=STS,
        patterns=("*.far.test",),
        sending="2001:db8::1",
        receiving="192.0.2.9",
        host="mx.far.test",
        helo="far",
        reason="the certificate is not for mx.far.test",
    ),
    sessions("sts", "sts-webpki-invalid", 1, reason="an old certificate"),
    sessions("tlsa", "dnssec-invalid", 2, host="mx2.far.test"),
    sessions(count=7),
]


class ReportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.report = report(WHO, DAY, "far.test", SOME, "mailto:r@far.test")
        self.json = json.loads(self.report.written())

    def test_schema(self) -> None:
        self.assertEqual([], mistakes(self.json))

    def test_day(self) -> None:
        """A whole day in UTC (4.1)."""
        expected = {"start-datetime": "2026-01-15T00:00:00Z", "end-datetime": "2026-01-15T23:59:59Z"}
        self.assertEqual(expected, self.json["date-range"])

    def test_policies(self) -> None:
        """Each by itself, and its sum is that of its failures."""
        found = {
            (one["policy"]["policy-type"], len(one["policy"].get("policy-string", ()))): one
            for one in self.json["policies"]
        }
        self.assertEqual({("sts", 4), ("sts", 0), ("tlsa", 0), ("no-policy-found", 0)}, set(found))
        one = found["sts", 4]
        self.assertEqual(["*.far.test"], one["policy"]["mx-host"])
        self.assertEqual(
            {"total-successful-session-count": 40, "total-failure-session-count": 3}, one["summary"]
        )
        self.assertEqual(
            [
                {
                    "result-type": "certificate-host-mismatch",
                    "sending-mta-ip": "2001:db8::1",
                    "receiving-mx-hostname": "mx.far.test",
                    "receiving-mx-helo": "far",
                    "receiving-ip": "192.0.2.9",
                    "failed-session-count": 3,
                    "failure-reason-code": "the certificate is not for mx.far.test",
                }
            ],
            one["failure-details"],
        )
        self.assertEqual([], found["no-policy-found", 0]["failure-details"])

    def test_schema_finds(self) -> None:
        """The schema would find what is wrong."""
        self.json["policies"][0]["summary"]["total-failure-session-count"] = "3"
        self.json["date-range"]["end-datetime"] = "yesterday"
        self.json["contact-info"] = "nobody"
        self.assertEqual(3, len(mistakes(self.json)))

    def test_identifier(self) -> None:
        """The same for the same, and another for each day, domain and destination."""
        again = report(WHO, DAY, "far.test", (), "mailto:r@far.test")
        others = [
            report(WHO, "2026-01-16", "far.test", (), "mailto:r@far.test"),
            report(WHO, DAY, "near.test", (), "mailto:r@far.test"),
            report(WHO, DAY, "far.test", (), "https://far.test/"),
        ]
        self.assertEqual(self.report.report_id, again.report_id)
        self.assertEqual(4, len({self.report.report_id, *(one.report_id for one in others)}))

    def test_filename(self) -> None:
        """5.1."""
        name = packed(WHO, DAY, "far.test", self.report).filename
        self.assertRegex(name, r"^example\.org!far\.test!1768435200!1768521599![0-9a-f]{16}\.json\.gz$")

    def test_most(self) -> None:
        """Failures beyond what anybody reads are in the sum."""
        many = [sessions(result="validation-failure", count=n, reason=str(n)) for n in range(1, 1502)]
        [one] = report(WHO, DAY, "far.test", many, "").policies
        self.assertEqual(sum(range(1502)), one.summary.total_failure_session_count)
        self.assertEqual(
            (1000, 1501), (len(one.failure_details), one.failure_details[0].failed_session_count)
        )


class MailTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.report = report(WHO, DAY, "far.test", SOME, "mailto:r@far.test")
        self.pack = packed(WHO, DAY, "far.test", self.report)
        self.octets = mail(WHO, "far.test", self.report, self.pack, "r@far.test", 1768500000.0)
        self.message = message_from_bytes(self.octets, policy=SMTP)

    def test_header(self) -> None:
        """5.3."""
        message = self.message
        self.assertEqual("multipart/report", message.get_content_type())
        self.assertEqual("tlsrpt", message.get_param("report-type"))
        self.assertEqual("far.test", message["TLS-Report-Domain"])
        self.assertEqual("example.org", message["TLS-Report-Submitter"])
        self.assertEqual("No", message["TLS-Required"])
        self.assertEqual(
            f"Report Domain: far.test Submitter: example.org Report-ID: <{self.report.report_id}>",
            " ".join(message["Subject"].split()),
        )
        self.assertEqual(f"<{self.report.report_id}>", message["Message-ID"])
        self.assertEqual([], message.defects)

    def test_parts(self) -> None:
        words, data = self.message.iter_parts()
        self.assertIn("3 x certificate-host-mismatch at mx.far.test", words.get_content())
        self.assertIn("Example & Söhne", words.get_content())
        self.assertEqual("application/tlsrpt+gzip", data.get_content_type())
        self.assertEqual(self.pack.filename, data.get_filename())
        self.assertEqual(json.loads(self.report.written()), json.loads(gzip.decompress(data.get_content())))

    def test_lines(self) -> None:
        """Any server takes it: ASCII, CRLF, no long line."""
        self.assertTrue(self.octets.isascii())
        lines = self.octets.split(b"\r\n")
        self.assertLess(max(map(len, lines)), 200)
        self.assertNotIn(b"\n", b"".join(lines))

    def test_read(self) -> None:
        """What we write, we read."""
        self.assertEqual(self.report, tls_report(parse(self.octets)))
