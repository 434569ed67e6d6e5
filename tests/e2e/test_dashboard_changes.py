"""What is there is changed and taken away, in a real browser: templates, lists, contacts, endpoints."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.e2e.browser import Tab
from tests.e2e.dashboard import ROLES, DashboardScenario


class ChangeScenario(DashboardScenario):
    """By the administrator, for the tenant ``default``."""

    settings: ClassVar[dict[str, Any]] = {"api": {"url": "http://links.example.org"}}

    def follow(self, tab: Tab, name: str) -> Tab:
        """Follow a link, by what it says."""
        tab.page.locator("#content").get_by_role("link", name=name, exact=True).first.click()
        return tab

    def test_audience(self) -> None:
        """A list, a contact and a segment are changed; list and segment are removed."""
        tab = self.signed_in(ROLES["administrator"])
        tab.open("/dashboard/contacts/lists/new").fill(name="news", opt_in="single").press("Make the list")
        self.follow(tab.see("is made."), "Change").fill(title="Monthly").press("Save")
        tab.see("Monthly").press("Remove").confirm("Remove").see("is removed.")
        tab.open("/dashboard/contacts/lists/at/news", 404)
        tab.open("/dashboard/contacts/new").fill(address="ann@example.net").press("Add the contact")
        self.follow(tab.see("is added."), "Change").fill(name="Ann Other").press("Save")
        tab.see("Ann Other")
        tab.open("/dashboard/contacts/segments/new")
        tab.fill(name="ours", title="Ours", condition='{"attribute": "plan", "is": "pro"}').press("Save")
        self.follow(tab.see("is saved."), "Change").fill(title="Still ours").press("Save")
        tab.see("Still ours").press("Remove").confirm("Remove").see("is removed.")
        tab.open("/dashboard/contacts/segments/at/ours", 404)
        self.assertEqual([], tab.problems)

    def test_template(self) -> None:
        """A version before is used again; then all are forgotten."""
        tab = self.signed_in(ROLES["administrator"])
        for number, subject in enumerate(("First", "Second"), 1):
            if number == 1:
                tab.open("/dashboard/templates/new").fill(name="hello")
            else:
                self.follow(tab, "Change")
            tab.fill(subject=subject, html="<p>Hi</p>").press("Save").see(
                f"Version {number} of hello is kept"
            )
        tab.press("Use version 1").see("Version 1 is used from now on.")
        tab.press("Remove").see("All its versions are forgotten").confirm("Remove")
        tab.see("hello is removed.").open("/dashboard/templates/at/template/hello", 404)
        self.assertEqual([], tab.problems)

    def test_webhook(self) -> None:
        """Switched off and on, its secret replaced, its address changed; a test delivered again."""
        tab = self.signed_in(ROLES["administrator"])
        tab.open("/dashboard/webhooks/new").fill(url="https://hooks.example.net/").press("Add the endpoint")
        self.follow(tab.see("it is shown only once"), "I have copied it")
        tab.press("Switch off")
        tab.page.get_by_role("button", name="Switch on").wait_for()
        tab.press("Switch on")
        tab.page.get_by_role("button", name="Switch off").wait_for()
        tab.press("Replace the secret").confirm("Replace").see("it is shown only once")
        self.follow(tab, "I have copied it")
        self.follow(tab, "Change").fill(url="https://127.0.0.1:9/").press("Save")
        tab.see("Something is not right yet").fill(url="https://hooks.invalid/").press("Save").see("Changed.")
        place = tab.page.url
        tab.press("Send a test").see("A test is on its way")
        tab.open(place).press("Deliver all that failed again").see("Nothing has failed.")
        self.assertEqual([], tab.problems)

    def test_forgotten(self) -> None:
        """Who has not confirmed is asked only so often; who is forgotten for good is not added again."""
        tab = self.signed_in(ROLES["administrator"])
        tab.open("/dashboard/contacts/lists/new")
        tab.fill(name="news", opt_in="double", sender="shop@example.org").press("Make the list")
        tab.see("is made.").open("/dashboard/contacts/new").fill(address="ben@example.org")
        tab.press("Add the contact").see("is added").fill(list="news").press("Put on it")
        tab.see("ben@example.org is asked to confirm it")
        self.server.wait_mail("ben@example.org")
        tab.open("/dashboard/contacts/lists/at/news?state=pending").press("Ask ben@example.org again")
        tab.see("There were enough mails for now")
        tab.open("/dashboard/contacts/at/ben%40example.org").press("Forget for good")
        tab.see("A hash is kept").confirm("Forget")
        tab.see("The contact is forgotten.").open("/dashboard/contacts/new")
        tab.fill(address="ben@example.org").press("Add the contact").see("Something is not right yet")
        self.assertEqual([], tab.problems)
