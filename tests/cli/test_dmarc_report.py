"""`mta dmarc-report`, without a server."""

from __future__ import annotations

import os
import time

from mta.dmarc_report.ledger import DmarcLedger
from mta.feedback.dmarc_report import received
from mta.journal.reader import JournalReader
from mta.model.dmarc_report import DmarcReport
from tests.cli.command import CommandCase
from tests.dmarc_report.published import OLDER
from tests.dmarc_report.test_ledger import DAY, accepted, dmarc, refused
from tests.journal.shard import ids

NAME = "14152371983027518736"


class ReceivedTests(CommandCase):
    def setUp(self) -> None:
        super().setUp()
        now = time.time()
        [self.name, again, other] = ids(3)
        good = (
            OLDER.replace(b"fail", b"pass")
            .replace(NAME.encode(), b"another")
            .replace(b"big.example", b"small.test")
        )
        self.shards[1].write([received(DmarcReport.read(OLDER), self.name, now - 60, "pass")])
        self.shards[0].write(
            [received(DmarcReport.read(OLDER), again, now - 30), received(DmarcReport.read(good), other, now)]
        )

    def test_list(self) -> None:
        lines = self.mta("dmarc-report", "list").out.splitlines()
        self.assertEqual(["day", "domain", "by", "pass", "fail", "id"], lines[0].split())
        self.assertEqual(["2026-01-15", "example.org", "small.test", "15", "0", "another"], lines[1].split())
        self.assertEqual(4, len(lines))
        self.assertEqual(
            [NAME, NAME],
            [one["report"] for one in self.mta("dmarc-report", "list", "--failed", "--json").json],
        )

    def test_show(self) -> None:
        for name in (NAME, self.name):
            out = self.mta("dmarc-report", "show", name).out
            self.assertIn("15 messages, of which 3 fail", out)
            self.assertIn("policy   example.org: p=none, sp=none", out)
            self.assertIn(
                "12 x 192.0.2.7 as example.org: pass (dkim), none; "
                "dkim=pass example.org (k1); spf=pass list.example",
                out,
            )
            self.assertIn(
                "3 x 2001:db8::66 as example.org: fail, none; spf=none mx.crook.example; "
                "spf=softfail crook.example; local_policy arc=pass",
                out,
            )
        self.assertEqual(2, len(self.mta("dmarc-report", "show", NAME, "--json").json["rows"]))
        self.assertIn("passes DMARC", self.mta("dmarc-report", "show", self.name).out)

    def test_summary(self) -> None:
        """By address, what fails first; a report that came twice counts once."""
        out = self.mta("dmarc-report", "summary").out.splitlines()
        self.assertEqual(
            ["domain", "from", "pass", "fail", "dkim", "spf", "became", "known", "as", "by"], out[0].split()
        )
        self.assertEqual(["example.org", "2001:db8::66", "3", "3", "3", "3", "none", "-"], out[1].split()[:8])
        first, second = self.mta("dmarc-report", "summary", "--json").json
        self.assertEqual((24, 0, 24, 12), (second["passed"], second["failed"], second["dkim"], second["spf"]))
        self.assertEqual({"big.example": 12, "small.test": 12}, second["reporters"])
        self.assertEqual({"dkim=example.org": 24, "spf=list.example": 24}, second["identities"])
        self.assertEqual({"local_policy": 6}, first["reasons"])
        [only] = self.mta("dmarc-report", "summary", "--failed", "--json").json
        self.assertEqual("2001:db8::66", only["source"])
        self.assertEqual([], self.mta("dmarc-report", "summary", "--domain", "rg", "--json").json)
        self.assertIn("(1 more; --limit)", self.mta("dmarc-report", "summary", "--limit", "1").out)

    def test_wrong(self) -> None:
        self.assertIn(
            "`mta dmarc-report list` shows them",
            self.mta("dmarc-report", "show", "x", status=os.EX_NOINPUT).err,
        )
        self.mta("dmarc-report", "summary", "--limit", "0", status=os.EX_USAGE)

    def test_trace(self) -> None:
        self.assertIn(
            f"DMARC report {NAME} of big.example on example.org", self.mta("trace", "example.org").out
        )


class SentTests(CommandCase):
    def test_counted(self) -> None:
        self.shards[0].write([refused(dmarc()), accepted(dmarc("pass", spf=True)), refused(dmarc())])
        ledger = DmarcLedger(self.state / "dmarc-reports.db")
        ledger.count(JournalReader([shard.path for shard in self.shards]))
        [row] = self.mta("dmarc-report", "counted", "--day", DAY, "--json").json
        self.assertEqual({"day": DAY, "domain": "bank.test", "pass": 1, "fail": 2}, row)
        self.assertIn("bank.test", self.mta("dmarc-report", "counted", "--domain", "bank.test").out)
        ledger.plan(DAY, [("bank.test", 1.0)], 2.0)
        self.assertIn("waiting", self.mta("dmarc-report", "sent").out)

    def test_no_server(self) -> None:
        self.assertIn("not running", self.mta("dmarc-report", "send", status=os.EX_UNAVAILABLE).err)
