"""A batch is rendered, put together and handed to the intake, message by message, in bounded pieces.

What is under way is bounded by :data:`_ABREAST` pieces of :data:`~mta.template.pool.CHUNK` messages;
their commits fall together as those of sessions do.  What cannot be taken now, because a disk or a
directory of ours is down, is left and tried again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Protocol

from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults

from mta.batch.files import Marks
from mta.batch.plan import Person, Plan, Trouble
from mta.engagement.links import message_key
from mta.interfaces import Answer, TemporarilyUnavailable
from mta.model.envelope import Envelope, Recipient
from mta.model.options import Options
from mta.template.bundle import Bundle
from mta.template.pool import CHUNK, Budget
from mta.template.problem import TemplateError

#: Pieces under way.
_ABREAST = 6
#: Octets of files in copies that are under way.
_FILES = 32 << 20
#: Seconds for which messages are taken in one turn of the reactor: others wait for as long.
_TURN = 0.0025


class Renders(Protocol):
    """See :class:`mta.template.pool.Pool`."""

    async def values(
        self, bundle: Bundle, items: Any, common: dict[str, Any] | None = None, budget: Budget | None = None
    ) -> list[Any]:
        """What the processes make of each recipient's data."""


class Take(Protocol):
    """Hands one message over to the intake; see :func:`mta.intake.handover.hand_over`."""

    def __call__(
        self,
        plan: Plan,
        envelope: Envelope,
        recipient: Recipient,
        content: bytes,
        options: Options,
        identifier: str,
        dry: bool,
    ) -> Awaitable[Any]:
        """Take it."""


#: Of some recipients of a batch, the addresses that get nothing, and why; the last tells a dry run.
Suppressed = Callable[[Plan, Sequence[Person], bool], Awaitable[Mapping[str, str]]]


@dataclass(slots=True)
class Progress:
    """What became of a batch so far.

    :ivar taken: places of those whose message is on disk.
    :ivar troubles: of those who get nothing.
    :ivar left: who is to be tried again.
    """

    taken: list[int] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    left: list[Person] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Run:
    """What all pieces of one go share.

    :ivar turns: bound the copies under way, by their size; ``None``: they have no files.
    """

    plan: Plan
    bundle: Bundle
    common: dict[str, Any]
    budget: Budget
    progress: Progress
    marks: Marks
    turns: DeferredSemaphore | None
    dry: bool


