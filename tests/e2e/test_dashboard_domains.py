"""Pages for domains, in a real browser: added, proved by a DNS of our own, removed; and the server's own."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.e2e.dashboard import ROLES, DashboardScenario
from tests.e2e.dns import Dns
from tests.e2e.scenario import wait_for


class DomainScenario(DashboardScenario):
    """A DNS that a test fills."""

    settings: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        self.names = Dns()
        type(self).settings = {"dns": {"servers": [self.names.address]}}
        super().setUp()
        self.part(self.names)

    def prepare(self) -> None:
        """A tenant."""
        self.server.mta("tenant", "add", "acme")

    def test_domain(self) -> None:
        """From a claim to mail that may be sent, and to no more."""
        tab = self.signed_in(ROLES["tenant"])
        tab.open("/dashboard/domains").check("domains-empty")
        tab.open("/dashboard/domains/new").fill(domain="shop").press("Add the domain")
        tab.see("is no domain with a dot").check("domain-wrong")
        self.names.records["_mta.shop.example", "TXT"] = ['"something else"']
        tab.fill(domain="shop.example").press("Add the domain")
        tab.see("shop.example is added").check("domain-new")
        tab.press("Verify now").see("required records are not there yet")
        tab.see("another record is there: something else").check("domain-missing")
        # Of another it is all there before anybody asks: what is not there, the DNS remembers.
        tab.open("/dashboard/domains/new").fill(domain="late.example").press("Add the domain")
        tab.see("late.example is added")
        texts = tab.page.locator("pre").all_inner_texts()
        for name, value in zip(texts[::2], texts[1::2], strict=True):
            parts = [f'"{value[at : at + 200]}"' for at in range(0, len(value), 200)]
            self.names.records[name, "TXT"] = [" ".join(parts)]

        def verified() -> bool:
            tab.open("/dashboard/domains").press("Verify late.example now")
            tab.see("required")
            return tab.page.get_by_text("All that is required is there.").count() > 0

        # The server looks by itself now and then, and what it has seen is good for some seconds.
        wait_for(verified, "late.example is not verified")
        tab.check("domain")
        tab.open("/dashboard/domains").check("domains")
        tab.page.get_by_role("link", name="late.example").click()
        tab.press("Remove").confirm("Remove")
        tab.see("late.example is removed.").see("Ownership: wrong")

    def test_server(self) -> None:
        """What the server's own domain does not publish, and how to."""
        self.names.records["mx.example.org", "A"] = ["8.8.4.4"]
        tab = self.signed_in(ROLES["administrator"])
        tab.open("/dashboard/domains").check("domains-staff")
        tab.page.get_by_role("link", name="This server").click()
        tab.see("MTA-STS").see("TLS-RPT").check("domains-server")
        self.names.records["example.org", "MX"] = ["10 mx.example.org."]
        tab.press("Look again").see("Looked at again.")
