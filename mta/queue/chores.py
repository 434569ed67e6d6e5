"""What changes when many addressees are due: some rows in each transaction, between other work.

A chore goes through the queue in order of due time, as far as it has to, and remembers
the place where it stopped; so the longest of them holds up a commit by no more than one
page.  It changes nobody's state and counts no attempt.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from mta.model.rest import Rest, Way
from mta.queue.transaction import Statement

#: Addressees looked at in one transaction.
PAGE = 2000
#: Seconds over which come back those that waited for the same.
SPREAD = 30.0

#: A place in the queue: due, message, number.
Place = tuple[float, int, int]

_FIRST: Place = (-1e300, -1, -1)

_MAKE_DUE = Statement(
    "UPDATE addressees SET due = v.column1 FROM (VALUES ",
    3,
    ") AS v WHERE message = v.column2 AND number = v.column3",
)
_MAKE_WAIT = Statement(
    "UPDATE addressees SET due = v.column1, last_reply = v.column4 FROM (VALUES ",
    4,
    ") AS v WHERE message = v.column2 AND number = v.column3",
)
_ROWS = (
    "SELECT due, message, number, transport, next_hop, warned, last_reply FROM addressees"
    " WHERE state = 0 AND due < ?1 AND due >= ?2 AND (due, message, number) > (?2, ?3, ?4)"
    " ORDER BY due, message, number LIMIT ?5"
)


class Chore(Protocol):
    """A piece of such work.

    :ivar deferred: answers with how many addressees were changed.
    :ivar count: how many so far.
    :ivar error: why it was given up.
    :ivar answered: whether that is told.
    """

    deferred: Deferred[int]
    count: int
    error: Exception | None
    answered: bool

    def step(self, connection: sqlite3.Connection) -> tuple[int, Place | None]:
        """Change a page of addressees, inside a transaction.

        :return: how many were changed, and the place to go on from; ``None`` at the end.
        :raise sqlite3.Error: nothing was changed, once it is rolled back.
        """

    def done(self, count: int, place: Place | None) -> bool:
        """The page is on disk; answers whether that was all."""


class _Paged:
    """Remembers how far it came; a page that was rolled back is done again.

    :param place: behind which to begin.
    """

    __slots__ = ("answered", "count", "deferred", "error", "place")

    def __init__(self, place: Place = _FIRST) -> None:
        self.place = place
        self.deferred: Deferred[int] = Deferred()
        self.count = 0
        self.error: Exception | None = None
        self.answered = False

    def done(self, count: int, place: Place | None) -> bool:
        """See :class:`Chore`."""
        self.count += count
        if place is None:
            return True
        self.place = place
        return False


class Flush(_Paged):
    """Makes every queued addressee due that is due later; scheduled messages keep to their time.

    :param due: when, in seconds since 1970.
    """

    __slots__ = ("due",)

    def __init__(self, due: float) -> None:
        super().__init__((due, -1, -1))
        self.due = due

    def step(self, connection: sqlite3.Connection) -> tuple[int, Place | None]:
        """See :class:`Chore`."""
        rows = connection.execute(
            "SELECT due, message, number, EXISTS (SELECT 1 FROM messages m WHERE m.id = message"
            " AND CASE WHEN json_valid(m.facts) THEN json_extract(m.facts, '$[8].release') END > ?1"
            # Tried before, it waits for its time only if that was given to it later.
            " AND (attempts = 0 OR due = json_extract(m.facts, '$[8].release')))"
            " FROM addressees"
            " WHERE state = 0 AND due > ?1 AND due >= ?2 AND (due, message, number) > (?2, ?3, ?4)"
            " ORDER BY due, message, number LIMIT ?5",
            (self.due, *self.place, PAGE),
        ).fetchall()
        if not rows:
            return 0, None
        found = [(self.due, message, number) for _, message, number, scheduled in rows if not scheduled]
        _MAKE_DUE.run(connection, found)
        return len(found), rows[-1][:3]


class PutOff(_Paged):
    """Lets what is due on some ways wait on disk until their rest is over.

    Nobody waits beyond the time at which the sender is to be told of the delay, or at
    which the message expires: then it is claimed for that.

    :param rests: by way.
    :param now: in seconds since 1970.
    :param warn_after: seconds after which the sender is told of a delay; 0: never.
    """

    __slots__ = ("_last", "_now", "_rests", "_warn_after")

    def __init__(self, rests: Mapping[Way, Rest], now: float, warn_after: float) -> None:
        super().__init__()
        self._rests = dict(rests)
        self._now = now
        self._warn_after = warn_after
        self._last = max((rest.before for rest in self._rests.values()), default=now)

    def step(self, connection: sqlite3.Connection) -> tuple[int, Place | None]:
        """See :class:`Chore`."""
        rows = connection.execute(_ROWS, (self._last, *self.place, PAGE)).fetchall()
        if not rows:
            return 0, None
        rests = self._rests
        found = []
        for due, message, number, transport, next_hop, warned, _ in rows:
            rest = rests.get((transport, next_hop))
            if rest is not None and due < rest.before:
                found.append((rest, message, number, warned))
        times = _times(connection, {message for _, message, _, _ in found})
        changes = []
        for place, (rest, message, number, warned) in enumerate(found):
            # Those of one page in their order, and pages alike: who waits longest comes first.
            due = rest.until + SPREAD * (place + 1) / (len(found) + 1)
            created, expires = times.get(message, (self._now, due))
            due = min(due, expires)
            if self._warn_after and not warned and created + self._warn_after > self._now:
                due = min(due, created + self._warn_after)
            changes.append((due, message, number, rest.words))
        _MAKE_WAIT.run(connection, changes)
        return len(changes), rows[-1][:3]


class CallBack(_Paged):
    """Makes due, a few at a time, what was put off on some ways, since their rest is over before its time.

    :param rests: by way: what was said to those that wait.
    :param now: in seconds since 1970.
    :param step: seconds from one to the next.
    """

    __slots__ = ("_due", "_last", "_rests", "_step")

    def __init__(self, rests: Mapping[Way, Rest], now: float, step: float) -> None:
        super().__init__((now, -1, -1))
        self._rests = dict(rests)
        self._due = dict.fromkeys(rests, now)
        self._step = step
        self._last = max((rest.until for rest in self._rests.values()), default=now) + SPREAD

    def step(self, connection: sqlite3.Connection) -> tuple[int, Place | None]:
        """See :class:`Chore`."""
        rows = connection.execute(_ROWS, (self._last, *self.place, PAGE)).fetchall()
        changes = []
        for due, message, number, transport, next_hop, _, last_reply in rows:
            way = transport, next_hop
            rest = self._rests.get(way)
            if rest is not None and last_reply == rest.words and self._due[way] < due:
                changes.append((self._due[way], message, number))
                self._due[way] += self._step
        _MAKE_DUE.run(connection, changes)
        return len(changes), rows[-1][:3] if rows else None


def _times(connection: sqlite3.Connection, messages: Iterable[int]) -> dict[int, tuple[float, float]]:
    """When messages came and when they expire, by id."""
    rows: Sequence[tuple[int, float, float]] = connection.execute(
        "SELECT id, created, expires FROM messages WHERE id IN (SELECT value FROM json_each(?))",
        (json.dumps([*messages]),),
    ).fetchall()
    return {number: (created, expires) for number, created, expires in rows}
