"""DMARC reports: a day of mail in others' names told to them, and what they tell of mail in ours."""

from __future__ import annotations

import base64
import email
import email.policy
import gzip
import json
import re
from typing import Any

import dkim

from mta.model.dmarc_report import DmarcReport
from tests.dmarc_report.published import OLDER, mistakes
from tests.e2e.client import Speaker
from tests.e2e.dns import Dns
from tests.e2e.journal import events
from tests.e2e.relaying import RelayScenario
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, wait_for, within_a_day
from tests.e2e.server import Server

RECORDS = {
    ("good.test", "TXT"): ['"v=spf1 ip4:127.0.0.1 -all"'],
    ("_dmarc.good.test", "TXT"): ['"v=DMARC1; p=reject; rua=mailto:dmarc@good.test"'],
    ("_dmarc.bank.test", "TXT"): ['"v=DMARC1; p=reject; rua=mailto:reports@bank.test,mailto:x@victim.test"'],
    ("_dmarc.shop.test", "TXT"): ['"v=DMARC1; p=quarantine; rua=mailto:d@collector.test"'],
    ("shop.test._report._dmarc.collector.test", "TXT"): ['"v=DMARC1"'],
    ("_dmarc.quiet.test", "TXT"): ['"v=DMARC1; p=reject"'],
}


class SendingTests(Scenario):
    def setUp(self) -> None:
        super().setUp()
        within_a_day()
        self.names = self.part(Dns(dict(RECORDS)))
        self.remote: Remote = self.part(Remote(host="127.0.0.2"))
        for domain in ("good.test", "bank.test", "collector.test", "victim.test"):
            self.names.add_mx(domain)
        server = Server(
            self.place / "server",
            dns={"servers": [self.names.address]},
            relay={"port": self.remote.port},
            judge=[{"kind": "spf", "fail": "mark"}, {"kind": "dkim"}, {"kind": "dmarc"}],
            dmarc_report={"contact": "postmaster@example.org", "organization": "Example"},
        )
        self.server: Server = self.part(server).start()

    def send(self, author: str, sender: str = "x@good.test", more: str = "") -> str:
        content = f"From: {author}\r\n{more}Subject: x\r\n\r\nHello.\r\n".encode()
        with Speaker(self.server.ports["mx"]) as speaker:
            return speaker.send(sender, ["anna@example.org"], content).decode()

    def key(self, name: bytes, timeout: float = 5) -> bytes:
        """As dkimpy asks for one."""
        [value] = self.names.records[name.decode().rstrip("."), "TXT"]
        return "".join(re.findall(r'"([^"]*)"', value)).encode()

    def report(self) -> dict[str, tuple[str, str]]:
        """Have the reports sent; domain and state by target."""
        tasks = json.loads(self.server.mta("--json", "dmarc-report", "send", "--day", "today"))
        return {task["target"]: (task["domain"], task["state"]) for task in tasks}

    def test_day(self) -> None:
        """Forged, good, and through a list: each counted, told by signed mail, once."""
        printed = self.server.mta("dkim", "new", "example.org")
        for name, value in re.findall(r'(?m)^(\S+\._domainkey\.\S+)\. IN TXT (".*")$', printed):
            self.names.records[name, "TXT"] = [value]
        self.server.mta("dkim", "rotate", "example.org")
        for _ in range(2):
            self.assertTrue(self.send("ceo@bank.test").startswith("550 5.7.26"))
        self.assertTrue(self.send("ceo@bank.test", more="List-Id: <l.good.test>\r\n").startswith("250"))
        self.assertTrue(self.send("ann@news.good.test").startswith("250"))
        self.assertTrue(self.send("sale@shop.test").startswith("250"))
        self.assertTrue(self.send("who@quiet.test").startswith("550"))
        self.server.wait_mail("anna@example.org")  # The others are junk.
        expected = {
            "mailto:reports@bank.test": ("bank.test", "sent"),
            "mailto:dmarc@good.test": ("good.test", "sent"),
            "mailto:d@collector.test": ("shop.test", "sent"),
        }
        self.assertEqual(expected, self.report())

        wait_for(lambda: len(self.remote.mails) == 3, "the reports have not come")
        found: dict[str, DmarcReport] = {}
        for one in self.remote.mails:
            message: Any = email.message_from_bytes(one.content, policy=email.policy.default)
            [part] = [part for part in message.walk() if part.get_content_type() == "application/gzip"]
            data = gzip.decompress(part.get_content())
            self.assertEqual([], mistakes(data))
            self.assertTrue(dkim.DKIM(one.content).verify(dnsfunc=self.key))
            self.assertIn("Submitter: example.org", " ".join(message["subject"].split()))
            report = DmarcReport.read(data)
            self.assertTrue(part.get_filename().startswith(f"example.org!{report.published.domain}!"))
            found[report.published.domain] = report
        bank = {row.disposition: row for row in found["bank.test"].rows}
        self.assertEqual({"reject": 2, "quarantine": 1}, {name: row.count for name, row in bank.items()})
        self.assertEqual(["mailing_list"], [reason.type for reason in bank["quarantine"].reasons])
        row = bank["reject"]
        self.assertEqual(("127.0.0.1", "bank.test", "good.test"), (row.source, row.author, row.sender))
        self.assertEqual([("good.test", "pass")], [(one.domain, one.result) for one in row.senders])
        [good] = found["good.test"].rows
        self.assertEqual(("news.good.test", "pass", True), (good.author, good.disposition, good.spf))

        # Nothing twice: not when it is asked for again, not after a crash.
        self.assertEqual(expected, self.report())
        # What the other side has and our disk not yet is sent once more, as any mail is.
        wait_for(
            lambda: sum(one.transport == "relay" for one in events(self.server, "delivered")) == 3,
            "that the reports are delivered is not kept",
        )
        self.server.kill()
        self.server.start()
        self.assertEqual(expected, self.report())
        self.assertEqual(3, len(self.remote.mails))
        self.server.wait_trace("bank.test", "DMARC report for bank.test queued", "3 messages, 3 fail")


class ReceivingTests(RelayScenario):
    """Reports of others, good and bad."""

    def mail(self, data: bytes) -> bytes:
        text = base64.encodebytes(data).strip().replace(b"\n", b"\r\n")
        return (
            b"From: noreply@big.example\r\nTo: dmarc@example.org\r\n"
            b"Subject: Report domain: example.org Submitter: big.example\r\n"
            b"Content-Type: application/gzip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + text + b"\r\n"
        )

    def test_read(self) -> None:
        """What is good is read and added up; what is hostile goes back with words."""
        self.start(dmarc_report={"addresses": ["dmarc@example.org"]})
        self.send("dmarc@example.org", body=self.mail(gzip.compress(OLDER)))
        self.server.wait_trace(
            "example.org", "Recorded as a DMARC report of big.example", "15 messages, 3 fail"
        )
        text = self.server.mta("dmarc-report", "summary", "--failed")
        self.assertIn("2001:db8::66", text)
        self.assertNotIn("192.0.2.7", text)
        self.assertIn("12 x 192.0.2.7", self.server.mta("dmarc-report", "show", "14152371983027518736"))
        bomb = b'<!DOCTYPE x [<!ENTITY a "aa">]><feedback>&a;</feedback>'
        self.send("dmarc@example.org", body=self.mail(gzip.compress(bomb)))
        self.bounce("The DMARC report cannot be read", "defines entities")
