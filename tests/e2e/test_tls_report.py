"""TLS reports: a day of sessions told by mail and HTTPS, and those of others read."""

from __future__ import annotations

import base64
import email
import email.policy
import gzip
import json
import re
from typing import Any

import dkim

from tests.deliver.certificates import make
from tests.e2e.clock import stay_within_a_day
from tests.e2e.dns import Dns
from tests.e2e.journal import events
from tests.e2e.postfix import Postfix
from tests.e2e.relaying import RelayScenario
from tests.e2e.remote import Remote
from tests.e2e.report_receiver import ReportReceiver
from tests.e2e.scenario import wait_for
from tests.tls_report.published import EXAMPLE, mistakes

WRONG = "3 1 1 " + "00" * 32


def told(octets: bytes) -> dict[str, Any]:
    """The report in a mail."""
    message: Any = email.message_from_bytes(octets, policy=email.policy.default)
    if message.get_param("report-type") != "tlsrpt":
        raise AssertionError(octets)
    [part] = [one for one in message.walk() if one.get_content_type() == "application/tlsrpt+gzip"]
    found: dict[str, Any] = json.loads(gzip.decompress(part.get_content()))
    return found


class SendingScenario(RelayScenario):
    """A domain whose DANE is broken, one without TLS, and one that wants to know nothing."""

    def setUp(self) -> None:
        stay_within_a_day()
        super().setUp()
        authority = make("Authority", authority=True)
        (self.place / "ca.pem").write_bytes(authority.pem)
        self.names = self.part(Dns())
        certificate = make("mx.dane.test", "mx.quiet.test", by=authority)
        (self.place / "chain.pem").write_bytes(certificate.pem + authority.pem)
        (self.place / "server.key").write_bytes(certificate.key_pem)
        settings = {
            "smtpd_tls_cert_file": str(self.place / "chain.pem"),
            "smtpd_tls_key_file": str(self.place / "server.key"),
            "smtpd_tls_security_level": "may",
        }
        self.postfix = self.part(
            Postfix(self.place / "postfix", ("dane.test", "quiet.test"), settings=settings)
        )
        self.plain = self.part(Remote(port=self.postfix.port, host="127.0.0.3"))
        receiver = make("reports.test", by=authority)
        (self.place / "receiver.pem").write_bytes(receiver.pem + receiver.key_pem)
        self.receiver: ReportReceiver = self.part(ReportReceiver(self.place / "receiver.pem"))
        self.names.add_mx("dane.test")
        self.names.add_mx("quiet.test")
        self.names.add_mx("plain.test", address="127.0.0.3")
        self.names.secure.add("dane.test")
        self.names.records[f"_{self.postfix.port}._tcp.mx.dane.test", "TLSA"] = [WRONG]
        self.names.records["reports.test", "A"] = ["127.0.0.1"]
        url = f"https://reports.test:{self.receiver.port}/v1"
        self.publish("dane.test", f"mailto:rita@dane.test,{url}")
        self.publish("plain.test", "mailto:tls@example.org")

    def publish(self, domain: str, rua: str) -> None:
        self.names.records[f"_smtp._tls.{domain}", "TXT"] = [f'"v=TLSRPTv1; rua={rua}"']

    def begin(self, **settings: Any) -> None:
        self.start(
            dns={"servers": [self.names.address]},
            relay={"port": self.postfix.port, "authorities": str(self.place / "ca.pem")},
            queue={"retry": ["1h"]},
            tls_report={
                "contact": "postmaster@example.org",
                "organization": "Example",
                "sender": "noreply@example.org",
                "addresses": ["tls@example.org"],
                "private": ["127.0.0.0/8"],
                "authorities": str(self.place / "ca.pem"),
            },
            **settings,
        )

    def a_day(self) -> None:
        """Three messages, of which one waits."""
        self.send("rita@dane.test")
        self.server.wait_trace("rita@dane.test", "deferred", "no TLSA record fits")
        self.send("rita@plain.test")
        self.send("rita@quiet.test")
        self.server.wait_trace("rita@plain.test", "delivered")
        self.server.wait_trace("rita@quiet.test", "delivered")

    def report(self, *options: str) -> dict[str, tuple[str, str]]:
        """Have the reports sent; domain and state by target."""
        tasks = json.loads(self.server.mta("--json", "tls-report", "send", "--day", "today", *options))
        return {task["target"]: (task["domain"], task["state"]) for task in tasks}

    def key(self, name: bytes, timeout: float = 5) -> bytes:
        """As dkimpy asks for one."""
        [value] = self.names.records[name.decode().rstrip("."), "TXT"]
        return "".join(re.findall(r'"([^"]*)"', value)).encode()

    def arrived(self) -> list[Any]:
        """The reports that came to ourselves, once there are any."""
        read = ("--json", "tls-report", "list")
        return wait_for(lambda: list(json.loads(self.server.mta(*read))), "the report has not come")

    def counted(self) -> dict[tuple[str, str, str], int]:
        rows = json.loads(self.server.mta("--json", "tls-report", "sessions"))
        return {(row["domain"], row["policy"], row["result"]): row["sessions"] for row in rows}


