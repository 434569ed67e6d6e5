"""Answers requests for pages, by what modules have declared.

In this order: is there such a page, who asks, may they, does the form come from us, are query and form
valid, has it been asked before something is destroyed.  Only then is the handler called.
"""

from __future__ import annotations

import gzip
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any
from urllib.parse import quote, urlsplit

from klein import Klein
from pydantic import ValidationError
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException

from mta.config.settings import Dashboard
from mta.dashboard import guard
from mta.dashboard.asset import FOREVER, Assets
from mta.dashboard.filled import MOST_OCTETS, Filled, mistakes, read_form
from mta.dashboard.navigation import entry_of, menu_for
from mta.dashboard.page import (
    Answered,
    Download,
    Html,
    Invalid,
    Live,
    Page,
    Redirect,
    Trouble,
    misspelt,
    no_tenant,
)
from mta.dashboard.rendering import Rendering
from mta.dashboard.role import Person, Right, person_of
from mta.dashboard.session import Session, Sessions
from mta.dashboard.visit import Visit
from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Event
from mta.model.event_dashboard import DashboardSession
from mta.model.network import is_within

#: Octets of a form from which on it is read in a thread.
_LARGE = 256 * 1024
#: What a visitor is allowed to have been told on the page before.
_WORDS = 1500

#: Octets from which on a page is packed.
_SMALL = 1400

_NOWHERE = Page("GET", "/dashboard/", lambda visit: _nothing(), Right.ANYBODY)


async def _nothing() -> Answered:
    raise Trouble(404, "There is no such page")


