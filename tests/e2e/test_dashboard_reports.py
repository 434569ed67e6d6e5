"""Reports of others on the dashboard, in a real browser: none yet, then one of each kind."""

from __future__ import annotations

import base64
import gzip
import smtplib
from typing import Any, ClassVar

from tests.dmarc_report.published import OLDER
from tests.e2e.dashboard import DashboardScenario
from tests.e2e.dns import Dns
from tests.e2e.scenario import wait_for

#: Texts of strangers, which nobody may run.
EVIL = b"&lt;script&gt;alert(1)&lt;/script&gt;"
TLS = b"""{"organization-name": "Company <script>alert(1)</script>",
"contact-info": "tls@company-x.example",
"date-range": {"start-datetime": "2026-04-01T00:00:00Z",
"end-datetime": "2026-04-01T23:59:59Z"},
"report-id": "5065427c@company-x.example",
"policies": [{"policy": {"policy-type": "sts",
"policy-string": ["version: STSv1",
"mode: testing",
"mx: *.example.org"],
"policy-domain": "example.org",
"mx-host": "*.example.org"},
"summary": {"total-successful-session-count": 5326,
"total-failure-session-count": 303},
"failure-details": [{"result-type": "certificate-expired",
"sending-mta-ip": "2001:db8:abcd:0012::1",
"receiving-mx-hostname": "mx1.example.org",
"failed-session-count": 100},
{"result-type": "starttls-not-supported",
"sending-mta-ip": "2001:db8:abcd:0013::1",
"receiving-mx-hostname": "mx2.example.org",
"receiving-ip": "203.0.113.56",
"failed-session-count": 203}]}]}"""


class ReportScenario(DashboardScenario):
    """A server that reads reports, and whose domain asks for those of one kind."""

    settings: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        self.names = Dns(
            {("_dmarc.example.org", "TXT"): ['"v=DMARC1; p=none; rua=mailto:dmarc@example.org"']}
        )
        type(self).settings = {
            "dns": {"servers": [self.names.address]},
            "dmarc_report": {"addresses": ["dmarc@example.org"]},
            "tls_report": {"addresses": ["tls@example.org"]},
            "queue": {"minimum_free": "1M"},
        }
        super().setUp()
        self.part(self.names)

    def send(self, to: str, kind: bytes, data: bytes) -> None:
        """A report that is a mail with nothing but a packed file."""
        mail = (
            b"From: noreply@big.example\r\nTo: " + to.encode() + b"\r\n"
            b"Subject: Report domain: example.org Submitter: big.example\r\n" + kind + b"\r\n"
            b"Content-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(gzip.compress(data)).replace(b"\n", b"\r\n")
        )
        if b"boundary" in kind:
            head, _, rest = mail.partition(b"\r\nContent-Transfer")
            mail = (
                head + b"\r\n\r\n--b\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer"
                + rest + b"--b--\r\n"
            )  # fmt: skip
        with smtplib.SMTP("127.0.0.1", self.server.ports["mx"]) as session:
            session.sendmail("noreply@big.example", [to], mail)

    def test_reports(self) -> None:
        """Nothing came; then who sends in our name, what failed with TLS, and each report whole."""
        tab = self.signed_in("vera@example.org")
        # The DNS is not waited for for long.
        tab.find(
            "/dashboard/reports",
            "No DMARC reports came",
            "p=none, to dmarc@example.org",
            "_smtp._tls.example.org",
        )
        tab.check("reports-empty")
        self.send("dmarc@example.org", b"Content-Type: application/gzip", OLDER.replace(b"arc=pass", EVIL))
        self.send("tls@example.org", b'Content-Type: multipart/report; report-type=tlsrpt; boundary="b"', TLS)

        def came() -> bool:
            return all(
                "example.org" in self.server.mta(one, "list") for one in ("dmarc-report", "tls-report")
            )

        wait_for(came, "the reports have not come")
        tab.open("/dashboard/reports").see("192.0.2.7", "a forger, probably").check("reports-dmarc")
        tab.page.locator("a[href*='/reports/at/']").first.click()
        tab.see("by DKIM", "softfail", "<script>alert(1)</script>").check("report-dmarc")
        tab.open("/dashboard/reports/tls").see("5\u202f326", "Renew it", "203 times at mx2.example.org")
        tab.check("reports-tls")
        tab.page.locator("a[href*='/reports/at/']").first.click()
        tab.see("version: STSv1", "Company <script>").check("report-tls")
        tab.find("/dashboard/reports/records", "not", "v=TLSRPTv1").check("reports-records")
        tab = self.signed_in("tina@example.org").open("/dashboard/reports")
        tab.see("No DMARC reports came").check("reports-tenant")