class Acceptance:
    """Takes batches.

    :param pool: renders.
    :param take: hands a message over.
    :param master: the key from which those of links are made.
    :param suppressed: who gets nothing.
    :param date: gives the date as messages have it.
    :param breathe: answers when the reactor has looked after others.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        pool: Renders,
        take: Take,
        master: bytes,
        suppressed: Suppressed,
        date: Callable[[], str],
        breathe: Callable[[], Awaitable[None]],
        run_in_thread: Callable[..., Answer[Any]] = lambda work, *what: work(*what),
    ) -> None:
        self._run = run_in_thread
        self._pool = pool
        self._take = take
        self._master = master
        self._suppressed = suppressed
        self._date = date
        self._breathe = breathe
        #: Until when messages may be taken in this turn of the reactor, of all batches; 0: it is a new one.
        self._until = 0.0

    async def run(self, plan: Plan, people: Sequence[Person], *, dry: bool = False) -> Progress:
        """Take the messages of some recipients.

        :param dry: ask all questions, keep nothing.
        :raise TemplateError: if the template itself is wrong.
        :raise TemporarilyUnavailable: if nothing can be rendered now.
        """
        progress = Progress()
        if not people:
            return progress
        marks = Marks(plan.files, self._run)
        await marks.prepare()
        largest = plan.largest
        copies = max(1, min(_ABREAST * CHUNK, _FILES // max(1, largest)))
        run = _Run(
            plan,
            plan.template(),
            {**self._common(plan), "files": marks.common},
            Budget.of(len(people)),
            progress,
            marks,
            DeferredSemaphore(copies) if largest else None,
            dry,
        )
        abreast = DeferredSemaphore(_ABREAST)
        pieces = [people[start : start + CHUNK] for start in range(0, len(people), CHUNK)]

        def begin(piece: Sequence[Person]) -> Deferred[None]:
            return Deferred.fromCoroutine(self._piece(run, piece))

        done = [abreast.run(begin, piece) for piece in pieces]
        try:
            await gatherResults(done, consumeErrors=True)
        except Exception as error:
            failure = getattr(error, "subFailure", None)
            raise (failure.value if failure is not None else error) from None
        progress.troubles.sort(key=lambda one: one.place)
        return progress

    async def _piece(self, run: _Run, people: Sequence[Person]) -> None:
        plan, progress = run.plan, run.progress
        try:
            suppressed = await self._suppressed(plan, people, run.dry)
        except TemporarilyUnavailable:
            progress.left += people
            return
        wanted = []
        for one in people:
            why = suppressed.get(one.email)
            if why is None:
                wanted.append(one)
            else:
                progress.troubles.append(Trouble(one.place, one.email, "suppressed", why))
        try:
            items = self._items(plan, wanted, run.marks)
            values = await self._pool.values(run.bundle, items, run.common, run.budget)
        except TemplateError as error:
            errors = [problem.told() for problem in error.problems]
            values = [None] * len(wanted)
            progress.troubles += [
                Trouble(one.place, one.email, "template", str(error), errors) for one in wanted
            ]
        except TemporarilyUnavailable:
            progress.left += wanted
            return
        taking: list[Deferred[None]] = []
        for one, value in zip(wanted, values, strict=True):
            await self._turn()
            if isinstance(value, tuple):
                detail, errors = "; ".join(map(str, value)), [problem.told() for problem in value]
                progress.troubles.append(Trouble(one.place, one.email, "template", detail, errors))
            elif value is not None:
                content, turns = value["octets"].encode(), run.turns
                begun = (
                    self._begun(run, one, content)
                    if turns is None
                    else turns.run(self._begun, run, one, content)
                )
                taking.append(begun)
        await gatherResults(taking)

    async def _turn(self) -> None:
        """Wait until one more message may be taken, so that deliveries and subscribers have theirs."""
        while self._until and monotonic() > self._until:
            await self._breathe()
        if not self._until:
            self._until = monotonic() + _TURN
            Deferred.fromCoroutine(self._refill())

    async def _refill(self) -> None:
        await self._breathe()
        self._until = 0.0

    def _begun(self, run: _Run, one: Person, content: bytes) -> Deferred[None]:
        return Deferred.fromCoroutine(self._one(run, one, content))

    async def _one(self, run: _Run, one: Person, content: bytes) -> None:
        """Hand one message over."""
        plan, progress = run.plan, run.progress
        content = await run.marks.put(content, one.files)
        envelope = Envelope(plan.return_path or plan.sender[0])
        envelope.release = plan.release
        envelope.asked = plan.priority
        recipient = Recipient(one.email, frozenset(plan.notify))
        metadata = {**plan.metadata, **one.metadata} if one.metadata else plan.metadata
        track = {"opens": plan.opens, "clicks": plan.clicks} if plan.opens or plan.clicks else {}
        options = Options(
            plan.tenant, plan.key, plan.campaign, plan.tags, metadata, plan.batch, track, template=plan.named
        )
        try:
            handed = await self._take(plan, envelope, recipient, content, options, one.id, run.dry)
        except TemporarilyUnavailable:
            progress.left.append(one)
            return
        reply = handed.reply
        if reply.is_positive:
            progress.taken.append(one.place)
        elif reply.is_permanent:
            progress.troubles.append(Trouble(one.place, one.email, "refused", str(reply)))
        else:
            progress.left.append(one)

    def _items(self, plan: Plan, people: Iterable[Person], marks: Marks) -> list[Any]:
        keyed = plan.clicks or plan.opens or plan.unsubscribe is not None
        return [
            (
                {**plan.data, **one.data} if plan.data else one.data,
                one.locale,
                {
                    "id": one.id,
                    "name": one.name,
                    "recipient": one.email,
                    "key": message_key(self._master, one.id).hex() if keyed else "",
                    "files": marks.own(one.files),
                },
            )
            for one in people
        ]

    def _common(self, plan: Plan) -> dict[str, Any]:
        return {
            "sender": plan.sender,
            "reply_to": plan.reply_to,
            "headers": dict(plan.headers),
            "date": self._date(),
            "base": plan.base,
            "tenant": plan.tenant,
            "clicks": plan.clicks,
            "opens": plan.opens,
            "unsubscribe": plan.unsubscribe,
        }
