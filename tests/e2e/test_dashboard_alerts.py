"""Alerts, in a real browser: how rules stand, what was told, a rule that is tried."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.e2e.dashboard import ROLES, DashboardScenario
from tests.e2e.scenario import wait_for

XSS = "<img src=x onerror=alert(1)>"


class AlertScenario(DashboardScenario):
    """One rule that is raised at once, and one that is calm."""

    settings: ClassVar[dict[str, Any]] = {
        "alert": [
            {"name": f"signed in {XSS}", "event": "dashboard-session", "to": "anna@example.org"},
            {"name": "queue", "queue_size": 1000, "to": ["ben@example.org"]},
        ]
    }

    def test_rules(self) -> None:
        tab = self.signed_in(ROLES["operator"])
        self.server.wait_mail("anna@example.org")
        tab.open("/dashboard/alerts").see("raised", "1000 messages wait", "What was told").check("alerts")
        tab.press(f"Try signed in {XSS}").see("Try the rule").confirm("Tell them")
        tab.see("Told: anna@example.org.")
        self.server.wait_mail("anna@example.org", 2)
        tab.open("/dashboard/").page.get_by_role("link", name="The alerts").first.click()
        tab.see("What was told")
        viewer = self.signed_in(ROLES["viewer"])
        viewer.open("/dashboard/alerts?rule=queue")
        self.assertEqual(0, viewer.page.get_by_role("button", name="Try it").count())
        self.assertEqual([], tab.problems + viewer.problems)
        log = "log", "--json", "--kind", "administered"
        wait_for(lambda: "alert test" in self.server.mta(*log), "it is not told who tried it")


class NoAlertScenario(DashboardScenario):
    """Nothing is watched."""

    def test_begin(self) -> None:
        tab = self.signed_in(ROLES["viewer"])
        tab.open("/dashboard/alerts").see("Nothing is watched yet", "many bounces").check("alerts-empty")
