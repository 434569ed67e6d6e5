"""Contacts, lists, segments and imports, in a real browser."""

from __future__ import annotations

from tests.e2e.dashboard import ROLES, DashboardScenario

XSS = "<img src=x onerror=alert(1)>"


class AudienceScenario(DashboardScenario):
    """By the administrator, for the tenant ``default``."""

    def test_contacts(self) -> None:
        """Added, found, changed, put on a list and taken off, forgotten."""
        tab = self.signed_in(ROLES["administrator"])
        tab.open("/dashboard/contacts").check("contacts-empty")
        tab.open("/dashboard/contacts/new").check("contact-new")
        tab.fill(address="ann@example.net", name=XSS, attributes='{"plan": ').press("Add the contact")
        tab.see("is no JSON").check("contact-wrong")
        tab.fill(attributes=f'{{"plan": "pro", "say": "{XSS}"}}', time_zone="Nowhere/Land")
        tab.press("Add the contact").see("Something is not right yet")
        tab.fill(time_zone="Europe/Vienna").press("Add the contact")
        tab.see("ann@example.net is added.")
        tab.open("/dashboard/contacts/lists").check("lists-empty")
        tab.open("/dashboard/contacts/lists/new").check("list-new")
        tab.fill(name="news", title=f"News {XSS}", opt_in="single").press("Make the list")
        tab.see("is made.").check("list-empty")
        tab.open("/dashboard/contacts/at/ann%40example.net").fill(list="news").press("Put on it")
        tab.see("ann@example.net is on news.").check("contact")
        tab.open("/dashboard/contacts?q=ann").see("ann@example.net").check("contacts")
        tab.open("/dashboard/contacts/lists/at/news").see("ann@example.net").check("list")
        tab.open("/dashboard/contacts/lists").check("lists")
        tab.open("/dashboard/contacts/at/ann%40example.net")
        tab.press("Take off news").see("Take ann@example.net off news?").confirm("Take off the list")
        tab.see("ann@example.net is off news.")
        tab.press("Forget").confirm("Forget")
        tab.see("The contact is forgotten.")
        self.server.wait_trace("default", "erased")

    def test_segment(self) -> None:
        """Tried out, mended, saved."""
        tab = self.signed_in(ROLES["administrator"])
        for number in range(3):
            tab.open("/dashboard/contacts/new")
            plan = "pro" if number else "free"
            tab.fill(address=f"u{number}@example.net", attributes=f'{{"plan": "{plan}"}}')
            tab.press("Add the contact").see("is added")
        tab.open("/dashboard/contacts/segments").check("segments-empty")
        tab.open("/dashboard/contacts/segments/new")
        tab.fill(name="pros", title="Pros", condition='{"all": [{"attribute": "plan", "iss": "pro"}]}')
        tab.press("Try it out").see("all[0]").check("segment-wrong")
        tab.fill(condition='{"attribute": "plan", "is": "pro"}').press("Try it out")
        tab.see("It holds for 2 contacts", "u1@example.net").check("segment-tried")
        tab.press("Save").see("The segment Pros is saved.", "u2@example.net").check("segment")
        tab.open("/dashboard/contacts/segments").check("segments")

    def test_import(self) -> None:
        """A thousand lines, ten of them broken: each is told, and the others are taken."""
        tab = self.signed_in(ROLES["administrator"])
        lines = ["email,name,plan"]
        for number in range(1000):
            broken = number % 100 == 50
            lines.append(f"{'nobody' if broken else f'u{number}@example.net'},User {number},pro")
        tab.open("/dashboard/contacts/imports/new").check("import-new")
        content = ("\n".join(lines) + "\n").encode()
        tab.page.locator("input[type=file]").set_input_files(
            {"name": "people.csv", "mimeType": "text/csv", "buffer": content}
        )
        tab.press("Import").see("The file is taken")
        # The page renews itself when the journal tells that it was read.
        tab.page.locator("#import").get_by_text("done").wait_for()
        tab.see("Lines that cannot be used").check("import")
        numbers = tab.page.locator('td[data-label="Line"]').all_inner_texts()
        self.assertEqual([str(52 + 100 * number) for number in range(10)], numbers)
        self.assertIn("990", tab.page.locator("#import .figure").first.inner_text())
        tab.open("/dashboard/contacts/imports").check("imports")
        with tab.page.expect_download() as saved:
            tab.open("/dashboard/contacts").page.get_by_role("link", name="Export").click()
        exported = saved.value.path().read_text()
        self.assertEqual(991, len(exported.splitlines()))
