"""Analytics, in a real browser: numbers of real mail, what they differ by, as a file."""

from __future__ import annotations

import smtplib
from email.message import EmailMessage

from tests.e2e.dashboard import ROLES, DashboardScenario
from tests.e2e.scenario import wait_for


class AnalyticsScenario(DashboardScenario):
    """By a viewer, of all mail, and by a tenant."""

    def send(self, to: str) -> None:
        """One message to a mailbox here."""
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "x@remote.example", to, "Hello"
        mail.set_content("Hi.")
        with smtplib.SMTP("127.0.0.1", self.server.ports["mx"]) as session:
            session.send_message(mail)

    def test_numbers(self) -> None:
        tab = self.signed_in(ROLES["viewer"])
        tab.open("/dashboard/analytics").see("There are no numbers of this time").check("analytics-empty")
        for name in ("anna", "ben", "vera"):
            self.send(f"{name}@example.org")
            self.server.wait_mail(f"{name}@example.org")

        def counted() -> bool:
            delivered = tab.open("/dashboard/analytics").page.locator(".figure", has_text="Delivered")
            return delivered.count() > 0 and "3" in delivered.first.inner_text()

        wait_for(counted, "three deliveries are not counted")
        tab.see("What became of recipients", "example.org").check("analytics")
        for by in ("provider", "class", "tag", "campaign", "variant", "template", "source", "tls", "tenant"):
            tab.open(f"/dashboard/analytics?by={by}&period=day")
        tab.open("/dashboard/analytics?by=nothing&period=year").see("example.org")
        with tab.page.expect_download() as saved:
            tab.page.get_by_role("link", name="CSV").last.click()
        rows = saved.value.path().read_text().splitlines()
        self.assertIn("delivered", rows[0].split(","))
        self.assertTrue(rows[1].startswith("example.org,"), rows)
        tina = self.signed_in(ROLES["tenant"])
        tina.open("/dashboard/analytics?whose=all&by=tenant").see("There are no numbers of this time")
        self.assertEqual([], tab.problems + tina.problems)
