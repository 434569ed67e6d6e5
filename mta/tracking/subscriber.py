"""One who follows events live: what they want to see, and octets for them, as server-sent events.

The format is that of the HTML standard, section 9.2: each event has an ``id`` by which a client that
lost its connection goes on, ``event`` its type, and ``data`` one line of JSON.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from mta.model.event import Event
from mta.tracking.pages import About
from mta.tracking.position import position
from mta.tracking.telling import TOLD, told

#: Octets that wait for a reader who is slow; the rest is read out of the journal later.
MOST_WAITING = 256 * 1024
#: Events that are written at once.
_TOGETHER = 50


@dataclass(frozen=True, slots=True)
class Interest:
    """What somebody wants to see; empty: everything of the tenant.

    :ivar types: kinds of events.
    """

    tenant: str
    messages: frozenset[str] = frozenset()
    batches: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    campaigns: frozenset[str] = frozenset()
    types: frozenset[str] = frozenset()

    def fits(self, event: Event, about: About) -> bool:
        """Whether an event of a message is to be shown."""
        return (
            about.tenant == self.tenant
            and (not self.types or event.kind in self.types)
            and (not self.messages or event.message in self.messages)
            and (not self.batches or about.batch in self.batches)
            and (not self.campaigns or about.campaign in self.campaigns)
            and (not self.tags or not self.tags.isdisjoint(about.tags))
        )


@dataclass(slots=True, eq=False)
class Telling:
    """An event as it is shown, the same for everybody who sees it: encoded once, and only if somebody does.

    :ivar number: in the journal of the shard.
    :ivar about: whose message it is of; ``None``: nobody's.
    """

    shard: int
    number: int
    event: Event
    about: About | None
    _lines: str = ""

    @property
    def lines(self) -> str:
        """What stands below the id."""
        if not self._lines and self.about is not None:
            facts = told(self.event, f"{self.shard}.{self.number}")
            facts["batch"], facts["tags"] = self.about.batch or None, list(self.about.tags)
            data = json.dumps(facts, separators=(",", ":"))
            self._lines = f"event: {self.event.kind}\ndata: {data}\n\n"
        return self._lines


@implementer(IPushProducer)
@dataclass(slots=True, eq=False)
class Subscriber:
    """See the module.

    :ivar interest: what is shown.
    :ivar write: takes octets.
    :ivar cut: ends the connection at once.
    :ivar places: up to where in each shard everything was shown or passed over.
    :ivar wrote: when something was written last.
    :ivar over: it has ended.
    :ivar everything: whether it is told of events, too, that are of no tenant: for who runs the server.
    :ivar affairs: whether it is shown events, too, that are of no message: it knows which are its affair.
    :ivar behind: it reads more slowly than things happen: nothing is shown to it until it goes on from
        its places.
    """

    interest: Interest
    write: Callable[[bytes], Any]
    cut: Callable[[], Any]
    places: dict[int, int] = field(default_factory=dict)
    wrote: float = 0.0
    over: bool = False
    behind: bool = False
    everything: bool = False
    affairs: bool = False
    _kept: dict[int, int] = field(default_factory=dict)
    _changed: Deferred[None] | None = None
    _shown: list[str] = field(default_factory=list)
    _paused: bool = False
    _waiting: list[bytes] = field(default_factory=list)
    _octets: int = 0
    _resumed: Deferred[None] | None = None

    # --- what is shown -----------------------------------------------------------

    def show(self, telling: Telling, now: float) -> None:
        """An event has happened: show it, if it is wanted."""
        if self.behind:
            return
        self.places[telling.shard] = telling.number
        event, about = telling.event, telling.about
        if about is None or event.kind not in TOLD or not self.interest.fits(event, about):
            return
        # Written together with what else has happened: each write costs more than the event.
        self._shown.append(f"id: {position(self.places)}\n{telling.lines}")
        if len(self._shown) >= _TOGETHER:
            self.flush(now)

    def flush(self, now: float) -> None:
        """Write what was shown."""
        if self.over or self.behind:
            return
        if self._shown:
            octets, self._shown = "".join(self._shown).encode(), []
            if self._paused and self._octets + len(octets) > MOST_WAITING:
                # The rest is read out of the journal, when the client has read this.
                self.places = dict(self._kept)
                self.behind = True
                self._change()
                return
            self._put(octets, now)
        self._kept = dict(self.places)

    def passed(self, shard: int, number: int) -> None:
        """Everything up to a number was shown, or was nothing for anybody."""
        if not self.behind:
            self.places[shard] = max(number, self.places.get(shard, 0))
            self._kept[shard] = self.places[shard]

    def begin(self, now: float) -> None:
        """Say where it begins, and when to come again after the connection was lost."""
        self._kept = dict(self.places)
        self._put(f"retry: 1000\nid: {position(self.places)}\n\n".encode(), now)

    def gap(self, shard: int, now: float) -> None:
        """Tell that events are missing which the journal has no more."""
        data = json.dumps(
            {"type": "gap", "words": "older events than these are not kept any more", "shard": shard}
        )
        self._put(f"event: gap\ndata: {data}\n\n".encode(), now)

    def beat(self, now: float) -> None:
        """Show that the connection lives, and how far everything was looked at."""
        if self._paused:
            return
        self._put(f": heartbeat\nid: {position(self.places)}\n\n".encode(), now)

    def _put(self, octets: bytes, now: float) -> None:
        if self.over:
            return
        self.wrote = now
        if not self._paused:
            self.write(octets)
            return
        self._waiting.append(octets)
        self._octets += len(octets)

    # --- the connection ------------------------------------------------------------

    def writable(self) -> Deferred[None] | None:
        """``None``: it takes more; otherwise fires when it does, or is over."""
        if self.over or not self._paused:
            return None
        if self._resumed is None:
            self._resumed = Deferred()
        return self._resumed

    def pauseProducing(self) -> None:
        """See ``IPushProducer``."""
        self._paused = True

    def resumeProducing(self) -> None:
        """See ``IPushProducer``."""
        self._paused = False
        waiting, self._waiting, self._octets = self._waiting, [], 0
        if waiting:
            self.write(b"".join(waiting))
        self._go_on()

    def stopProducing(self) -> None:
        """See ``IPushProducer``."""
        self.end()

    def end(self) -> None:
        """It is over."""
        if not self.over:
            self.over = True
            self._waiting = []
            self._go_on()
            self._change()

    def changed(self) -> Deferred[None]:
        """Fires when it is over, or behind."""
        self._changed = Deferred()
        if self.over or self.behind:
            self._change()
            done: Deferred[None] = Deferred()
            done.callback(None)
            return done
        return self._changed

    def _change(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.callback(None)

    def _go_on(self) -> None:
        resumed, self._resumed = self._resumed, None
        if resumed is not None:
            resumed.callback(None)
