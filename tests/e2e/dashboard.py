"""What tests of pages share: a server with people of every role, and a browser that lasts for all of them."""

from __future__ import annotations

import atexit
from functools import cache
from typing import Any, ClassVar

from tests.e2e.browser import Browser, Tab
from tests.e2e.scenario import Scenario
from tests.e2e.server import Server

#: Account and password; the role of each is what its name begins with.
PEOPLE = {
    "anna@example.org": "anna-secret",
    "ben@example.org": "ben-secret",
    "vera@example.org": "vera-secret",
    "tina@example.org": "tina-secret",
    "otto@example.org": "otto-secret",
}
#: By role.
ROLES = {
    "administrator": "anna@example.org",
    "operator": "ben@example.org",
    "viewer": "vera@example.org",
    "tenant": "tina@example.org",
    "foreign": "otto@example.org",
}
#: ``tina`` is of ``acme``, ``otto`` of ``other``.
SETTINGS: dict[str, Any] = {
    "administrators": [ROLES["administrator"]],
    "operators": [ROLES["operator"]],
    "viewers": [ROLES["viewer"]],
    "tenants": {"acme": [ROLES["tenant"]], "other": [ROLES["foreign"]]},
}


@cache
def browser() -> Browser:
    """The one of this process, which ends with it.

    :raise SkipTest: if there is none.
    """
    made = Browser()
    atexit.register(made.stop)
    return made


class DashboardScenario(Scenario):
    """One server for each test, one browser for all of them.

    :cvar settings: further tables of ``mta.toml``.
    """

    settings: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        super().setUp()
        self.browser = browser()
        self.server = Server(self.place / "server", PEOPLE, dashboard=SETTINGS, **self.settings)
        self.port = self.server.add_listener("http")
        # It greets nobody, so there is nothing to wait for.
        del self.server.ports["http"]
        self.server.write()
        self.part(self.server).start()
        self.base = f"http://127.0.0.1:{self.port}"
        self.prepare()

    def prepare(self) -> None:
        """What a class needs before each test."""

    def tab(self, **options: Any) -> Tab:
        """A window in which nobody is signed in."""
        return self.browser.tab(self.base, **options)

    def signed_in(self, account: str, **options: Any) -> Tab:
        """A window in which somebody is."""
        return self.tab(**options).sign_in(account, PEOPLE[account])