class DashboardApplication:
    """The pages of one worker.

    :param pages: all that there are.
    :param sessions: who is signed in.
    :param settings: the table ``[dashboard]``.
    :param verify: whether a session still holds: ``""``, or why it does not.
    :param tenants: the names of all tenants.
    :param reactor: gives the time.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param note: puts an event into the journal.
    :param version: of the program.
    :param proxies: networks of reverse proxies, which are believed from whom a request comes.
    :param url: the address by which people reach it; ``""``: as they ask for it.
    """

    _log = Logger()

    def __init__(
        self,
        pages: Sequence[Page],
        sessions: Sessions,
        settings: Callable[[], Dashboard],
        *,
        verify: Callable[[Session], Awaitable[str]],
        tenants: Callable[[], Awaitable[Sequence[str]]],
        reactor: Any,
        run_in_thread: Callable[..., Any],
        note: Callable[[Event], None],
        version: str = "",
        proxies: Callable[[], Sequence[IPv4Network | IPv6Network]] = lambda: (),
        url: Callable[[], str] = lambda: "",
    ) -> None:
        self.pages = tuple(pages)
        self._sessions = sessions
        self._settings = settings
        self._verify = verify
        self._tenants = tenants
        self._reactor = reactor
        self._run = run_in_thread
        self._note = note
        self._version = version
        self._proxies = proxies
        self._url = url
        self.assets = Assets()
        self._rendering = Rendering(self.assets)
        self._rights = {page.path: page.right for page in self.pages if page.method == "GET"}
        self._begun = 0
        self.app = Klein()
        self.app.route("/dashboard", methods=["GET"], endpoint="home")(self._home)
        self.app.route("/dashboard/assets/<mark>/<name>", methods=["GET"], endpoint="asset")(self._asset)
        for page in self.pages:
            place = page.path.replace("{", "<").replace("}", ">")
            self.app.route(place, methods=[page.method], endpoint=f"{page.method} {page.path}")(
                self._endpoint(page)
            )
        self.app.handle_errors(HTTPException)(self._nothing_here)

    # --- one request -------------------------------------------------------------

    def _endpoint(self, page: Page) -> Callable[..., Any]:
        def endpoint(request: Any, **path: str) -> Deferred[bytes | None]:
            return Deferred.fromCoroutine(self._answered(page, request, path))

        return endpoint

    async def _answered(self, page: Page, request: Any, path: Mapping[str, str]) -> bytes | None:
        visit = self._visit(page, request, path)
        for name, value in guard.HEADERS.items():
            request.setHeader(name, value)
        try:
            answer = await self._handled(visit)
        except Trouble as trouble:
            answer = _shown(trouble)
        except CancelledError:
            # The visitor has gone on to another page.
            return None
        except TemporarilyUnavailable as trouble:
            self._log.warn("Dashboard {id} was put off: {why}", id=visit.id, why=str(trouble))
            why = str(trouble) if visit.may(Right.LOOK) else ""
            answer = _shown(
                Trouble(503, "This cannot be shown just now", why, "Mail goes on.  Try again in a moment.")
            )
        except Exception:
            self._log.failure("Dashboard {id}, {path}, failed", id=visit.id, path=page.path)
            answer = _shown(
                Trouble(
                    500,
                    "Something went wrong on our side",
                    "Nothing is lost.",
                    f"The server's log tells what, under {visit.id}.",
                )
            )
        try:
            return await self._written(visit, answer)
        except Exception:
            self._log.failure("Dashboard {id}, {path}, cannot be shown", id=visit.id, path=page.path)
            request.setResponseCode(500)
            request.setHeader("content-type", "text/plain; charset=utf-8")
            return f"This page cannot be shown.  The server's log tells why, under {visit.id}.\n".encode()

    async def _handled(self, visit: Visit) -> Answered:
        page = visit.page
        await self._introduce(visit)
        if visit.session is None and page.right is not Right.ANYBODY:
            return self._stranger(visit)
        if not visit.person.may(page.right):
            raise Trouble(
                403,
                "This page is not for you",
                f"{visit.person.account} has the role {visit.person.named}.",
                "An administrator gives roles in the table [dashboard] of mta.toml.",
            )
        owning = page.right in (Right.ACT_OWN, Right.MANAGE_OWN)
        if owning and visit.confined and visit.tenant not in await self._tenants():
            raise no_tenant(visit.tenant)
        if page.query is not None:
            visit.query = _query(page, visit.request.args)
        if page.method == "GET":
            return await page.handler(visit)
        await self._read(visit)
        try:
            if visit.form.errors:
                raise Invalid(visit.form.errors)
            if page.confirm is not None and not visit.form.confirmed:
                asked = await page.confirm(visit)
                if asked is not None:
                    return Html("confirm.html", {"asked": asked})
            return await page.handler(visit)
        except Invalid as invalid:
            return await self._again(visit, invalid)

    async def _introduce(self, visit: Visit) -> None:
        """Who asks, and for which tenant."""
        text = visit.cookie(guard.cookie_name("session", visit.secure))
        # A page that was left open keeps nobody signed in.
        alone = bool(visit.header("x-live")) or visit.header("accept").startswith("text/event-stream")
        session = await self._sessions.find(text, used=not alone)
        if session is not None:
            person = person_of(session.account, self._settings())
            why = ""
            if person.role is None or (person.role.value, person.tenant) != (session.role, session.tenant):
                why = "its role is another one"
            why = why or await self._verify(session)
            if why:
                await self._sessions.end(session.id)
                self._note(
                    DashboardSession(
                        at=visit.now,
                        account=session.account,
                        action="ended",
                        number=session.id[:8],
                        client=visit.address,
                        reason=why,
                    )
                )
                session = None
            else:
                visit.session, visit.person = session, person
        if session is None:
            # Before there is a session, a form is proved by a cookie of its own.
            text = visit.cookie(guard.cookie_name("visitor", visit.secure))
            if not text and visit.page.right is Right.ANYBODY and visit.page.method == "GET":
                text = self._visitor(visit)
        visit.csrf = guard.masked(guard.proof(text))
        if visit.person.tenant:
            visit.tenant = visit.person.tenant
        elif session is not None:
            visit.tenants = tuple(await self._tenants())
            chosen = visit.cookie(guard.cookie_name("tenant", visit.secure))
            first = "default" if "default" in visit.tenants or not visit.tenants else visit.tenants[0]
            visit.tenant = chosen if chosen in visit.tenants else first

    def _visitor(self, visit: Visit) -> str:
        text = secrets.token_urlsafe(24)
        self._set_cookie(visit, "visitor", text)
        return text

    def _stranger(self, visit: Visit) -> Answered:
        """Somebody who is not signed in: to the door, and from there back to where they wanted to go."""
        if visit.page.method != "GET" or visit.header("accept").startswith("text/event-stream"):
            raise Trouble(401, "You are signed out", "Your session has ended.", "Sign in, and try again.")
        wanted = guard.own_path(visit.here)
        return Redirect(
            "/dashboard/sign-in" + ("" if wanted == guard.HOME else f"?next={quote(wanted, safe='')}")
        )

    async def _read(self, visit: Visit) -> None:
        """The form, if it was sent by one of our pages."""
        request, page = visit.request, visit.page
        if not guard.is_from_here(
            visit.header("origin"),
            visit.header("referer"),
            visit.header("sec-fetch-site"),
            self._hosts(visit),
        ):
            raise Trouble(
                403,
                "This form did not come from here",
                "Another site may have tried to act in your name.",
                "Open the page here, and try again.  Behind a reverse proxy, set api.url to the address that "
                "people use.",
            )
        most = page.upload or MOST_OCTETS
        request.content.seek(0, 2)
        size = request.content.tell()
        request.content.seek(0)
        content = request.content.read(most + 1)
        media = visit.header("content-type")
        form: Filled
        if size > _LARGE:
            form = await self._run(read_form, content, media, page.upload)
        else:
            form = read_form(content, media, page.upload)
        visit.form = form
        text = visit.cookie(guard.cookie_name("session" if visit.session else "visitor", visit.secure))
        if not guard.is_proved(form.csrf, text):
            raise Trouble(
                403,
                "This page is too old",
                "It was made for a session that has ended, or the browser keeps no cookies.",
                "Open the page again, and try once more.",
            )
        if page.form is not None:
            form.check(page.form)

    async def _again(self, visit: Visit, invalid: Invalid) -> Answered:
        """The form once more, with what is wrong in it."""
        visit.form.errors = dict(invalid.errors)
        if visit.page.again is None:
            raise Trouble(422, "This cannot be done", str(invalid))
        # A password is not sent back.
        visit.form.values.pop("password", None)
        answer = await visit.page.again(visit)
        if isinstance(answer, Html):
            answer.status = 422
        return answer

    # --- the answer ----------------------------------------------------------------

    async def _written(self, visit: Visit, answer: Answered) -> bytes | None:
        request = visit.request
        match answer:
            case Html():
                request.setResponseCode(answer.status)
                request.setHeader("content-type", "text/html; charset=utf-8")
                return _packed(request, self._page(visit, answer))
            case Redirect():
                if answer.said:
                    self._say(visit, answer.said, answer.tone)
                request.setResponseCode(303)
                request.setHeader("location", answer.path)
                return b""
            case Download():
                request.setHeader("content-type", answer.media)
                if answer.name:
                    request.setHeader("content-disposition", _attachment(answer.name))
                for name, value in answer.headers.items():
                    request.setHeader(name, value)
                return answer.content
            case Live():
                await _streamed(request, answer)
                return None

    def _page(self, visit: Visit, answer: Html) -> bytes:
        here = entry_of(visit.page.path)
        values = {
            "visit": visit,
            "form": visit.form,
            "csrf": visit.csrf,
            "title": visit.page.title,
            "menu": menu_for(visit.person, self._rights),
            "here": here,
            "said": self._said(visit),
            "theme": visit.cookie(guard.cookie_name("theme", visit.secure)),
            "now": visit.now,
            "program": self._version,
            **answer.values,
        }
        return self._rendering.page(answer.template, values)

    def _say(self, visit: Visit, said: str, tone: str) -> None:
        """Have the next page show some words."""
        key = visit.cookie(guard.cookie_name("session", visit.secure))
        if key:
            self._set_cookie(visit, "said", guard.pack([(tone, said[:_WORDS])], key), 60.0)

    def _said(self, visit: Visit) -> list[tuple[str, str]]:
        """What the page before wants to be shown, once."""
        text = visit.cookie(guard.cookie_name("said", visit.secure))
        if not text:
            return []
        self._set_cookie(visit, "said", "")
        return guard.unpack(text, visit.cookie(guard.cookie_name("session", visit.secure)))

    def _set_cookie(self, visit: Visit, what: str, value: str, seconds: float | None = None) -> None:
        visit.request.responseHeaders.addRawHeader(
            b"set-cookie", guard.cookie(what, value, visit.secure, seconds)
        )

    # --- assets, and nothing -----------------------------------------------------------

    def _asset(self, request: Any, mark: str, name: str) -> bytes:
        """Style, scripts, pictures: whoever has the right path keeps them for ever."""
        found = self.assets.get(name)
        if found is None or mark != self.assets.mark:
            request.setResponseCode(404)
            request.setHeader("content-type", "text/plain")
            return b"There is no such file: the program is another version by now.\n"
        for field in ("x-content-type-options", "cross-origin-resource-policy"):
            request.setHeader(field, guard.HEADERS[field])
        request.setHeader("content-type", found.media)
        request.setHeader("cache-control", FOREVER)
        request.setHeader("vary", "accept-encoding")
        content = found.content
        if found.packed and "gzip" in (request.getHeader("accept-encoding") or ""):
            request.setHeader("content-encoding", "gzip")
            content = found.packed
        request.setHeader("content-length", str(len(content)))
        return content

    def _home(self, request: Any) -> bytes:
        request.setResponseCode(303)
        request.setHeader("location", guard.HOME)
        return b""

    def _nothing_here(self, request: Any, failure: Failure) -> Deferred[bytes | None]:
        """No such page, or not with this method."""
        return Deferred.fromCoroutine(self._answered(_NOWHERE, request, {}))

    # --- who asks ------------------------------------------------------------------------

    def _visit(self, page: Page, request: Any, path: Mapping[str, str]) -> Visit:
        self._begun += 1
        now = self._reactor.seconds()
        peer = request.getClientAddress()
        address = str(getattr(peer, "host", "")) if peer is not None else ""
        secure = bool(request.isSecure())
        if self._is_proxy(address):
            # What our own proxy has added itself is the last.
            said = (request.getHeader("x-forwarded-for") or "").rpartition(",")[2].strip()
            scheme = (request.getHeader("x-forwarded-proto") or "").rpartition(",")[2].strip()
            secure = secure or scheme.lower() == "https"
            with suppress(ValueError):
                address = str(ip_address(said)) if said else address
        return Visit(request, f"{int(now):x}-{self._begun:x}", now, address, secure, page, path)

    def _hosts(self, visit: Visit) -> set[str]:
        """How we are called, by who asks and by who set us up."""
        found = {visit.header("host").lower()}
        if self._url():
            found.add(urlsplit(self._url()).netloc.lower())
        peer = visit.request.getClientAddress()
        if self._is_proxy(str(getattr(peer, "host", ""))):
            found.add(visit.header("x-forwarded-host").rpartition(",")[2].strip().lower())
        return found - {""}

    def _is_proxy(self, address: str) -> bool:
        proxies = self._proxies()
        return bool(proxies) and is_within(address, proxies)

    def menu_of(self, person: Person) -> list[str]:
        """The paths of the menu, for tests."""
        return [entry.path for section in menu_for(person, self._rights) for entry in section.entries]


