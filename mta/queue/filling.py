"""What comes into the window and leaves it: messages just admitted, and those claimed from the disk.

A fresh message needs no reading.  All others are claimed from the spool in order of due time, when
there is room.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mta.interfaces import ISpool
from mta.model.catalogue import REPLIES
from mta.model.message import Addressee, Message
from mta.model.outcome import RemoteReply
from mta.queue.attempts import Attempts
from mta.queue.chores import SPREAD
from mta.queue.destination import Destination
from mta.queue.destinations import Destinations
from mta.queue.rests import Obstacle, Rests
from mta.queue.rounds import Rounds, Wait
from mta.queue.window import RECIPIENTS, Entry, Job, Window, cost_of, ways

#: Messages claimed at once.
_PAGE = 500
#: Seconds until the spool is asked again where nothing else says when.
_AGAIN = 1.0

_SLOW = RemoteReply.ours(REPLIES.reply("destination-slow"))


class Filling:
    """Fills the window of one shard.

    :param reactor: time and timers.
    :param spool: keeps messages.
    :param window: is filled.
    :param destinations: where messages go.
    :param log: where trouble is told.
    :param uniform: gives a number from 0 to 1, for jitter.
    :ivar behind: whether something may be due on disk that is not in the window.
    """

    def __init__(
        self,
        reactor: Any,
        spool: ISpool,
        window: Window,
        destinations: Destinations,
        log: Logger,
        uniform: Callable[[], float],
    ) -> None:
        self._reactor = reactor
        self._spool = spool
        self._window = window
        self._destinations = destinations
        self._log = log
        self._uniform = uniform
        self._rounds: Rounds
        self._rests: Rests
        self._attempts: Attempts
        self._busy: Mapping[str, int] = {}
        self._started = False
        #: Messages with ids up to this one may have been attempted without our knowing.
        self._doubtful = ""
        self.behind = False
        self._claiming = False
        #: Ids that left the window while a claim was under way: what it read of them is old.
        self._left: set[str] = set()
        self._timer: Any = None
        self._shed_at = 0.0

    def join(self, rounds: Rounds, rests: Rests, attempts: Attempts, busy: Mapping[str, int]) -> None:
        """Work with these, which need this to be made.

        :param rounds: what begins with a message in the window.
        :param rests: where nothing may go now.
        :param attempts: deliver what is in the window.
        :param busy: ids of messages that somebody changes just now.
        """
        self._rounds, self._rests, self._attempts, self._busy = rounds, rests, attempts, busy

    def start(self) -> None:
        """Begin to claim."""
        self.doubt()
        self._started = True
        self.behind = True
        self.refill()

    def stop(self) -> None:
        """Let nothing more in."""
        self._started = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    @property
    def next_claim(self) -> float | None:
        """When the spool is asked next, in seconds since 1970; ``None``: when there is room."""
        timer = self._timer
        return timer.getTime() if timer is not None and timer.active() else None

    # --- into the window ---------------------------------------------------------

    def admitted(self, message: Message) -> None:
        """Deliver a message that was just committed, if there is room; else it is claimed later.

        Never raises: the client is about to be told that the message was taken.
        """
        try:
            self._admit(message)
        except Exception:
            self._log.failure("Message {id} has to be claimed", id=message.id)
            self._fall_behind()

    def _admit(self, message: Message) -> None:
        window = self._window
        if not self._started or message.id in window.entries:
            return
        if message.attributes and message.starts > self._reactor.seconds():
            # Scheduled: claimed when its time has come.
            self.wake(message.starts)
            return
        octets = cost_of(message)
        if not window.has_room(octets) and not self._shed(octets) and not self._makes_room(message, octets):
            self._fall_behind()
            return
        entry = Entry(message, True, octets)
        addressees = message.addressees
        if len(addressees) != 1:
            queued = [addressee for addressee in addressees if addressee.state == "queued"]
            self._spread(entry, queued, self._reactor.seconds())
            return
        addressee = addressees[0]
        if addressee.state != "queued":
            return
        sender = addressee.options.get("sender")
        if sender is None:
            sender = message.envelope.reverse_path
        destination = self._destinations.get(addressee.transport, addressee.next_hop, message, sender)
        now = self._reactor.seconds()
        if destination.queue and not self._has_place(destination, message, octets, now):
            self._fall_behind()
            return
        window.add(entry)
        entry.jobs = 1
        job = Job(entry, destination, addressees, sender, octets)
        entry.parts = (job,)
        self._attempts.put(job)

    def _spread(self, entry: Entry, addressees: list[Addressee], now: float) -> bool:
        """Begin a round; those whose destination has no room wait on disk.

        :return: whether there is anything to do.
        """
        window, message = self._window, entry.message
        found = ways(message, addressees)
        octets = entry.octets // max(1, len(found))
        jobs: list[Job] = []
        waits: list[Wait] = []
        for (name, next_hop, sender, _), group in found.items():
            destination = self._destinations.get(name, next_hop, message, sender)
            if not entry.fresh:
                obstacle = self._rests.find(destination, next_hop, now)
                if obstacle is not None:
                    waits.append(self._wait(obstacle, group, sender))
                    continue
            if not self._has_place(destination, message, octets, now):
                if entry.fresh:
                    # They are due on disk as they stand; to put them off would be one write more.
                    self._fall_behind()
                else:
                    waits.append(Wait(group, sender, destination.slot(now, self._uniform), _SLOW))
                continue
            for start in range(0, len(group), RECIPIENTS):
                jobs.append(Job(entry, destination, group[start : start + RECIPIENTS], sender, octets))
        if not jobs and not waits:
            return False
        window.add(entry)
        # All before any ends: the round ends with the last of them.
        entry.jobs = len(jobs)
        entry.parts = jobs
        if waits:
            self._rounds.put_off(entry, waits, now)
        put = self._attempts.put if entry.fresh else self._attempts.line_up
        for job in jobs:
            put(job)
        return True

    def rests_for(self, job: Job, obstacle: Obstacle, now: float) -> None:
        """Let those of a job wait on disk whose way has an obstacle."""
        job.entry.jobs -= 1
        self._rounds.put_off(job.entry, [self._wait(obstacle, job.addressees, job.sender)], now)

    def _wait(self, obstacle: Obstacle, addressees: Sequence[Addressee], sender: str) -> Wait:
        """Until the obstacle is gone, and not together with all others."""
        return Wait(addressees, sender, obstacle.until + self._uniform() * SPREAD, obstacle.reply)

    def _shed(self, octets: int) -> bool:
        """Give back to the disk what waits for slow destinations beyond their share.

        :return: whether there is room for so many octets now.
        """
        now = self._reactor.seconds()
        if now < self._shed_at:
            return False
        self._shed_at = now + _AGAIN
        window = self._window
        for destination in self._destinations:
            while destination.queue and not destination.has_share(window, 0, now):
                if not self._give_back(destination):
                    break
        return window.has_room(octets)

    def _has_place(self, destination: Destination, message: Message, octets: int, now: float) -> bool:
        """Whether a job may wait at a destination: it has its share, or a sender of many makes way.

        Turns are taken in the window.  Whoever is not in it would stand behind all that another
        has on the disk.
        """
        if destination.has_share(self._window, octets, now):
            return True
        return destination.queue.gives_way(message) and self._give_back(destination)

    def _makes_room(self, message: Message, octets: int) -> bool:
        """The same where the window is full: at its own destination, or where most waits."""
        if len(message.addressees) != 1:
            return False
        addressee = message.addressees[0]
        own = self._destinations.get(addressee.transport, addressee.next_hop)
        most = own if own.queue else max(self._destinations, key=lambda one: len(one.queue))
        while not self._window.has_room(octets):
            if not most.queue.gives_way(message) or not self._give_back(most):
                return False
        return True

    def _give_back(self, destination: Destination) -> bool:
        """Leave the youngest job of whoever has most waiting to the disk, if it is there as it is here."""
        entry = destination.queue.last.entry
        if entry.jobs > 1 or entry.records or entry.reports or entry.ended:
            return False
        # Not by way of leave, which would claim it again before this has ended.
        destination.queue.drop_last()
        self._window.remove(entry)
        if self._claiming:
            self._left.add(entry.message.id)
        self._fall_behind()
        return True

    # --- claiming ------------------------------------------------------------------

    def refill(self) -> None:
        """Claim what is due, unless that is being done."""
        if self._claiming or not self._started:
            return
        self._claiming = True
        self._run(self._claim(), "Messages could not be claimed from the spool")

    async def _claim(self) -> None:
        window, reactor = self._window, self._reactor
        try:
            while self._started:
                if not window.has_room(1) and not self._shed(1):
                    self._fall_behind()
                    return
                self.behind = False
                self._left.clear()
                messages = await self._spool.claim(
                    reactor.seconds(),
                    min(window.free_messages, _PAGE),
                    max(1, window.free_octets),
                    window.entries.keys() | self._busy.keys(),
                )
                if self._attempts.is_stopped:
                    return
                taken = [message.id for message in messages if self._claimed(message)]
                self._attempts.turn()
                if not taken:
                    break
            due = await self._spool.next_due()
            if due is not None:
                # What is in the window is due on disk as well, and hides what is due next.
                self.wake(max(due, reactor.seconds() + _AGAIN))
        except Exception:
            self.behind = True
            self.wake(reactor.seconds() + 5 * _AGAIN)
            raise
        finally:
            self._claiming = False
            self._left.clear()

    def _claimed(self, message: Message) -> bool:
        """Begin a round for a message from the disk; ``False`` if what was read is old."""
        identifier = message.id
        if identifier in self._window.entries or identifier in self._left or identifier in self._busy:
            return False
        now = self._reactor.seconds()
        due = [one for one in message.addressees if one.state == "queued" and one.due <= now]
        doubtful = identifier <= self._doubtful
        return self._spread(Entry(message, False, cost_of(message), doubtful), due, now)

    def doubt(self) -> None:
        """Have every message that there is looked for before it is delivered again."""
        self._doubtful = self._spool.new_id()

    def _fall_behind(self) -> None:
        """Something is due on disk for which there is no room in the window now."""
        self.behind = True
        self.wake(self._reactor.seconds() + _AGAIN)

    def wake(self, due: float) -> None:
        """See to it that the spool is asked at this time, or before."""
        if not self._started:
            return
        timer = self._timer
        if timer is None or not timer.active():
            delay = max(0.0, due - self._reactor.seconds())
            self._timer = self._reactor.callLater(delay, self.refill)
        elif due < timer.getTime():
            timer.reset(max(0.0, due - self._reactor.seconds()))

    def leave(self, entry: Entry) -> None:
        """A round has ended."""
        window = self._window
        window.remove(entry)
        if self._claiming:
            self._left.add(entry.message.id)
        if entry.ended is not None:
            entry.ended.callback(None)
        if self.behind and not self._claiming and self._started:
            if window.free_messages * 4 >= window.messages and window.free_octets * 4 >= window.limit:
                self.refill()
            else:
                self.wake(self._reactor.seconds() + _AGAIN)

    # --- changes by hand -------------------------------------------------------------

    def interrupt(self, identifier: str) -> Deferred[None] | None:
        """End what can be ended of a message's round; answers when it has, if that takes time."""
        entry = self._window.entries.get(identifier)
        if entry is None:
            return None
        for job in entry.parts:
            if job.destination.queue.withdraw(job):
                entry.jobs -= 1
        if not entry.jobs and not entry.records:
            self.leave(entry)
            return None
        ended: Deferred[None] = Deferred()
        if entry.ended is None:
            entry.ended = Deferred()
        entry.ended.addCallback(ended.callback)
        return ended

    def probe(self, addressees: Sequence[Addressee] | None) -> None:
        """Try destinations that rest, of these or of everybody."""
        if addressees is None:
            known = list(self._destinations)
        else:
            known = [it for one in addressees for it in self._destinations.peek(one.transport, one.next_hop)]
        for destination in known:
            destination.reached(by_hand=True)
            self._destinations.make_ready(destination)
        self._attempts.turn()

    def changed(self, identifier: str, admitted: Sequence[Message]) -> None:
        """A message on disk may be another now, and these were admitted with that."""
        if self._claiming:
            self._left.add(identifier)
        for message in admitted:
            self.admitted(message)
        self.look()

    def look(self) -> None:
        """Something may be due that was not."""
        self.behind = True
        self.wake(self._reactor.seconds())

    def _run(self, coroutine: Coroutine[Any, Any, None], trouble: str, **facts: Any) -> None:
        """Run to the end, and log what it raises."""

        def failed(failure: Failure) -> None:
            self._log.failure(trouble, failure, **facts)

        Deferred.fromCoroutine(coroutine).addErrback(failed)
