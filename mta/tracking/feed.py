"""Tells subscribers what happens, when it happens, in the journals of all workers.

What this worker writes is told by its spool, with the numbers that events have in the journal; what
others write is looked for in their journals, while somebody is interested.  In each shard events are
shown in order, each once: a subscriber has a place in every journal, begins at those that it names,
reads pages up to where this feed has come, and is told of everything from there on, in one turn of
the reactor.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Event, Received
from mta.tracking.pages import About, Pages
from mta.tracking.subscriber import Subscriber, Telling

#: Seconds between two looks into the journals of others.
EVERY = 0.02
#: Seconds in which a client that is behind must have read something.
PATIENCE = 30.0
#: Seconds between two looks whether there are more shards; and after trouble.
_SHARDS_EVERY, _AFTER_TROUBLE = 5.0, 1.0
#: Messages that are remembered with what is known about them.
_MOST_KNOWN = 50_000
#: Events that may wait to be shown; beyond, they are read out of the journal again.
_MOST_WAITING = 20_000
#: Events that are shown together, and in one turn of the reactor.
_TURN, _MOST_SHOWN = 200, 600


class Feed:
    """See the module.

    :param reactor: the reactor.
    :param spool: the directory of all shards.
    :param shard: ours.
    :param run_in_thread: ``(callable, *args) -> Deferred``, for those who catch up.
    :param heartbeat: seconds after which a quiet stream shows that it lives.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        spool: Path,
        shard: int,
        run_in_thread: Callable[..., Awaitable[Any]],
        heartbeat: float = 15.0,
    ) -> None:
        self.heartbeat = heartbeat
        self._reactor = reactor
        self._shard = shard
        self._pages = Pages(spool)
        self._run = run_in_thread
        self._pool = ThreadPool(0, 1, "feed")
        self._subscribers: list[Subscriber] = []
        self._joining: list[Subscriber] = []
        #: Up to where in each shard events have come in, and up to where they were shown.
        self._heard: dict[int, int] = {}
        self._shown: dict[int, int] = {}
        self._waiting: deque[tuple[int, int, Sequence[tuple[int, Event]]]] = deque()
        self._count = 0
        self._known: dict[str, About | None] = {}
        self._showing: Deferred[None] | None = None
        self._looking: Deferred[None] | None = None
        self._behind = False
        self._timer: Any = None
        self._beating: Any = None
        self._next_shards = 0.0
        self._active = False
        self._stopped = False
        #: Those who wait until it is known where the journals end; ``None``: it is.
        self._waking: list[Deferred[None]] | None = None

    @property
    def count(self) -> int:
        """How many follow."""
        return len(self._subscribers) + len(self._joining)

    def count_of(self, tenant: str) -> int:
        """How many of a tenant follow."""
        return sum(1 for one in (*self._subscribers, *self._joining) if one.interest.tenant == tenant)

    # --- life ----------------------------------------------------------------

    def start(self) -> None:
        """Be ready."""
        self._pool.start()

    async def stop(self) -> None:
        """End all streams; whoever follows comes again to another process."""
        if self._stopped:
            return
        self._stopped = True
        for one in (*self._subscribers, *self._joining):
            one.end()
        self._sleep()
        for running in (self._showing, self._looking):
            if running is not None:
                await running
        self._pool.stop()
        self._pages.close()

    # --- subscribers -----------------------------------------------------------

    async def follow(self, subscriber: Subscriber, places: dict[int, int] | None) -> None:
        """Show somebody what happens, until they go.

        :param places: behind which to begin; ``None``: from now on.
        :raise TemporarilyUnavailable: if the journals cannot be read.
        """
        self._joining.append(subscriber)
        try:
            await self._awake()
            subscriber.places = dict(self._shown if places is None else places)
            subscriber.begin(self._reactor.seconds())
            if places is not None:
                await self._verify(subscriber)
            while True:
                await self._catch_up(subscriber)
                if subscriber.over or self._stopped:
                    return
                # No turn of the reactor since it was seen to be where the feed is.
                self._joining.remove(subscriber)
                self._subscribers.append(subscriber)
                await subscriber.changed()
                if subscriber not in self._subscribers or not subscriber.behind:
                    return
                self._subscribers.remove(subscriber)
                self._joining.append(subscriber)
                await self._read(subscriber)
        finally:
            subscriber.end()
            for group in (self._joining, self._subscribers):
                if subscriber in group:
                    group.remove(subscriber)
            if not self.count:
                self._sleep()

    async def _read(self, subscriber: Subscriber) -> None:
        """Wait until a client has read what it was sent; one who does not is cut off."""
        resumed = subscriber.writable()
        if resumed is not None:
            timer = self._reactor.callLater(PATIENCE, self._cut, subscriber)
            try:
                await resumed
            finally:
                if timer.active():
                    timer.cancel()
        subscriber.behind = False

    def _cut(self, subscriber: Subscriber) -> None:
        subscriber.end()
        subscriber.cut()

    async def _verify(self, subscriber: Subscriber) -> None:
        """Take back places that a journal has not come to."""
        places = subscriber.places
        ends = await self._run(self._pages.ends)
        for shard, place in list(places.items()):
            if place > ends.get(shard, 0):
                # The journal was made anew, and begins at 1 again.
                subscriber.gap(shard, self._reactor.seconds())
                places[shard] = 0

    async def _catch_up(self, subscriber: Subscriber) -> None:
        while not subscriber.over:
            # Another worker, from which it comes, may have shown more than we have seen yet.
            places = subscriber.places
            behind = [shard for shard, shown in self._shown.items() if places.get(shard, 0) < shown]
            if not behind:
                return
            for shard in behind:
                page = await self._run(self._pages.page, shard, subscriber.places.get(shard, 0))
                if page.lost:
                    subscriber.gap(shard, self._reactor.seconds())
                about = await self._learn([event for _, event in page.events])
                # What comes behind is told to everybody.
                limit = self._shown.get(shard, 0)
                for number, event in page.events:
                    if number <= limit:
                        telling = Telling(shard, number, event, about.get(event.message))
                        subscriber.show(telling, self._reactor.seconds())
                subscriber.flush(self._reactor.seconds())
                subscriber.passed(shard, min(page.upto, limit))
                await self._read(subscriber)

    # --- what happens --------------------------------------------------------------

    def happened(self, first: int, events: Sequence[Event]) -> None:
        """Our own spool has written events; ``first`` is the number of the first, 0: unknown."""
        if not self._active:
            return
        heard = self._heard.get(self._shard, 0)
        if first == heard + 1 and not self._behind:
            self._take(self._shard, first + len(events) - 1, list(enumerate(events, first)))
        elif first == 0 or first + len(events) - 1 > heard:
            # Out of the journal, then, with whatever is before.
            self._behind = True
            self._look_soon(0.0)

    def _take(self, shard: int, upto: int, events: Sequence[tuple[int, Event]]) -> None:
        if self._count > _MOST_WAITING:
            # They stay in the journal until those before them were shown.
            self._behind = True
            self._look_soon(EVERY)
            return
        self._heard[shard] = upto
        for start in range(0, max(1, len(events)), _TURN):
            some = events[start : start + _TURN]
            last = upto if start + _TURN >= len(events) else some[-1][0]
            self._waiting.append((shard, last, some))
        self._count += len(events)
        self._show_soon()

    def _show_soon(self) -> None:
        if self._showing is None and self._waiting:
            running = Deferred.fromCoroutine(self._show())
            self._showing = None if running.called else running

    async def _show(self) -> None:
        shown = 0
        try:
            while self._waiting:
                entry = self._waiting[0]
                shard, upto, events = entry
                about = await self._learn([event for _, event in events])
                if not self._waiting or self._waiting[0] is not entry:
                    continue  # Everybody has gone meanwhile, and others have come.
                self._waiting.popleft()
                self._count -= len(events)
                now = self._reactor.seconds()
                self._shown[shard] = upto
                for number, event in events:
                    known = about.get(event.message)
                    telling = Telling(shard, number, event, known)
                    for one in tuple(self._subscribers):
                        wanted = known is not None or one.everything or one.affairs
                        if wanted and number > one.places.get(shard, 0):
                            one.show(telling, now)
                for one in tuple(self._subscribers):
                    one.flush(now)
                    one.passed(shard, upto)
                shown += len(events)
                if self._waiting and shown >= _MOST_SHOWN:
                    # What was written so far leaves, and others have their turn.
                    shown = 0
                    await deferLater(self._reactor, 0.0)
        except Exception as error:
            self._trouble(error)
            self._reactor.callLater(_AFTER_TROUBLE, self._show_soon)
        finally:
            self._showing = None

    async def _learn(self, events: Sequence[Event]) -> dict[str, About | None]:
        """What the messages of events are."""
        found: dict[str, About | None] = {}
        unknown = []
        for event in events:
            name = event.message
            if isinstance(event, Received):
                about = About(event.tenant, event.batch, event.campaign, tuple(event.tagged))
                found[name] = self._known[name] = about if event.tenant else None
            elif name and name not in found:
                if name in self._known:
                    found[name] = self._known[name]
                else:
                    found[name] = None
                    unknown.append(name)
        if unknown:
            asked: dict[str, About | None] = await self._run(self._pages.about, unknown)
            found.update(asked)
            self._known.update(asked)
        if len(self._known) > _MOST_KNOWN:
            for name in list(self._known)[: _MOST_KNOWN // 2]:
                del self._known[name]
        return found

    # --- the journals of others ------------------------------------------------------

    async def _awake(self) -> None:
        """Begin to listen, where nobody did."""
        if not self._active:
            self._active = True
            self._waking = []
            Deferred.fromCoroutine(self._wake(self._waking)).addErrback(self._trouble)
        if self._waking is not None:
            waiting: Deferred[None] = Deferred()
            self._waking.append(waiting)
            await waiting

    async def _wake(self, waking: list[Deferred[None]]) -> None:
        trouble: Exception | None = None
        try:
            ends = await self._run(self._pages.ends)
        except Exception as error:
            trouble = error
        if self._waking is not waking:
            return  # They have all gone.
        self._waking = None
        if trouble is None:
            self._heard, self._shown = dict(ends), dict(ends)
            self._behind = True
            self._next_shards = self._reactor.seconds() + _SHARDS_EVERY
            self._look_soon(0.0)
            self._beat()
        for waiting in waking:
            if not waiting.called:
                if trouble is None:
                    waiting.callback(None)
                else:
                    waiting.errback(TemporarilyUnavailable(str(trouble)))

    def _sleep(self) -> None:
        """Nobody is interested any more."""
        self._active = self._behind = False
        self._waking = None
        self._heard, self._shown, self._known = {}, {}, {}
        self._waiting.clear()
        self._count = 0
        for timer in (self._timer, self._beating):
            if timer is not None and timer.active():
                timer.cancel()
        self._timer = self._beating = None

    def _beat(self) -> None:
        now = self._reactor.seconds()
        for one in tuple(self._subscribers):
            if now - one.wrote >= self.heartbeat - 0.1:
                one.beat(now)
        self._beating = self._reactor.callLater(self.heartbeat / 3, self._beat)

    def _look_soon(self, seconds: float) -> None:
        if not self._active or self._waking is not None or self._looking is not None:
            return
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._reactor.callLater(seconds, self._begin_look)

    def _begin_look(self) -> None:
        running = Deferred.fromCoroutine(self._look())
        self._looking = None if running.called else running

    async def _look(self) -> None:
        pause = EVERY
        heard_by = self._heard
        try:
            now = self._reactor.seconds()
            if now >= self._next_shards:
                self._next_shards = now + _SHARDS_EVERY
                for shard in await self._in_thread(self._pages.shards):
                    heard_by.setdefault(shard, 0)
                    self._shown.setdefault(shard, 0)
            behind, self._behind = self._behind, False
            crowded = self._count > _MOST_WAITING
            after = {shard: number for shard, number in heard_by.items() if shard != self._shard or behind}
            pages = await self._in_thread(self._pages.next, after) if after and not crowded else {}
            if self._heard is not heard_by:
                return  # Everybody has gone meanwhile.
            for shard, page in pages.items():
                heard = heard_by.get(shard, 0)
                if page.upto > heard:
                    new = [(number, event) for number, event in page.events if number > heard]
                    self._take(shard, page.upto, new)
                    # There may be more.
                    self._behind = self._behind or shard == self._shard
                    pause = 0.0
            if crowded:
                self._behind = self._behind or behind
            elif not after:
                pause = _SHARDS_EVERY
        except Exception as error:
            self._trouble(error)
            self._behind = True
            pause = _AFTER_TROUBLE
        finally:
            self._looking = None
        self._look_soon(EVERY if self._count > _MOST_WAITING else pause)

    def _in_thread(self, *work: Any) -> Awaitable[Any]:
        return deferToThreadPool(self._reactor, self._pool, *work)

    def _trouble(self, error: Any) -> None:
        self.log.error("Live events wait: {error}", error=str(error))
