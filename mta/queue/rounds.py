"""What comes of a message's round: outcomes settled, recorded, and told of at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.logger import Logger
from twisted.python.failure import Failure

from mta.interfaces import IFollowUps, ISpool, Result
from mta.model.bounce_data import default_classifier
from mta.model.event import Completed, Event
from mta.model.message import Addressee, Message
from mta.model.outcome import Delivered, Outcome, RemoteReply
from mta.queue.notifier import Notifier
from mta.queue.retry import Schedule
from mta.queue.settlement import Report, Settlement, delivered_event, failed_event, put_off, settle_outcomes
from mta.queue.window import Entry, Job

#: Seconds until what could not be recorded is looked at again.
_AFTER_TROUBLE = 5.0


@dataclass(frozen=True, slots=True)
class Wait:
    """Some addressees of a message that have no turn now.

    :ivar sender: who is told of what becomes of them.
    :ivar due: when they may have one, in seconds since 1970.
    :ivar reply: why they have none.
    """

    addressees: Sequence[Addressee]
    sender: str
    due: float
    reply: RemoteReply


class Rounds:
    """Settles jobs, and knows which records the spool has not confirmed.

    What was delivered or put off is recorded at once; failures and delays when the
    round ends, so that the sender is told of them together.

    :param reactor: gives the time.
    :param spool: keeps what became of a message.
    :param notifier: makes notifications.
    :param log: where trouble is told.
    :param left: told of an entry whose round has ended, and is recorded.
    :param due: told when something is due that was put off.
    :param unrecorded: told when there was an attempt of which nothing is on disk.
    :param admitted: told of notifications after their commit.
    :ivar follow_ups: makes what follows from rules of mailboxes; to be set.
    :ivar records: records that the spool has not confirmed.
    :ivar schedule: when to try again; may be replaced at any time.
    :ivar classifier: says what replies mean; likewise.
    :ivar own_retry: the delays of a job's way, where it has its own; to be set.
    :ivar warn_after: seconds after which a sender is told of a delay; likewise.
    """

    __slots__ = (
        "_admitted",
        "_doubt",
        "_due",
        "_left",
        "_log",
        "_notifier",
        "_reactor",
        "_spool",
        "classifier",
        "follow_ups",
        "own_retry",
        "records",
        "schedule",
        "warn_after",
    )

    def __init__(
        self,
        reactor: Any,
        spool: ISpool,
        notifier: Notifier,
        *,
        log: Logger,
        left: Callable[[Entry], None],
        due: Callable[[float], None],
        unrecorded: Callable[[], None],
        admitted: Callable[[Message], None],
    ) -> None:
        self._reactor = reactor
        self._spool = spool
        self._notifier = notifier
        self._log = log
        self._left = left
        self._due = due
        self._doubt = unrecorded
        self._admitted = admitted
        self.classifier = default_classifier()
        self.follow_ups: IFollowUps | None = None
        self.records = 0
        self.schedule = Schedule([60.0], 0.0, lambda: 0.5)
        self.warn_after = 0.0
        self.own_retry: Callable[[Job], Sequence[float]] = lambda job: ()

    def ended(self, job: Job, outcomes: Sequence[Outcome], now: float) -> None:
        """Settle the outcomes of a job, one for each of its addressees."""
        entry = job.entry
        message = entry.message
        entry.jobs -= 1
        if len(outcomes) == 1 and not entry.jobs and not entry.reports:
            # The way of nearly every message.
            outcome, addressee = outcomes[0], job.addressees[0]
            if type(outcome) is Delivered and "SUCCESS" not in addressee.notify and not outcome.decisions:
                addressee.attempts += 1
                addressee.state = "delivered"
                delivered = delivered_event(message, addressee, outcome.reply, now)
                self._record(entry, [addressee], [delivered], 1)
                return
        destination = job.destination
        settled = settle_outcomes(
            message,
            job.addressees,
            outcomes,
            now,
            job.sender,
            schedule=self._schedule(job),
            warn_after=self.warn_after,
            resume=destination.resume,
            final=getattr(destination.transport, "final", None),
            classify=self.classifier.classify,
        )
        self.settle(entry, settled)

    def put_off(self, entry: Entry, waits: Sequence[Wait], now: float) -> None:
        """Let addressees wait on disk that have no turn; they are not among the jobs, or not any more."""
        settled = Settlement()
        message = entry.message
        for wait in waits:
            verdict = self.classifier.classify(wait.reply, wait.addressees[0].next_hop)
            put_off(
                settled,
                message,
                wait.addressees,
                wait.due,
                now,
                wait.sender,
                reply=wait.reply,
                bounce_class=verdict.name,
                warn_after=self.warn_after,
            )
        self.settle(entry, settled)

    def _schedule(self, job: Job) -> Schedule:
        delays = self.own_retry(job)
        return self.schedule.with_delays(delays) if delays else self.schedule

    def settle(self, entry: Entry, settled: Settlement) -> None:
        """Record what became of a part of the round, and at its end what waited for that."""
        reports = settled.reports
        if entry.reports:
            reports = entry.reports + reports
        if entry.jobs:
            entry.reports = reports
            reports = []
        else:
            entry.reports = None
        reports = reports + settled.successes
        if reports or settled.decisions:
            self._tell(entry, settled, reports)
        elif settled.changed:
            self._record(entry, settled.changed, settled.events, settled.ended)

    # --- telling -----------------------------------------------------------------

    def _tell(self, entry: Entry, settled: Settlement, reports: Sequence[Report]) -> None:
        """Record, with notifications in the same transaction."""
        # The entry must stay, and a stop must wait, until it is recorded.
        entry.records += 1
        self.records += 1

        def failed(failure: Failure) -> None:
            self._log.failure("The end of message {id} was not recorded", failure, id=entry.message.id)
            self._doubt()

        def confirmed(_: None) -> None:
            self._confirmed(entry)

        told = Deferred.fromCoroutine(self._told(entry, settled, reports))
        told.addErrback(failed).addCallback(confirmed)

    async def _told(self, entry: Entry, settled: Settlement, reports: Sequence[Report]) -> None:
        message = entry.message
        changed, ended = settled.changed, settled.ended
        now = self._reactor.seconds()
        try:
            followed = await self._follow(message, settled, now)
        except Exception:
            # On disk it stands as before; what is in the mailbox by now is found there again.
            self._log.failure("What follows from the delivery of {id} could not be made", id=message.id)
            self._doubt()
            self._due(now + _AFTER_TROUBLE)
            return
        try:
            admit, told = await self._notifier.tell(message, reports, now)
        except Exception:
            # A fault of ours: nothing ends without anybody being told, so it is tried later.
            self._log.failure("No notification of {id} could be made", id=message.id)
            for report in reports:
                addressee = report.addressee
                if report.action == "failed":
                    addressee.state = "queued"
                    addressee.due = now + self.schedule.delay(addressee.attempts)
                    changed.append(addressee)
            self._record(entry, changed, settled.events + followed[1], ended, followed[0])
            return
        here = {addressee.number for addressee in changed}
        for report in reports:
            addressee = report.addressee
            if report.action == "failed":
                settled.events.append(failed_event(message, report))
                changed.append(addressee)
                ended += 1
            elif report.action == "delayed":
                addressee.warned = True
                if addressee.number not in here:
                    changed.append(addressee)
        self._record(entry, changed, settled.events + followed[1] + told, ended, followed[0] + admit)

    async def _follow(
        self, message: Message, settled: Settlement, now: float
    ) -> tuple[list[Message], list[Event]]:
        if not settled.decisions or self.follow_ups is None:
            return [], []
        return await self.follow_ups.make(message, settled.decisions, now)

    # --- recording ---------------------------------------------------------------

    def _record(
        self,
        entry: Entry,
        changed: list[Addressee],
        events: list[Event],
        ended: int,
        admit: list[Message] | None = None,
    ) -> None:
        message = entry.message
        entry.waiting -= ended
        complete = not entry.waiting
        if complete:
            now = self._reactor.seconds()
            events.append(Completed(at=now, message=message.id, session=message.client.session))
        entry.records += 1
        self.records += 1
        answer: Any
        try:
            answer = self._spool.record(Result(message.id, changed, complete, events, admit or []))
            if not isinstance(answer, Deferred):
                answer = Deferred.fromCoroutine(answer)
        except Exception:
            answer = fail()
        due = None
        if not complete:
            due = min((one.due for one in changed if one.state == "queued"), default=None)
        answer.addCallbacks(
            self._recorded, self._unrecorded, callbackArgs=(entry, due, admit), errbackArgs=(entry,)
        )

    def _recorded(self, _: None, entry: Entry, due: float | None, admit: list[Message] | None) -> None:
        self._confirmed(entry)
        if due is not None:
            self._due(due)
        if admit:
            for message in admit:
                self._admitted(message)

    def _unrecorded(self, failure: Failure, entry: Entry) -> None:
        # On disk it stands as before, so it is tried again: twice rather than not at all.
        self._log.failure("An attempt of {id} was not recorded", failure, id=entry.message.id)
        self._doubt()
        self._confirmed(entry)
        self._due(self._reactor.seconds() + _AFTER_TROUBLE)

    def _confirmed(self, entry: Entry) -> None:
        entry.records -= 1
        self.records -= 1
        if not entry.jobs and not entry.records:
            self._left(entry)
