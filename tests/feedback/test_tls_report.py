"""TLS reports in messages: found, unpacked, refused; and what the journal gets."""

from __future__ import annotations

import base64
import gzip
import json
import zlib

from hypothesis import given
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.feedback.mime import parse
from mta.feedback.reading import read
from mta.feedback.tls_report import LONGEST_JSON, received, signed, tls_report, unpacked
from mta.feedback.transport import FeedbackTransport
from mta.interfaces import Delivery
from mta.model.envelope import Client, Envelope
from mta.model.event import Event
from mta.model.event_report import TlsReportReceived
from mta.model.event_rows import event_of, event_row
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Outcome
from mta.model.tls_report import BadTlsReport, TlsReport
from tests.feedback.damage import damaged
from tests.feedback.test_transport import NOW, REPORT, MemoryJournal
from tests.tls_report.published import EXAMPLE

MAIL = """\
From: tlsrpt@company-x.example
To: reports@company-y.example
Subject: Report Domain: company-y.example
TLS-Report-Domain: company-y.example
TLS-Report-Submitter: company-x.example
MIME-Version: 1.0
Content-Type: {outer}; boundary="b"

--b
Content-Type: text/plain

See the file.
--b
Content-Type: {kind}; name="r.json.gz"
Content-Transfer-Encoding: base64

{data}
--b--
"""
OUTER = 'multipart/report; report-type="tlsrpt"'
GZIP = "application/tlsrpt+gzip"


def mail(data: bytes, kind: str = GZIP, outer: str = OUTER) -> bytes:
    text = MAIL.format(outer=outer, kind=kind, data=base64.encodebytes(data).decode())
    return text.replace("\n", "\r\n").encode()


class FindingTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """As the RFC has it, and as senders do."""
        packed = gzip.compress(EXAMPLE)
        for octets in (
            mail(packed),
            mail(EXAMPLE, "application/tlsrpt+json"),
            mail(packed, "application/gzip"),
            mail(packed, outer="multipart/mixed"),
        ):
            report = tls_report(parse(octets))
            assert report is not None
            self.assertEqual("5065427c-23d3-47ca-b6e0-946ea0e8c4be", report.report_id)

    def test_none(self) -> None:
        """Any other file is no report, and neither is a bounce."""
        self.assertIsNone(
            tls_report(parse(mail(gzip.compress(b"{}"), "application/gzip", "multipart/mixed")))
        )
        self.assertIsNone(tls_report(parse(b"Subject: x\r\n\r\nHello.\r\n")))

    def test_bad(self) -> None:
        bomb = zlib.compressobj(9, wbits=31)
        packed = b"".join(bomb.compress(b" " * 1_000_000) for _ in range(100)) + bomb.flush()
        self.assertLess(len(packed), 150_000)
        table = [
            (mail(b"hello"), "not compressed with gzip"),
            (mail(gzip.compress(EXAMPLE)[:-20]), "cut off"),
            (mail(packed), "unpacks to more than 8 MiB"),
            (mail(gzip.compress(b"[]")), "Input should be an object"),
            (mail(b" " * (LONGEST_JSON + 1), "application/tlsrpt+json"), "larger than 8 MiB"),
            (mail(EXAMPLE, "application/pdf"), "has no part of the type"),
        ]
        for octets, words in table:
            error = self.assertRaises(BadTlsReport, tls_report, parse(octets))
            self.assertIn(words, str(error))

    def test_nested(self) -> None:
        """A bomb in a bomb is a report that is no JSON."""
        inner = gzip.compress(gzip.compress(b"0" * 10_000_000))
        self.assertLess(len(unpacked(inner)), 20_000)

    def test_long(self) -> None:
        """A report is read to its end where a bounce would not be."""
        many = json.loads(EXAMPLE)
        one = many["policies"][0]
        failure = one["failure-details"][0]
        one["failure-details"] = [{**failure, "failure-reason-code": f"{n:0100}"} for n in range(4000)]
        octets = mail(json.dumps(many).encode(), "application/tlsrpt+json")
        self.assertGreater(len(octets), 1_000_000)
        reading = read(octets)
        assert reading.tls is not None
        self.assertEqual(4000, len(reading.tls.policies[0].failure_details))

    @given(damaged(EXAMPLE, (gzip.compress,)))
    def test_anything(self, packed: bytes) -> None:
        """Whatever happens to a report on its way, it is read or not, and nothing breaks."""
        reading = read(mail(packed))
        self.assertEqual("rfc8460", reading.format)
        self.assertEqual(reading.tls is None, bool(reading.problem))
        if reading.tls is not None:
            event = received(reading.tls, REPORT, NOW)
            self.assertEqual(event, event_of(event_row(event)))


