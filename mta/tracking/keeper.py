"""Keeps what is made of the journals up with them, in a thread of its own, and answers when it is.

It may sleep while nobody needs what is made: no database is open then, and what happens is not looked
at.  Whatever it has slept through stands in the journals.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from threading import Thread
from typing import Any, Protocol

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from mta.interfaces import IEventSink, TemporarilyUnavailable
from mta.model.event import Event
from mta.tracking.index import JOURNAL

#: Seconds between two looks, while something happens; while nothing does; after trouble.
SOON, SELDOM, LATER = 1.0, 10.0, 10.0
#: Seconds without news after which who may sleep does; and until it looks nonetheless whether there is any.
IDLE, ASLEEP = 60.0, 3600.0
#: Seconds that a question waits for the index.
PATIENCE = 20.0
_PRUNE_EVERY = 60.0
_PRUNE_STEPS = 20


class _Daemon(Thread):
    """A process that ends in a hurry does not wait for it: what it did not write is in the journal."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options, daemon=True)


class _Pool(ThreadPool):
    threadFactory = _Daemon


class Kept(Protocol):
    """What is kept up of one shard; everything blocks, and raises ``TemporarilyUnavailable``."""

    def catch_up(self, stop: Callable[[], bool]) -> int:
        """Read what is new in the journals, until it is to stop."""

    def prune(self) -> bool:
        """Drop some of what is too old; answers whether there may be more."""

    def close(self) -> None:
        """Close what is open."""


