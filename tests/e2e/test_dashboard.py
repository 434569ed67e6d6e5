"""The dashboard in a real browser: signing in, sessions, and what every page keeps to."""

from __future__ import annotations

from tests.e2e.dashboard import PEOPLE, DashboardScenario


class SignInScenario(DashboardScenario):
    """From the door to the first page, and out again."""

    def test_first_sign_in(self) -> None:
        tab = self.tab()
        tab.open("/").check("sign-in")
        self.assertTrue(tab.page.url.endswith("/dashboard/sign-in"), tab.page.url)
        tab.fill(account="anna@example.org", password="wrong").press("Sign in")
        tab.see("Account or password is wrong.").check("sign-in-wrong")
        tab.fill(account="anna@example.org", password=PEOPLE["anna@example.org"]).press("Sign in")
        tab.page.wait_for_url("**/dashboard/")
        tab.see("Overview").check("overview")
        told = self.server.mta("trace", "anna@example.org")
        self.assertIn("dashboard", told)

    def test_sessions(self) -> None:
        """Each is listed; one that is ended from elsewhere is over."""
        other = self.tab(script=False).sign_in("ben@example.org", PEOPLE["ben@example.org"])
        tab = self.signed_in("anna@example.org")
        tab.open("/dashboard/sessions").check("sessions")
        tab.press("End the session of ben@example.org")
        tab.see("End this session?").check("sessions-ask")
        tab.confirm("End it")
        tab.see("The session of ben@example.org is ended.")
        other.open("/dashboard/sessions")
        self.assertIn("sign-in", other.page.url)

    def test_colours(self) -> None:
        """Light and dark, by the system and by choice."""
        tab = self.signed_in("anna@example.org", dark=True)
        tab.check("overview-dark")
        dark = tab.page.evaluate("getComputedStyle(document.body).backgroundColor")
        for chosen in ("Dark colours", "Light colours"):
            tab.page.get_by_role("button", name=chosen).click()
            tab.page.get_by_role("button", name=chosen).wait_for(state="detached")
        self.assertNotEqual(dark, tab.page.evaluate("getComputedStyle(document.body).backgroundColor"))

    def test_keyboard(self) -> None:
        """The first key press offers to skip the menu; what has the focus can be seen."""
        tab = self.signed_in("anna@example.org")
        tab.page.keyboard.press("Tab")
        focused = "document.activeElement.textContent"
        self.assertEqual("Skip to the content", tab.page.evaluate(focused))
        tab.page.keyboard.press("Enter")
        self.assertEqual("content", tab.page.evaluate("location.hash.slice(1)"))
