"""Signing in and out, and one's sessions."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Protocol

from mta.config.settings import Dashboard
from mta.dashboard import guard
from mta.dashboard.page import (
    Answered,
    Confirmation,
    Form,
    Html,
    Invalid,
    Page,
    Query,
    Redirect,
    missing,
)
from mta.dashboard.role import Person, Right, nobody_has_a_role, person_of
from mta.dashboard.session import Session, Sessions, printable
from mta.dashboard.visit import Visit
from mta.interfaces import Denied, Success
from mta.model.event import Authenticated, AuthenticationFailed, Event
from mta.model.event_dashboard import DashboardSession
from mta.model.waiting import in_words

#: How it is called in the journal.
MECHANISM = "dashboard"
_NO_ROLE = (
    "The password is right, but {} has no role here.  Whoever runs this server adds it to administrators, "
    "operators, viewers or tenants of the table [dashboard] in mta.toml, then runs `mta reload`."
)


class Doorkeeper(Protocol):
    """What is asked about accounts: :class:`~mta.identity.authenticator.Authenticator`."""

    async def password(self, username: str, password: str, address: str) -> Success | Denied:
        """Try a password."""
        ...

    async def password_mark(self, account: str) -> str:
        """What changes with the password."""
        ...


class SignIn(Form):
    """The form."""

    account: str = ""
    password: str = ""
    next: str = ""


class Next(Query):
    """Where to go afterwards."""

    next: str = ""


class End(Form):
    """Which session to end."""

    id: str


class SignInPages:
    """See the module.

    :param sessions: all of them.
    :param doorkeeper: knows passwords; gives ``None`` where nobody can log in.
    :param settings: the table ``[dashboard]``.
    :param banned: the words for a client that is banned; ``""``: it is not.
    :param note: puts an event into the journal.
    :param hint: what somebody is told who does not know how to sign in.
    """

    def __init__(
        self,
        sessions: Sessions,
        doorkeeper: Callable[[], Doorkeeper | None],
        settings: Callable[[], Dashboard],
        *,
        banned: Callable[[str], str],
        note: Callable[[Event], None],
        hint: str,
    ) -> None:
        self._sessions = sessions
        self._doorkeeper = doorkeeper
        self._settings = settings
        self._banned = banned
        self._note = note
        self._hint = hint

    def pages(self) -> list[Page]:
        """What there is."""
        sign_in, sessions = "/dashboard/sign-in", "/dashboard/sessions"
        return [
            Page("GET", sign_in, self.form, Right.ANYBODY, "Sign in", query=Next),
            Page("POST", sign_in, self.sign_in, Right.ANYBODY, "Sign in", form=SignIn, again=self.form),
            Page("POST", "/dashboard/sign-out", self.sign_out, Right.SIGNED_IN, "Sign out"),
            Page("GET", sessions, self.list, Right.SIGNED_IN, "Sessions"),
            Page(
                "POST",
                f"{sessions}/end",
                self.end,
                Right.SIGNED_IN,
                "End a session",
                form=End,
                confirm=self.confirm_end,
            ),
        ]

    # --- signing in ------------------------------------------------------------

    async def form(self, visit: Visit) -> Answered:
        """The form."""
        if visit.session is not None:
            return Redirect(guard.HOME)
        wanted = visit.query.next if visit.query is not None else visit.form.text("next")
        nobody = nobody_has_a_role(self._settings())
        hint = (
            'Nobody may sign in yet: add administrators = ["you@example.org"] to the table [dashboard] of '
            "mta.toml, then run `mta reload`."
            if nobody
            else self._hint
        )
        clear = not visit.secure and not _is_here(visit.address)
        return Html("sign_in.html", {"next": guard.own_path(wanted), "hint": hint, "clear": clear})

    async def sign_in(self, visit: Visit) -> Answered:
        """Try it."""
        form: SignIn = visit.form.value
        account, password = form.account.strip(), form.password
        if not account or not password:
            raise Invalid(
                {name: "Fill this in." for name in ("account", "password") if not getattr(form, name)}
            )
        banned = self._banned(visit.address)
        if banned:
            raise Invalid({"": banned})
        doorkeeper = self._doorkeeper()
        if doorkeeper is None:
            raise Invalid({"": "This server has no accounts: add a table [[identity]] to mta.toml."})
        answer = await doorkeeper.password(account, password, visit.address)
        tls = "TLS" if visit.secure else ""
        if isinstance(answer, Denied):
            self._note(
                AuthenticationFailed(
                    at=visit.now,
                    account=printable(answer.account or account)[:200],
                    mechanism=MECHANISM,
                    client=visit.address,
                    tls=tls,
                    reason=answer.reason,
                    temporary=answer.temporary,
                )
            )
            raise Invalid({"": _words(answer)})
        name: str = answer.account.name
        person = person_of(name, self._settings())
        if person.role is None:
            self._tell(visit, "refused", name, reason="it has no role in [dashboard]")
            raise Invalid({"": _NO_ROLE.format(name)})
        self._note(
            Authenticated(at=visit.now, account=name, mechanism=MECHANISM, client=visit.address, tls=tls)
        )
        mark = await doorkeeper.password_mark(name)
        if visit.session is not None:
            await self._sessions.end(visit.session.id)
        agent = visit.header("user-agent")
        session, text = await self._sessions.begin(
            name, person.role.value, person.tenant, mark, visit.address, agent
        )
        self._tell(visit, "begun", name, person=person, session=session)
        longest = self._settings().longest
        visit.request.responseHeaders.addRawHeader(
            b"set-cookie", guard.cookie("session", text, visit.secure, longest)
        )
        return Redirect(guard.own_path(form.next))

    async def sign_out(self, visit: Visit) -> Answered:
        """End this session."""
        assert visit.session is not None
        await self._sessions.end(visit.session.id)
        self._tell(visit, "ended", visit.person.account, session=visit.session, by=visit.by)
        add = visit.request.responseHeaders.addRawHeader
        add(b"set-cookie", guard.cookie("session", "", visit.secure))
        return Redirect("/dashboard/sign-in")

    # --- sessions ----------------------------------------------------------------

    async def list(self, visit: Visit) -> Answered:
        """One's own; an administrator sees those of all."""
        everybody = visit.may(Right.ADMINISTER)
        found = await self._sessions.all("" if everybody else visit.person.account)
        settings = self._settings()
        return Html(
            "sessions.html",
            {
                "sessions": found,
                "everybody": everybody,
                "idle": settings.idle,
                "longest": settings.longest,
            },
        )

    async def confirm_end(self, visit: Visit) -> Confirmation:
        """Ask before."""
        session = await self._found(visit)
        own = visit.session is not None and session.id == visit.session.id
        return Confirmation(
            "End this session?",
            "You are signed out." if own else "Whoever uses it has to sign in again.",
            "End it",
            "/dashboard/sessions",
            [("Account", session.account), ("From", session.address), ("Browser", session.agent or "–")],
        )

    async def end(self, visit: Visit) -> Answered:
        """End one of one's own; an administrator ends any."""
        session = await self._found(visit)
        if visit.session is not None and session.id == visit.session.id:
            return await self.sign_out(visit)
        await self._sessions.end(session.id)
        self._tell(visit, "ended", session.account, session=session, by=visit.by)
        return Redirect("/dashboard/sessions", f"The session of {session.account} is ended.")

    async def _found(self, visit: Visit) -> Session:
        form: End = visit.form.value
        mine = "" if visit.may(Right.ADMINISTER) else visit.person.account
        for session in await self._sessions.all(mine):
            if session.id == form.id:
                return session
        raise missing("There is no such session", "Perhaps it has ended meanwhile.")

    def _tell(
        self,
        visit: Visit,
        action: str,
        account: str,
        *,
        person: Person | None = None,
        session: Session | None = None,
        **more: Any,
    ) -> None:
        if person is not None and person.role is not None:
            more.update(role=person.role.value, tenant=person.tenant)
        if session is not None:
            more.update(number=session.id[:8], agent=session.agent)
        self._note(
            DashboardSession(at=visit.now, account=account, action=action, client=visit.address, **more)
        )


def _words(denied: Denied) -> str:
    """What somebody is told who is not let in; never more than a stranger may know."""
    if denied.wait:
        return f"Too many wrong passwords were tried.  Try again in {in_words(denied.wait)}."
    if denied.temporary:
        return "The accounts cannot be looked up just now.  Try again in a moment; the journal tells why."
    return "Account or password is wrong."


def _is_here(address: str) -> bool:
    """Whether it is this machine, so that nobody listens on the way."""
    try:
        return not address or ip_address(address).is_loopback
    except ValueError:
        return False
