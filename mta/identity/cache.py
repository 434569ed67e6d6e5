"""A directory's answers kept for a while, and for longer while it is down."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mta.interfaces import (
    Alias,
    Answer,
    HostedDomain,
    IDirectory,
    IDomains,
    Mailbox,
    TemporarilyUnavailable,
    settle,
)
from mta.model.address import Address

_log = Logger()
_Key = tuple[str, str]


@dataclass(slots=True)
class _Kept:
    value: Any
    fetched: float
    expires: float


@implementer(IDirectory, IDomains)
class CachedDirectory:
    """Asks another directory only for what was not asked lately.

    :param directory: the one to ask.
    :param clock: ``seconds()`` tells the time.
    :param positive: seconds for which an address that exists is believed.
    :param negative: seconds for which one that does not exist is believed.
    :param stale: seconds for which an old answer still serves while the
        directory is unavailable; only if the address existed.
    :param size: answers kept at the most.
    """

    #: Seconds until an unavailable directory is asked again about the same address.
    retry = 5.0

    def __init__(
        self,
        directory: Any,
        clock: Any,
        positive: float = 60.0,
        negative: float = 10.0,
        stale: float = 600.0,
        size: int = 10_000,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._positive = positive
        self._negative = negative
        self._stale = stale
        self._size = size
        self._kept: OrderedDict[_Key, _Kept] = OrderedDict()
        self._flights: dict[_Key, list[Deferred[Any]]] = {}
        self._generation = 0

    def look_up(self, address: Address) -> Answer[Mailbox | Alias | None]:
        """See :class:`~mta.interfaces.IDirectory`."""
        return self._answer(("address", str(address)), self._directory.look_up, address)

    def account(self, avatar: str) -> Answer[Mailbox | None]:
        """See :class:`~mta.interfaces.IDirectory`."""
        return self._answer(("account", avatar), self._directory.account, avatar)

    def domain(self, name: str) -> Answer[HostedDomain | None]:
        """See :class:`~mta.interfaces.IDomains`."""
        return self._answer(("domain", name), self._directory.domain, name)

    def forget(self) -> None:
        """Believe nothing any more; questions under way do not fill the cache."""
        self._kept.clear()
        self._generation += 1

    def _answer(self, key: _Key, ask: Callable[[Any], Any], subject: Any) -> Answer[Any]:
        kept = self._kept.get(key)
        if kept is not None and self._clock.seconds() < kept.expires:
            self._kept.move_to_end(key)
            return kept.value
        waiting: Deferred[Any] = Deferred()
        flight = self._flights.get(key)
        if flight is not None:
            flight.append(waiting)
            return waiting
        self._flights[key] = [waiting]
        landing = Deferred.fromCoroutine(self._fly(key, ask, subject))
        landing.addErrback(lambda failure: _log.failure("a cached directory failed", failure))
        return waiting

    async def _fly(self, key: _Key, ask: Callable[[Any], Any], subject: Any) -> None:
        generation = self._generation
        try:
            value = await settle(ask(subject))
        except TemporarilyUnavailable as error:
            kept = self._kept.get(key)
            now = self._clock.seconds()
            if kept is None or kept.value is None or now >= kept.fetched + self._stale:
                self._land(key, error)
                return
            kept.expires = min(now + self.retry, kept.fetched + self._stale)
            value = kept.value
        except Exception as error:
            self._land(key, error)
            return
        else:
            if generation == self._generation:
                self._keep(key, value)
        for waiting in self._flights.pop(key):
            if not waiting.called:
                waiting.callback(value)

    def _land(self, key: _Key, error: Exception) -> None:
        for waiting in self._flights.pop(key):
            if not waiting.called:
                waiting.errback(error)

    def _keep(self, key: _Key, value: Any) -> None:
        now = self._clock.seconds()
        lifetime = self._negative if value is None else self._positive
        self._kept[key] = _Kept(value, now, now + lifetime)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)