def _shown(trouble: Trouble) -> Html:
    values = {
        "title": trouble.title,
        "text": trouble.text,
        "remedy": trouble.remedy,
        "status": trouble.status,
    }
    return Html("trouble.html", values, trouble.status)


def _query(page: Page, arguments: Mapping[bytes, list[bytes]]) -> Any:
    """The query; of a parameter that comes several times the last counts where the model has no list."""
    assert page.query is not None
    values: dict[str, Any] = {}
    for key, items in arguments.items():
        name = key.decode("utf-8", "replace")
        of = page.query.model_fields.get(name)
        texts = [item.decode("utf-8", "replace") for item in items]
        if of is not None:
            values[name] = texts if "list" in str(of.annotation) else texts[-1]
    try:
        return page.query.model_validate(values)
    except ValidationError as error:
        said = "; ".join(f"{name}: {text}" for name, text in mistakes(error).items())
        raise misspelt(said) from None


def _attachment(name: str) -> str:
    plain = "".join(
        letter if letter.isascii() and (letter.isalnum() or letter in "-_.") else "_" for letter in name
    )
    return f'attachment; filename="{plain}"'


def _packed(request: Any, content: bytes) -> bytes:
    """A page, packed where it is large.

    Of what a stranger may have put into a page beside a secret, the packed size could tell something
    (BREACH); the secret in ours is another one in each answer, see :func:`mta.dashboard.guard.masked`.
    """
    if len(content) > _SMALL and "gzip" in (request.getHeader("accept-encoding") or ""):
        request.setHeader("content-encoding", "gzip")
        request.setHeader("vary", "accept-encoding")
        content = gzip.compress(content, 5, mtime=0)
    request.setHeader("content-length", str(len(content)))
    return content


async def _streamed(request: Any, live: Live) -> None:
    request.setHeader("content-type", live.media)
    if live.name:
        request.setHeader("content-disposition", _attachment(live.name))
    # A proxy would collect events otherwise.
    request.setHeader("x-accel-buffering", "no")
    running = live.run(request)
    request.notifyFinish().addErrback(lambda failure: running.cancel())
    try:
        await running
    except Exception:
        # The client went, and nothing can be said to it.
        return
