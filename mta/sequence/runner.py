"""Moves sequences, in one worker at a time; another one takes over when it dies.

Each turn goes through what is new, looks at who is due, and sends what is promised, in bounded pieces, so
that what is in memory does not grow with the number of contacts.  Timers are instants in the database:
nothing is remembered here that is missed after a crash.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from mta.audience.audience import Audience
from mta.bounded import Overdue, bounded
from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Event
from mta.sequence import ended, enrolments, outbox, telling
from mta.sequence.enrolment import NEVER
from mta.sequence.lease import Lease
from mta.sequence.posting import Posts
from mta.sequence.sending import LONGEST, Sending
from mta.sequence.sequences import Definitions
from mta.sequence.transition import Looked, Transitions, Waiting
from mta.sequence.triggers import Scan, Triggers

#: Enrolments, facts and messages in one piece; queue ids for each enrolment of one.
PIECE, _IDS_EACH = 200, 4
#: Seconds between two looks for what is new, and for whether another worker has died.
_GLANCE, _ELSEWHERE = 1.0, 5.0
#: Seconds between two looks at segments that let contacts in.
SEGMENTS = 300.0
#: Seconds by which a clock may differ from what was remembered of it.
_CLOCK = 60.0
#: Seconds between two times at which it is written down what time it is.
_KEPT = 600.0
#: Seconds after which what was told is certain to be in the journal.
_TOLD = 10.0
#: Seconds for which a piece may go on when the worker stops.
_PATIENCE = 20.0
_NOUNS = ("facts", "memberships", "enrolments", "sequences", "contacts")


class Barred(Protocol):
    """Knows of those who are due, why nothing may be sent to them any more."""

    async def __call__(self, waiting: Sequence[Waiting]) -> Mapping[int, str]:
        """By enrolment; who is not in it may be sent something."""


class Runner:
    """See the module.

    :param reactor: time and delayed calls.
    :param audience: has the database.
    :param lease: which worker it is.
    :param sending: sends messages.
    :param posts: posts.
    :param barred: knows who is gone.
    :param new_id: gives queue ids.
    :param skip_ids: makes new queue ids larger than one that is promised.
    :param note: puts events into the journal.
    :param keep: for how many seconds runs that have ended are kept (:mod:`mta.sequence.ended`).
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        audience: Audience,
        lease: Lease,
        *,
        sending: Sending,
        posts: Posts,
        barred: Barred,
        new_id: Callable[[], str],
        skip_ids: Callable[[str], None],
        note: Callable[[Sequence[Event]], None],
        keep: Callable[[], float] = lambda: NEVER,
        piece: int = PIECE,
    ) -> None:
        self._reactor = reactor
        self._audience = audience
        self._lease = lease
        self._sending = sending
        self._posts = posts
        self._barred = barred
        self._new_id = new_id
        self._skip_ids = skip_ids
        self._note = note
        self._keep = keep
        self._piece = piece
        definitions = Definitions()
        self.transitions = Transitions(definitions)
        self._triggers = Triggers(self.transitions, definitions)
        self._timer: Any = None
        self._under_way: Deferred[None] | None = None
        self._posting: Deferred[None] | None = None
        self._stopped = True
        self._wanted = False
        self._versions: tuple[int, ...] = ()
        self._next = 0.0
        self._clock: float | None = None
        self._remember = 0.0
        self._scans: list[Scan] = []
        self._scanned = -NEVER
        self._told: list[tuple[float, int]] = []
        self._telling = 0
        #: What was done since the start, for whoever wants to know.
        self.looked = self.moved = self.sent = self.commits = 0

    # --- life ----------------------------------------------------------------------

    def start(self) -> None:
        """Begin."""
        self._stopped = False
        self._later(_GLANCE)

    async def promised(self) -> None:
        """Keep queue ids that are promised from being given to others: a clock may be set back.

        :raise TemporarilyUnavailable: if the database cannot be used.
        """
        if self._audience.used:
            largest = await self._audience.database.read(outbox.largest)
            if largest:
                self._skip_ids(largest)

    async def stop(self) -> None:
        """End the piece that is under way, and let another worker have it."""
        self._stopped = True
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self._posting is not None:
            self._posting.cancel()
        if self._under_way is not None:
            try:
                await bounded(self._reactor, _over(self._under_way), _PATIENCE)
            except (Overdue, CancelledError):
                # Messages may be on their way to the disk: nobody else takes them while this process lives.
                self.log.warn("Sequences were at work for too long; their lease ends with this process")
                return
        self._lease.give_back()

    def wake(self) -> None:
        """Look soon: something was changed here."""
        if self._under_way is not None:
            self._wanted = True
        elif not self._stopped and self._timer is not None and self._timer.active():
            self._timer.reset(0.0)
            self._next = 0.0

    def _later(self, seconds: float) -> None:
        if not self._stopped:
            self._timer = self._reactor.callLater(seconds, self._wake)

    def _wake(self) -> None:
        work = Deferred.fromCoroutine(self._woken())
        # It may be over already.
        self._under_way = None if work.called else work

    async def _woken(self) -> None:
        pause = _GLANCE
        try:
            if not self._audience.used or not self._lease.take():
                pause = _ELSEWHERE
            elif self._due():
                await self.turn()
        except TemporarilyUnavailable as trouble:
            self.log.error("Sequences wait: {trouble}", trouble=str(trouble))
            pause = _ELSEWHERE
        except CancelledError:
            return
        except Exception:
            if self._stopped:
                return
            self.log.failure("Sequences wait")
            pause = _ELSEWHERE
        finally:
            self._under_way = None
        if self._wanted:
            self._wanted, self._next, pause = False, 0.0, 0.0
        self._later(pause)

    def _due(self) -> bool:
        """Whether there is something to do: a look at shared memory."""
        versions = tuple(self._audience.database.version(noun) for noun in _NOUNS)
        changed = versions != self._versions or -1 in versions
        return changed or self._reactor.seconds() >= self._next

    # --- one turn --------------------------------------------------------------------

    async def turn(self) -> None:
        """Do all that there is to do now.

        :raise TemporarilyUnavailable: if the database or the journal cannot be used.
        """
        database = self._audience.database
        self._versions = tuple(database.version(noun) for noun in _NOUNS)
        if self._clock is None:
            await self.promised()
        await self._look_at_clock()
        if await database.read(self._triggers.any):
            while await self._some("enrolments", self._news):
                pass
        await self._look_at_segments()
        more = True
        while more and not self._stopped:
            looked = await self._look()
            more = looked.more
            while await self._sending.piece(self._piece) and not self._stopped:
                pass
            await self._tell()
        self._post()
        self._next = min(await database.read(_next), self._reactor.seconds() + _CLOCK)
        # What it has changed itself is no news.
        self._versions = tuple(database.version(noun) for noun in _NOUNS)

    async def _some(self, noun: str, work: Callable[[sqlite3.Connection], Any]) -> Any:
        self.commits += 1
        return await self._audience.database.change(noun, work)

    def _news(self, base: sqlite3.Connection) -> bool:
        now = self._reactor.seconds()
        more = self._triggers.facts(base, now, self._piece)
        return self._triggers.members(base, now, self._piece) or more

    async def _look(self) -> Looked:
        now = self._reactor.seconds()
        waiting = await self._audience.database.read(
            lambda base: self.transitions.waiting(base, now, self._piece)
        )
        if not waiting:
            return Looked()
        barred = await self._barred(waiting)
        ids = [self._new_id() for _ in range(_IDS_EACH * self._piece)]
        # As many as were asked about: who has become due since has its turn in the next piece.
        looked: Looked = await self._some(
            "enrolments", lambda base: self.transitions.make(base, now, len(waiting), ids, barred)
        )
        looked.more = looked.more or len(waiting) == self._piece
        self._sending.fresh.update(looked.promised)
        self.looked += looked.looked
        self.moved += looked.moved
        self.sent += len(looked.promised)
        return looked

    async def _look_at_clock(self) -> None:
        now = self._reactor.seconds()
        before = self._clock
        if before is None:
            before = await self._audience.database.read(lambda base: enrolments.place(base, "clock"))
        if before is not None and now < before - _CLOCK:

            def back(base: sqlite3.Connection) -> int:
                outbox.clock_set_back(base, now, LONGEST)
                enrolments.remember(base, "clock", now)
                return enrolments.clock_set_back(base, now)

            count = await self._some("enrolments", back)
            self._scanned, self._remember = -NEVER, now + _KEPT
            self.log.warn("The clock was set back: {count} enrolments wait anew", count=count)
            self._clock = now
        else:
            if now >= self._remember:
                kept = now - self._keep()
                looked = await self._some("enrolments", lambda base: _upkeep(base, now, kept))
                # When there are more, they are looked at with what is done next.
                self._remember = now + (_KEPT if looked < ended.PIECE else 0.0)
            self._clock = max(before or now, now)

    async def _look_at_segments(self) -> None:
        now = self._reactor.seconds()
        if not self._scans and now - self._scanned >= SEGMENTS:
            self._scanned = now
            self._scans = await self._audience.database.read(self._triggers.scans)
        while self._scans and not self._stopped:
            work = partial(self._triggers.scan, scan=self._scans[0], now=now, limit=self._piece)
            if not await self._some("enrolments", work):
                self._scans.pop(0)

    async def _tell(self) -> None:
        """Put into the journal what is to be told, and forget what is there by now."""
        now = self._reactor.seconds()
        while True:
            work = partial(telling.untold, after=self._telling, limit=500)
            events, upto = await self._audience.database.read(work)
            if not events:
                break
            self._note(events)
            self._telling = upto
            self._told.append((now, upto))
        upto = max((number for at, number in self._told if abs(now - at) >= _TOLD), default=0)
        if upto:
            self._told = [(at, number) for at, number in self._told if number > upto]
            await self._some("sequence_told", lambda base: telling.told(base, upto))

    def _post(self) -> None:
        """Post beside everything else: an application that is slow delays no message."""
        if self._posting is not None or self._stopped:
            return

        async def work() -> None:
            try:
                while await self._posts.piece(100) and not self._stopped:
                    await self._tell()
            except TemporarilyUnavailable as trouble:
                self.log.error("Posts of sequences wait: {trouble}", trouble=str(trouble))
            except CancelledError:
                pass
            except Exception:
                self.log.failure("Posts of sequences wait")
            finally:
                self._posting = None

        posting = Deferred.fromCoroutine(work())
        if not posting.called:
            self._posting = posting


async def _over(work: Deferred[None]) -> None:
    await work


def _next(base: sqlite3.Connection) -> float:
    return min(enrolments.next_due(base), outbox.next_due(base))


def _upkeep(base: sqlite3.Connection, now: float, kept: float) -> int:
    enrolments.remember(base, "clock", now)
    enrolments.forget_sent(base, now - enrolments.REMEMBERED)
    return ended.forget(base, kept)
