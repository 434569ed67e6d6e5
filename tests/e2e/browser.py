"""A real Chromium, in which pages of the dashboard are opened, used, checked and pictured.

It is Debian's, driven by Playwright.  Whatever a page writes to the console as an error, or our policy
(CSP) refuses, fails the test; ``MTA_SCREENSHOTS`` names a directory for pictures.
"""

from __future__ import annotations

import atexit
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SkipTest

from tests.e2e.scenario import program, wait_for

WIDE, PHONE = (1280, 900), (390, 844)
#: As narrow as a page must fit.
NARROWEST = 360
#: Milliseconds for anything.
_PATIENCE = 60_000


@cache
def _driver() -> Any:
    """What drives Chromium: one for all of them, because a thread cannot have two."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise SkipTest("playwright is not installed; `make set-up` installs it") from None
    driver = sync_playwright().start()
    atexit.register(driver.stop)
    return driver


class Browser:
    """One Chromium; ``stop()`` ends it.

    :param path: a program that is started in its place, and becomes it.
    :raise SkipTest: if it, or what drives it, is not installed.
    """

    def __init__(self, path: str = "") -> None:
        chromium = program("chromium")
        # Chromium's own sandbox refuses root.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        self._chromium = _driver().chromium.launch(
            executable_path=path or chromium,
            args=[*arguments, "--disable-dev-shm-usage"],
            timeout=_PATIENCE,
        )
        self._tabs: list[Tab] = []

    def tab(self, base: str, *, script: bool = True, dark: bool = False, size: tuple[int, int] = WIDE) -> Tab:
        """A window of its own, with its own cookies.

        :param base: of addresses, such as ``http://127.0.0.1:8025``.
        :param script: whether scripts run.
        """
        context = self._chromium.new_context(
            base_url=base,
            java_script_enabled=script,
            color_scheme="dark" if dark else "light",
            viewport={"width": size[0], "height": size[1]},
            locale="en-GB",
            reduced_motion="reduce",
        )
        context.set_default_timeout(_PATIENCE)
        tab = Tab(context.new_page(), script)
        self._tabs.append(tab)
        return tab

    def stop(self) -> None:
        """End it."""
        self._chromium.close()


class Tab:
    """One window.

    :ivar page: Playwright's.
    :ivar problems: what went wrong in it so far.
    """

    def __init__(self, page: Any, script: bool) -> None:
        self.page = page
        self.problems: list[str] = []
        self._script = script
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.problems.append(f"{page.url}: {error}"))
        page.on("dialog", self._dialog)

    def _said(self, message: Any) -> None:
        # A page that says what is wrong has a status that says so, too, which Chromium holds for an error.
        if message.type == "error" and not re.search(r"status of 4\d\d", message.text):
            self.problems.append(f"{self.page.url}: {message.text}")

    def _dialog(self, dialog: Any) -> None:
        # We never open one: it is a script that somebody else wrote.
        self.problems.append(f"{self.page.url}: a script said {dialog.message!r}")
        dialog.dismiss()

    # --- using it ----------------------------------------------------------------

    def open(self, path: str, status: int = 200) -> Tab:
        """Open a page, and be sure of its status."""
        answer = self.page.goto(path)
        assert answer is not None and answer.status == status, f"{path}: {answer and answer.status}"
        return self

    def sign_in(self, account: str, password: str) -> Tab:
        """Sign in; then the overview is open."""
        self.open("/dashboard/sign-in")
        self.page.get_by_label("Account").fill(account)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/dashboard/")
        return self

    def fill(self, **fields: str) -> Tab:
        """Fill in fields, by their names in the form."""
        for name, value in fields.items():
            box = self.page.locator(f'#content [name="{name}"]').first
            if box.evaluate("e => e.tagName") == "SELECT":
                box.select_option(value)
            else:
                box.fill(value)
        return self

    def press(self, name: str, scope: str = "#content") -> Tab:
        """Press a button, by what it says (or is labelled with)."""
        self.page.locator(scope).get_by_role("button", name=name, exact=True).first.click()
        return self

    def confirm(self, name: str) -> Tab:
        """Press the button of what was asked, in the dialog or on its page."""
        self.page.locator("dialog[open], #confirm").first.get_by_role("button", name=name).click()
        return self

    def see(self, *words: str) -> Tab:
        """Wait until the page shows these words."""
        for word in words:
            self.page.locator("main, dialog").get_by_text(word).first.wait_for()
        return self

    def find(self, path: str, *words: str) -> Tab:
        """Open a page until it shows these words: what happens is in the journal a moment later."""

        def shown() -> bool:
            found = self.open(path).page.locator("main")
            return all(found.get_by_text(word).first.is_visible() for word in words)

        wait_for(shown, f"{path} does not show {words}")
        return self

    @property
    def text(self) -> str:
        """What stands on the page."""
        return str(self.page.locator("body").inner_text())

    # --- checking it ---------------------------------------------------------------

    def check(self, name: str) -> Tab:
        """See that the page is sound: no errors, readable by everybody, fits a phone; and take pictures.

        :param name: of the pictures.
        :raise AssertionError: with everything that is wrong.
        """
        found = list(self.problems)
        if self._script:
            found += self._axe()
        for kind, (width, height) in (("wide", WIDE), ("phone", PHONE)):
            self.page.set_viewport_size({"width": width, "height": height})
            self.picture(f"{name}-{kind}")
            if kind == "phone" and self._script:
                self.page.set_viewport_size({"width": NARROWEST, "height": height})
                wide = self.page.evaluate("document.scrollingElement.scrollWidth")
                if wide > NARROWEST:
                    found.append(f"{name} is {wide} wide where there are {NARROWEST}: {self._too_wide()}")
                if os.environ.get("MTA_SCREENSHOTS"):
                    # It takes a second each time, and nearly always finds what it found before.
                    found += [f"on a phone: {one}" for one in self._axe()]
        self.page.set_viewport_size({"width": WIDE[0], "height": WIDE[1]})
        assert not found, "\n".join(found)
        return self

    def picture(self, name: str) -> None:
        """Take one, where somebody wants pictures."""
        directory = os.environ.get("MTA_SCREENSHOTS")
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            self.page.screenshot(path=Path(directory) / f"{name}.png", full_page=True)

    def _axe(self) -> list[str]:
        """What is serious or critical (https://github.com/dequelabs/axe-core)."""
        from axe_playwright_python.sync_playwright import Axe

        found = Axe().run(self.page).response["violations"]
        return [
            f"axe: {one['id']} ({one['impact']}): {one['help']}: {one['nodes'][0]['html'][:300]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def _too_wide(self) -> str:
        script = """limit => [...document.querySelectorAll('main *, header *')]
            .filter(e => e.getBoundingClientRect().right > limit + 1 && !e.closest('.table, pre'))
            .slice(0, 3).map(e => e.outerHTML.slice(0, 150)).join(' | ')"""
        return str(self.page.evaluate(script, NARROWEST))
