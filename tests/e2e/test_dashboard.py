"""The dashboard in a real browser: signing in, sessions, and what every page keeps to."""

from __future__ import annotations

from tests.e2e.dashboard import PEOPLE, DashboardScenario

#: A part of a page is fetched, and while that goes on something happens: how often was it asked for?
_WHILE_IT_IS_FETCHED = """async () => {
  const asked = [];
  const place = document.querySelector("script[src$='dashboard.js']").src.replace("dashboard.js", "live.js");
  window.EventSource = class {
    constructor() { this.on = {}; window.source = this; }
    addEventListener(kind, told) { this.on[kind] = told; }
    close() {}
  };
  const text = (words) => `<section id="part">${words}</section>`;
  window.fetch = () => new Promise((resolve) =>
    asked.push((words) => resolve({ ok: true, text: async () => text(words) })));
  document.body.innerHTML = '<section id="part" data-live="delivered" data-every="0.01">old</section>';
  const until = async (found) => { while (!found()) await new Promise((go) => setTimeout(go, 5)); };
  const { follow } = await import(`${place}#by-itself`);
  follow(document);
  source.on.open();
  await until(() => asked.length === 1);
  source.on.happened({ data: JSON.stringify({ counts: { delivered: 1 } }) });
  await until(() => asked.length === 2);
  asked[1]("new");
  await until(() => document.getElementById("part").textContent === "new");
  asked[0]("stale");
  await new Promise((go) => setTimeout(go, 0));
  return document.getElementById("part").textContent;
}"""


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
        self.server.wait_trace("anna@example.org", "dashboard")

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

    def test_news_while_a_part_is_fetched(self) -> None:
        """What happens meanwhile is fetched once more, and an answer that comes late does not hide it."""
        tab = self.signed_in("anna@example.org")
        self.assertEqual("new", tab.page.evaluate(_WHILE_IT_IS_FETCHED))

    def test_keyboard(self) -> None:
        """The first key press offers to skip the menu; what has the focus can be seen."""
        tab = self.signed_in("anna@example.org")
        tab.page.keyboard.press("Tab")
        tab.page.wait_for_function("document.activeElement.textContent === 'Skip to the content'")
        tab.page.keyboard.press("Enter")
        tab.page.wait_for_function("location.hash === '#content'")
