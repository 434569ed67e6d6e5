"""`mta explain` of a whole message that came back."""

from __future__ import annotations

import json
import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.command import Result, call

BOUNCE = """\
From: MAILER-DAEMON@mx.example.org
To: ann@example.org
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b

It failed.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; rita@remote.test
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.remote.test
Diagnostic-Code: smtp; 550 5.1.1 <rita@remote.test>: Recipient address rejected: User unknown

Original-Recipient: rfc822; boss@far.test
Final-Recipient: rfc822; bob@far.test
Action: delayed
Status: 4.2.2
Diagnostic-Code: smtp; 452 4.2.2 Mailbox full\033[31m

--b
Content-Type: text/rfc822-headers

Received: from x by y with ESMTP id 01k5zq4t9d123; now
Message-ID: <one@example.org>
Subject: x

--b--
"""
COMPLAINT = """\
From: feedback@provider.test
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Generator/1.0
Version: 1
Original-Rcpt-To: <rita@far.test>

--b
Content-Type: message/rfc822

Message-ID: <two@example.org>

Hi
--b--
"""
TLS = """\
From: tls@provider.test
Content-Type: multipart/report; report-type=tlsrpt; boundary=b

--b
Content-Type: application/tlsrpt+json

{report}
--b--
"""
POSTFIX = """\
I'm sorry to have to inform you that your message could not be delivered.

<bob@far.test>: host mx.far.test[192.0.2.1] said: 550 5.7.1 Message rejected as
    spam by Content Filtering. (in reply to end of DATA command)
"""


class ExplainReportTests(SynchronousTestCase):
    def explain(self, text: str, *arguments: str, status: int = os.EX_OK) -> Result:
        result = call("explain", "-", *arguments, stdin=text)
        self.assertEqual(status, result.status, result)
        return result

    def test_bounce(self) -> None:
        """Of each recipient what was said, what it means, and what to do."""
        out = " ".join(self.explain(BOUNCE).out.split())
        for words in (
            "a notification (RFC 3464)",
            "<rita@remote.test> did not get it said mx.remote.test said: 550 5.1.1",
            "class bad-mailbox",
            "Check the address letter by letter",
            "<bob@far.test> (you wrote to <boss@far.test>) has not got it yet",
            "class full",
            "`mta trace 01k5zq4t9d123`",
            "`mta trace '<one@example.org>'`",
        ):
            self.assertIn(words, out)
        # Who wrote it does not write to the terminal.
        self.assertNotIn("\033", out)

    def test_file(self) -> None:
        path = Path(self.mktemp())
        path.write_text("From MAILER-DAEMON Mon Jan  1\n" + BOUNCE)
        self.assertIn("class   bad-mailbox", call("explain", "--file", str(path)).out)
        result = call("explain", "--file", str(path) + ".no")
        self.assertEqual(os.EX_NOINPUT, result.status)
        self.assertEqual(os.EX_USAGE, call("explain", "550", "--file", str(path)).status)

    def test_json(self) -> None:
        value = self.explain(BOUNCE, "--json").json
        first, second = value["recipients"]
        found = (value["format"], first["action"], first["class"]["name"])
        self.assertEqual(("rfc3464", "failed", "bad-mailbox"), found)
        self.assertEqual(("boss@far.test", "full"), (second["original"], second["class"]["name"]))
        self.assertEqual(["01k5zq4t9d123"], value["about"]["queue_ids"])

    def test_many(self) -> None:
        """Of whom the same is said, it is said once."""
        group = BOUNCE[BOUNCE.index("Final-Recipient") : BOUNCE.index("Original-Recipient")]
        many = "".join(group.replace("rita@", f"rita{n}@") for n in range(30))
        out = self.explain(BOUNCE.replace(group, many)).out
        self.assertEqual(1, out.count("class   bad-mailbox"))
        self.assertIn("<rita19@remote.test>", out)
        self.assertIn("and 10 recipients more", out)

    def test_complaint(self) -> None:
        out = self.explain(COMPLAINT).out
        self.assertIn("<rita@far.test> calls it spam", out)
        self.assertIn("`mta trace '<two@example.org>'`", out)
        self.assertEqual("abuse", self.explain(COMPLAINT, "--json").json["complaint"]["type"])

    def test_tls_report(self) -> None:
        report = {
            "organization-name": "Provider",
            "date-range": {"start-datetime": "2027-01-01T00:00:00Z", "end-datetime": "2027-01-01T23:59:59Z"},
            "report-id": "r1",
            "policies": [
                {
                    "policy": {"policy-type": "sts", "policy-domain": "example.org"},
                    "summary": {"total-successful-session-count": 5, "total-failure-session-count": 2},
                    "failure-details": [
                        {
                            "result-type": "certificate-expired",
                            "receiving-mx-hostname": "mx.example.org",
                            "failed-session-count": 2,
                        }
                    ],
                }
            ],
        }
        text = TLS.format(report=json.dumps(report))
        out = " ".join(self.explain(text).out.split())
        self.assertIn("Provider opened 7 sessions to send mail to example.org", out)
        self.assertIn("2 certificate-expired at mx.example.org, by the policy sts", out)
        self.assertEqual("r1", self.explain(text, "--json").json["tls"]["report-id"])
        self.assertIn("It cannot be read", self.explain(TLS.format(report="{")).out)

    def test_only_the_text(self) -> None:
        """Of what a person pastes without its header, at least the reply in it is explained."""
        out = " ".join(self.explain(POSTFIX).out.split())
        self.assertIn("bob@far.test", out)
        self.assertIn("550 5.7.1", out)
        self.assertRegex(out, "class (spam|content)")

    def test_operators_rules(self) -> None:
        path = Path(self.mktemp())
        path.write_text('[[bounce]]\nmeans = "size"\ntext = ["user unknown"]\n')
        result = call("--config", str(path), "explain", "-", stdin=BOUNCE)
        self.assertIn("class   size", result.out)

    def test_nothing_in_it(self) -> None:
        for text in ("", "Subject: hi\n\nSee you at 5.50, room 451.\n", "\0" * 100):
            result = self.explain(text, status=os.EX_DATAERR)
            self.assertIn("with its header", result.err)
