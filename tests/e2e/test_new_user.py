"""Somebody who has read nothing, with an empty directory and a browser, until the result a day later.

The guide ``dashboard-tour`` goes the same way.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.e2e.browser import Browser, Tab
from tests.e2e.clock import Clock
from tests.e2e.dns import Dns
from tests.e2e.own_network import entering, inside
from tests.e2e.process import Process
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, need_root, program, wait_for
from tests.e2e.server import BIN, ROOT

GUIDE = ROOT / "docs" / "guides" / "dashboard-tour.rst"
BASE = "http://127.0.0.1:8025"
DAY = 86_400


def guided(kind: str) -> str:
    """What the guide has to be pasted into a form."""
    found = re.search(rf"\.\. code-block:: {kind}\n\n((?:    .*\n|\n)+)", GUIDE.read_text("utf-8"))
    assert found is not None
    return re.sub(r"(?m)^    ", "", found[1]).strip() + "\n"


class Elsewhere(Remote):
    """Another provider's server: one mailbox there is gone, one is full, until somebody changes that."""

    gone = full = True

    def answer(self, command: str, usual: bytes) -> bytes | None:
        """See :class:`Remote`."""
        asked = self.commands[-1] if self.commands else ""
        if command == "RCPT" and "gone@" in asked and self.gone:
            return b"550 5.1.1 No such user here"
        if command == "RCPT" and "full@" in asked and self.full:
            return b"452 4.2.2 Mailbox full"
        return super().answer(command, usual)


