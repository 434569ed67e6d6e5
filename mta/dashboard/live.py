"""What happens, told to pages that are open: how many events of which kind, and the newest as lines.

A page is told once a second at the most, however much happens, and fetches anew what it shows; so a busy
server sends a browser no more than a quiet one.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from mta.config.settings import Dashboard
from mta.dashboard.line import Line, line_of
from mta.dashboard.page import Answered, Live, Page, Query, Trouble
from mta.dashboard.role import Right
from mta.dashboard.session import Sessions
from mta.dashboard.visit import Visit
from mta.interfaces import TemporarilyUnavailable
from mta.tracking.feed import Feed
from mta.tracking.subscriber import Interest, Subscriber, Telling

_log = Logger()

#: Seconds between two words to one page.
_EVERY = 1.0
#: Lines that are told at a time.
_LINES = 60
#: Seconds between two looks whether the session lasts; and after which a page comes again.
_LOOK, _LONGEST = 15.0, 600.0


class Wanted(Query):
    """What a page wants to be told."""

    lines: bool = False
    kind: str = ""
    q: str = ""


@dataclass(slots=True, eq=False)
class Watcher(Subscriber):
    """One page that is open.

    :ivar later: ``(seconds, callable) -> timer``.
    :ivar wanted: what it shows.
    """

    later: Callable[[float, Callable[[], None]], Any] = lambda seconds, call: None
    wanted: Wanted = field(default_factory=Wanted)
    _counts: Counter[str] = field(default_factory=Counter)
    _lines: deque[Line] = field(default_factory=lambda: deque(maxlen=_LINES))
    _passed: int = 0
    _timer: Any = None
    _told: float = 0.0

    def show(self, telling: Telling, now: float) -> None:
        """An event has happened."""
        self.places[telling.shard] = telling.number
        event, about = telling.event, telling.about
        if not self.everything and about is None:
            # What a tenant's campaigns, lists and sequences do is its own; who did it is not.
            if getattr(event, "tenant", "") == self.interest.tenant:
                self._counts[event.kind] += 1
            return
        if not self.everything and about is not None and not self.interest.fits(event, about):
            return
        self._counts[event.kind] += 1
        if self.wanted.lines and (not self.wanted.kind or event.kind == self.wanted.kind):
            line = line_of(event, confined=not self.everything)
            if line is not None and self.wanted.q.lower() in line.words.lower():
                if len(self._lines) == _LINES:
                    self._passed += 1
                self._lines.append(line)

    def flush(self, now: float) -> None:
        """Tell it, if it was not told just now."""
        self._kept = dict(self.places)
        if self.over or not self._counts or self._timer is not None:
            return
        wait = self._told + _EVERY - now
        if wait > 0:
            self._timer = self.later(wait, self._tell)
        else:
            self._told = now
            self._tell()

    def _tell(self) -> None:
        if self._timer is not None:
            self._timer = None
            self._told += _EVERY
        if self.over or self._paused or not self._counts:
            # Who does not read is told later, of everything at once.
            return
        data = {
            "counts": dict(self._counts),
            "lines": [line.to_json() for line in self._lines],
            "passed": self._passed,
        }
        self._counts.clear()
        self._lines.clear()
        self._passed = 0
        text = json.dumps(data, separators=(",", ":"))
        self._put(f"event: happened\ndata: {text}\n\n".encode(), self.wrote)

    def end(self) -> None:
        """It is over."""
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = None
        # Without its own class: a dataclass with slots is made anew.
        Subscriber.end(self)


class LivePages:
    """See the module.

    :param feed: tells what happens.
    :param sessions: who is signed in.
    :param settings: the table ``[dashboard]``.
    :param reactor: time.
    """

    def __init__(
        self, feed: Feed, sessions: Sessions, settings: Callable[[], Dashboard], reactor: Any
    ) -> None:
        self._feed = feed
        self._sessions = sessions
        self._settings = settings
        self._reactor = reactor
        self._open = 0

    def pages(self) -> list[Page]:
        """What there is."""
        return [Page("GET", "/dashboard/live", self.live, Right.LOOK_OWN, "Live", query=Wanted)]

    async def live(self, visit: Visit) -> Answered:
        """A stream."""
        most = self._settings().streams
        if most and self._open >= most:
            raise Trouble(503, "Too many live pages are open", "Close some of them, or wait.")
        assert visit.session is not None
        everything, tenant, session = not visit.confined, visit.tenant, visit.session.id

        def run(request: Any) -> Deferred[Any]:
            watcher = Watcher(
                Interest(tenant),
                request.write,
                request.channel.forceAbortClient,
                everything=everything,
                affairs=True,
                later=self._reactor.callLater,
                wanted=visit.query,
            )
            self._open += 1
            request.registerProducer(watcher, True)
            timer = self._reactor.callLater(_LONGEST, watcher.end)
            watching = Deferred.fromCoroutine(self._watch(watcher, session))
            watching.addErrback(_unless_cancelled)
            running = Deferred.fromCoroutine(self._feed.follow(watcher, None))
            return running.addBoth(over, request, timer, watching)

        def over(result: Any, request: Any, timer: Any, watching: Deferred[None]) -> Any:
            self._open -= 1
            watching.cancel()
            if timer.active():
                timer.cancel()
            request.unregisterProducer()
            return result

        return Live(run)

    async def _watch(self, watcher: Watcher, session: str) -> None:
        """End a stream whose session was ended."""
        while not watcher.over:
            await deferLater(self._reactor, _LOOK)
            try:
                if not watcher.over and not await self._sessions.lasts(session):
                    watcher.end()
            except TemporarilyUnavailable:
                # Nobody can tell; at the end of its time it comes again.
                continue


def _unless_cancelled(failure: Failure) -> None:
    """What ends a watch, if it is not the end of the stream."""
    if failure.check(CancelledError) is None:
        _log.failure("Whether a live page is still signed in cannot be told", failure)
