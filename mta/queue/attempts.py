"""Deliveries under way: begun one destination after the other, as many as may be, and ended somehow."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from mta.interfaces import Delivery
from mta.model.bounce import Classification
from mta.model.bounce_data import default_classifier
from mta.model.catalogue import REPLIES
from mta.model.outcome import Delivered, Failed, Outcome, Postponed, RemoteReply
from mta.model.reply import Reply
from mta.queue.automatism import Automatism
from mta.queue.destination import Destination, is_unreachable
from mta.queue.destinations import Destinations
from mta.queue.rests import Obstacle, Rests
from mta.queue.window import Job

#: Deliveries begun in one turn of the reactor, so that it gets around to the network.
_TURN = 50
#: Seconds after which an attempt is given up.  Every transport has shorter times of its own, so
#: one that has not answered by then has forgotten it, and would hold the message for ever.
FORGOTTEN = 6 * 3600.0
#: Seconds between two looks for such.
_LOOK_EVERY = 600.0


class Attempts:
    """Runs jobs.

    :param reactor: time and timers.
    :param destinations: where jobs wait.
    :param log: where trouble is told.
    :param rests: knows where nothing goes.
    :param ended: told of each job that ended, with one outcome for each addressee, and
        the time.
    :param put_off: told of each job that was not begun, because of an obstacle, and the time.
    :ivar automatism: lets rules have their effect on sites; to be set.
    :ivar classifier: says what replies mean; to be set.
    :ivar parallel: deliveries under way at once, over all destinations; to be set.
    :ivar first_pause: seconds for which a destination that is down rests at first; likewise.
    :ivar running: jobs under way.
    :ivar is_stopped: whether nothing is begun any more.
    """

    __slots__ = (
        "_alarms",
        "_destinations",
        "_ended",
        "_log",
        "_pumping",
        "_put_off",
        "_reactor",
        "_rests",
        "_turn",
        "_watch",
        "automatism",
        "classifier",
        "first_pause",
        "is_stopped",
        "parallel",
        "running",
    )

    def __init__(
        self,
        reactor: Any,
        destinations: Destinations,
        *,
        log: Logger,
        rests: Rests,
        ended: Callable[[Job, Sequence[Outcome], float], None],
        put_off: Callable[[Job, Obstacle, float], None],
    ) -> None:
        self._reactor = reactor
        self._destinations = destinations
        self._log = log
        self._rests = rests
        self._ended = ended
        self._put_off = put_off
        self._pumping = False
        self._turn: Any = None
        self._watch: Any = None
        # Destinations that wait for their rates.
        self._alarms: set[Destination] = set()
        self.automatism: Automatism | None = None
        self.classifier = default_classifier()
        self.parallel = 1
        self.first_pause = 60.0
        self.running: set[Job] = set()
        self.is_stopped = False

    def stop(self) -> None:
        """Begin nothing more."""
        self.is_stopped = True
        for destination in list(self._alarms):
            self._silence(destination)
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def abandon(self) -> None:
        """Break off what is under way; what comes of it is not told any more."""
        abandoned = list(self.running)
        self.running.clear()
        for job in abandoned:
            if job.attempt is not None:
                job.attempt.cancel()

    def put(self, job: Job) -> None:
        """Begin a job if its destination is free, else let it wait."""
        destination = job.destination
        if (
            destination.queue
            or destination.running >= destination.limit
            or destination.is_metered
            or len(self.running) >= self.parallel
            or self._pumping
            or self.is_stopped
        ):
            self.line_up(job)
            if self._destinations.ready and self._turn is None:
                self.pump()
        else:
            self._begin(job)

    def line_up(self, job: Job) -> None:
        """Let a job wait for its turn; :meth:`pump` is to follow."""
        destination = job.destination
        destination.put(job)
        waits = destination.alarm is not None and destination.gates is not None
        if waits and destination.wait_of(job, self._reactor.seconds()) <= 0.0:
            # What waits for its rate does not hold up what has another.
            self._silence(destination)
        self._destinations.make_ready(destination)

    def reconsider(self) -> None:
        """Limits may be others now: begin what they let begin."""
        for destination in list(self._alarms):
            self._silence(destination)
        for destination in self._destinations:
            self._destinations.make_ready(destination)
        self.pump()

    def turn(self) -> None:
        """Begin what can be begun, unless a turn of the reactor is awaited for that."""
        if self._turn is None:
            self.pump()

    def pump(self) -> None:
        """Begin what can be begun, one for each destination in turn."""
        if self._pumping or self.is_stopped:
            return
        if self._turn is not None:
            if self._turn.active():
                self._turn.cancel()
            self._turn = None
        destinations = self._destinations
        ready, running = destinations.ready, self.running
        budget = _TURN
        self._pumping = True
        try:
            while ready and budget and len(running) < self.parallel:
                destination = ready.popleft()
                destination.ready = False
                if destination.queue and destination.running < destination.limit:
                    if destination.is_metered and self._waits(destination):
                        continue
                    budget -= 1
                    job = destination.take()
                    if destination.is_metered:
                        destination.passed(self._reactor.seconds(), job)
                    self._begin(job)
                    destinations.make_ready(destination)
        finally:
            self._pumping = False
        if ready and not budget:
            self._turn = self._reactor.callLater(0.0, self.pump)

    def _waits(self, destination: Destination) -> bool:
        """Whether a rate lets nothing begin just now; then it will be ready when one does."""
        now = self._reactor.seconds()
        wait = destination.wait(now)
        if wait <= 0.0:
            return False
        destination.alarm = self._reactor.callLater(wait, self._rings, destination)
        self._alarms.add(destination)
        return True

    def _silence(self, destination: Destination) -> None:
        destination.alarm.cancel()
        destination.alarm = None
        self._alarms.discard(destination)

    def _rings(self, destination: Destination) -> None:
        destination.alarm = None
        self._alarms.discard(destination)
        self._destinations.make_ready(destination)
        self.turn()

    # --- one attempt -----------------------------------------------------------

    def _begin(self, job: Job) -> None:
        destination = job.destination
        now = self._reactor.seconds()
        budget = destination.budget
        if budget is not None and budget.is_spent(now) and self._goes_elsewhere(job, now):
            return
        obstacle = self._rests.find(destination, job.addressees[0].next_hop, now)
        if obstacle is not None:
            self._put_off(job, obstacle, now)
            if destination.queue:
                self._destinations.make_ready(destination)
            return
        if budget is not None:
            budget.take(now)
        destination.began(now)
        self._destinations.doubt(destination, now)
        job.began = now
        self.running.add(job)
        transport = destination.transport
        if transport is None:
            reply = REPLIES.reply("transport-missing", transport=destination.name)
            self._finish(job, _postponed(job, reply))
            return
        entry = job.entry
        addressees = job.addressees
        repeat = entry.doubtful or any(addressee.attempts for addressee in addressees)
        try:
            sender = addressees[0].options.get("return_path", job.sender)
            attempt = transport.deliver(
                Delivery(entry.message, addressees, sender, repeat, destination.source)
            )
            if not isinstance(attempt, Deferred):
                attempt = Deferred.fromCoroutine(attempt if hasattr(attempt, "send") else _awaited(attempt))
        except Exception:
            self._broke(Failure(), job)
            return
        job.attempt = attempt
        attempt.addCallbacks(self._came, self._broke, callbackArgs=(job,), errbackArgs=(job,))
        if self._watch is None and job.attempt is not None and not self.is_stopped:
            self._watch = self._reactor.callLater(_LOOK_EVERY, self._look)

    def _goes_elsewhere(self, job: Job, now: float) -> bool:
        """Let another source of the pool take what one cannot send today that warms up."""
        hop = job.addressees[0].next_hop
        other = self._destinations.get(job.destination.name, hop, job.entry.message, job.sender)
        if other is job.destination or (other.budget is not None and other.budget.is_spent(now)):
            return False
        if job.destination.queue:
            self._destinations.make_ready(job.destination)
        job.destination = other
        self.put(job)
        return True

    def _look(self) -> None:
        """Give up what no transport will ever answer for."""
        self._watch = None
        begun = self._reactor.seconds() - FORGOTTEN
        for job in [job for job in self.running if job.began <= begun]:
            attempt = job.attempt
            self._trouble(job, Failure(TimeoutError(f"there was no answer for {FORGOTTEN:.0f} s")))
            attempt.cancel()
        if self.running and self._watch is None:
            self._watch = self._reactor.callLater(_LOOK_EVERY, self._look)

    def _broke(self, failure: Failure, job: Job) -> None:
        if job not in self.running:
            return
        self._trouble(job, failure)

    def _came(self, outcomes: Any, job: Job) -> None:
        if job not in self.running:
            return
        if not _are_outcomes(outcomes, len(job.addressees)):
            try:
                raise TypeError(f"{len(job.addressees)} outcomes were to come, and it was {outcomes!r:.200}")
            except TypeError:
                self._trouble(job, Failure())
            return
        destination = job.destination
        first = outcomes[0]
        if type(first) is Postponed and is_unreachable(outcomes):
            now = self._reactor.seconds()
            destination.missed(now, first.reply, self.first_pause)
            if destination.budget is not None:
                destination.budget.refund(now)
        elif destination.is_suspect:
            destination.reached()
        self._finish(job, outcomes)

    def _trouble(self, job: Job, failure: Failure) -> None:
        name = job.destination.name
        self._log.failure(
            "The transport {transport} failed with message {id}",
            failure,
            transport=name,
            id=job.entry.message.id,
        )
        self._finish(job, _postponed(job, REPLIES.reply("transport-trouble", transport=name)))

    def _finish(self, job: Job, outcomes: Sequence[Outcome]) -> None:
        now = self._reactor.seconds()
        destination = job.destination
        self.running.discard(job)
        job.attempt = None
        destination.ended(now)
        self._hear(job, outcomes, now)
        self._rests.heard(destination, now)
        self._ended(job, outcomes, now)
        destinations = self._destinations
        if destination.queue:
            destinations.make_ready(destination)
        if destinations.ready and not self._pumping and self._turn is None:
            self.pump()

    def _hear(self, job: Job, outcomes: Sequence[Outcome], now: float) -> None:
        """Tell a site what it said to a delivery, and what that means."""
        destination = job.destination
        said: list[tuple[RemoteReply, Classification]] = []
        last: RemoteReply | None = None
        for outcome in outcomes:
            reply = outcome.reply
            if isinstance(outcome, Delivered) or reply is last or not reply.host:
                continue
            last = reply
            said.append((reply, self.classifier.classify(reply, destination.next_hop)))
        rests = destination.heard(outcomes, said, now)
        if said and self.automatism is not None:
            self.automatism.heard(job, said, now)
        if rests is not None:
            self._log.warn(
                "{site} takes nothing from here and is left alone for {minutes:.0f} minutes: {reply}",
                site=destination.site or destination.next_hop,
                minutes=(destination.advised_until - now) / 60,
                reply=str(rests),
            )


async def _awaited(answer: Awaitable[Sequence[Outcome]]) -> Sequence[Outcome]:
    return await answer


def _are_outcomes(found: Any, count: int) -> bool:
    if not isinstance(found, list | tuple) or len(found) != count:
        return False
    return all(isinstance(one, Delivered | Postponed | Failed) for one in found)


def _postponed(job: Job, reply: Reply) -> list[Outcome]:
    outcome = Postponed(RemoteReply.ours(reply))
    return [outcome] * len(job.addressees)