class NewUserScenario(Scenario):
    """An embedded server as it is started, in a network of its own; the day passes on a clock that is set."""

    def setUp(self) -> None:
        super().setUp()
        need_root("makes a network namespace")
        self.clock = Clock(self.place / "clock")
        home = self.place / "home"
        home.mkdir()
        if Path("/etc/mta/mta.toml").exists():
            # This machine's own server is none of ours; `make run` does the same.
            (home / "mta.toml").touch()
        (self.place / "resolv.conf").write_text("nameserver 127.0.0.1\n")
        setting = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.clock.env.items())
        script = (
            f"{program('ip')} link set lo up && mount --bind {self.place}/resolv.conf /etc/resolv.conf"
            f" && exec env {setting} {BIN / 'twistd'} --nodaemon --pidfile= mta"
        )
        command = [program("unshare"), "--net", "--mount", "sh", "-c", script]
        self.process: Process = self.part(Process(command, cwd=home))
        self.process.wait_line("Make a key to send by HTTP", 180)
        with inside(self.process.pid):
            dns = self.part(Dns(port=53))
            self.remote = self.part(Elsewhere(port=25, host="127.0.0.2"))
        dns.add_mx("example.net")
        chromium = entering(self.process.pid, program("chromium"), self.place / "chromium")
        browser = Browser(chromium)
        self.addCleanup(browser.stop)
        self.tab = browser.tab(BASE)

    def sign_in(self) -> Tab:
        """At the address that stands on the terminal."""
        shown = re.search(r"http://\S+/dashboard/", self.process.output)
        assert shown is not None
        self.tab.open(shown[0]).check("tour-door")
        return self.enter()

    def enter(self) -> Tab:
        """As the lines on the terminal say."""
        account = re.search(r"sign in as (\S+)\)", self.process.output)
        password = re.search(r"password (\S+)", self.process.output)
        assert account is not None and password is not None
        self.tab.page.get_by_label("Account").fill(account[1])
        self.tab.page.get_by_label("Password").fill(password[1])
        self.tab.page.get_by_role("button", name="Sign in").click()
        return self.tab

    def link(self, name: str) -> Tab:
        """Follow a link, by what it says."""
        self.tab.page.locator("#content").get_by_role("link", name=name, exact=True).first.click()
        return self.tab

    def test_tour(self) -> None:
        """Nothing but the page."""
        tab = self.sign_in()
        tab.see("Begin here").check("tour-begin")
        self.template()
        self.contacts()
        self.sequence()
        self.bounced()
        self.deferred()
        self.campaign()
        self.day_later()
        self.assertEqual([], tab.problems)

    def template(self) -> None:
        """Made from the overview; its test is followed to the mailbox."""
        tab = self.link("Make a template")
        tab.fill(name="welcome", subject="Welcome, {{ name }}", html=guided("html")).press("Save")
        tab.see("Version 1 of welcome is kept, and used.")
        self.link("Send a test").press("Send")
        tab.see("A test is on its way to user@localhost.", "Delivered to user@localhost").check("tour-test")

    def contacts(self) -> None:
        """A list, and a thousand lines for it, of which ten are broken."""
        tab = self.tab.open("/dashboard/contacts/lists")
        self.link("Make a list").fill(name="news", opt_in="single").press("Make the list")
        tab.see("is made.")
        self.link("Import a file")
        people = [f"user+{number}@localhost,Reader {number}" for number in range(988)]
        people += ["gone@example.net,Gina", "full@example.net,Felix"]
        for place in range(10):
            people.insert(place * 100 + 50, f"nobody,Broken {place}")
        content = "\n".join(["email,name", *people]).encode()
        tab.page.locator("input[type=file]").set_input_files(
            {"name": "people.csv", "mimeType": "text/csv", "buffer": content}
        )
        tab.press("Import").see("What next?", "Lines that cannot be used")
        numbers = tab.page.locator('td[data-label="Line"]').all_inner_texts()
        self.assertEqual([str(52 + 100 * place) for place in range(10)], numbers)
        self.assertIn("990", tab.page.locator("#import .figure").first.inner_text())
        tab.check("tour-import")

    def sequence(self) -> None:
        """Two letters, a day between them, to four people."""
        tab = self.tab
        tab.page.locator("nav").get_by_role("link", name="Sequences", exact=True).first.click()
        self.link("A new sequence").fill(name="letters", definition=guided("toml"))
        tab.press("Check and draw").see("It would be").press("Save")
        tab.see("Version 1 is kept", "not there: later")
        self.link("Make a template")
        tab.fill(name="later", subject="A day later, {{ name }}", html="<p>Still here?</p>").press("Save")
        tab.see("Version 1 of later is kept")
        tab.open("/dashboard/sequences/at/letters")
        self.assertNotIn("not there", tab.text)
        self.link("People")
        tab.fill(addresses="user+1@localhost\nuser+2@localhost\ngone@example.net\nfull@example.net")
        tab.press("Let them in").see("4 came in.")
        self.link("Flow").see("4 are here").check("tour-sequence")

    def found(self, subject: str, state: str) -> Tab:
        """Open a message that did not arrive, from the list of those."""
        tab = self.tab

        def there() -> bool:
            tab.open("/dashboard/messages?view=trouble")
            row = tab.page.locator("main tr", has_text=subject).first
            return row.count() > 0 and state in row.inner_text()

        wait_for(there, f"{subject} is not {state}")
        return self.link(subject)

    def bounced(self) -> None:
        """Why, as the remote server said it; and sent again, after the remote side was mended."""
        tab = self.found("Welcome, Gina", "failed")
        tab.see("550 5.1.1 No such user here", "no such mailbox", "What to do").check("tour-bounced")
        self.link("is gone@example.net?").see("gone@example.net")
        tab.press("Send to gone@example.net again").confirm("Lift the suppression")
        tab.see("Mail is sent to gone@example.net again.")
        self.remote.gone = False
        tab = self.found("Welcome, Gina", "failed")
        tab.press("Send again").confirm("Send again").see("It is sent again; this is what becomes of it.")
        tab.see("Delivered to gone@example.net")
        self.assertIn(b"Welcome, Gina", self.remote.wait(1)[0].content)

    def deferred(self) -> None:
        """What waits is tried at once."""
        tab = self.found("Welcome, Felix", "deferred")
        tab.see("Mailbox full", "the mailbox is full").check("tour-deferred")
        self.remote.full = False
        tab.press("Try now").see("1 message is due at once.", "Delivered to full@example.net")
        self.remote.wait(2)

    def campaign(self) -> None:
        """Two subjects to everybody on the list, while somebody looks on."""
        tab = self.tab
        tab.page.locator("nav").get_by_role("link", name="Campaigns", exact=True).first.click()
        self.link("A new campaign").fill(name="spring", title="Spring")
        tab.page.get_by_role("group", name="Lists", exact=True).get_by_label("news").check()
        # Whose address it comes from is filled in.
        tab.press("Next").fill(
            template_A="welcome", template_B="welcome", subject_B="{{ name }}, it is spring"
        )
        tab.press("Next").press("Keep the draft")
        tab.see("It may begin", "It is for 990 people now").check("tour-campaign-draft")
        tab.press("Start now").confirm("Start")
        # Nobody loads the page again.
        tab.page.locator("#progress").get_by_text("990 of 990 sent").wait_for(timeout=300_000)
        tab.check("tour-campaign")
        self.remote.wait(4)

    def day_later(self) -> None:
        """The second letter, and what came of all."""
        tab = self.tab.open("/dashboard/sequences/at/letters")
        before = len(self.remote.mails)
        self.clock.advance(DAY + 60)
        wait_for(lambda: len(self.remote.mails) >= before + 2, "the second letters do not come", 120)
        # Nobody was here for a day: the page leads to the door, and from there back.
        tab.page.wait_for_url("**/sign-in?next=*")
        self.enter()
        tab.page.wait_for_url("**/sequences/at/letters")
        tab.page.locator("#flow .figure", has_text="Went through").get_by_text("4").wait_for()
        tab.check("tour-next-day")
        tab.page.locator("nav").get_by_role("link", name="Campaigns", exact=True).first.click()
        self.link("Spring")
        self.link("Result").see("that is not clear").check("tour-result")

        def delivered() -> bool:
            # Of each variant everybody got it; the last of them may be on their way still.
            found = [int(one) for one in re.findall(r"(\d+)\s+100\.0 %", tab.text)]
            if (len(found), sum(found)) == (2, 990):
                return True
            tab.page.reload()
            return False

        try:
            wait_for(delivered, "")
        except AssertionError:
            raise AssertionError(f"not everybody got it:\n{tab.text}") from None
        self.assertEqual(2, sum(b"A day later" in mail.content for mail in self.remote.mails))
