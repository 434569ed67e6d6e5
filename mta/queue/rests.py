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


@dataclass(frozen=True, slots=True)
class _Held:
    """What a person lets not go.

    :ivar suspension: said so.
    :ivar obstacle: what those who wait were told.
    """

    suspension: Suspension
    obstacle: Obstacle


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
        self._suspended: dict[Way, _Held] = {}
        # To be put off, and called back, with the next chore.
        self._offs: dict[Way, Rest] = {}
        self._calls: dict[Way, Rest] = {}
        self._busy = False
        self._gathering: Any = None
        self._look: Any = None

    def start(self) -> None:
        """Find out what waits since before this process began because a person said so."""
        if self.suspensions.are_known():
            work = Deferred.fromCoroutine(self._remember())
            # It is a saving: what is not found waits for its time.
            work.addErrback(lambda failure: self.log.failure("What is suspended was not looked for", failure))

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
            return self._held(suspension, way, now)
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

    def _held(self, suspension: Suspension, way: Way, now: float) -> Obstacle:
        held = self._suspended.get(way)
        if held is not None and held.suspension == suspension and held.obstacle.until > now:
            return held.obstacle
        if held is not None and held.suspension != suspension:
            # Those that wait were told of another time, and for another reason.
            self._call_back([way], held.obstacle)
        until = now + SUSPENDED
        if suspension.until:
            until = min(until, suspension.until)
        obstacle = Obstacle(until, until, _reply(suspension))
        self._suspended[way] = _Held(suspension, obstacle)
        self._put_off([way], obstacle)
        self._watch()
        return obstacle

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
        self.resumed()
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
        """Suspensions may have ended, or others have come in their place."""
        now = self._reactor.seconds()
        for way, held in list(self._suspended.items()):
            if self.suspensions.find(*way) != held.suspension:
                del self._suspended[way]
                self._call_back([way], held.obstacle)
            elif held.obstacle.until + SUSPENDED < now:
                # Nothing has asked for it since.
                del self._suspended[way]

    async def _remember(self) -> None:
        """See to those that were put off by an earlier process: it knows no more when they may go."""
        now = self._reactor.seconds()
        beginning = str(RemoteReply.ours(REPLIES.reply("suspended", reason=""))).strip()
        for way, words, until in await self._spool.waiting_with(beginning):
            suspension = self.suspensions.find(*way)
            if suspension is not None and words == str(_reply(suspension)) and until > now:
                held = _Held(suspension, Obstacle(until, until, _reply(suspension)))
                self._suspended.setdefault(way, held)
                self._watch()
            else:
                self._calls[way] = Rest(until, until, words)
                self._gather()

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
            self._offs[way] = rest
            if way in self._calls and self._calls[way].words == rest.words:
                del self._calls[way]
        self._gather()

    def _call_back(self, ways: Sequence[Way], obstacle: Obstacle) -> None:
        rest = obstacle.rest
        for way in ways:
            self._calls[way] = rest
            if way in self._offs and self._offs[way].words == rest.words:
                del self._offs[way]
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


def _reply(suspension: Suspension) -> RemoteReply:
    """What those who wait are told."""
    return RemoteReply.ours(REPLIES.reply("suspended", reason=suspension.reason or "no reason was given"))
