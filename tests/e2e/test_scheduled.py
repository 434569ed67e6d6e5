"""Messages of ten days ahead, which restarts do not touch; and what those who submit say of theirs."""

from __future__ import annotations

import os
import smtplib
import ssl

from tests.e2e.scenario import Scenario
from tests.e2e.server import Server

DAYS = 10

#: A clock that is fast by so many seconds, for a server that reads this module first.
CLOCK = """
import smtplib
import ssl
import time
_real = time.time
time.time = lambda: _real() + {seconds}
"""


class ScheduledScenario(Scenario):
    def later(self, server: Server, seconds: int) -> None:
        """Have it be so much later for a server that is started from now on, and for its commands."""
        clock = self.place / "clock"
        clock.mkdir(exist_ok=True)
        (clock / "sitecustomize.py").write_text(CLOCK.format(seconds=seconds))
        server._env["PYTHONPATH"] = os.pathsep.join([str(clock), os.environ.get("PYTHONPATH", "")])

    def send(self, server: Server, subject: str, at: str, to: str = "ben@example.org") -> str:
        """Submit a message; its queue id."""
        said = server.mta(
            *("send", "--smtp", f"127.0.0.1:{server.ports['submission']}", "--user", "anna@example.org"),
            *("--to", to, "--subject", subject, "--body", "Hi", "--at", at),
        )
        return said.rpartition("mta trace ")[2].strip()

    def test_ten_days(self) -> None:
        server = Server(self.place / "server", env={"MTA_PASSWORD": "anna-secret"})
        self.part(server).start()
        later = self.send(server, "in ten days", f"{DAYS}d")
        self.send(server, "in an hour", "1h")
        early = self.send(server, "early", f"{DAYS}d")
        self.assertIn("scheduled for", server.mta("trace", later))
        self.assertTrue(server.stop())
        self.later(server, 2 * 3600)
        server.start()
        (mail,) = server.wait_mail("ben@example.org", 1)
        self.assertIn(b"Subject: in an hour", mail)
        server.kill()
        server.start()
        # What waits for a retry is tried, and what is scheduled waits.
        server.mta("queue", "flush")
        server.mta("queue", "retry", "--all")
        # What comes afterwards is there.
        self.send(server, "now", "", "anna@example.org")
        server.wait_mail("anna@example.org")
        self.assertEqual(1, len(server.mails("ben@example.org")))
        listed = server.mta("queue", "list", "--scheduled")
        self.assertIn(later, listed)
        self.assertIn("scheduled", listed)
        # A person may send it before its time.
        server.mta("queue", "retry", early)
        server.wait_mail("ben@example.org", 2)
        self.assertTrue(server.stop())
        # And ten days later.
        self.assertIn(later, server.mta("queue", "list"))
        self.later(server, DAYS * 86400)
        server.start()
        mails = server.wait_mail("ben@example.org", 3)
        self.assertTrue(any(b"Subject: in ten days" in mail for mail in mails))
        server.wait_trace(later, "delivered")


class LabelScenario(Scenario):
    def test_labels(self) -> None:
        """Priority, tenant and campaign: kept, shown, and not sent on; an account has what it is given."""
        terms = {"tenants": {"@example.org": "shop"}, "priority_ceilings": {"anna@example.org": -3}}
        server = Server(self.place / "server", submission=terms)
        self.part(server).start()
        fields = "X-Mta-Tenant: bank\r\nX-Mta-Campaign: spring\r\n"
        with smtplib.SMTP("127.0.0.1", server.ports["submission"], timeout=60) as client:
            client.starttls(context=ssl._create_unverified_context())
            client.login("anna@example.org", "anna-secret")
            self.assertIn("mt-priority", client.esmtp_features)
            code, words = client.mail("anna@example.org", ["MT-PRIORITY=4", "HOLDFOR=3600"])
            self.assertEqual((250, b"2.3.6 -3 "), (code, words[:9]))
            client.rcpt("ben@example.org")
            code, words = client.data(f"{fields}Subject: offer\r\n\r\nHi\r\n")
            self.assertEqual((250, b"2.0.0"), (code, words[:5]))
        listed = server.mta("queue", "list", "--tenant", "shop", "--campaign", "spring", "--priority", "-3")
        identifier = listed.split("\n")[1].split()[0]
        shown = server.mta("queue", "show", identifier)
        for words in ("tenant     shop", "campaign   spring", "priority   -3", "scheduled  "):
            self.assertIn(words, shown)
        server.mta("queue", "retry", identifier)
        (mail,) = server.wait_mail("ben@example.org")
        self.assertNotIn(b"x-mta-", mail.lower())
        server.wait_trace(
            identifier,
            "tenant shop",
            "not believed (submission.tenant_field_from): bank",
            "campaign spring",
            "priority -3; 4 was asked for",
            "delivered",
        )
