"""The queue manager: a bounded window of messages in memory, attempts, and what comes of them.

Everything that it knows is on disk as well.  A fresh message comes by
:meth:`Manager.admitted` and needs no reading; all others are claimed from the
spool in order of due time when there is room.  A message is in the window for
one round of attempts (:mod:`~mta.queue.window`); what became of each attempt
is recorded at once, but failures wait for the end of the round, so that the
sender is told of them together.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from mta.config.settings import Queue
from mta.interfaces import Answer, IEgress, IFollowUps, IQueue, IShaping, ISpool, Route
from mta.model.automation import Automation
from mta.model.bounce import Classifier
from mta.model.bounce_data import default_classifier
from mta.model.catalogue import REPLIES
from mta.model.message import Addressee, Message
from mta.model.outcome import RemoteReply
from mta.queue.attempts import Attempts
from mta.queue.automatism import Automatism
from mta.queue.budget import Budgets
from mta.queue.chores import SPREAD
from mta.queue.destination import Destination
from mta.queue.destinations import Destinations
from mta.queue.notifier import Notifier
from mta.queue.operations import Operations
from mta.queue.rerouting import REROUTE, Rerouting
from mta.queue.rests import Obstacle, Rests
from mta.queue.retry import Schedule
from mta.queue.rounds import Rounds, Wait
from mta.queue.sites import sites_of
from mta.queue.suspensions import Suspensions
from mta.queue.tally import Tally
from mta.queue.window import RECIPIENTS, Entry, Job, Window, cost_of, ways

T = TypeVar("T")

#: Messages claimed at once.
_PAGE = 500
#: Seconds until the spool is asked again where nothing else says when.
_AGAIN = 1.0
#: Destinations that the status names.
_NAMED = 100

_SLOW = RemoteReply.ours(REPLIES.reply("destination-slow"))


@implementer(IQueue)
class Manager:
    """Delivers what one shard's spool holds.

    :param reactor: time and timers.
    :param spool: keeps messages (:class:`~mta.interfaces.ISpool`).
    :param transports: by name.  A transport may have an attribute ``final``: whether what
        it delivers is in the mailbox; without it, it is if no other host answered.
    :param settings: the ``[queue]`` table.
    :param hostname: our name, for notifications.
    :param route: finds routes for notifications, as a router does.
    :param shaping: what destinations are given at the most; ``None``: what transports allow.
    :param egress: from which addresses messages leave; ``None``: that is the transports' own affair.
    :param tally: counts what sources send that warm up; ``None``: in this process only.
    :param suspensions: where a person lets nothing go; ``None``: known to this process only.
    :param log: where trouble is told.
    :param run_in_thread: ``(callable, *args) -> Deferred``, for reading content from
        files; the reactor's own pool by default.
    :param classifier: says what replies mean; that which comes with the program by default.
    :param uniform: gives a number from 0 to 1, for jitter.
    :param sign: see :class:`~mta.queue.notifier.Notifier`.
    :param follow_ups: makes what follows from rules of mailboxes.
    """

    def __init__(
        self,
        reactor: Any,
        spool: ISpool,
        transports: Mapping[str, Any],
        settings: Queue,
        *,
        hostname: str,
        route: Callable[[str], Answer[Sequence[Route] | None]],
        shaping: IShaping | None = None,
        egress: IEgress | None = None,
        tally: Tally | None = None,
        suspensions: Suspensions | None = None,
        log: Logger | None = None,
        run_in_thread: Callable[..., Awaitable[Any]] | None = None,
        classifier: Classifier | None = None,
        uniform: Callable[[], float] = random.random,
        sign: Callable[[bytes, float], Answer[bytes]] = lambda data, now: b"",
        follow_ups: IFollowUps | None = None,
    ) -> None:
        self._reactor = reactor
        self._spool = spool
        self._route = route
        self._log = log or Logger()
        self._uniform = uniform
        self._window = Window(settings.window_messages, settings.window_octets)
        self._destinations = Destinations(reactor, self._with_rerouting(transports), shaping, egress)
        run_in_thread = run_in_thread or self._in_pool
        self._budgets = self._destinations.budgets = Budgets(reactor, tally or Tally(), run_in_thread)
        self._notifier = Notifier(
            hostname=hostname,
            new_id=spool.new_id,
            route=route,
            run_in_thread=run_in_thread,
            settings=settings,
            sign=sign,
        )
        self._rounds = Rounds(
            reactor,
            spool,
            self._notifier,
            log=self._log,
            left=self._leave,
            due=self._wake,
            unrecorded=self._doubt,
            admitted=self.admitted,
        )
        self._rounds.follow_ups = follow_ups
        suspensions = suspensions or Suspensions(None, reactor.seconds)
        self._rests = Rests(reactor, spool, suspensions, self._destinations.ways_of, self._wake)
        self._attempts = Attempts(
            reactor,
            self._destinations,
            log=self._log,
            rests=self._rests,
            ended=self._rounds.ended,
            put_off=self._rests_for,
        )
        self._budgets.ready = self._attempts.reconsider
        self._automatism = Automatism(reactor, self._destinations.lines_of, spool.note)
        self._automatism.ready = self._attempts.reconsider
        self._destinations.made = self._automatism.made
        self._attempts.automatism = self._automatism
        self._destinations.resolved = self._resolved
        self._rounds.own_retry = self._destinations.retry
        self._operations = Operations(self, reactor, spool, self._notifier)
        self._started = False
        #: Messages with ids up to this one may have been attempted without our knowing.
        self._doubtful = ""
        #: Whether something may be due on disk that is not in the window.
        self._behind = False
        self._claiming = False
        #: Ids that left the window while a claim was under way: what it read of them is old.
        self._left: set[str] = set()
        self._timer: Any = None
        self._shed_at = 0.0
        self._go_by(settings)
        self._read_by(classifier or default_classifier())

    # --- life ------------------------------------------------------------------

    def start(self) -> None:
        """Begin to claim and to deliver."""
        self._doubt()
        self._started = True
        self._behind = True
        self._refill()

    async def stop(self, grace: float) -> None:
        """Start nothing more, wait for what is under way, abandon the rest.

        What is abandoned is in the spool, and is tried again after the next start.

        :param grace: seconds to wait at the most.
        """
        self._started = False
        self._attempts.stop()
        self._rests.stop()
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        until = self._reactor.seconds() + grace
        while (self._attempts.running or self._rounds.records) and self._reactor.seconds() < until:
            moment: Deferred[None] = Deferred()
            self._reactor.callLater(min(0.05, grace), moment.callback, None)
            await moment
        self._attempts.abandon()
        self._automatism.stop()
        await self._budgets.stop()

    def replace(
        self, settings: Queue, transports: Mapping[str, Any], classifier: Classifier | None = None
    ) -> None:
        """Go by these from now on; what is under way ends as it began."""
        self._go_by(settings)
        if classifier is not None:
            self._read_by(classifier)
        self._destinations.replace(self._with_rerouting(transports))
        self._attempts.reconsider()
        self._refill()

    def automate(self, rules: Sequence[Automation]) -> None:
        """Let replies have these effects on sites from now on."""
        self._automatism.use(rules)

    def _go_by(self, settings: Queue) -> None:
        self._rounds.schedule = Schedule(settings.retry, settings.jitter, self._uniform)
        self._rounds.warn_after = self._rests.warn_after = settings.warn_after
        self._notifier.settings = settings
        self._window.messages = settings.window_messages
        self._window.limit = settings.window_octets
        self._attempts.parallel = max(64, settings.window_messages // 2)
        self._attempts.first_pause = settings.retry[0]

    def _read_by(self, classifier: Classifier) -> None:
        self._rounds.classifier = classifier
        self._attempts.classifier = classifier

    def _with_rerouting(self, transports: Mapping[str, Any]) -> dict[str, Any]:
        return {REROUTE: Rerouting(self._route, transports), **transports}

    def _in_pool(self, function: Callable[..., T], *arguments: Any) -> Deferred[T]:
        return deferToThreadPool(self._reactor, self._reactor.getThreadPool(), function, *arguments)

    def _run(self, coroutine: Coroutine[Any, Any, None], trouble: str, **facts: Any) -> None:
        """Run to the end, and log what it raises."""

        def failed(failure: Failure) -> None:
            self._log.failure(trouble, failure, **facts)

        Deferred.fromCoroutine(coroutine).addErrback(failed)

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
            self._wake(message.starts)
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

    def _resolved(self, destination: Destination) -> None:
        """It is known which site a destination is, so that what waits for it may begin."""
        self._destinations.make_ready(destination)
        self._attempts.turn()

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

    def _rests_for(self, job: Job, obstacle: Obstacle, now: float) -> None:
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
        # Not by way of _leave, which would claim it again before this has ended.
        destination.queue.drop_last()
        self._window.remove(entry)
        if self._claiming:
            self._left.add(entry.message.id)
        self._fall_behind()
        return True

    # --- claiming ------------------------------------------------------------------

    def _refill(self) -> None:
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
                self._behind = False
                self._left.clear()
                messages = await self._spool.claim(
                    reactor.seconds(),
                    min(window.free_messages, _PAGE),
                    max(1, window.free_octets),
                    window.entries.keys() | self._operations.busy.keys(),
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
                self._wake(max(due, reactor.seconds() + _AGAIN))
        except Exception:
            self._behind = True
            self._wake(reactor.seconds() + 5 * _AGAIN)
            raise
        finally:
            self._claiming = False
            self._left.clear()

    def _claimed(self, message: Message) -> bool:
        """Begin a round for a message from the disk; ``False`` if what was read is old."""
        identifier = message.id
        busy = self._operations.busy
        if identifier in self._window.entries or identifier in self._left or identifier in busy:
            return False
        now = self._reactor.seconds()
        due = [one for one in message.addressees if one.state == "queued" and one.due <= now]
        doubtful = identifier <= self._doubtful
        return self._spread(Entry(message, False, cost_of(message), doubtful), due, now)

    def _doubt(self) -> None:
        """Have every message that there is looked for before it is delivered again."""
        self._doubtful = self._spool.new_id()

    def _fall_behind(self) -> None:
        """Something is due on disk for which there is no room in the window now."""
        self._behind = True
        self._wake(self._reactor.seconds() + _AGAIN)

    def _wake(self, due: float) -> None:
        """See to it that the spool is asked at this time, or before."""
        if not self._started:
            return
        timer = self._timer
        if timer is None or not timer.active():
            delay = max(0.0, due - self._reactor.seconds())
            self._timer = self._reactor.callLater(delay, self._refill)
        elif due < timer.getTime():
            timer.reset(max(0.0, due - self._reactor.seconds()))

    def _leave(self, entry: Entry) -> None:
        """A round has ended."""
        window = self._window
        window.remove(entry)
        if self._claiming:
            self._left.add(entry.message.id)
        if entry.ended is not None:
            entry.ended.callback(None)
        if self._behind and not self._claiming and self._started:
            if window.free_messages * 4 >= window.messages and window.free_octets * 4 >= window.limit:
                self._refill()
            else:
                self._wake(self._reactor.seconds() + _AGAIN)

    # --- operating -------------------------------------------------------------------------

    def interrupt(self, identifier: str) -> Deferred[None] | None:
        """End what can be ended of a message's round; answers when it has, if that takes time."""
        entry = self._window.entries.get(identifier)
        if entry is None:
            return None
        for job in entry.parts:
            if job.destination.queue.withdraw(job):
                entry.jobs -= 1
        if not entry.jobs and not entry.records:
            self._leave(entry)
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
        self._behind = True
        self._wake(self._reactor.seconds())

    async def hold(self, ids: Sequence[str], by: str, reason: str = "") -> int:
        """Keep from being delivered until released; answers how many were."""
        return await self._operations.hold(ids, by, reason)

    async def release(self, ids: Sequence[str], by: str, reason: str = "") -> int:
        """End a hold; due at once."""
        return await self._operations.release(ids, by, reason)

    async def retry(self, ids: Sequence[str], by: str, reason: str = "") -> int:
        """Due at once."""
        return await self._operations.retry(ids, by, reason)

    async def reschedule(self, ids: Sequence[str], by: str, at: float, reason: str = "") -> int:
        """Give another time, which has not come."""
        if at <= self._reactor.seconds():
            raise ValueError("this time has passed")
        return await self._operations.reschedule(ids, by, at, reason)

    async def move(self, ids: Sequence[str], by: str, transport: str, next_hop: str, reason: str = "") -> int:
        """Send another way, at once if it is not held; ``""`` leaves the transport as it is."""
        if transport and transport not in self._destinations.transports:
            known = ", ".join(sorted(self._destinations.transports))
            raise ValueError(f"there is no transport {transport!r}, but {known}")
        return await self._operations.move(ids, by, transport, next_hop, reason)

    async def bounce(self, ids: Sequence[str], by: str, reason: str) -> int:
        """Fail for good; the sender is told."""
        return await self._operations.bounce(ids, by, reason)

    async def flush(self, by: str) -> int:
        """Everything that waits for a retry is due at once."""
        return await self._operations.flush(by)

    async def remove(self, ids: Sequence[str], by: str, reason: str = "", notify: bool = False) -> int:
        """Take out of the queue; with ``notify`` the sender is told."""
        return await self._operations.remove(ids, by, reason, notify)

    async def suspend(self, pattern: str, by: str, reason: str = "", until: float = 0.0) -> int:
        """Let nothing go to destinations, in all workers, until this time or :meth:`resume`."""
        return self._rests.suspend(pattern.lower(), by, reason, until)

    async def resume(self, pattern: str, by: str, reason: str = "") -> int:
        """End a suspension; answers how many there were."""
        return self._rests.resume(pattern.lower(), by, reason)

    async def sites(self, ways: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Sequence[str]]:
        """Names of the hosts behind next hops, by transport and next hop."""
        return await sites_of(self._destinations.transports, ways, self._reactor)

    def status(self) -> dict[str, Any]:
        """Numbers about the window in memory, JSON values."""
        now = self._reactor.seconds()
        busy = [one for one in self._destinations if one.is_of_interest(now)]
        busy.sort(key=lambda one: len(one.queue) + one.running, reverse=True)
        timer = self._timer
        return {
            "window": {
                "messages": len(self._window.entries),
                "messages_limit": self._window.messages,
                "octets": self._window.octets,
                "octets_limit": self._window.limit,
                "more_on_disk": self._behind,
            },
            "in_flight": len(self._attempts.running),
            "in_flight_limit": self._attempts.parallel,
            "suspensions": self._rests.suspensions.status(),
            "recording": self._rounds.records,
            "next_claim": timer.getTime() if timer is not None and timer.active() else None,
            "destinations": [one.status(now) for one in busy[:_NAMED]],
        }