@implementer(IEventSink)
class Keeper:
    """See the module.

    :param reactor: the reactor.
    :param spool: the directory of all shards.
    :param shard: ours, whose index is kept up all the time.
    :param workers: how many there are; the first also keeps the indexes of shards that nobody owns.
    :param make: from the directory of a shard to its index.
    :param kinds: of events that change something there.
    :param only_messages: whether only those of messages do.
    :param name: for the log.
    :param soon: seconds between two looks, while something happens.
    :param seldom: while nothing does.
    :param wakes: whether an event ends the sleep; ``None``: it never sleeps.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        spool: Path,
        shard: int,
        workers: int,
        *,
        make: Callable[[Path], Kept],
        kinds: Collection[str],
        only_messages: bool = True,
        name: str = "index of messages",
        soon: float = SOON,
        seldom: float = SELDOM,
        wakes: Callable[[Event], bool] | None = None,
    ) -> None:
        self.name = name
        self._reactor = reactor
        self._spool = spool
        self._shard = shard
        self._workers = workers
        self._make = make
        self._kinds = frozenset(kinds)
        self._only_messages = only_messages
        self._soon = soon
        self._seldom = seldom
        self._wakes = wakes
        self._awake = wakes is None
        self._latest = 0.0
        self._pool = _Pool(0, 1, name)
        self._indexes: dict[int, Kept] = {}
        self._waiting: list[Deferred[None]] = []
        self._news = False
        self._running: Deferred[None] | None = None
        self._timer: Any = None
        self._stopped = True
        self._pruned = 0.0
        self._troubled = False

    # --- life ----------------------------------------------------------------

    async def start(self) -> None:
        """Begin, with what happened while nobody looked."""
        self._stopped = False
        self._pool.start()
        self._later(0.0)

    async def stop(self) -> None:
        """End; what is under way is given up between two transactions."""
        if self._stopped:
            return
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running is not None:
            await self._running
        self._pool.stop()
        self._close()
        for waiting in self._take():
            waiting.errback(TemporarilyUnavailable("the server stops"))

    def change(self, changed: Callable[[Any], None]) -> None:
        """Change something of all indexes."""
        for index in self._indexes.values():
            changed(index)

    # --- being told and asked --------------------------------------------------

    def events(self, batch: Sequence[Event]) -> None:
        """See :class:`~mta.interfaces.IEventSink`."""
        if not self._awake and self._wakes is not None:
            self._awake = any(map(self._wakes, batch))
        if self._awake and not self._news:
            for event in batch:
                if event.kind in self._kinds and (event.message or not self._only_messages):
                    self._news = True
                    self._later(self._soon)
                    return

    @property
    def is_asleep(self) -> bool:
        """Whether it looks at nothing, because nobody needs it."""
        return not self._awake

    async def current(self) -> None:
        """Wait until the indexes of all shards know what has happened by now.

        :raise TemporarilyUnavailable: if that takes too long, or cannot be.
        """
        if self._stopped:
            raise TemporarilyUnavailable(f"the {self.name} is not open")
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        self._awake = True
        self._later(0.0)
        waiting.addTimeout(PATIENCE, self._reactor)
        try:
            await waiting
        except TimeoutError:
            raise TemporarilyUnavailable(f"the {self.name} is not up to date yet") from None

    def is_needed(self, index: Any) -> bool:
        """Whether there is anything to be kept up in one of them; blocks, asked only where it may sleep."""
        return True

    # --- parts ---------------------------------------------------------------

    def _later(self, seconds: float) -> None:
        if self._stopped or self._running is not None:
            return
        if self._timer is not None:
            if self._timer.getTime() <= self._reactor.seconds() + seconds:
                return
            self._timer.cancel()
        self._timer = self._reactor.callLater(seconds, self._begin)

    def _begin(self) -> None:
        self._timer = None
        self._running = Deferred.fromCoroutine(self._round())

    async def _round(self) -> None:
        waiting = self._take()
        now = self._reactor.seconds()
        if self._news or waiting or not self._latest:
            self._latest = now
        self._news = False
        pause = self._seldom
        try:
            work: Callable[..., Any] = self._all if waiting else self._own
            await deferToThreadPool(self._reactor, self._pool, work, now)
            self._troubled = False
            for one in waiting:
                one.callback(None)
        except Exception as error:
            if not isinstance(error, TemporarilyUnavailable):
                self.log.failure("The {name} cannot be kept up", name=self.name)
            elif not self._troubled:
                self.log.error("The {name} waits: {error}", name=self.name, error=str(error))
            self._troubled = True
            pause = LATER
            for one in waiting:
                one.errback(TemporarilyUnavailable(str(error)))
        try:
            if not self._troubled and self._may_sleep(now):
                await deferToThreadPool(self._reactor, self._pool, self._close)
                pause = ASLEEP
        finally:
            self._running = None
        self._later(0.0 if self._waiting else self._soon if self._news and not self._troubled else pause)

    def _may_sleep(self, now: float) -> bool:
        if self._wakes is None or self._waiting or self._news or self._stopped:
            return False
        return not self._awake or now - self._latest >= IDLE

    def _take(self) -> list[Deferred[None]]:
        waiting, self._waiting = self._waiting, []
        return [one for one in waiting if not one.called]

    # --- in the thread -----------------------------------------------------------

    def _all(self, now: float) -> None:
        self._catch_up(self._shards(), now)

    def _own(self, now: float) -> None:
        mine = [
            shard
            for shard in self._shards()
            if shard == self._shard or (shard >= self._workers and self._shard == 0)
        ]
        if not self._awake:
            if not any(self.is_needed(self._index(shard)) for shard in mine):
                return
            self._awake = True
        self._catch_up(mine, now)
        if now - self._pruned >= _PRUNE_EVERY:
            self._pruned = now
            for shard in mine:
                for _ in range(_PRUNE_STEPS):
                    if self._stopped or not self._index(shard).prune():
                        break

    def _catch_up(self, shards: Sequence[int], now: float) -> None:
        for shard in shards:
            self._index(shard).catch_up(lambda: self._stopped)

    def _close(self) -> None:
        for index in self._indexes.values():
            index.close()

    def _shards(self) -> list[int]:
        found = (path.parent.name for path in self._spool.glob(f"*/{JOURNAL}"))
        return sorted(int(name) for name in found if name.isdigit())

    def _index(self, shard: int) -> Kept:
        found = self._indexes.get(shard)
        if found is None:
            found = self._indexes[shard] = self._make(self._spool / str(shard))
        return found
