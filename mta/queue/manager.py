"""The queue manager: a bounded window of messages in memory, attempts, and what comes of them.

Everything that it knows is on disk as well.  How messages come into the window
is :mod:`mta.queue.filling`'s affair.  A message is in the window for
one round of attempts (:mod:`~mta.queue.window`); what became of each attempt
is recorded at once, but failures wait for the end of the round, so that the
sender is told of them together.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from zope.interface import implementer

from mta.config.settings import Queue
from mta.interfaces import Answer, IEgress, IFollowUps, IQueue, IShaping, ISpool, Route
from mta.model.automation import Automation
from mta.model.bounce import Classifier
from mta.model.bounce_data import default_classifier
from mta.model.catalogue import REPLIES
from mta.model.outcome import RemoteReply
from mta.queue.attempts import Attempts
from mta.queue.automatism import Automatism
from mta.queue.budget import Budgets
from mta.queue.destination import Destination
from mta.queue.destinations import Destinations
from mta.queue.filling import Filling
from mta.queue.notifier import Notifier
from mta.queue.operations import Operations
from mta.queue.rerouting import REROUTE, Rerouting
from mta.queue.rests import Rests
from mta.queue.retry import Schedule
from mta.queue.rounds import Rounds
from mta.queue.sites import sites_of
from mta.queue.suspensions import Suspensions
from mta.queue.tally import Tally
from mta.queue.window import Window

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
    :ivar admitted: delivers a message that was just committed (:class:`~mta.queue.filling.Filling`).
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
        self._filling = filling = Filling(
            reactor, spool, self._window, self._destinations, self._log, uniform
        )
        self.admitted = filling.admitted
        self._rounds = Rounds(
            reactor,
            spool,
            self._notifier,
            log=self._log,
            left=filling.leave,
            due=filling.wake,
            unrecorded=filling.doubt,
            admitted=filling.admitted,
        )
        self._rounds.follow_ups = follow_ups
        suspensions = suspensions or Suspensions(None, reactor.seconds)
        self._rests = Rests(reactor, spool, suspensions, self._destinations.ways_of, filling.wake)
        self._attempts = Attempts(
            reactor,
            self._destinations,
            log=self._log,
            rests=self._rests,
            ended=self._rounds.ended,
            put_off=filling.rests_for,
        )
        self._budgets.ready = self._attempts.reconsider
        self._automatism = Automatism(reactor, self._destinations.lines_of, spool.note)
        self._automatism.ready = self._attempts.reconsider
        self._destinations.made = self._automatism.made
        self._attempts.automatism = self._automatism
        self._destinations.resolved = self._resolved
        self._rounds.own_retry = self._destinations.retry
        self._operations = Operations(filling, reactor, spool, self._notifier)
        filling.join(self._rounds, self._rests, self._attempts, self._operations.busy)
        self._go_by(settings)
        self._read_by(classifier or default_classifier())

    # --- life ------------------------------------------------------------------

    def start(self) -> None:
        """Begin to claim and to deliver."""
        self._rests.start()
        self._filling.start()

    async def stop(self, grace: float) -> None:
        """Start nothing more, wait for what is under way, abandon the rest.

        What is abandoned is in the spool, and is tried again after the next start.

        :param grace: seconds to wait at the most.
        """
        self._filling.stop()
        self._attempts.stop()
        self._rests.stop()
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
        self._filling.refill()

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

    def _resolved(self, destination: Destination) -> None:
        """It is known which site a destination is, so that what waits for it may begin."""
        self._destinations.make_ready(destination)
        self._attempts.turn()

    # --- operating -------------------------------------------------------------------------

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
        return {
            "window": {
                "messages": len(self._window.entries),
                "messages_limit": self._window.messages,
                "octets": self._window.octets,
                "octets_limit": self._window.limit,
                "more_on_disk": self._filling.behind,
            },
            "in_flight": len(self._attempts.running),
            "in_flight_limit": self._attempts.parallel,
            "suspensions": self._rests.suspensions.status(),
            "recording": self._rounds.records,
            "next_claim": self._filling.next_claim,
            "destinations": [one.status(now) for one in busy[:_NAMED]],
        }
