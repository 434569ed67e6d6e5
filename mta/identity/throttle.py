"""Passwords are tried slowly, and nobody can lock out others.

Each failed log-in counts against its client and against its account.  After ``free`` of them
the next attempt waits, twice as long each time; one that would wait longer than ``wait`` is put
off unseen, so that many connections at once gain nothing.

Where an account has logged in before (the same network within ``known_for``), nothing counts
but what failed for this account at this client; and from the very client that it has used
before nobody is put off, only slowed down.  So a stranger who guesses an account's password
from a thousand addresses costs its owner nothing.

All workers count together.  When the ledger does not answer, nobody is held up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mta.config.settings import Authentication
from mta.interfaces import TemporarilyUnavailable
from mta.model.ledger import KNOWN_CLIENT, Book, Ledger
from mta.model.network import client_of, network_of

#: Kinds of entries: failures, and where accounts log in.
FAILED, KNOWN = "failed", "known"
#: Seconds for which a log-in need not be noted again.
_FRESH = 3600.0
#: Log-ins that are remembered in memory.
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Turn:
    """When an attempt may be made.

    :ivar wait: seconds until then.
    :ivar refused: it is too long to keep a connection waiting.
    :ivar own: the client's own failures are a reason for it.
    """

    wait: float = 0.0
    refused: bool = False
    own: bool = False


def turn(book: Book, account: str, address: str, settings: Authentication, shared: bool = False) -> Turn:
    """Take a turn: those who come at the same time get one after the other.

    :param shared: many people log in from this client.
    """
    keys, gentle = _keys(book, account, address, shared)
    kept = {key: value for key in keys if (value := book.get(FAILED, key)) is not None}
    counting = {key: value for key, value in kept.items() if value["n"] >= settings.free}
    if not counting:
        return Turn()
    slot = max(book.now, *(value["next"] for value in counting.values()))
    wait = slot - book.now
    if gentle:
        return Turn(min(wait, settings.wait))
    if wait > settings.wait:
        return Turn(wait, True, any(not key.startswith("account ") for key in counting))
    for key, value in counting.items():
        pause = delay(value["n"], settings)
        book.put(FAILED, key, {"n": value["n"], "next": slot + pause}, settings.forget + pause)
    return Turn(wait)


def fail(book: Book, account: str, address: str, settings: Authentication, shared: bool = False) -> None:
    """An attempt has failed."""
    keys, _ = _keys(book, account, address, shared)
    for key in keys:
        kept = book.get(FAILED, key) or {"n": 0, "next": 0.0}
        number = kept["n"] + 1
        pause = delay(number, settings)
        following = max(kept["next"], book.now + pause)
        book.put(FAILED, key, {"n": number, "next": following}, settings.forget + pause)


def succeed(book: Book, account: str, address: str, settings: Authentication) -> None:
    """An account has logged in."""
    client, network = client_of(address), network_of(address)
    for place in (client, network):
        book.put(KNOWN, f"{account} {place}", book.now, settings.known_for)
    book.put(KNOWN_CLIENT, client, book.now, settings.known_for)
    book.delete(FAILED, f"pair {account} {client}")


def delay(number: int, settings: Authentication) -> float:
    """Seconds before the attempt that follows so many failures."""
    if number < settings.free:
        return 0.0
    return min(settings.longest_delay, settings.delay * 2.0 ** min(number - settings.free, 40))


def _keys(book: Book, account: str, address: str, shared: bool) -> tuple[Sequence[str], bool]:
    """Under which keys an attempt counts, and whether it is only slowed down."""
    client = client_of(address)
    if book.get(KNOWN, f"{account} {network_of(address)}") is not None:
        return (f"pair {account} {client}",), book.get(KNOWN, f"{account} {client}") is not None
    return (f"account {account}",) if shared else (f"client {client}", f"account {account}"), False


class Throttle:
    """See the module.

    :param ledger: what all workers remember together.
    :param settings: the table ``[authentication]``.
    :param reactor: time.
    :param strike: told of a client that does not wait for its turn.
    :param shared: whether many people log in from a client, as through a webmail; what one of them
        does wrong is not held against the others.
    """

    log = Logger()

    def __init__(
        self,
        ledger: Ledger,
        settings: Authentication,
        reactor: Any,
        strike: Callable[[str], None] = lambda address: None,
        shared: Callable[[str], bool] = lambda address: False,
    ) -> None:
        self._strike = strike
        self._shared = shared
        self._ledger = ledger
        self._settings = settings
        self._reactor = reactor
        self._noted: dict[tuple[str, str], float] = {}

    async def turn(self, account: str, address: str) -> Turn:
        """Wait for a turn; ``refused``: there is none soon."""
        name, settings = account.lower(), self._settings
        if not address or not name:
            return Turn()
        try:
            shared = self._shared(address)
            found = await self._ledger.ask(lambda book: turn(book, name, address, settings, shared))
        except TemporarilyUnavailable as trouble:
            self.log.warn("A log-in is not held up: {trouble}", trouble=str(trouble))
            return Turn()
        if found.refused and found.own:
            self._strike(address)
        elif found.wait > 0 and not found.refused:
            await deferLater(self._reactor, found.wait)
        return found

    async def failed(self, account: str, address: str) -> None:
        """A password was wrong."""
        name, settings = account.lower(), self._settings
        if address and name:
            self._noted.pop((name, address), None)
            shared = self._shared(address)
            await self._tell(lambda book: fail(book, name, address, settings, shared))

    def succeeded(self, account: str, address: str) -> None:
        """It was right; noted by itself, once an hour."""
        name, settings, now = account.lower(), self._settings, self._reactor.seconds()
        if not address or not name or self._noted.get((name, address), -_FRESH) > now - _FRESH:
            return
        if len(self._noted) >= _REMEMBERED:
            self._noted.clear()
        self._noted[name, address] = now
        Deferred.fromCoroutine(self._tell(lambda book: succeed(book, name, address, settings)))

    async def _tell(self, what: Any) -> None:
        try:
            await self._ledger.ask(what)
        except TemporarilyUnavailable as trouble:
            self.log.warn("A log-in is not remembered: {trouble}", trouble=str(trouble))
        except Exception:
            self.log.failure("A log-in is not remembered")
