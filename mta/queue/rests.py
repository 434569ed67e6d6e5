"""Ways on which nothing goes for a while: sites that are down or refuse us, and what a person suspended.

What waits for them stays on disk.  It is not claimed, costs no attempt and is put off
together, in few transactions; all of it is given the reply that says why.  When the rest
is over, one message goes first, and if that is taken, the others are called back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from mta.interfaces import ISpool, TemporarilyUnavailable
from mta.model.catalogue import REPLIES
from mta.model.event import Operated
from mta.model.outcome import RemoteReply
from mta.model.rest import Rest, Way
from mta.queue.destination import Destination
from mta.queue.suspensions import Suspension, Suspensions

#: Seconds that a site's other messages stay behind the one that tries it.
LEAD = 60.0
#: Seconds for which what is suspended waits before it is put off again, at the most.
SUSPENDED = 900.0
#: Seconds between two called back from one way.
STEP = 0.002

#: Seconds for which ways are gathered that begin or end to rest, to be dealt with together.
_GATHER = 0.1
#: Seconds between two looks whether suspensions have ended; another worker may have ended them.
_LOOK = 2.0


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why nothing goes a way.

    :ivar before: until when nothing goes, in seconds since 1970.
    :ivar until: until when what waits for it is put off, likewise.
    :ivar reply: what those who wait are told.
    """

    before: float
    until: float
    reply: RemoteReply

    @property
    def rest(self) -> Rest:
        """The same for the spool."""
        return Rest(self.before, self.until, str(self.reply))


