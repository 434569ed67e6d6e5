"""Accounts and where they sign in, accounts that are suspended, networks that are banned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import Field

from mta.dashboard.line import Line, line_of
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
    misspelt,
)
from mta.dashboard.role import Right, person_of
from mta.dashboard.session import PATIENCE, Sessions
from mta.dashboard.visit import Visit
from mta.dashboard.words import capital
from mta.dashboard.workers import Workers
from mta.journal.reader import JournalReader, Record
from mta.model.event import Event
from mta.model.ledger import Ledger
from mta.tracking.position import places_of, position

_ROWS = 60
#: Kinds of events that a view shows.
VIEWS = {
    "": ("authenticated", "authentication-failed", "dashboard-session"),
    "failed": ("authentication-failed",),
}
_FAR = 1e11
#: Kinds of the ledger's entries.
_BAN, _SUSPENDED = "ban", "suspended"
PLACE = "/dashboard/accounts"


class Shown(Query):
    """What is shown."""

    view: str = ""
    before: str = ""


class Named(Query):
    """Which account."""

    account: str = ""


class Account(Form):
    """Which account, and why."""

    account: str = Field(min_length=1, max_length=300)
    reason: str = Field("", max_length=300)


class Ban(Form):
    """Whom not to let in, why, and for how long."""

    network: str = Field(min_length=2, max_length=60)
    reason: str = Field("", max_length=300)
    hours: str = ""


class Lift(Form):
    """Whom to let in again."""

    network: str


class AccountPages:
    """See the module.

    :param workers: all of them.
    :param ledger: knows who is banned and suspended.
    :param bans: bans, and lifts.
    :param guard: suspends accounts, and resumes.
    :param sessions: of the dashboard.
    :param settings: the table ``[dashboard]``.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        workers: Workers,
        ledger: Ledger,
        bans: Any,
        guard: Any,
        sessions: Sessions,
        settings: Callable[[], Any],
        run_in_thread: Callable[..., Any],
    ) -> None:
        self._workers = workers
        self._ledger = ledger
        self._bans = bans
        self._guard = guard
        self._sessions = sessions
        self._settings = settings
        self._run = run_in_thread

    def pages(self) -> list[Page]:
        """What there is."""
        do = Right.ADMINISTER
        return [
            Page("GET", PLACE, self.listed, Right.LOOK, "Accounts", query=Shown),
            Page("GET", f"{PLACE}/bans", self.banned, Right.LOOK, "Accounts"),
            Page("GET", f"{PLACE}/suspended", self.suspended, Right.LOOK, "Accounts"),
            Page("GET", f"{PLACE}/one", self.one, Right.LOOK, "Account", query=Named),
            Page(
                "POST",
                f"{PLACE}/suspend",
                self.suspend,
                do,
                "Suspend an account",
                form=Account,
                confirm=self.confirm_suspend,
            ),
            Page("POST", f"{PLACE}/resume", self.resume, do, "Resume an account", form=Account),
            Page("POST", f"{PLACE}/bans", self.ban, do, "Accounts", form=Ban, again=self.banned),
            Page("POST", f"{PLACE}/lift", self.lift, do, "Lift a ban", form=Lift, confirm=self.confirm_lift),
        ]

    # --- looking -----------------------------------------------------------------

    async def listed(self, visit: Visit) -> Answered:
        """Who signed in, or tried, the newest first."""
        query: Shown = visit.query
        kinds = VIEWS.get(query.view, VIEWS[""])
        try:
            places = places_of(query.before) if query.before else {}
        except ValueError as error:
            raise misspelt(str(error)) from None
        records, more = await self._run(self._read, places, kinds)
        rows = [_row(record.event) for record in records if _counts(record.event)]
        values = {
            "rows": rows,
            "view": query.view,
            "more": position(more) if more else "",
            "before": query.before,
        }
        return Html("accounts.html", values)

    async def banned(self, visit: Visit) -> Answered:
        """Networks that are not let in."""
        return Html("bans.html", {"bans": await self._entries(_BAN)})

    async def suspended(self, visit: Visit) -> Answered:
        """Accounts that may not send."""
        return Html("suspended.html", {"accounts": await self._entries(_SUSPENDED)})

    async def one(self, visit: Visit) -> Answered:
        """One account: what it did and what was done to it."""
        name = visit.query.account.strip().lower()
        if not name:
            return Redirect(PLACE)
        events = await self._run(self._find, name)
        suspended = {key: value for key, value, _ in await self._entries(_SUSPENDED)}
        sessions = await self._sessions.all(name) if visit.may(Right.ADMINISTER) else []
        lines: list[Line] = [line for event in events if (line := line_of(event)) is not None]
        return Html(
            "account.html",
            {
                "account": name,
                "lines": lines,
                "rows": [_row(event) for event in events if event.kind in VIEWS[""] and _counts(event)][:20],
                "suspended": suspended.get(name),
                "sessions": sessions,
                "role": person_of(name, self._settings()).named,
            },
        )

    def _read(self, places: dict[int, int], kinds: Sequence[str]) -> tuple[list[Record], dict[int, int]]:
        """In a thread."""
        return JournalReader(self._workers.journals()).before(places, kinds, _ROWS)

    def _find(self, name: str) -> list[Event]:
        """In a thread."""
        records = JournalReader(self._workers.journals()).find(name, limit=200)
        return [record.event for record in records]

    async def _entries(self, kind: str) -> list[tuple[str, Any, float]]:
        """Of the ledger: key, value, and when it ends; 0: when somebody says so."""
        found = await self._ledger.ask(lambda book: list(book.entries(kind)), PATIENCE)
        rows = [(key, value, 0.0 if end > _FAR else end) for key, value, end in found]
        return sorted(rows, key=lambda row: row[1].get("since", 0.0), reverse=True)

    # --- acting ------------------------------------------------------------------

    async def confirm_suspend(self, visit: Visit) -> Confirmation:
        """Ask before."""
        form: Account = visit.form.value
        return Confirmation(
            f"Suspend {form.account}?",
            "What it sends from now on is dealt with as abuse.action says, and what it has in the queue is "
            "held, until somebody resumes it.",
            "Suspend",
            f"{PLACE}/one?account={form.account}",
            reason="Why, for the journal",
        )

    async def suspend(self, visit: Visit) -> Answered:
        """Take no more mail of an account."""
        form: Account = visit.form.value
        done = await self._guard.suspend(form.account, visit.by, form.reason)
        said = f"{form.account} is suspended." if done else f"{form.account} was suspended already."
        return Redirect(f"{PLACE}/suspended", said, "good" if done else "note")

    async def resume(self, visit: Visit) -> Answered:
        """Take it again."""
        form: Account = visit.form.value
        done = await self._guard.resume(form.account, visit.by, form.reason)
        said = (
            f"{form.account} may send again; what is held of it waits on the page Held."
            if done
            else f"{form.account} was not suspended."
        )
        return Redirect(f"{PLACE}/suspended", said, "good" if done else "note")

    async def ban(self, visit: Visit) -> Answered:
        """Let a network in no more."""
        form: Ban = visit.form.value
        try:
            seconds = float(form.hours) * 3600.0 if form.hours else 0.0
            network = await self._bans.add(form.network.strip(), visit.by, form.reason, seconds)
        except ValueError as error:
            words = f"{error}; write an address or a network, such as 192.0.2.0/24."
            raise Invalid({"network": capital(words)}) from None
        return Redirect(f"{PLACE}/bans", f"{network} is not let in any more.")

    async def confirm_lift(self, visit: Visit) -> Confirmation:
        """Ask before."""
        form: Lift = visit.form.value
        return Confirmation(
            f"Let {form.network} in again?",
            "It may connect at once, and try passwords, as slowly as everybody.",
            "Lift the ban",
            f"{PLACE}/bans",
            danger=False,
        )

    async def lift(self, visit: Visit) -> Answered:
        """Let it in again."""
        form: Lift = visit.form.value
        try:
            done = await self._bans.lift(form.network, visit.by)
        except ValueError:
            raise missing("There is no such ban") from None
        if not done:
            return Redirect(f"{PLACE}/bans", "It was not banned any more.", "note")
        return Redirect(f"{PLACE}/bans", f"{', '.join(done)} may connect again.")


def _counts(event: Event) -> bool:
    """Whether it says more than the sign-in beside it."""
    return getattr(event, "action", "") != "begun"


def _row(event: Event) -> dict[str, Any]:
    """A sign-in as a row."""
    good = event.kind == "authenticated"
    return {
        "at": event.at,
        "account": getattr(event, "account", ""),
        "good": good,
        "what": "signed in" if good else getattr(event, "action", "failed") or "failed",
        "how": getattr(event, "mechanism", "") or "dashboard",
        "client": getattr(event, "client", ""),
        "tls": getattr(event, "tls", ""),
        "reason": getattr(event, "reason", ""),
        "temporary": getattr(event, "temporary", False),
    }
