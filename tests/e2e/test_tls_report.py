"""TLS reports of others, read."""

from __future__ import annotations

import base64
import gzip

from tests.e2e.relaying import RelayScenario
from tests.tls_report.published import EXAMPLE


class ReceivingTests(RelayScenario):
    """Reports of others, good and bad."""

    def begin(self) -> None:
        self.start(tls_report={"addresses": ["tls-reports@example.org"]})

    def mail(self, data: bytes) -> bytes:
        lines = [
            b"From: tlsrpt@company-x.example",
            b"To: tls-reports@example.org",
            b"Subject: Report Domain: company-y.example",
            b"TLS-Report-Domain: company-y.example",
            b'Content-Type: multipart/report; report-type="tlsrpt"; boundary="b"',
            b"",
            b"--b",
            b"Content-Type: application/tlsrpt+gzip",
            b"Content-Transfer-Encoding: base64",
            b"",
            base64.encodebytes(data).strip().replace(b"\n", b"\r\n"),
            b"--b--",
            b"",
        ]
        return b"\r\n".join(lines)

    def test_read(self) -> None:
        self.begin()
        self.send("tls-reports@example.org", body=self.mail(gzip.compress(EXAMPLE)))
        self.server.wait_trace("company-y.example", "Recorded as a TLS report of Company-X", "303 failed")
        text = self.server.mta("tls-report", "show", "5065427c-23d3-47ca-b6e0-946ea0e8c4be")
        self.assertIn("100 x certificate-expired at mx1.mail.company-y.example", text)
        self.assertIn("5326 succeeded, 303 failed", text)

    def test_hostile(self) -> None:
        """Who sends what cannot be read is told what is wrong with it."""
        self.begin()
        self.send("tls-reports@example.org", body=self.mail(gzip.compress(b"0" * 50_000_000)))
        self.bounce("The TLS report cannot be read", "unpacks to more than 8 MiB")
        self.assertEqual("[]\n", self.server.mta("--json", "tls-report", "list"))
