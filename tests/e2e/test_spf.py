"""Servers that may and may not send for a domain: what is refused, what is told on, and by which evidence."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.client import Speaker
from tests.e2e.dns import Dns
from tests.e2e.scenario import Scenario
from tests.e2e.server import Server

RECORDS = {
    ("good.test", "TXT"): ['"v=spf1 include:" "hosts.test -all"'],
    ("hosts.test", "TXT"): ['"v=spf1 a:mx.hosts.test ~all"'],
    ("mx.hosts.test", "A"): ["127.0.0.1"],
    ("forged.test", "TXT"): ['"v=spf1 mx exp=why.forged.test -all"'],
    ("forged.test", "MX"): ["10 mx.forged.test."],
    ("mx.forged.test", "A"): ["192.0.2.1"],
    ("why.forged.test", "TXT"): ['"%{i} is none of ours"'],
    ("soft.test", "TXT"): ['"v=spf1 exists:%{l}.list.soft.test ~all"'],
    ("ann+x.list.soft.test", "A"): ["127.0.0.2"],
    ("down.test", "A"): ["192.0.2.1"],
}
FORGED = b"Authentication-Results: (ours)\r\n MX.example.org; spf=pass smtp.mailfrom=a@bank.test\r\n"
MAIL = FORGED + b"Subject: x\r\nAuthentication-Results: mx.other.test; none\r\n\r\nHello.\r\n"


class SpfScenario(Scenario):
    def setUp(self) -> None:
        super().setUp()
        self.names = self.part(Dns(dict(RECORDS)))
        self.names.trouble["down.test"] = "SERVFAIL"
        server = Server(
            self.place / "server",
            dns={"servers": [self.names.address]},
            judge=[{"kind": "spf", "temperror": "defer", "received_spf": True}],
        )
        self.server: Server = self.part(server).start()

    def send(self, sender: str, content: bytes = MAIL) -> str:
        with Speaker(self.server.ports["mx"]) as speaker:
            return speaker.send(sender, ["anna@example.org"], content).decode()

    def test_pass(self) -> None:
        """The message says so under our name, and nobody else does."""
        self.assertTrue(self.send("ann@good.test").startswith("250"))
        (message,) = self.server.wait_mail("anna@example.org")
        ours = (
            b"Authentication-Results: mx.example.org;\r\n\tspf=pass smtp.mailfrom=ann@good.test\r\n"
            b"Received-SPF: pass (mx.example.org: 127.0.0.1 may send: include:hosts.test "
            b"in the record of good.test) "
        ).replace(b"\r\n", b"\n")
        flat = message.replace(b"\r\n", b"\n")
        self.assertIn(ours, flat)
        self.assertEqual(2, flat.count(b"\nAuthentication-Results:"), message)
        self.assertNotIn(b"bank.test", message)
        self.assertIn(b"Authentication-Results: mx.other.test; none", message)
        self.server.wait_trace(
            "ann@good.test",
            "spf mailfrom: pass: 127.0.0.1 may send: include:hosts.test in the record of good.test",
            "spf records: good.test: v=spf1 include:hosts.test -all",
            "spf records: hosts.test: v=spf1 a:mx.hosts.test ~all",
        )

    def test_large(self) -> None:
        """A forged field goes from what is kept in a file, too."""
        self.assertTrue(
            self.send("ann@good.test", MAIL + b"x" * 70 + b"\r\n" + b"y\r\n" * 100_000).startswith("250")
        )
        (message,) = self.server.wait_mail("anna@example.org")
        self.assertNotIn(b"bank.test", message)
        self.assertIn(b"spf=pass smtp.mailfrom=ann@good.test", message)

    def test_fail(self) -> None:
        """The client is told why and what to do; the journal has the records."""
        reply = self.send("ann@forged.test")
        self.assertTrue(reply.startswith("550-5.7.23 127.0.0.1 may not send for forged.test"), reply)
        self.assertIn("550 5.7.23 forged.test explains: 127.0.0.1 is none of ours", reply)
        self.server.wait_trace(
            "ann@forged.test",
            "refused at mail",
            "rule spf.fail",
            "because mailfrom: fail: 127.0.0.1 may not send: -all in the record of forged.test",
            "because records: forged.test: v=spf1 mx exp=why.forged.test -all",
            "remedy",
        )

    def test_macro(self) -> None:
        """A name with any character in it is asked for."""
        self.assertTrue(self.send("ann+x@soft.test").startswith("250"))
        self.assertIn("ann+x.list.soft.test A", self.names.asked)
        self.server.wait_trace("ann+x@soft.test", "spf mailfrom: pass")
        self.assertTrue(self.send("ben@soft.test").startswith("250"))
        self.server.wait_trace("ben@soft.test", "spf mailfrom: softfail")

    def test_trouble(self) -> None:
        """Nobody is refused for good because the DNS is down."""
        reply = self.send("ann@down.test")
        self.assertTrue(
            reply.startswith("451 4.7.24 The SPF record of down.test cannot be looked up now"), reply
        )

    def test_rehearsal(self) -> None:
        """`mta test` plays it through, by the server and without one."""
        arguments = ("test", "anna@example.org", "--client-ip", "192.0.2.9", "--helo", "mx.hosts.test")
        for offline in ((), ("--offline",)):
            told = self.server.mta(*arguments, *offline, "--from", "ann@forged.test", check=False)
            flat = " ".join(told.split())
            self.assertIn("550 5.7.23 192.0.2.9 may not send for forged.test", flat)
            self.assertIn("because records: forged.test: v=spf1 mx exp=why.forged.test -all", flat)
            self.assertIn("remedy mta explain spf-fail", flat)
            told = self.server.mta("--json", *arguments, *offline, "--from", "ann@soft.test")
            found: dict[str, Any] = json.loads(told)
            self.assertEqual("softfail", found["authentication"][0]["result"])
            self.assertIn(
                "soft.test: v=spf1 exists:%{l}.list.soft.test ~all", found["evidence"]["spf"]["records"]
            )
            self.assertIn("SPF of smtp.mailfrom=ann@soft.test is softfail", " ".join(found["steps"]))
