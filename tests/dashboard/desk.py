"""A dashboard in memory: pages, a visitor with cookies, no server and no sockets."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from mta.api.v1.site import ApiSite
from mta.config.settings import Dashboard
from mta.dashboard.application import DashboardApplication
from mta.dashboard.page import Page
from mta.dashboard.preferences import PreferencePages
from mta.dashboard.session import Session, Sessions
from mta.dashboard.sign_in import SignInPages
from mta.interfaces import Denied, Success
from mta.model.event import Event
from tests.api.v1.channel import Answer, Channel
from tests.ledger.memory import MemoryLedger

SETTINGS = Dashboard(  # type: ignore[call-arg]
    administrators=["anna@example.org"],
    operators=["ben@example.org"],
    viewers=["vera@example.org"],
    tenants={"acme": ["tina@example.org"], "other": ["otto@example.org"]},
)
#: By role, who has it.
PEOPLE = {
    "administrator": "anna@example.org",
    "operator": "ben@example.org",
    "viewer": "vera@example.org",
    "tenant": "tina@example.org",
}


class Account:
    """The avatar of somebody."""

    def __init__(self, name: str) -> None:
        self.name = name


class Doorkeeper:
    """Everybody's password is ``secret``; ``mark`` changes with it."""

    def __init__(self) -> None:
        self.mark = "m"
        self.denied: Denied | None = None

    async def password(self, username: str, password: str, address: str) -> Success | Denied:
        """Try it."""
        if self.denied is not None:
            return self.denied
        return Success(Account(username)) if password == "secret" else Denied(False, "wrong", username)

    async def password_mark(self, account: str) -> str:
        """What changes."""
        return self.mark


class Desk:
    """See the module.

    :param pages: besides those for signing in.
    :ivar events: what the journal was told.
    """

    def __init__(
        self,
        pages: Sequence[Page] = (),
        settings: Dashboard = SETTINGS,
        run_in_thread: Callable[..., Any] | None = None,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1_800_000_000.0)
        self.settings = settings
        self.events: list[Event] = []
        self.doorkeeper = Doorkeeper()
        self.tenants = ["acme", "default", "other"]
        self.sessions = Sessions(MemoryLedger(self.clock), lambda: self.settings, self.clock.seconds)
        self.banned = ""
        signing = SignInPages(
            self.sessions,
            lambda: self.doorkeeper,
            lambda: self.settings,
            banned=lambda address: self.banned,
            note=self.events.append,
            hint="Ask Anna.",
        )
        self.application = DashboardApplication(
            [*signing.pages(), *PreferencePages().pages(), *pages],
            self.sessions,
            lambda: self.settings,
            verify=self._verify,
            tenants=self._names,
            reactor=self.clock,
            run_in_thread=run_in_thread or (lambda call, *rest: succeed(call(*rest))),
            note=self.events.append,
            version="1",
        )
        self.site = ApiSite(self.application.app.resource(), 1 << 24, 60.0)

    def visitor(self, role: str = "", address: str = "192.0.2.7") -> Visitor:
        """Somebody, who is signed in if a role is given."""
        visitor = Visitor(self, address)
        if role:
            visitor.sign_in(PEOPLE.get(role, role))
        return visitor

    async def _verify(self, session: Session) -> str:
        return "" if session.mark == self.doorkeeper.mark else "its password is another one"

    def _names(self) -> Awaitable[Sequence[str]]:
        found: Deferred[Sequence[str]] = succeed(self.tenants)
        return found


class Visitor:
    """A browser without scripts.

    :ivar cookies: what it keeps.
    :ivar last: the page that it shows.
    """

    def __init__(self, desk: Desk, address: str) -> None:
        self._desk = desk
        self._address = address
        self.cookies: dict[str, str] = {}
        self.last: Answer | None = None

    def get(self, path: str, **headers: str) -> Answer:
        """Open a page."""
        return self._ask("GET", path, None, headers)

    def follow(self, answer: Answer) -> Answer:
        """Open the page that an answer leads to."""
        return self.get(answer.headers["location"])

    def post(self, path: str, page: str = "", csrf: str | None = None, **fields: Any) -> Answer:
        """Send a form, as a page of ours would.

        :param page: the page that has it; ``""``: any.
        :param csrf: instead of what stands in that page.
        """
        if csrf is None:
            self.get(
                page or ("/dashboard/sessions" if "mta-session" in self.cookies else "/dashboard/sign-in")
            )
            assert self.last is not None
            found = re.search(r'name="csrf" value="([0-9a-f]*)"', self.last.content.decode())
            csrf = found[1] if found else ""
        pairs = [
            (name, one)
            for name, some in fields.items()
            for one in (some if isinstance(some, list) else [some])
        ]
        body = urlencode([("csrf", csrf), *pairs]).encode()
        return self._ask("POST", path, body, {"origin": "http://mta"})

    def upload(self, path: str, field: str, name: str, content: bytes, /, **fields: str) -> Answer:
        """Send a form with a file.

        :param field: of the file; ``""``: there is none.
        """
        self.get("/dashboard/sessions")
        assert self.last is not None
        (csrf,) = self.texts(self.last.content.decode(), r'name="csrf" value="([0-9a-f]*)"')[:1]
        parts = [(f'name="{one}"', value.encode()) for one, value in {"csrf": csrf, **fields}.items()]
        if field:
            parts.append((f'name="{field}"; filename="{name}"', content))
        body = b"".join(
            b"--frontier\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (head.encode(), value)
            for head, value in parts
        )
        media = "multipart/form-data; boundary=frontier"
        return self._ask("POST", path, body + b"--frontier--\r\n", {"origin": "http://mta"}, media)

    @staticmethod
    def texts(page: str, pattern: str) -> list[str]:
        """What stands in a page where a pattern says so."""
        return [str(one) for one in re.findall(pattern, page)]

    def sign_in(self, account: str, password: str = "secret", **more: str) -> Answer:
        """Send the form."""
        return self.post(
            "/dashboard/sign-in", "/dashboard/sign-in", account=account, password=password, **more
        )

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        media: str = "application/x-www-form-urlencoded",
    ) -> Answer:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.cookies:
            fields["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        channel = Channel(self._desk.site, self._address)
        channel.send(method, path, body, media=media, headers=fields)
        octets = channel.transport.value()
        answer = self.last = channel.answer()
        channel.protocol.connectionLost(Failure(ConnectionDone()))
        for name, value in re.findall(rb"(?im)^set-cookie: ([^=]+)=([^;\r]*)", octets):
            if value:
                self.cookies[name.decode()] = value.decode()
            else:
                self.cookies.pop(name.decode(), None)
        return answer