class EventTests(SynchronousTestCase):
    def test_facts(self) -> None:
        event = received(TlsReport.read(EXAMPLE), REPORT, NOW)
        self.assertEqual((["company-y.example"], 5326, 303), (event.domains, event.successes, event.failures))
        self.assertEqual(json.loads(EXAMPLE)["policies"], event.policies)
        self.assertEqual(event, event_of(event_row(event)))
        self.assertIn("company-x", event.keys())

    def test_bounded(self) -> None:
        """A report of any size leaves a row that anybody can read."""
        many = json.loads(EXAMPLE)
        policy = many["policies"][0]
        failure = {**policy["failure-details"][0], "failure-reason-code": "x" * 900}
        policy["failure-details"] = [failure] * 400
        many["policies"] = [policy] * 100
        event = received(TlsReport.read(json.dumps(many).encode()), REPORT, NOW)
        self.assertLess(len(event_row(event)[4]), 100_000)
        self.assertGreater(event.cut, 100)
        self.assertEqual(530_000 + 2600, event.successes)


class SignatureTests(SynchronousTestCase):
    def test_table(self) -> None:
        """What a judge has found out, who says that he reports, and whether it counts."""
        table: list[tuple[str, str, bool | None]] = [
            ("", "company-x.example", None),
            ("none", "company-x.example", None),
            ("spf=pass smtp.mailfrom=a@company-x.example", "company-x.example", None),
            ("dkim=pass header.d=company-x.example", "Company-X.example", True),
            ("dkim=pass header.d=mail.company-x.example", "company-x.example", True),
            ("dkim=pass header.d=company-x.example", "mail.company-x.example", True),
            ("dkim=fail header.d=a.test; dkim=pass header.d=company-x.example", "", True),
            ("dkim=none", "company-x.example", False),
            ("dkim=fail header.d=company-x.example", "company-x.example", False),
            ("dkim=pass header.d=evil.test", "company-x.example", False),
            ("dkim=pass header.d=y-x.example", "company-x.example", False),
            ("dkim=pass header.d=evilcompany-x.example", "company-x.example", False),
            ("dkim=temperror header.d=company-x.example", "company-x.example", None),
        ]
        report = TlsReport.read(EXAMPLE)
        for results, submitter, expected in table:
            trace = f"Authentication-Results: mx.example.org; {results}\r\n" if results else "Received: x\r\n"
            header = f"TLS-Report-Submitter: {submitter}\r\n" if submitter else "Subject: x\r\n"
            found = signed(trace.encode(), header.encode(), report)
            self.assertEqual(expected, found.counts, (results, submitter))
        self.assertEqual(
            ("y.test",),
            signed(b"Authentication-Results: a; dkim=pass header.d=y.test\r\n", b"", report).domains,
        )

    def test_forged(self) -> None:
        """What stands in the message itself is somebody's claim."""
        header = b"Authentication-Results: mx.example.org; dkim=pass header.d=company-x.example\r\n"
        self.assertIsNone(signed(b"Received: x\r\n", header, TlsReport.read(EXAMPLE)).counts)


class TransportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.journal = MemoryJournal([])

    def deliver(self, content: bytes, repeat: bool = False, trace: bytes = b"") -> Outcome:
        async def at_once(function: object, *arguments: object) -> object:
            return function(*arguments)  # type: ignore[operator]

        transport = FeedbackTransport(self.journal, at_once, lambda: NOW)  # type: ignore[arg-type]
        addressee = Addressee(0, "tls@example.org", "tls@example.org", "feedback", "")
        message = Message(
            REPORT,
            Envelope("a@b.test"),
            Client("s"),
            trace,
            InlineContent(content),
            [addressee],
            NOW,
            NOW + 1,
        )
        attempt = transport.deliver(Delivery(message, [addressee], "a@b.test", repeat))
        [outcome] = self.successResultOf(Deferred.fromCoroutine(attempt))
        return outcome  # type: ignore[no-any-return]

    def test_recorded(self) -> None:
        outcome = self.deliver(mail(gzip.compress(EXAMPLE)))
        assert isinstance(outcome, Delivered)
        self.assertEqual("Recorded as a TLS report of Company-X", outcome.reply.text)
        [event] = self.journal.events
        assert isinstance(event, TlsReportReceived)
        self.assertEqual((REPORT, 303), (event.message, event.failures))

    def test_signed(self) -> None:
        """By somebody else it does not count, and nobody is told but the journal."""
        fields = "Authentication-Results: mx.example.org; dkim=pass header.d={}\r\n"
        content = mail(gzip.compress(EXAMPLE))
        outcome = self.deliver(content, trace=fields.format("evil.test").encode())
        assert isinstance(outcome, Delivered)
        self.assertIn("it does not count", outcome.reply.text)
        self.assertEqual([], list[Event](self.journal.events))
        self.deliver(content, trace=fields.format("company-x.example").encode())
        [event] = self.journal.events
        assert isinstance(event, TlsReportReceived)
        self.assertEqual(["company-x.example"], event.signed)

    def test_repeated(self) -> None:
        """After a crash it is recorded if it was not."""
        self.deliver(mail(gzip.compress(EXAMPLE)), repeat=True)
        self.deliver(mail(gzip.compress(EXAMPLE)), repeat=True)
        self.assertEqual(1, len(self.journal.events))

    def test_unreadable(self) -> None:
        """Whoever sent it is told what is wrong with it."""
        outcome = self.deliver(mail(gzip.compress(b'{"report-id": 1}')))
        assert isinstance(outcome, Failed)
        self.assertEqual(
            "The TLS report cannot be read: date-range: Field required, and 2 more", outcome.reply.text
        )
        self.assertEqual([], list[Event](self.journal.events))
