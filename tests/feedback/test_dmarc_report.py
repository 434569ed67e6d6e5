"""DMARC reports in messages: found, unpacked, refused; and what the journal gets."""

from __future__ import annotations

import base64
import gzip
import io
import zipfile

from hypothesis import given
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.feedback.dmarc_report import LONGEST_XML, authenticated, dmarc_report, received
from mta.feedback.mime import parse
from mta.feedback.reading import longest, read
from mta.feedback.transport import FeedbackTransport
from mta.interfaces import Delivery
from mta.model.dmarc_report import BadDmarcReport, DmarcReport, Published, Row
from mta.model.envelope import Client, Envelope
from mta.model.event import Event
from mta.model.event_report import DmarcReportReceived
from mta.model.event_rows import event_of, event_row
from mta.model.message import Addressee, InlineContent, Message
from mta.model.outcome import Delivered, Failed, Outcome
from tests.dmarc_report.published import OLDER
from tests.feedback.damage import damaged
from tests.feedback.test_transport import NOW, REPORT, MemoryJournal

SUBJECT = "Report Domain: example.org\r\n Submitter: big.example\r\n Report-ID: <1@big.example>"
FILE = "big.example!example.org!1768435200!1768521599.xml"


def zipped(data: bytes, name: str = FILE, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr(name, data)
    return file.getvalue()


def mail(data: bytes, kind: str = "application/gzip", name: str = FILE, subject: str = SUBJECT) -> bytes:
    """As most write it: without a text."""
    text = base64.encodebytes(data).decode().replace("\n", "\r\n")
    return (
        f"From: noreply@big.example\r\nTo: d@example.org\r\nSubject: {subject}\r\n"
        f'Content-Type: {kind}; name="{name}"\r\nContent-Transfer-Encoding: base64\r\n\r\n{text}'
    ).encode()


class FindingTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """As the RFC has it, and as senders do."""
        for octets in (
            mail(gzip.compress(OLDER)),
            mail(gzip.compress(OLDER), "application/octet-stream", "x", SUBJECT),
            mail(gzip.compress(OLDER), "application/x-gzip", FILE + ".gz", "your mail"),
            mail(zipped(OLDER), "application/zip"),
            mail(
                zipped(OLDER, method=zipfile.ZIP_STORED),
                "application/x-zip-compressed",
                FILE[:-3] + "zip",
                "x",
            ),
            mail(OLDER, "text/xml"),
        ):
            report = dmarc_report(parse(octets))
            assert report is not None
            self.assertEqual(15, report.messages)

    def test_none(self) -> None:
        for octets in (
            mail(gzip.compress(OLDER), name="holidays.gz", subject="my holidays"),
            mail(b"x", "image/png", subject="a picture"),
        ):
            self.assertIsNone(dmarc_report(parse(octets)))
            self.assertEqual("", read(octets).format)

    def bad(self, octets: bytes) -> str:
        reading = read(octets)
        self.assertEqual(("rfc9990", None), (reading.format, reading.dmarc))
        return reading.problem

    def test_bombs(self) -> None:
        bomb = b" " * (LONGEST_XML + 1)
        self.assertIn("more than 16 MiB", self.bad(mail(gzip.compress(bomb))))
        self.assertIn("more than 16 MiB", self.bad(mail(zipped(bomb), "application/zip")))
        self.assertRaises(BadDmarcReport, dmarc_report, parse(mail(bomb, "text/xml")))

    def test_hostile(self) -> None:
        entity = b'<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><feedback>&f;</feedback>'
        for octets, words in (
            (mail(gzip.compress(entity)), "DTD"),
            (mail(b"", "text/plain"), "no attachment"),
            (mail(gzip.compress(OLDER)[:-20]), "cut off"),
            (mail(b"\x1f\x8b" + b"x" * 50), "not compressed with gzip"),
            (mail(zipped(OLDER)[:80], "application/zip"), "no zip archive that can be read"),
            (mail(zipped(OLDER, "letter.doc"), "application/zip"), "no file that ends in .xml"),
            (mail(zipped(OLDER, method=zipfile.ZIP_BZIP2), "application/zip"), "in another way"),
            (mail(b"PK", "application/zip"), "no zip archive that can be read"),
        ):
            self.assertIn(words, self.bad(octets))

    def test_large(self) -> None:
        """All of it is read, and no more than that of other mail."""
        self.assertGreater(longest(mail(b"x")), 4_000_000)
        self.assertGreater(longest(mail(b"x", subject="x")), 4_000_000)
        self.assertLess(longest(mail(b"x", name="x", subject="x")), 1_000_000)

    @given(damaged(OLDER, (gzip.compress, zipped, bytes)))
    def test_anything(self, packed: bytes) -> None:
        """Whatever happens to a report on its way, it is read or not, and nothing breaks."""
        reading = read(mail(packed))
        self.assertEqual("rfc9990", reading.format)
        self.assertEqual(reading.dmarc is None, bool(reading.problem))
        if reading.dmarc is not None:
            event = received(reading.dmarc, REPORT, NOW)
            self.assertEqual(event, event_of(event_row(event)))


class EventTests(SynchronousTestCase):
    def test_facts(self) -> None:
        event = received(DmarcReport.read(OLDER), REPORT, NOW, "pass")
        self.assertEqual(
            ("example.org", 15, 3, "pass"),
            (event.domain, event.messages, event.failures, event.authenticated),
        )
        self.assertEqual("2001:db8::66", event.rows[0]["source"])
        self.assertEqual(event, event_of(event_row(event)))
        self.assertIn("big.example", event.keys())

    def test_bounded(self) -> None:
        """A report of any size leaves a row that anybody can read, with what fails in it."""
        good = [Row("192.0.2.1", "none", True, True, f"{n:0200}.test") for n in range(2000)]
        report = DmarcReport(
            "x",
            "y",
            "z",
            0.0,
            1.0,
            Published("b.test"),
            (*good, Row("192.0.2.9", "none", False, False, "b.test")),
        )
        event = received(report, REPORT, NOW)
        self.assertLess(len(event_row(event)[4]), 200_000)
        self.assertEqual((2001, 2001), (event.messages, len(event.rows) + event.cut))
        self.assertEqual("192.0.2.9", event.rows[0]["source"])

    def test_authenticated(self) -> None:
        for results, expected in (
            ("", ""),
            ("spf=pass smtp.mailfrom=a@b.test", ""),
            ("dkim=pass header.d=b.test; dmarc=pass header.from=b.test", "pass"),
            ("dmarc=fail header.from=b.test", "fail"),
        ):
            trace = f"Authentication-Results: mx.example.org; {results}\r\n" if results else "Received: x\r\n"
            self.assertEqual(expected, authenticated(trace.encode()))


class TransportTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.journal = MemoryJournal([])

    def deliver(self, content: bytes, repeat: bool = False, trace: bytes = b"") -> Outcome:
        async def at_once(function: object, *arguments: object) -> object:
            assert callable(function)
            return function(*arguments)

        message = Message(
            id=REPORT,
            envelope=Envelope("noreply@big.example"),
            client=Client("s", "mx", "192.0.2.1"),
            trace=trace,
            content=InlineContent(content),
            addressees=[],
            created=NOW,
            expires=NOW + 1,
        )
        addressee = Addressee(0, "d@example.org", "d@example.org", "feedback", "")
        transport = FeedbackTransport(self.journal, at_once, lambda: NOW)  # type: ignore[arg-type]
        work = Deferred.fromCoroutine(
            transport.deliver(Delivery(message, [addressee], "noreply@big.example", repeat))
        )
        (outcome,) = self.successResultOf(work)
        return outcome

    @property
    def events(self) -> list[Event]:
        return [event for event in self.journal.events if isinstance(event, DmarcReportReceived)]

    def test_recorded(self) -> None:
        """Once, also when nobody knows whether it was before."""
        outcome = self.deliver(mail(gzip.compress(OLDER)))
        assert isinstance(outcome, Delivered)
        self.assertIn("Recorded as a DMARC report of big.example", outcome.reply.text)
        self.deliver(mail(gzip.compress(OLDER)), repeat=True)
        self.assertEqual(1, len(self.events))

    def test_unread(self) -> None:
        outcome = self.deliver(mail(b"<feedback>", "text/xml"))
        assert isinstance(outcome, Failed)
        self.assertIn("The DMARC report cannot be read: it is no XML", outcome.reply.text)

    def test_forged(self) -> None:
        """Who sends reports in another's name changes no statistics."""
        trace = b"Authentication-Results: mx.example.org; dmarc=fail header.from=big.example\r\n"
        outcome = self.deliver(mail(gzip.compress(OLDER)), trace=trace)
        assert isinstance(outcome, Delivered)
        self.assertIn("does not count", outcome.reply.text)
        self.assertEqual([], self.events)