class SendingTests(SendingScenario):
    def test_day(self) -> None:
        """Counted, told by mail and HTTPS, each once; and the report itself is not counted."""
        self.begin()
        self.a_day()
        printed = self.server.mta("dkim", "new", "example.org")
        for name, value in re.findall(r'(?m)^(\S+\._domainkey\.\S+)\. IN TXT (".*")$', printed):
            self.names.records[name, "TXT"] = [value]
        self.server.mta("dkim", "rotate", "example.org")
        expected = {
            f"https://reports.test:{self.receiver.port}/v1": ("dane.test", "sent"),
            "mailto:rita@dane.test": ("dane.test", "sent"),
            "mailto:tls@example.org": ("plain.test", "sent"),
            "": ("quiet.test", "unwanted"),
        }
        self.assertEqual(expected, self.report())
        counted = {
            ("dane.test", "tlsa", "validation-failure"): 1,
            ("plain.test", "no-policy-found", "starttls-not-supported"): 1,
            ("quiet.test", "no-policy-found", "success"): 1,
        }
        self.assertEqual(counted, self.counted())

        # The mail to the broken domain arrives all the same.
        [octets] = self.postfix.wait_mail("rita@dane.test")
        mailed = told(octets)
        [(kind, body)] = self.receiver.wait()
        self.assertEqual("application/tlsrpt+gzip", kind)
        posted = json.loads(gzip.decompress(body))
        for one in (mailed, posted):
            self.assertEqual([], mistakes(one))
        self.assertEqual(mailed["policies"], posted["policies"])
        self.assertEqual(
            ("Example", "postmaster@example.org"), (mailed["organization-name"], mailed["contact-info"])
        )
        [policy] = mailed["policies"]
        self.assertEqual(
            {"tlsa", "dane.test"}, {policy["policy"]["policy-type"], policy["policy"]["policy-domain"]}
        )
        [failure] = policy["failure-details"]
        self.assertEqual(
            ("validation-failure", "mx.dane.test", "127.0.0.2", 1),
            (
                failure["result-type"],
                failure["receiving-mx-hostname"],
                failure["receiving-ip"],
                failure["failed-session-count"],
            ),
        )
        for field in (
            b"TLS-Report-Domain: dane.test",
            b"TLS-Report-Submitter: example.org",
            b"TLS-Required: No",
        ):
            self.assertIn(field, octets)
        self.assertTrue(dkim.DKIM(octets).verify(dnsfunc=self.key))
        self.assertIn(b" d=example.org;", octets)
        self.server.wait_trace("dane.test", "TLS report for dane.test posted", "queued")

        # Nothing twice: not asked again, not after a crash, not at another start.
        self.assertEqual(expected, self.report())
        self.server.kill()
        self.server.start()
        self.assertEqual(expected, self.report())
        self.assertEqual(counted, self.counted())
        self.assertEqual((1, 1), (len(self.postfix.mails("rita@dane.test")), len(self.receiver.taken)))

        # One of them came to ourselves.
        [read] = self.arrived()
        self.assertEqual(
            (["plain.test"], 1, "Example"), (read["domains"], read["failures"], read["organization"])
        )

    def test_workers(self) -> None:
        """Two workers, one report of what both have seen."""
        self.begin(workers=2)
        for number in range(8):
            self.send(f"rolf+{number}@plain.test")
        # What the remote has taken the journal has a moment later.
        wait_for(lambda: len(events(self.server, "delivered")) == 8, "they are not delivered")
        # Asks for nothing, but has everything counted.
        self.assertEqual({}, self.report("--domain", "none.test"))
        before = self.counted()["plain.test", "no-policy-found", "starttls-not-supported"]
        self.assertGreater(before, 0)
        self.assertEqual(
            {"mailto:tls@example.org": ("plain.test", "sent")}, self.report("--domain", "plain.test")
        )
        [read] = self.arrived()
        self.assertEqual((before, 0), (read["failures"], read.get("successes", 0)))


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
