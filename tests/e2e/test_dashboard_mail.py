"""Mail on the dashboard, in a real browser: the queue, messages, what is held, accounts, the log."""

from __future__ import annotations

import json
import smtplib
from email.message import EmailMessage
from typing import Any, ClassVar

import httpx

from tests.e2e.browser import Tab
from tests.e2e.dashboard import PEOPLE, DashboardScenario
from tests.e2e.journal import events
from tests.e2e.remote import Remote
from tests.e2e.scenario import wait_for

#: What strangers write, and nobody may run.
EVIL = '"><script>alert(1)</script><img src=x onerror=alert(2)>'


class MailScenario(DashboardScenario):
    """Two workers, and a remote server that refuses as it is told."""

    settings: ClassVar[dict[str, Any]] = {"workers": 2, "access": {"relay_from": ["127.0.0.0/8"]}}

    def setUp(self) -> None:
        self.remote = Remote()
        type(self).settings = {
            **type(self).settings,
            "relay": {"smarthost": f"127.0.0.1:{self.remote.port}", "tls": "never"},
            "queue": {"retry": ["1h"], "jitter": 0.0, "minimum_free": "1M"},
        }
        super().setUp()
        self.part(self.remote)

    def send(self, to: str, subject: str = "Hello", sender: str = "ben@example.org") -> None:
        """Hand a message over."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = sender, to, subject
        mail.set_content("Hi.")
        with smtplib.SMTP("127.0.0.1", self.server.ports["mx"]) as session:
            session.send_message(mail, sender, [to])

    def waits(self, count: int) -> None:
        """Until so many messages wait for another attempt."""
        wait_for(
            lambda: len(events(self.server, "deferred")) >= count, f"there are not {count} deferred messages"
        )

    def operator(self, **options: Any) -> Tab:
        """A window of somebody who may act."""
        return self.signed_in("ben@example.org", **options)

    def test_queue(self) -> None:
        """What waits is seen, tried again, suspended, returned and removed; each is in the journal."""
        self.remote.at["RCPT"] = f"451 4.7.1 later {EVIL}".encode()
        for number in range(4):
            self.send(f"u{number}@remote.example")
        self.waits(4)
        tab = self.operator().open("/dashboard/queue")
        tab.see("deferred").check("queue")
        tab.press(f"Suspend 127.0.0.1:{self.remote.port}").confirm("Suspend").see("until it is resumed")
        tab.see("suspended")
        tab.press(f"Resume 127.0.0.1:{self.remote.port}").see("again.")
        tab.open("/dashboard/queue/messages").check("queue-messages")
        self.assertEqual(4, tab.page.locator("tbody tr").count())
        tab.page.locator("tbody input[type=checkbox]").nth(0).check()
        tab.press("Remove").see("Remove this message?").check("queue-remove")
        tab.confirm("Remove").see("1 message is removed.")
        # The same without scripts: the question is a page of its own.
        plain = self.operator(script=False).open("/dashboard/queue/messages")
        plain.page.locator("tbody input[type=checkbox]").nth(0).check()
        plain.press("Return to sender")
        plain.page.locator("#confirm-reason").fill("not wanted")
        plain.confirm("Return").see("1 message is returned to its sender.")
        self.remote.at.clear()
        tab.open("/dashboard/queue").press(f"Try now what waits for 127.0.0.1:{self.remote.port}")
        tab.see("2 messages are due at once.")
        self.remote.wait(2)
        tab.see("Nothing waits")
        wait_for(
            lambda: "ben@example.org (dashboard)" in self.server.mta("log", "--json"),
            "the log does not tell who",
        )

    def test_why(self) -> None:
        """Why a message bounced, and what to do; nothing that the other side wrote runs."""
        self.remote.at["RCPT"] = f"550 5.7.26 not accepted due to domain's DMARC policy {EVIL}".encode()
        self.send("dmarc@remote.example", EVIL)
        self.server.wait_trace("dmarc@remote.example", "failed")
        tab = self.operator().open("/dashboard/messages?q=dmarc@remote.example").check("messages-found")
        tab.page.locator("tbody th a").first.click()
        tab.see("SPF, DKIM or DMARC did not pass", "What to do", "alert(1)").check("message-failed")
        self.assertIn("Publish SPF", tab.text)
        tab.open("/dashboard/messages?view=trouble").check("messages-trouble")
        # Refused at the door, with its cause.
        with smtplib.SMTP("127.0.0.1", self.server.ports["mx"]) as session:
            session.helo("evil.example")
            session.mail("x@evil.example")
            session.rcpt("nobody@example.org")
        tab.open("/dashboard/messages?view=refused").see("no such mailbox here").check("messages-refused")
        tab.open("/dashboard/messages?q=nothing-like-this").see("Nothing is found").check("messages-none")
        self.assertEqual([], tab.problems)

    def test_held(self) -> None:
        """What is held is looked at, and let go."""
        self.remote.at["RCPT"] = b"451 4.7.1 later"
        self.send("held@remote.example", EVIL)
        self.waits(1)
        tab = self.operator().open("/dashboard/queue/messages")
        tab.page.locator("tbody input[type=checkbox]").first.check()
        tab.press("Hold").see("1 message is held.")
        tab.open("/dashboard/held").see("by ben@example.org (dashboard)").check("held")
        tab.page.locator("tbody th a").first.click()
        tab.see("Hi.").check("held-message")
        self.remote.at.clear()
        tab.press("Release").see("1 message is released.")
        self.remote.wait(1)
        tab.see("Nothing is held")
        viewer = self.signed_in("vera@example.org").open("/dashboard/held")
        self.assertEqual(0, viewer.page.locator("button", has_text="Release").count())

    def test_live(self) -> None:
        """The overview and the log follow what happens, in whichever worker, without being loaded again."""
        log = self.signed_in("vera@example.org").open("/dashboard/log")
        log.page.locator("[data-state].on").wait_for()
        overview = self.signed_in("anna@example.org")
        overview.page.locator("[data-state].on").wait_for()
        for number in range(6):
            self.send("anna@example.org", f"number {number}")
        log.page.locator(".log .badge", has_text="delivered").nth(5).wait_for()
        overview.page.locator(".log .badge", has_text="completed").first.wait_for()
        log.check("log")
        overview.check("overview-busy")
        # Who may not follow, and hears nothing of why, has a page that stays as it is.
        alone = self.signed_in("vera@example.org")

        def refuse(route: Any) -> None:
            route.abort() if "x-live" in route.request.headers else route.continue_()

        alone.page.route("**/dashboard/live*", lambda route: route.fulfill(status=429))
        alone.page.route("**/dashboard/log", refuse)
        with alone.page.expect_event("requestfailed"):
            alone.open("/dashboard/log")
        alone.see("waiting for the server")
        self.assertEqual([], [one for one in alone.problems if "Failed to fetch" in one])

    def test_accounts(self) -> None:
        """Sign-ins, a ban with a mistake in it, a suspended account."""
        door = self.tab().open("/dashboard/sign-in").fill(account=EVIL, password="x").press("Sign in")
        door.see("is wrong")
        tab = self.signed_in("anna@example.org").find("/dashboard/accounts", "signed in").check("accounts")
        tab.open("/dashboard/accounts/bans").fill(network="nonsense").press("Ban")
        tab.see("write an address or a network").check("bans-mistake")
        tab.fill(network="198.51.100.0/24", reason=EVIL).press("Ban").see(
            "198.51.100.0/24 is not let in any more."
        )
        tab.check("bans").press("Lift the ban of 198.51.100.0/24").confirm("Lift the ban").see(
            "may connect again."
        )
        tab.open("/dashboard/accounts/one?account=ben@example.org").press("Suspend").confirm("Suspend")
        tab.see("ben@example.org is suspended.").check("suspended")
        tab.open("/dashboard/accounts/one?account=ben@example.org").check("account")
        tab.press("Resume").see("may send again")
        self.server.wait_trace("ben@example.org", "anna@example.org (dashboard)")

    def test_sessions_of_workers(self) -> None:
        """Who is signed in at one worker is signed in at the other; who is signed out, at neither."""
        tab = self.operator(script=False)
        for _ in range(8):
            # Each by a connection of its own, as it happens, to this worker or that.
            tab.page.context.request.get(f"{self.base}/dashboard/queue", headers={"connection": "close"})
            tab.open("/dashboard/queue")
        tab.press("Sign out", "header")
        tab.page.get_by_label("Password").wait_for()
        for _ in range(6):
            tab.open("/dashboard/queue")
            self.assertIn("sign-in", tab.page.url)
        self.assertNotIn(PEOPLE["ben@example.org"], self.server.output)


class TenantScenario(DashboardScenario):
    """A tenant, who sees their own mail and nothing else."""

    settings: ClassVar[dict[str, Any]] = {"tracking": {"bodies_of": {"acme": "1d"}}}

    def setUp(self) -> None:
        self.remote = Remote()
        type(self).settings = {
            **type(self).settings,
            "relay": {"smarthost": f"127.0.0.1:{self.remote.port}", "tls": "never"},
            "queue": {"retry": ["1h"], "jitter": 0.0, "minimum_free": "1M"},
        }
        super().setUp()
        self.part(self.remote)

    def prepare(self) -> None:
        self.keys = {}
        for tenant in ("acme", "other"):
            self.server.mta("tenant", "add", tenant)
            self.server.mta("tenant", "domain", "add", tenant, f"{tenant}.example")
            told = self.server.mta("key", "create", "--tenant", tenant, "--scope", "messages:send", "--json")
            self.keys[tenant] = json.loads(told)["key"]

    def send(self, tenant: str, to: str, subject: str) -> str:
        """Send by HTTP; the id."""
        body = {"from": f"shop@{tenant}.example", "to": [to], "subject": subject, "text": "Hi."}
        answer = httpx.post(
            f"{self.base}/v1/messages",
            json=body,
            headers={"authorization": f"Bearer {self.keys[tenant]}"},
            timeout=60,
        )
        self.assertEqual(202, answer.status_code, answer.text)
        return str(answer.json()["id"])

    def test_own(self) -> None:
        """What bounced is found, understood, and sent again; what is of others is not there."""
        self.remote.at["RCPT"] = f"550 5.7.26 not accepted due to domain's DMARC policy {EVIL}".encode()
        mine = self.send("acme", "x@remote.example", f"Order 7 {EVIL}")
        foreign = self.send("other", "y@remote.example", "Not yours")
        self.server.wait_trace(mine, "failed")
        tab = self.signed_in("tina@example.org").check("overview-tenant")
        self.assertNotIn("Queue", tab.text)
        tab.open("/dashboard/messages").see("Order 7").check("messages-tenant")
        self.assertNotIn("Not yours", tab.text)
        tab.open(f"/dashboard/messages/{foreign}", 404).open("/dashboard/queue", 403)
        tab.open("/dashboard/messages?q=order").page.locator("tbody th a").first.click()
        tab.see("SPF, DKIM or DMARC did not pass", "Send it again").check("message-tenant")
        self.remote.at.clear()
        tab.press("Send again").confirm("Send again").see("It is sent again; this is what becomes of it.")
        self.assertIn(b"Order 7", self.remote.wait(1)[0].content)
        self.server.wait_trace(mine, "again by tina@example.org (dashboard)")
        self.assertEqual([], tab.problems)
