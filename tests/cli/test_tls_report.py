"""`mta tls-report` and `mta dns`, without a server."""

from __future__ import annotations

import os
import time

from mta.dmarc.record import mail_address, parse_record
from mta.feedback.tls_report import received
from mta.journal.reader import JournalReader
from mta.model.mta_sts import StsPolicy, policy_id
from mta.model.tls_report import TlsReport
from mta.model.tls_report_record import destinations
from mta.tls_report.ledger import TlsLedger
from tests.cli.command import CommandCase
from tests.deliver.certificates import make
from tests.journal.shard import ids
from tests.tls_report.published import EXAMPLE
from tests.tls_report.test_ledger import session

NAME = "5065427c-23d3-47ca-b6e0-946ea0e8c4be"


class ReceivedTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        now = time.time()
        [self.name, other] = ids(2)
        good = EXAMPLE.replace(b"303", b"0").replace(NAME.encode(), b"another\\u001b[2J")
        self.shards[1].write([received(TlsReport.read(EXAMPLE), self.name, now - 60)])
        self.shards[0].write([received(TlsReport.read(good), other, now)], indexed=False)

    def test_list(self) -> None:
        lines = self.mta("tls-report", "list").out.splitlines()
        self.assertEqual(["day", "domain", "by", "succeeded", "failed", "id"], lines[0].split())
        self.assertEqual(
            ["2016-04-01", "company-y.example", "Company-X", "5326", "303", NAME], lines[2].split()
        )
        self.assertEqual(3, len(lines))

    def test_failed(self) -> None:
        found = self.mta("--json", "tls-report", "list", "--failed").json
        self.assertEqual([NAME], [one["report"] for one in found])
        self.assertEqual([], self.mta("--json", "tls-report", "list", "--since", "30s", "--failed").json)

    def test_show(self) -> None:
        """By its own id, or by that of the message; with every failure."""
        for name in (NAME, self.name):
            out = self.mta("tls-report", "show", name).out
            self.assertIn(f"as message {self.name}", out)
            self.assertIn("policy sts of company-y.example: 5326 succeeded, 303 failed", out)
            self.assertIn("  | mode: testing", out)
            self.assertIn(
                "3 x validation-failure at mx-backup.mail.company-y.example [203.0.113.58] "
                "from [198.51.100.62]: X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED",
                out,
            )
        self.assertEqual(
            3, len(self.mta("--json", "tls-report", "show", NAME).json["policies"][0]["failure-details"])
        )

    def test_options_behind(self) -> None:
        """Those of every command may stand behind what it does."""
        self.assertEqual(2, len(self.mta("tls-report", "list", "--json").json))

    def test_unknown(self) -> None:
        result = self.mta("tls-report", "show", "nothing", status=os.EX_NOINPUT)
        self.assertIn("`mta tls-report list` shows them", result.err)

    def test_trace(self) -> None:
        """It is found by the domain, too."""
        self.assertIn("TLS report", self.mta("trace", "company-y.example").out)


class SentTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.ledger = TlsLedger(self.state / "tls-reports.db")
        self.shards[0].write([session(), session(), session(domain="other.test", result="dane-required")])
        self.ledger.count(JournalReader([shard.path for shard in self.shards]))

    def test_sessions(self) -> None:
        found = self.mta("--json", "tls-report", "sessions", "--day", "2026-01-15").json
        self.assertEqual(
            [("far.test", 2), ("other.test", 1)], [(one["domain"], one["sessions"]) for one in found]
        )
        self.assertIn("dane-required", self.mta("tls-report", "sessions", "--domain", "other.test").out)
        self.assertEqual([], self.mta("--json", "tls-report", "sessions", "--day", "yesterday").json)

    def test_sent(self) -> None:
        self.ledger.plan("2026-01-15", [("far.test", 1.0)], 2.0)
        [task] = self.mta("--json", "tls-report", "sent").json
        self.assertEqual(("far.test", "ask"), (task["domain"], task["state"]))
        self.assertIn("waiting", self.mta("tls-report", "sent").out)

    def test_wrong_day(self) -> None:
        result = self.mta("tls-report", "sent", "--day", "31.1.", status=os.EX_USAGE)
        self.assertIn("is no day: say 2026-01-31", result.err)

    def test_no_server(self) -> None:
        self.assertIn("not running", self.mta("tls-report", "send", status=os.EX_UNAVAILABLE).err)


class DnsTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        self.file = self.state / "mta.toml"
        self.write('addresses = ["tls+a!b@example.org"]')

    def write(self, more: str) -> None:
        self.file.write_text(
            f'hostname = "mx.example.org"\n[tls_report]\n{more}\n'
            '[domains."example.org"]\n[domains."b.test"]\n'
        )

    def test_records(self) -> None:
        """What is to be published can be read as others read it."""
        answer = self.mta("dns", "--config", str(self.file), "--json").json
        found = {(one["name"], one["type"]): one["value"].strip('"') for one in answer["records"]}
        policy = answer["policies"]["https://mta-sts.b.test/.well-known/mta-sts.txt"]
        self.assertEqual("testing", StsPolicy.parse(policy.encode()).mode)
        self.assertTrue(StsPolicy.parse(policy.encode()).admits("mx.example.org"))
        for domain in ("example.org", "b.test"):
            self.assertTrue(policy_id([found[f"_mta-sts.{domain}.", "TXT"].encode()]))
            [target] = destinations([found[f"_smtp._tls.{domain}.", "TXT"].encode()])
            self.assertEqual("mailto:tls+a!b@example.org", target.uri)
            self.assertEqual("10 mx.example.org.", found[f"{domain}.", "MX"])

    def test_dmarc(self) -> None:
        """Reports come to the address of the domain itself, so that nobody else has to agree."""
        self.assertIn("set addresses in [dmarc_report]", self.mta("dns", "--config", str(self.file)).out)
        self.file.write_text(self.file.read_text() + '[dmarc_report]\naddresses = ["d!a@example.org"]\n')
        answer = self.mta("dns", "--config", str(self.file), "--json").json
        found = {one["name"]: one["value"].strip('"') for one in answer["records"] if one["type"] == "TXT"}
        for domain, address in (("example.org", "d!a@example.org"), ("b.test", "postmaster@b.test")):
            record = parse_record(found[f"_dmarc.{domain}."].encode())
            assert record is not None
            self.assertEqual(("none", ()), (record.policy, record.faults))
            self.assertEqual([address], [mail_address(uri) for uri in record.aggregate])

    def test_another_policy(self) -> None:
        """Has another id; the same one keeps it."""

        def told(*options: str) -> str:
            records = self.mta("dns", "b.test", "--config", str(self.file), "--json", *options).json[
                "records"
            ]
            return next(one["value"] for one in records if one["name"] == "_mta-sts.b.test.")

        self.assertEqual(told(), told())
        self.assertEqual(3, len({told(), told("--sts", "enforce"), told("--mx", "mx2.example.org")}))

    def test_words(self) -> None:
        out = self.mta("dns", "b.test", "--config", str(self.file)).out
        self.assertIn("https://mta-sts.b.test/.well-known/mta-sts.txt", out)
        self.assertIn("    mode: testing\n", out)
        self.assertNotIn("example.org/", out)

    def test_key(self) -> None:
        """The record that our certificate fits, for a sender that compares."""
        made = make("mx.example.org")
        (self.state / "cert.pem").write_bytes(made.pem)
        tls = 'addresses = []\n[tls]\ncertificate = "cert.pem"\nkey = "key.pem"'
        self.write(tls)
        answer = self.mta("dns", "--config", str(self.file), "--json").json
        [record] = [one for one in answer["records"] if one["type"] == "TLSA"]
        self.assertEqual(("_25._tcp.mx.example.org.", made.tlsa), (record["name"], record["value"]))
        (self.state / "cert.pem").write_bytes(b"rubbish")
        self.assertIn("it is no certificate in PEM", self.mta("dns", "--config", str(self.file)).err)
        (self.state / "cert.pem").unlink()
        self.assertIn("No such file", self.mta("dns", "--config", str(self.file)).err)

    def test_no_addresses(self) -> None:
        self.write("")
        out = self.mta("dns", "--config", str(self.file)).out
        self.assertNotIn("TLSRPTv1", out)
        self.assertIn("set addresses in [tls_report]", out)

    def test_wrong(self) -> None:
        result = self.mta("dns", "c.test", "--config", str(self.file), status=os.EX_USAGE)
        self.assertIn("c.test is not in [domains]; there are: example.org, b.test", result.err)
        self.mta("dns", "--max-age", "0", "--config", str(self.file), status=os.EX_USAGE)
