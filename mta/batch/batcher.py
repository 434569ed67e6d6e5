"""Batches from the request to the last message, across a worker that dies in between.

The record with all queue ids is on disk first.  Then messages are taken; when all are on disk, or are
refused for good, the record is closed.  A worker that starts finds what is open, asks the journal which
of the queue ids are there, and takes the rest: whoever has his message does not get it twice, and who
has not does.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from mta.batch.acceptance import Acceptance, Progress
from mta.batch.plan import Person, Plan, Trouble
from mta.interfaces import TemporarilyUnavailable
from mta.registry.batches import Batch, Batches
from mta.template.problem import TemplateError

#: Seconds after which those are tried again who could not be taken.
_AGAIN = 60.0
#: Seconds for which they are.
_LONGEST = 86400.0
#: Seconds for which another worker is waited for that is at a batch, and between two looks.
_OTHERS, _LOOK = 60.0, 0.2
#: Troubles that are kept of one batch, and shown.
MOST_TROUBLES = 10_000

#: From queue ids, those of messages that were accepted.
Accepted = Callable[[Collection[str]], Awaitable[Collection[str]]]


@dataclass(slots=True)
class Outcome:
    """What became of a batch so far.

    :ivar taken: places of those whose message is on disk.
    :ivar troubles: of those who get nothing.
    :ivar left: who is to be tried again.
    """

    taken: set[int] = field(default_factory=set)
    troubles: list[Trouble] = field(default_factory=list)
    left: list[Person] = field(default_factory=list)

    def add(self, progress: Progress) -> None:
        """Take what one more attempt gave."""
        self.taken.update(progress.taken)
        self.troubles = sorted([*self.troubles, *progress.troubles], key=lambda one: one.place)
        self.left = progress.left

    def facts(self, total: int) -> dict[str, Any]:
        """What is told, JSON values."""
        suppressed = sum(one.kind == "suppressed" for one in self.troubles)
        return {
            "total": total,
            "accepted": len(self.taken),
            "suppressed": suppressed,
            "refused": len(self.troubles) - suppressed,
            "waiting": len(self.left),
            "errors": [one.told() for one in self.troubles[:MOST_TROUBLES]],
        }

    def people(self, plan: Plan) -> list[list[str]]:
        """Of each recipient the queue id, the address, and the state."""
        kinds = {one.place: one.kind for one in self.troubles}
        found = [(one.place, one.id, one.email) for one in plan.people]
        known = {one.place for one in plan.people}
        found += [(one.place, "", one.email) for one in self.troubles if one.place not in known]
        done = "scheduled" if plan.release else "queued"
        states = {"suppressed": "suppressed"}
        return [
            [
                identifier,
                email,
                done
                if place in self.taken
                else states.get(kinds[place], "refused")
                if place in kinds
                else "waiting",
            ]
            for place, identifier, email in sorted(found)
        ]


class Batcher:
    """Takes batches, and goes on with them.

    :param reactor: the reactor.
    :param shard: of this worker.
    :param batches: keeps them.
    :param acceptance: takes their messages.
    :param accepted: asks the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param skip_ids: makes new queue ids larger than one that is promised.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        shard: int,
        batches: Batches,
        acceptance: Acceptance,
        accepted: Accepted,
        run_in_thread: Callable[..., Awaitable[Any]],
        skip_ids: Callable[[str], None] = lambda identifier: None,
    ) -> None:
        self._reactor = reactor
        self._shard = shard
        self._batches = batches
        self._acceptance = acceptance
        self._accepted = accepted
        self._run = run_in_thread
        self._skip_ids = skip_ids
        self._waiting: dict[str, list[Deferred[None]]] = {}
        self._later: set[Any] = set()
        self._stopping = False

    async def rehearse(self, plan: Plan, troubles: Sequence[Trouble]) -> Outcome:
        """What would become of a batch.

        :param troubles: that are known already.
        :raise TemplateError: if the template is wrong.
        """
        outcome = Outcome(troubles=list(troubles))
        outcome.add(await self._acceptance.run(plan, plan.people, dry=True))
        return outcome

    async def take(self, plan: Plan, troubles: Sequence[Trouble]) -> Outcome:
        """Take a batch; answers when all its messages are on disk, but for those that wait.

        What is begun goes on, whether anybody waits for the answer or not.

        :raise TemporarilyUnavailable: if it cannot be kept; then nothing was taken.
        """
        total = len(plan.people) + len(troubles)
        facts = {**Outcome(troubles=list(troubles)).facts(total), "waiting": len(plan.people)}
        batch = Batch(plan.tenant, plan.batch, self._shard, self._reactor.seconds(), True, facts)
        answer: Deferred[Outcome] = Deferred()
        # Apart from who waits: a client that goes away must not leave it half done.
        Deferred.fromCoroutine(self._begun(batch, plan, Outcome(troubles=list(troubles)))).addCallbacks(
            answer.callback, answer.errback
        )
        return await answer

    async def _begun(self, batch: Batch, plan: Plan, outcome: Outcome) -> Outcome:
        self._waiting[batch.id] = []
        try:
            await self._batches.begin(batch, await self._run(plan.encode))
        except BaseException:
            for turn in self._waiting.pop(batch.id):
                turn.callback(None)
            raise
        return await self._go_on(batch, plan, outcome, plan.people)

    async def ended(self, identifier: str) -> None:
        """Wait until nothing is done for a batch any more."""
        if identifier in self._waiting:
            turn: Deferred[None] = Deferred()
            self._waiting[identifier].append(turn)
            await turn

    async def settled(self, tenant: str, identifier: str) -> Batch:
        """A batch, once all of it was tried, in whichever worker; after a while, as it is.

        :raise NoBatch: if there is none.
        """
        until = self._reactor.seconds() + _OTHERS
        while True:
            await self.ended(identifier)
            batch = await self._batches.get(tenant, identifier)
            tried = not batch.open or await self._batches.people(tenant, identifier)
            if tried or self._stopping or self._reactor.seconds() > until:
                return batch
            # Another worker is at it, or will be when it has started.
            await deferLater(self._reactor, _LOOK)

    async def promised(self) -> None:
        """Keep the queue ids of what is left from being given to others: a clock may be set back."""
        for _, octets in await self._batches.left(self._shard):
            plan = await self._run(Plan.decode, octets)
            if plan.people:
                self._skip_ids(max(one.id for one in plan.people))

    async def resume(self) -> None:
        """Go on with what an earlier worker has left; answers when all of it was tried."""
        for batch, octets in await self._batches.left(self._shard):
            if self._stopping or batch.id in self._waiting:
                continue
            self._waiting[batch.id] = []
            plan = await self._run(Plan.decode, octets)
            there = await self._accepted([one.id for one in plan.people])
            known = {trouble["place"] for trouble in batch.facts["errors"]}
            outcome = Outcome(
                {one.place for one in plan.people if one.id in there},
                [Trouble(**{"detail": "", **one}) for one in batch.facts["errors"]],
            )
            people = [one for one in plan.people if one.id not in there and one.place not in known]
            self.log.info(
                "batch {batch} of {tenant}: {there} messages are there, {left} are taken now",
                batch=batch.id,
                tenant=batch.tenant,
                there=len(there),
                left=len(people),
            )
            await self._go_on(batch, plan, outcome, people)

    def stop(self) -> None:
        """Try nobody again; the next start does."""
        self._stopping = True
        for call in self._later:
            call.cancel()
        self._later.clear()

    # --- one batch -----------------------------------------------------------------

    async def _go_on(self, batch: Batch, plan: Plan, outcome: Outcome, people: Sequence[Person]) -> Outcome:
        try:
            try:
                outcome.add(await self._acceptance.run(plan, people))
            except TemplateError as error:
                # It was right when the batch was taken.
                outcome.left = []
                errors = [problem.told() for problem in error.problems]
                outcome.troubles += [
                    Trouble(one.place, one.email, "template", str(error), errors) for one in people
                ]
            except TemporarilyUnavailable:
                outcome.left = list(people)
            await self._keep(batch, plan, outcome)
        except TemporarilyUnavailable as trouble:
            # The record stays open; the journal knows what was taken.
            self.log.warn("batch {batch} stays open: {trouble}", batch=batch.id, trouble=str(trouble))
        finally:
            for turn in self._waiting.pop(batch.id, ()):
                turn.callback(None)
        return outcome

    async def _keep(self, batch: Batch, plan: Plan, outcome: Outcome) -> None:
        total = batch.facts["total"]
        over = self._reactor.seconds() - batch.created > _LONGEST
        if outcome.left and over:
            outcome.troubles += [
                Trouble(one.place, one.email, "unavailable", "it could not be taken for a day")
                for one in outcome.left
            ]
            outcome.left = []
        if not outcome.left:
            await self._batches.end(batch.tenant, batch.id, outcome.facts(total), outcome.people(plan))
            return
        await self._batches.note(batch.tenant, batch.id, outcome.facts(total), outcome.people(plan))
        if not self._stopping:
            self._later.add(self._reactor.callLater(_AGAIN, self._again, batch, plan, outcome))

    def _again(self, batch: Batch, plan: Plan, outcome: Outcome) -> None:
        self._later = {call for call in self._later if call.active()}
        self._waiting[batch.id] = []
        Deferred.fromCoroutine(self._go_on(batch, plan, outcome, outcome.left)).addErrback(
            lambda failure: self.log.failure("batch {batch} stays open", failure, batch=batch.id)
        )
