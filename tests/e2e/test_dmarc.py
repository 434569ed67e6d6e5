"""Forged authors: refused, delivered as junk, or let through, and by which evidence."""

from __future__ import annotations

import dkim

from mta.cli.zone_file import quoted_text
from tests.dkim.test_arc import PEM
from tests.dkim.test_verification import RSA, rsa_record
from tests.e2e.client import Speaker
from tests.e2e.dns import Dns
from tests.e2e.scenario import Scenario, mails
from tests.e2e.server import Server

RECORDS = {
    ("good.test", "TXT"): ['"v=spf1 ip4:127.0.0.1 -all"'],
    ("_dmarc.good.test", "TXT"): ['"v=DMARC1; p=reject"'],
    ("_dmarc.bank.test", "TXT"): ['"v=DMARC1; " "p=reject; rua=mailto:reports@bank.test"'],
    ("_dmarc.shop.test", "TXT"): ['"v=DMARC1; p=quarantine"'],
}


class DmarcScenario(Scenario):
    def setUp(self) -> None:
        super().setUp()
        self.names = self.part(Dns(dict(RECORDS)))
        server = Server(
            self.place / "server",
            dns={"servers": [self.names.address]},
            judge=[{"kind": "spf"}, {"kind": "dmarc"}],
        )
        self.server: Server = self.part(server).start()

    def send(self, author: str, sender: str = "x@good.test") -> str:
        content = f"From: {author}\r\nSubject: x\r\n\r\nHello.\r\n".encode()
        with Speaker(self.server.ports["mx"]) as speaker:
            return speaker.send(sender, ["anna@example.org"], content).decode()

    def test_pass(self) -> None:
        """A subdomain stands for its organization."""
        self.assertTrue(self.send("Ann <ann@news.good.test>").startswith("250"))
        (message,) = self.server.wait_mail("anna@example.org")
        flat = b" ".join(message.split())
        self.assertIn(b"spf=pass smtp.mailfrom=x@good.test", flat)
        self.assertIn(b"dmarc=pass header.from=news.good.test policy.dmarc=none", flat)
        self.assertNotIn(b"X-Spam-Flag", message)

    def test_reject(self) -> None:
        reply = self.send("Bank <ceo@bank.test>")
        self.assertTrue(
            reply.startswith("550 5.7.26 Nothing shows that this message is from bank.test"), reply
        )
        self.server.wait_trace(
            "x@good.test",
            "rule dmarc.reject",
            "because record: bank.test: v=DMARC1; p=reject; rua=mailto:reports@bank.test",
            "remedy",
        )

    def test_junk(self) -> None:
        self.assertTrue(self.send("Shop <sale@shop.test>").startswith("250"))
        self.server.wait_trace("x@good.test", "dmarc handling: junk (dmarc.quarantine)", "delivered")
        (path,) = mails(self.server.maildir("anna@example.org") / ".Junk")
        message = path.read_bytes()
        self.assertIn(b"X-Spam-Flag: YES", message)
        self.assertIn(b"dmarc=fail", message)

    def test_two_authors(self) -> None:
        reply = self.send("ann@good.test\r\nFrom: ceo@bank.test")
        self.assertTrue(reply.startswith("550 5.7.1 Who has written this message cannot be told"), reply)


class ForwardedScenario(Scenario):
    """What a list has changed, that had found it good and sealed what it found."""

    def setUp(self) -> None:
        super().setUp()
        records = {**RECORDS, ("s._domainkey.list.test", "TXT"): [quoted_text(rsa_record(RSA).decode())]}
        self.names = self.part(Dns(records))
        trusting = [{"kind": "arc", "trusted": ["list.test"]}, {"kind": "dmarc"}]
        server = Server(
            self.place / "server",
            dns={"servers": [self.names.address]},
            judge=[{"kind": "spf", "fail": "mark"}, {"kind": "dkim"}, *trusting],
        )
        self.server: Server = self.part(server).start()

    def send(self, results: bytes) -> str:
        message = (
            b"From: ceo@bank.test\r\nTo: l@list.test\r\nSubject: [l] x\r\n\r\nHello.\r\n-- \r\nthe list\r\n"
        )
        found = b"Authentication-Results: mx.list.test; " + results + b"\r\n"
        fields = dkim.arc_sign(found + message, b"s", b"list.test", PEM, b"mx.list.test")
        with Speaker(self.server.ports["mx"]) as speaker:
            content = b"".join(fields) + message
            return speaker.send("bounces@list.test", ["anna@example.org"], content).decode()

    def test_trusted(self) -> None:
        reply = self.send(b"dmarc=pass header.from=bank.test")
        self.assertTrue(reply.startswith("250"), reply)
        [message] = self.server.wait_mail("anna@example.org")
        self.assertNotIn(b"X-Spam-Flag", message)
        self.assertIn(b"arc=pass", message)
        self.server.wait_trace(
            "bounces@list.test", "it was good when list.test had it", "dmarc handling: mark (dmarc.arc)"
        )

    def test_not_good(self) -> None:
        """A seal does not help what its sealer had found bad."""
        reply = self.send(b"dmarc=fail header.from=bank.test")
        self.assertTrue(reply.startswith("550 5.7.26"), reply)

    def test_not_trusted(self) -> None:
        self.server.change(judge=[{"kind": "arc"}, {"kind": "dmarc"}])
        self.server.write()
        self.server.reload()
        reply = self.send(b"dmarc=pass header.from=bank.test")
        self.assertTrue(reply.startswith("550 5.7.26"), reply)
