"""What bounces and complaints say."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.feedback.mime import address
from mta.feedback.reading import LONGEST, read
from mta.feedback.report import Complaint, Reading, RecipientReport
from mta.model.bounce_data import classify

DSN = """\
From: MAILER-DAEMON@far.test
To: anna@example.org
Subject: Undelivered
Message-ID: <report@far.test>
MIME-Version: 1.0
Content-Type: multipart/report; report-type={report}; boundary="b"

--b
Content-Type: text/plain

I am sorry.

--b
Content-Type: message/{kind}
{encoding}
{fields}

--b
Content-Type: {returned}

Received: from mx.example.org by mx.far.test id XYZ
Received: from client ([192.0.2.1])
\tby mx.example.org with ESMTP id 0an2gderc0000;
\tWed, 25 Nov 2026 16:39:32 +0000
Message-ID: <one@example.org>
From: anna@example.org
To: Rita <rita@far.test>, rolf@far.test
Subject: hello

--b--
"""
MESSAGE = "Reporting-MTA: dns; mx.far.test\nArrival-Date: Wed, 25 Nov 2026 16:39:32 +0000\n"


def dsn(
    *recipients: str,
    message: str = MESSAGE,
    kind: str = "delivery-status",
    returned: str = "message/rfc822",
    encoding: str = "",
    line: str = "\n",
) -> Reading:
    fields = "\n".join([message, *recipients])
    text = DSN.format(
        report="delivery-status", kind=kind, fields=fields, returned=returned, encoding=encoding
    )
    return read(text.replace("\n", line).encode())


class DeliveryStatusTests(SynchronousTestCase):
    """RFC 3464."""

    def test_everything(self) -> None:
        for line in ("\n", "\r\n"):
            reading = dsn(
                "Original-Recipient: rfc822;late@far.test\nFinal-Recipient: rfc822; gone@far.test\n"
                "Action: failed\nStatus: 5.1.1\nRemote-MTA: dns; inner.far.test\n"
                "Diagnostic-Code: smtp; 550 5.1.1 <gone@far.test>:\n    unknown user\n",
                line=line,
            )
            report = RecipientReport(
                "gone@far.test",
                "late@far.test",
                "failed",
                "5.1.1",
                "550 5.1.1 <gone@far.test>: unknown user",
                "inner.far.test",
            )
            self.assertEqual(("rfc3464", [report]), (reading.format, reading.recipients))
            self.assertEqual(("<one@example.org>",), reading.traces.message_ids)
            self.assertEqual(("0an2gderc0000",), reading.traces.queue_ids)
            self.assertEqual(("rita@far.test", "rolf@far.test"), reading.traces.recipients)

    #: The fields of a recipient, what became of it, and its status.
    ACTIONS: ClassVar = {
        "Action: failed\nStatus: 5.2.2": ("failed", "5.2.2"),
        "Action: Failed (for good)\nStatus: 5.2.2 (mailbox full)": ("failed", "5.2.2"),
        "Action: error\nStatus: 5.0.0": ("failed", "5.0.0"),
        "Action: delayed\nStatus: 4.4.1": ("delayed", "4.4.1"),
        "Action: delivered\nStatus: 2.0.0": ("delivered", "2.0.0"),
        "Action: relayed\nStatus: 2.0.0": ("relayed", "2.0.0"),
        "Action: expanded\nStatus: 2.0.0": ("expanded", "2.0.0"),
        # Without an action the status has to tell.
        "Status: 5.1.1": ("failed", "5.1.1"),
        "Status: 4.2.2": ("delayed", "4.2.2"),
        # A status that says nothing is made better by the words, unless they are of another class.
        "Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 552 5.2.2 full": ("failed", "5.2.2"),
        "Action: failed\nDiagnostic-Code: smtp; 550-5.7.001 no": ("failed", "5.7.1"),
        "Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 451 4.2.2 full": ("failed", "5.0.0"),
        "Action: failed\nStatus: 5.0.0\nDiagnostic-Code: smtp; 550 host 10.5.1.1.2 said": ("failed", "5.0.0"),
        "Action: failed\nStatus: nonsense": ("failed", ""),
    }

    def test_actions(self) -> None:
        for fields, expected in self.ACTIONS.items():
            [report] = dsn(f"Final-Recipient: rfc822; a@far.test\n{fields}\n").recipients
            self.assertEqual(expected, (report.action, report.status), fields)

    def test_unknown_action(self) -> None:
        self.assertEqual([], dsn("Final-Recipient: rfc822; a@far.test\nAction: sung\n").recipients)

    def test_several(self) -> None:
        """Each group is a recipient; those that are told twice count once; the reporter is all of theirs."""
        one = "Final-Recipient: rfc822; a@far.test\nAction: failed\n"
        two = "Final-Recipient: rfc822; b@far.test\nAction: delayed\nRemote-MTA: dns; x.far.test\n"
        reports = dsn(one, two, one).recipients
        self.assertEqual(["a@far.test", "b@far.test"], [report.recipient for report in reports])
        self.assertEqual(["mx.far.test", "x.far.test"], [report.host for report in reports])

    def test_one_group(self) -> None:
        """Some write everything without an empty line."""
        [report] = dsn(
            "Final-Recipient: rfc822; a@far.test\nAction: failed", message=MESSAGE.strip()
        ).recipients
        self.assertEqual(("a@far.test", "mx.far.test"), (report.recipient, report.host))

    def test_international(self) -> None:
        """RFC 6533."""
        fields = "Final-Recipient: utf-8; jürgen@far.test\nAction: failed\nStatus: 5.6.7\n"
        reading = dsn(fields, kind="global-delivery-status", returned="message/global-headers")
        self.assertEqual(["jürgen@far.test"], [report.recipient for report in reading.recipients])
        self.assertEqual(("<one@example.org>",), reading.traces.message_ids)

    def test_encoded(self) -> None:
        """RFC 3464 forbids it, RFC 6533 allows it, and both are met."""
        import base64

        fields = base64.encodebytes(
            f"{MESSAGE}\nFinal-Recipient: rfc822; a@far.test\nAction: failed\n".encode()
        ).decode()
        for kind in ("delivery-status", "global-delivery-status"):
            reading = dsn(message=fields, kind=kind, encoding="Content-Transfer-Encoding: base64\n")
            self.assertEqual(["a@far.test"], [report.recipient for report in reading.recipients], kind)

    def test_headers_only(self) -> None:
        fields = "Final-Recipient: rfc822; a@far.test\nAction: failed\n"
        reading = dsn(fields, returned="text/rfc822-headers")
        self.assertEqual(("<one@example.org>",), reading.traces.message_ids)
        self.assertEqual(("0an2gderc0000",), reading.traces.queue_ids)

    #: How a recipient is written, and read.
    ADDRESSES: ClassVar = {
        "rfc822; ann@far.test": "ann@far.test",
        "RFC822;<ann@far.test>": "ann@far.test",
        "rfc822; Ann <ann@far.test> (Ann)": "ann@far.test",
        "ann@far.test": "ann@far.test",
        'rfc822; "ann of far"@far.test': '"ann of far"@far.test',
        "rfc822; ann": "",
        "x-unix; root": "",
        "": "",
    }

    def test_addresses(self) -> None:
        for written, expected in self.ADDRESSES.items():
            self.assertEqual(expected, address(written), written)


class ComplaintTests(SynchronousTestCase):
    """RFC 5965."""

    def test_complaint(self) -> None:
        fields = (
            "Feedback-Type: Abuse\nUser-Agent: SomeGenerator/1.0\nVersion: 1\n"
            "Original-Mail-From: <anna@example.org>\nOriginal-Rcpt-To: <rita@far.test>\n"
            "Original-Rcpt-To: <rolf@far.test>\nSource-IP: 192.0.2.1"
        )
        reading = dsn(message=fields, kind="feedback-report")
        self.assertEqual("rfc5965", reading.format)
        people = ("rita@far.test", "rolf@far.test")
        self.assertEqual(Complaint("abuse", people, "SomeGenerator/1.0", "192.0.2.1"), reading.complaint)
        self.assertEqual(("<one@example.org>",), reading.traces.message_ids)

    def test_least(self) -> None:
        """Providers hide who complains."""
        reading = dsn(message="Version: 1\nFeedback-Type: not-spam", kind="feedback-report")
        self.assertEqual(Complaint("not-spam"), reading.complaint)

    def test_without_a_type(self) -> None:
        self.assertIsNone(dsn(message="Version: 1", kind="feedback-report").complaint)


class OtherTests(SynchronousTestCase):
    def test_text(self) -> None:
        """A format of the many, with what is said near the address."""
        text = (
            b"From: M\xfcller's server <x@far.test>\r\nSubject: failure notice\r\n"
            b"Message-ID: <own@far.test>\r\nReferences: <old@x> <one@example.org>\r\n\r\n"
            b"Hi. This is the qmail-send program at far.test.\r\nI'm afraid I wasn't able to deliver "
            b"your message to the following addresses.\r\nThis is a permanent error; I've given up. "
            b"Sorry.\r\n\r\n"
            b"<gone@far.test>:\r\n192.0.2.9 does not like recipient.\r\n"
            b"Remote host said: 550 5.1.1 no such user\r\n"
            b"\r\n--- Below this line is a copy of the message.\r\n\r\n"
            b"Received: by mx.example.org with ESMTP id 0an2gderc0000\r\nMessage-Id: <two@example.org>\r\n"
        )
        reading = read(text)
        self.assertEqual("text", reading.format)
        [report] = reading.recipients
        self.assertEqual(
            ("gone@far.test", "failed", "5.1.1"), (report.recipient, report.action, report.status)
        )
        self.assertIn("no such user", report.diagnostic)
        # What it returns counts more than what its own header refers to.
        self.assertEqual(("<two@example.org>", "<one@example.org>", "<old@x>"), reading.traces.message_ids)
        self.assertEqual(("0an2gderc0000",), reading.traces.queue_ids)

    def test_nothing(self) -> None:
        for text in (b"", b"Subject: hello\r\n\r\nHow are you, bob@far.test?\r\n", b"\xff\0\r\n\r\n\xfe"):
            self.assertEqual("", read(text).format)

    @given(st.binary(max_size=400))
    def test_hostile(self, octets: bytes) -> None:
        """Nothing makes it fall over: alone, and inside the parts of a report."""
        read(octets)
        text = DSN.format(
            report="x", kind="delivery-status", fields="@", returned="message/rfc822", encoding=""
        )
        read(text.encode().replace(b"@", octets))
        read(text.replace("delivery-status", "feedback-report").encode().replace(b"@", octets))

    def test_deep(self) -> None:
        """Parts within parts do not end in a RecursionError."""
        head = b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        self.assertEqual("", read(head * 3000).format)
        rfc822 = b"Content-Type: message/rfc822\r\n\r\n"
        self.assertEqual("", read(rfc822 * 3000).format)

    def test_many(self) -> None:
        """Whoever writes a report of thousands of recipients gets a bounded number of events for it."""
        many = [f"Final-Recipient: rfc822; a{number}@far.test\nAction: failed\n" for number in range(2000)]
        self.assertEqual(1000, len(dsn(*many).recipients))
        text = b"Subject: x\r\n\r\nHi. This is the qmail-send program at far.test.\r\nI'm afraid...\r\n\r\n"
        text += b"".join(b"<a%d@far.test>:\r\nSorry.\r\n\r\n" % number for number in range(2000))
        self.assertEqual(100, len(read(text).recipients))

    def test_long(self) -> None:
        """Of a large one the beginning is read."""
        fields = "Final-Recipient: rfc822; a@far.test\nAction: failed\n"
        text = DSN.format(
            report="x", kind="delivery-status", fields=fields, returned="message/rfc822", encoding=""
        )
        self.assertEqual("rfc3464", read(text.encode() + b"x" * 2 * LONGEST).format)


class ReplyTests(SynchronousTestCase):
    """What was said, as the queue reads it."""

    def test_words_count_whoever_said_them(self) -> None:
        """Where no host is named, it was somebody else all the same, and not this server."""
        for diagnostic, name in (
            ("550 5.7.1 Message rejected as spam by Content Filtering", "spam"),
            ("550 5.1.1 User unknown", "bad-mailbox"),
            ("552 5.2.2 Over quota", "full"),
        ):
            report = RecipientReport("a@far.test", status=diagnostic[4:9], diagnostic=diagnostic)
            self.assertEqual(name, classify(report.reply).name, diagnostic)
            self.assertEqual(int(diagnostic[:3]), report.reply.code)