class Rests:
    """Knows them, and sees to what waits on disk.

    :param reactor: time and timers.
    :param spool: keeps what waits.
    :param suspensions: where a person lets nothing go.
    :param ways_of: all ways that lead to a site.
    :param due: told when something on disk is due.
    :ivar warn_after: seconds after which a sender is told of a delay; 0: never; to be set.
    """

    __slots__ = (
        "_busy",
        "_calls",
        "_due",
        "_gathering",
        "_look",
        "_offs",
        "_reactor",
        "_sites",
        "_spool",
        "_suspended",
        "_ways_of",
        "is_stopped",
        "suspensions",
        "warn_after",
    )

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        spool: ISpool,
        suspensions: Suspensions,
        ways_of: Callable[[Destination], Sequence[Way]],
        due: Callable[[float], None],
    ) -> None:
        self._reactor = reactor
        self._spool = spool
        self.suspensions = suspensions
        self._ways_of = ways_of
        self._due = due
        self.warn_after = 0.0
        self.is_stopped = False
        self._sites: dict[Destination, Obstacle] = {}
        self._suspended: dict[Way, Obstacle] = {}
        # To be put off, and called back, with the next chore.
        self._offs: dict[Way, Rest] = {}
        self._calls: dict[Way, Rest] = {}
        self._busy = False
        self._gathering: Any = None
        self._look: Any = None

    def stop(self) -> None:
        """Ask the spool for nothing more."""
        self.is_stopped = True
        for timer in (self._gathering, self._look):
            if timer is not None:
                timer.cancel()
        self._gathering = self._look = None

    def find(self, destination: Destination, next_hop: str, now: float) -> Obstacle | None:
        """Why nothing goes there now; ``None`` if it may.

        Whoever asks first sees to it that what waits on disk is put off as well.
        """
        way = destination.name, next_hop
        suspension = self.suspensions.find(*way)
        if suspension is not None:
            known = self._suspended.get(way)
            if known is None or known.until <= now:
                until = now + SUSPENDED
                if suspension.until:
                    until = min(until, suspension.until)
                reply = REPLIES.reply("suspended", reason=suspension.reason or "no reason was given")
                known = Obstacle(until, until, RemoteReply.ours(reply))
                self._suspended[way] = known
                self._put_off([way], known)
                self._watch()
            return known
        budget = destination.budget
        if budget is not None and budget.is_spent(now):
            until = budget.until(now)
            return Obstacle(until, until, budget.reply(now))
        if destination.resume > now:
            before = destination.resume
            until = before + LEAD
        elif destination.is_down and destination.running:
            # One is finding out.
            before = until = now + LEAD
        else:
            return None
        known = self._sites.get(destination)
        if known is None or known.until <= max(now, destination.resume):
            name = "destination-rests" if destination.advised_until > now else "destination-down"
            reply = REPLIES.reply(name, last=destination.reply or "")
            known = Obstacle(before, until, RemoteReply.ours(reply))
            self._forget(now)
            self._sites[destination] = known
            if destination.source is None:
                # What waits on disk may leave from another source.
                self._put_off([way, *self._ways_of(destination)], known)
        return known

    def heard(self, destination: Destination, now: float) -> None:
        """A site answered for a message: if it rested, and does not go on to, the others may come."""
        known = self._sites.get(destination)
        if known is None or destination.resume > now or destination.is_down:
            return
        del self._sites[destination]
        self._call_back(self._ways_of(destination), known)

    def suspend(self, pattern: str, by: str, reason: str, until: float) -> int:
        """A person lets nothing go to destinations, until this time or :meth:`resume`.

        :raise TemporarilyUnavailable: if it cannot be kept.
        """
        now = self._reactor.seconds()
        try:
            self.suspensions.suspend(Suspension(pattern, by, reason, now, until))
        except OSError as error:
            raise TemporarilyUnavailable(f"the suspension cannot be kept: {error}") from error
        event = Operated(at=now, action="suspend", by=by, reason=reason, target=pattern, until=until)
        self._spool.note([event])
        return 1

    def resume(self, pattern: str, by: str, reason: str) -> int:
        """A person ends that; answers how many there were; errors as for :meth:`suspend`."""
        now = self._reactor.seconds()
        try:
            count = self.suspensions.resume(pattern)
        except OSError as error:
            raise TemporarilyUnavailable(f"the suspension cannot be ended: {error}") from error
        if count:
            self._spool.note([Operated(at=now, action="resume", by=by, reason=reason, target=pattern)])
            self.resumed()
        return count

    def resumed(self) -> None:
        """Suspensions may have ended."""
        now = self._reactor.seconds()
        for way, known in list(self._suspended.items()):
            if self.suspensions.find(*way) is None:
                del self._suspended[way]
                self._call_back([way], known)
            elif known.until + SUSPENDED < now:
                # Nothing has asked for it since.
                del self._suspended[way]

    def _watch(self) -> None:
        if self._look is None and not self.is_stopped:
            self._look = self._reactor.callLater(_LOOK, self._looks)

    def _looks(self) -> None:
        self._look = None
        self.resumed()
        if self._suspended:
            self._watch()

    def _forget(self, now: float) -> None:
        """Let go of sites to which nothing came any more."""
        for destination in [one for one, known in self._sites.items() if known.until + SUSPENDED < now]:
            del self._sites[destination]

    # --- on disk ---------------------------------------------------------------

    def _put_off(self, ways: Sequence[Way], obstacle: Obstacle) -> None:
        rest = obstacle.rest
        for way in ways:
            self._calls.pop(way, None)
            self._offs[way] = rest
        self._gather()

    def _call_back(self, ways: Sequence[Way], obstacle: Obstacle) -> None:
        rest = obstacle.rest
        for way in ways:
            self._offs.pop(way, None)
            self._calls[way] = rest
        self._gather()

    def _gather(self) -> None:
        if self._gathering is None and not self._busy and not self.is_stopped:
            self._gathering = self._reactor.callLater(_GATHER, self._begin)

    def _begin(self) -> None:
        self._gathering = None
        self._busy = True

        def done(_: object) -> None:
            self._busy = False
            if self._offs or self._calls:
                self._gather()

        work = Deferred.fromCoroutine(self._change())
        # It is a saving: what was not put off together is put off one by one.
        work.addErrback(lambda failure: self.log.failure("What rests was not put off on disk", failure))
        work.addBoth(done)

    async def _change(self) -> None:
        now = self._reactor.seconds()
        offs, self._offs = self._offs, {}
        calls, self._calls = self._calls, {}
        if offs:
            await self._spool.put_off(offs, now, self.warn_after)
            self._due(min(rest.until for rest in offs.values()))
        if calls and await self._spool.call_back(calls, now, STEP):
            self._due(now)
