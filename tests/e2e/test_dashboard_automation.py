"""Sequences and campaigns, in a real browser."""

from __future__ import annotations

from typing import Any, ClassVar

from tests.e2e.dashboard import ROLES, DashboardScenario

XSS = "<img src=x onerror=alert(1)>"
WELCOME = f"""
title = "Welcome {XSS}"
from = "Shop <shop@example.org>"
[[triggers]]
event = "signed_up"
[[exits]]
name = "bought {XSS}"
when = {{ event = "purchase" }}
goal = true
[[steps]]
id = "welcome"
do = "send"
template = "hello"
[[steps]]
id = "plan"
do = "branch"
when = {{ attribute = "plan", is = "{XSS}" }}
then = "tips"
otherwise = "again"
[[steps]]
id = "again"
do = "wait_until"
when = {{ clicked = "welcome" }}
timeout = "2d"
then = "more"
otherwise = "bye"
[[steps]]
id = "bye"
do = "exit"
reason = "{XSS}"
[[steps]]
id = "more"
do = "send"
template = "hello"
next = "rest"
[[steps]]
id = "tips"
do = "wait"
for = "3d"
[[steps]]
id = "rest"
do = "wait"
for = "1d"
"""


class AutomationScenario(DashboardScenario):
    """By the administrator, for the tenant ``default``."""

    settings: ClassVar[dict[str, Any]] = {"api": {"url": "http://links.example.org"}}

    def template(self, tab: Any) -> None:
        tab.open("/dashboard/templates/new").fill(
            name="hello", subject="Hello {{ name }}", text="Hi {{ name }}"
        )
        tab.press("Save").see("hello")

    def test_sequence(self) -> None:
        """Written, mended, drawn, tried, used; a person goes through it, live; paused, changed, forgotten."""
        tab = self.signed_in(ROLES["administrator"])
        self.template(tab)
        tab.open("/dashboard/sequences").check("sequences-empty")
        tab.page.get_by_role("link", name="Begin with “Win back”").click()
        tab.see("miss-you").check("sequence-new")
        tab.fill(name="welcome", definition=WELCOME.replace('do = "send"', 'do = "sned"', 1))
        tab.press("Save").see("What is wrong", "did you mean 'send'?").check("sequence-wrong")
        tab.fill(definition=WELCOME).press("Check and draw").see("It would be").check("sequence-drawn")
        tab.press("Save").see("Version 1 is kept").check("sequence")
        tab.open("/dashboard/sequences/at/welcome/try").fill(supposed="opens nothing")
        tab.press("What would happen?").see("is not understood").check("sequence-try-wrong")
        tab.fill(supposed="clicks welcome 3h").press("What would happen?").see("come in").check(
            "sequence-try"
        )
        tab.open("/dashboard/sequences/events").check("events-empty")
        tab.page.get_by_text("Tell of one by hand").click()
        tab.fill(address="u1@example.org", event="signed_up", properties=f'{{"say": "{XSS}"}}').press("Tell")
        tab.see("signed_up of u1@example.org is taken.").check("events")
        tab.open("/dashboard/sequences/at/welcome").see("1 sent", "1 went", "1 is here").check(
            "sequence-running"
        )
        # It renews itself.
        other = self.signed_in(ROLES["administrator"])
        other.open("/dashboard/contacts/new").fill(address="u2@example.org", name=XSS)
        other.press("Add the contact").see("is added")
        other.open("/dashboard/sequences/at/welcome/people")
        other.page.get_by_text("Let contacts in").click()
        other.fill(addresses="u2@example.org, nobody@example.org").press("Let them in")
        other.see("One came in.", "there is no such contact").check("sequence-people")
        tab.see("2 are here")
        other.page.get_by_role("link", name="u2@example.org").click()
        other.see("Was sent a message", "Went one way: no").check("sequence-person")
        other.press("Take out").see("Take u2@example.org out of welcome?").confirm("Take out")
        other.see("It is out of the sequence.", "taken out")
        tab.open("/dashboard/sequences/at/welcome").press("Pause").see("Pause welcome?")
        tab.page.locator("dialog [name=reason]").fill(XSS)
        tab.confirm("Pause").see("It is paused").check("sequence-paused")
        tab.press("Go on").see("welcome goes on.")
        tab.open("/dashboard/sequences/at/welcome/edit").see("made of version 1").check("sequence-edit")
        given = tab.page.locator('[name="definition"]').input_value()
        tab.fill(definition=given.replace('"2d"', '"4d"'), note=XSS).press("Save").see("Version 2 is kept")
        tab.open("/dashboard/sequences/at/welcome/versions").check("sequence-versions")
        tab.press("Move them").confirm("Move them").see("Moved: 1.")
        tab.press("Use version 1").see("goes by version 1")
        tab.open("/dashboard/sequences").see("Welcome").check("sequences")
        tab.open("/dashboard/sequences/at/welcome").press("Stop and forget").confirm("Stop and forget")
        tab.see("welcome is forgotten.")
        self.server.wait_trace("welcome", "removed")

    def test_somebody_of_a_tenant_looks_on(self) -> None:
        """The page of one renews itself when another of the tenant has paused what it shows."""
        tab, other = (self.signed_in(ROLES["tenant"]) for _ in range(2))
        # Whom mta.toml has put into a tenant that nobody has made, learns that.
        other.open("/dashboard/sequences/new", 403).see("There is no tenant acme", "mta tenant add acme")
        self.server.mta("tenant", "add", "acme")
        steps = '[[steps]]\nid = "rest"\ndo = "wait"\nfor = "1d"\n'
        other.open("/dashboard/sequences/new").fill(name="welcome", definition=steps)
        other.press("Save").see("Version 1 is kept")
        tab.open("/dashboard/sequences/at/welcome").see("Pause")
        other.press("Pause").confirm("Pause").see("It is paused")
        tab.see("It is paused")
        self.assertEqual([], tab.problems + other.problems)

    def test_campaign(self) -> None:
        """Made step by step, checked, tried, started, paused, gone on with; who came back, and the result."""
        tab = self.signed_in(ROLES["administrator"])
        self.template(tab)
        tab.open("/dashboard/campaigns").check("campaigns-empty")
        tab.open("/dashboard/contacts/lists/new").fill(name="news", title=f"News {XSS}", opt_in="single")
        tab.press("Make the list").see("is made.")
        for address in ("ben@example.org", "vera@example.org", "nobody@gone.example.org"):
            tab.open("/dashboard/contacts/new").fill(address=address, name=XSS).press("Add the contact")
            tab.see("is added").fill(list="news").press("Put on it").see("is on news.")
        tab.open("/dashboard/campaigns/new").fill(name="spring", title=f"Spring {XSS}").press("Next")
        tab.see("Choose at least one list or segment.").check("campaign-whom")
        tab.page.locator('[name="lists"]').check()
        tab.press("Next").see("Variant A").check("campaign-what")
        tab.fill(sender="shop@example.org", sender_name=XSS, template_A="hello", template_B="hello")
        tab.fill(subject_B=f"Other {XSS}").press("Next").see("How fast").check("campaign-when")
        tab.press("Back").see("Variant A")
        self.assertEqual("hello", tab.page.locator('[name="template_B"]').input_value())
        tab.press("Next").fill(throttle="many").press("Keep the draft").see("Give a number.")
        tab.fill(throttle="12", per="minute").press("Keep the draft")
        tab.see("The draft is kept.", "It may begin", "It is for 3 people now").check("campaign-draft")
        tab.fill(to="anna@example.org").press("Send the test").see("Sent: 2.")
        tab.page.get_by_role("link", name="Change").click()
        tab.see("Change spring").press("Next").press("Next")
        self.assertEqual("12", tab.page.locator('[name="throttle"]').input_value())
        tab.press("Keep the draft").see("The draft is kept.")
        tab.press("Start now").see("Start spring now?").confirm("Start")
        tab.see("spring has started.").press("Pause").see("Pause spring?").confirm("Pause")
        tab.see("spring is paused.").check("campaign-paused")
        tab.press("Go on").see("spring goes on.").check("campaign-running")
        tab.page.locator("#progress .badge", has_text="done").wait_for()
        # What can be done goes with it.
        tab.page.get_by_role("button", name="Stop for good").wait_for(state="detached")
        tab.check("campaign-done")
        tab.open("/dashboard/campaigns/at/spring/result").see("Too few have had", "not clear yet")
        tab.check("campaign-result")
        tab.open("/dashboard/campaigns/at/spring/people").see("ben@example.org").check("campaign-people")
        tab.page.get_by_role("link", name="Came back").click()
        tab.check("campaign-bounced")
        tab.open("/dashboard/campaigns").see("Spring").check("campaigns")
        self.server.wait_trace("spring", "start")

    def test_campaign_later(self) -> None:
        """One that begins later: scheduled, made a draft again, scheduled, stopped."""
        tab = self.signed_in(ROLES["administrator"])
        self.template(tab)
        tab.open("/dashboard/contacts/lists/new").fill(name="news", opt_in="single")
        tab.press("Make the list").see("is made.")
        tab.open("/dashboard/contacts/new").fill(address="ben@example.org").press("Add the contact")
        tab.see("is added").fill(list="news").press("Put on it").see("is on news.")
        tab.open("/dashboard/campaigns/new").fill(name="later").press("Next")
        tab.page.locator('[name="lists"]').check()
        tab.press("Next").fill(sender="shop@example.org", template_A="hello").press("Next")
        tab.fill(send_at="2099-01-01T09:00").press("Keep the draft").see("The draft is kept.")

        def state(name: str) -> None:
            tab.page.locator("#progress .badge", has_text=name).wait_for()

        tab.press("Schedule").confirm("Schedule")
        state("scheduled")
        tab.press("Make a draft again")
        state("draft")
        tab.press("Schedule").confirm("Schedule")
        state("scheduled")
        tab.check("campaign-scheduled")
        tab.press("Stop for good").confirm("Stop")
        state("stopped")
        self.assertEqual([], tab.problems)
