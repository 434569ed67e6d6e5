"""Who is signed in: sessions in the ledger, which all workers share.

What the browser has is a random text; the ledger has only its hash.  A session ends when nothing was
asked for a while, when it is old, when a person ends it, when its account's role or password is another
one, or when the account is no more.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from mta.config.settings import Dashboard
from mta.model.ledger import Book, Ledger

#: The kind of the ledger's entries.
KIND = "dashboard-session"
#: Seconds that a person waits for what workers remember, rather than be shown an error.
PATIENCE = 20.0
#: Seconds after which it is noted again that a session is used.
_FRESH = 60.0
#: What browsers and systems are known by; the first that fits.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
)
_SYSTEMS = (
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)
#: Characters of what a browser calls itself.
_AGENT = 200


@dataclass(frozen=True, slots=True)
class Session:
    """One session.

    :ivar id: the hash of what the browser has: nobody can sign in with it.
    :ivar account: whose it is.
    :ivar role: that the account had when it began.
    :ivar tenant: that it was bound to.
    :ivar mark: changes with the account's password; ``""``: nobody can tell.
    :ivar begun: when, in seconds since 1970.
    :ivar seen: when something was asked last, a minute more or less.
    :ivar address: of the client that signed in.
    :ivar agent: what its browser calls itself.
    """

    id: str
    account: str
    role: str
    tenant: str
    mark: str
    begun: float
    seen: float
    address: str
    agent: str

    @property
    def browser(self) -> str:
        """What browser it is, as far as it can be told: ``Firefox on Linux``."""
        name = next((name for word, name in _BROWSERS if word in self.agent), "")
        system = next((name for word, name in _SYSTEMS if word in self.agent), "")
        return f"{name} on {system}" if name and system else name or self.agent or "–"


class Sessions:
    """All of them.

    :param ledger: what all workers remember together.
    :param settings: the table ``[dashboard]``.
    :param seconds: gives the time since 1970.
    """

    def __init__(
        self, ledger: Ledger, settings: Callable[[], Dashboard], seconds: Callable[[], float]
    ) -> None:
        self._ledger = ledger
        self._settings = settings
        self._seconds = seconds

    async def begin(
        self, account: str, role: str, tenant: str, mark: str, address: str, agent: str
    ) -> tuple[Session, str]:
        """Begin one.

        :return: it, and what the browser is to keep.
        :raise TemporarilyUnavailable: if it cannot be kept.
        """
        text = secrets.token_urlsafe(32)
        now = self._seconds()
        session = Session(
            hashed(text), account, role, tenant, mark, now, now, address, printable(agent)[:_AGENT]
        )
        await self._ledger.ask(lambda book: self._put(book, session), PATIENCE)
        return session, text

    async def find(self, text: str, used: bool = True) -> Session | None:
        """The session of a browser, which is thereby used.

        :param used: whether a person asks, and not a page that was left open.
        :raise TemporarilyUnavailable: if nobody can tell.
        """
        if not text:
            return None
        name, now = hashed(text), self._seconds()

        def look(book: Book) -> Session | None:
            session = _session(name, book.get(KIND, name))
            if session is None or self._is_over(session, now):
                return None
            if used and now >= session.seen + _FRESH:
                self._put(book, session, now)
            return session

        return await self._ledger.ask(look, PATIENCE)

    async def all(self, account: str = "") -> list[Session]:
        """Those that last, of one account or of everybody, the newest first.

        :raise TemporarilyUnavailable: if nobody can tell.
        """
        now = self._seconds()

        def look(book: Book) -> list[Session]:
            found = (_session(key, value) for key, value, _ in book.entries(KIND))
            return [
                one
                for one in found
                if one is not None and not self._is_over(one, now) and (not account or one.account == account)
            ]

        found = await self._ledger.ask(look, PATIENCE)
        return sorted(found, key=lambda one: one.begun, reverse=True)

    async def lasts(self, identifier: str) -> bool:
        """Whether one is not over yet.

        :raise TemporarilyUnavailable: if nobody can tell.
        """
        now = self._seconds()

        def look(book: Book) -> bool:
            session = _session(identifier, book.get(KIND, identifier))
            return session is not None and not self._is_over(session, now)

        return await self._ledger.ask(look, PATIENCE)

    async def end(self, identifier: str, account: str = "") -> Session | None:
        """End one.

        :param account: whose it must be; ``""``: anybody's.
        :return: it, if there was one.
        :raise TemporarilyUnavailable: if it cannot be done.
        """

        def remove(book: Book) -> Session | None:
            session = _session(identifier, book.get(KIND, identifier))
            if session is None or (account and session.account != account):
                return None
            book.delete(KIND, identifier)
            return session

        return await self._ledger.ask(remove, PATIENCE)

    def _is_over(self, session: Session, now: float) -> bool:
        of = self._settings()
        # A minute, because it is not noted each time.
        return now >= session.begun + of.longest or now >= session.seen + of.idle + _FRESH

    def _put(self, book: Book, session: Session, seen: float = 0.0) -> None:
        facts: dict[str, Any] = asdict(session)
        del facts["id"]
        if seen:
            facts["seen"] = seen
        of = self._settings()
        left = min(session.begun + of.longest - facts["seen"], of.idle + _FRESH)
        book.put(KIND, session.id, facts, max(left, 1.0))


def hashed(text: str) -> str:
    """Under which a session is kept: the text has 256 bits of its own, so a plain hash does."""
    return hashlib.sha256(text.encode()).hexdigest()


def printable(text: str) -> str:
    """What a stranger wrote, without controls."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _session(identifier: str, facts: Any) -> Session | None:
    if not isinstance(facts, dict):
        return None
    try:
        return Session(identifier, **facts)
    except TypeError:
        # Of another version of this program.
        return None
