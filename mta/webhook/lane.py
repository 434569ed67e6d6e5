"""The lane of one endpoint: its posts, a few at once, the next ones when these have ended.

While posts fail it tries one at a time, and rests between them; when one is taken again, what waits
for its time is tried at once.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mta.interfaces import TemporarilyUnavailable
from mta.registry.database import IDatabase
from mta.registry.endpoints import Endpoint
from mta.webhook import outbox
from mta.webhook.outbox import DELIVERED, GIVEN_UP, WAITING, Attempt, Delivery

#: Deliveries that are in memory, for each that may be under way.
_AHEAD = 4
#: Failures in a row from which on an endpoint is taken for down, and seconds of a rest at the most.
_DOWN, _LONGEST_REST = 5, 60.0
#: Seconds for which an endpoint may ask to be left alone.
_LONGEST_WISH = 3600.0
#: Seconds after which a lane in trouble with its own disk tries again.
_TROUBLE = 5.0


class Post(Protocol):
    """Posts something to an endpoint."""

    def __call__(self, endpoint: Endpoint, delivery: Delivery) -> Awaitable[tuple[Attempt, float]]:
        """What came of it, and for how many seconds it wants to be left alone; never raises."""


class Lane:
    """See the module.

    :param reactor: delayed calls.
    :param endpoint: where to.
    :param database: the outbox.
    :param post: posts.
    :param concurrency: posts at once.
    :param retry: seconds after each failure; after the last the delivery is given up.
    :param disable: is told that the endpoint has failed since a time, or is gone.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        endpoint: Endpoint,
        database: IDatabase,
        post: Post,
        *,
        concurrency: int,
        retry: list[float],
        disable: Callable[[Endpoint, float, int], Awaitable[None]],
    ) -> None:
        self.endpoint = endpoint
        self.concurrency = concurrency
        self.retry = retry
        self._reactor = reactor
        self._database = database
        self._post = post
        self._disable = disable
        self._ready: list[Delivery] = []
        self._under_way: dict[int, Deferred[None]] = {}
        self._loading = False
        self._more = False
        self._failures = 0
        self._rest_until = 0.0
        self._timer: Any = None
        self._stopped = False
        self._idle: Deferred[None] | None = None

    @property
    def is_over(self) -> bool:
        """Whether it begins nothing more."""
        return self._stopped

    def wake(self) -> None:
        """There may be something to do."""
        if self._stopped:
            return
        self._more = True
        self._advance()

    async def stop(self) -> None:
        """Begin nothing new, and break off what is under way: it is tried again by the next start."""
        self.retire()
        for one in list(self._under_way.values()):
            one.cancel()
        if self._under_way or self._loading:
            self._idle = Deferred()
            await self._idle

    def retire(self) -> None:
        """Begin nothing new."""
        self._stopped = True
        self._ready = []
        self._cancel()

    def _cancel(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()

    def _at(self, when: float) -> None:
        """Wake at a time."""
        self._cancel()
        if not self._stopped:
            delay = max(0.0, when - self._reactor.seconds())
            self._timer = self._reactor.callLater(min(delay, 86400.0), self.wake)

    def _advance(self) -> None:
        if self._stopped:
            if self._idle is not None and not self._under_way and not self._loading:
                idle, self._idle = self._idle, None
                idle.callback(None)
            return
        now = self._reactor.seconds()
        if now < self._rest_until:
            self._at(self._rest_until)
            return
        most = self.concurrency if self._failures < _DOWN else 1
        while self._ready and len(self._under_way) < most:
            delivery = self._ready.pop(0)
            done: Deferred[None] = Deferred.fromCoroutine(self._one(delivery))
            if not done.called:
                self._under_way[delivery.number] = done
                done.addBoth(self._ended, delivery.number)
        if not self._ready and self._more and not self._loading and len(self._under_way) < most:
            self._loading = True
            Deferred.fromCoroutine(self._load()).addErrback(self._failed_to_load)

    def _ended(self, result: Any, number: int) -> None:
        self._under_way.pop(number, None)
        if isinstance(result, Failure) and not result.check(CancelledError):
            self.log.failure("A webhook failed in a way that it should not", result)
        self._more = True
        self._reactor.callLater(0, self._advance)

    async def _load(self) -> None:
        self._more = False
        now, limit = self._reactor.seconds(), self.concurrency * _AHEAD
        name, busy = self.endpoint.id, set(self._under_way)
        # Those under way are among the first that are due.
        found, after = await self._database.read(lambda base: _turn(base, name, now, limit + len(busy)))
        # What has ended meanwhile was read as waiting still: look again later.
        stale = busy - set(self._under_way)
        self._ready = [one for one in found if one.number not in busy and one.number not in self._under_way]
        self._loading = False
        if stale:
            self._more = True
        if not self._ready and after is not None and after > now:
            self._at(after)
        self._advance()

    def _failed_to_load(self, failure: Any) -> None:
        self._loading = False
        if not self._stopped:
            self.log.error("The outbox of webhooks cannot be read: {why}", why=failure.getErrorMessage())
            self._more = True
            self._at(self._reactor.seconds() + _TROUBLE)
        self._advance()

    async def _one(self, delivery: Delivery) -> None:
        attempt, wish = await self._post(self.endpoint, delivery)
        taken = 200 <= attempt.status < 300
        state, due = DELIVERED, delivery.due
        if not taken:
            state, due = self._later(delivery, attempt.at, wish)
        was_down = self._failures >= _DOWN
        self._failures = 0 if taken else self._failures + 1
        if self._failures >= _DOWN or wish:
            rest = min(2.0 ** (self._failures - _DOWN), _LONGEST_REST) if self._failures >= _DOWN else 0.0
            self._rest_until = attempt.at + max(rest, min(wish, _LONGEST_WISH))
            self._ready = []
        try:
            since = await self._database.change(
                outbox.TABLES.noun, lambda base: outbox.tried(base, delivery, attempt, state, due)
            )
            if taken and was_down:
                name = self.endpoint.id
                await self._database.change(
                    outbox.TABLES.noun, lambda base: outbox.hasten(base, name, attempt.at)
                )
            if not taken:
                await self._disable(self.endpoint, since, attempt.status)
        except TemporarilyUnavailable as trouble:
            self.log.error("The outbox of webhooks cannot be written: {why}", why=str(trouble))
            self._ready = []
            self._rest_until = self._reactor.seconds() + _TROUBLE

    def _later(self, delivery: Delivery, now: float, wish: float) -> tuple[int, float]:
        if delivery.attempts >= len(self.retry):
            return GIVEN_UP, now
        return WAITING, now + max(self.retry[delivery.attempts], min(wish, _LONGEST_WISH))


def _turn(
    base: sqlite3.Connection, endpoint: str, now: float, limit: int
) -> tuple[list[Delivery], float | None]:
    """Who has their turn, and when the first has, or had."""
    after = outbox.next_due(base, endpoint)
    if after is None or after > now:
        return [], after
    return outbox.due(base, endpoint, now, limit), after
