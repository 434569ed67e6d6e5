"""Messages of sequences on their way: the outbox, piece by piece, into the queue; each once.

What this process has promised itself, and has not tried yet, is sent.  Of everything else the journal is
asked first whether it is there: whoever has it does not get it twice.  At this moment it is looked once
more whether anything may be sent to the person; suppression and unsubscription always win.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from email.utils import parseaddr
from typing import Any, Protocol

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from mta.audience import contacts
from mta.audience.audience import Audience
from mta.audience.contact import Contact
from mta.batch.acceptance import Progress
from mta.batch.plan import Person, Plan
from mta.interfaces import TemporarilyUnavailable
from mta.model.ids import shard_of
from mta.registry.templates import NoTemplate
from mta.sequence import enrolments, outbox
from mta.sequence.definition import Definition, Exit, Notify, Send
from mta.sequence.enrolment import Action, Enrolment
from mta.sequence.outbox import Promise
from mta.sequence.sequences import Definitions, NoSequence
from mta.sequence.telling import stepped, tell
from mta.template.bundle import Bundle
from mta.template.problem import TemplateError

#: Seconds after which is tried again what cannot be taken now, at first and at the most.
_FIRST, _LAST = 60.0, 3600.0
#: Seconds for which it is: longer than a quota of a day, and a weekend.
LONGEST = 3 * 86400.0
#: Ends after which what was promised before, and is not on its way, is not wanted any more.
_OVER = ("goal", "exit", "left", "removed")


@dataclass(frozen=True, slots=True)
class Terms:
    """How a tenant sends.

    :ivar refused: why it may not now; ``""``: it may.
    :ivar again: seconds after which it may; 0: nobody knows.
    :ivar base: the address under which recipients reach us; ``""``: they do not.
    """

    refused: str = ""
    clicks: bool = False
    opens: bool = False
    base: str = ""
    again: float = 0.0


class Means(Protocol):
    """What is needed of others."""

    async def accepted(self, identifiers: Collection[str]) -> Collection[str]:
        """Which of these messages the journal has."""

    async def barred(self, tenant: str, people: Sequence[Contact], mailing: str) -> Mapping[int, str]:
        """To whom of these nothing may be sent, and why."""

    async def terms(self, tenant: str, count: int) -> Terms:
        """How a tenant sends so many now."""

    async def bundle(self, tenant: str, template: str) -> Bundle:
        """The live version of a template.

        :raise NoTemplate: if there is none.
        """

    async def take(self, plan: Plan, people: Sequence[Person]) -> Progress:
        """Take messages."""

    def new_id(self) -> str:
        """A queue id."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One message with whom it is for."""

    promise: Promise
    run: Enrolment | None
    contact: Contact | None


@dataclass(slots=True)
class Result:
    """What became of a piece.

    :ivar sent: on their way.
    :ivar dropped: that never will be, and why.
    :ivar late: that are tried again, and the seconds after which.
    """

    sent: list[Letter] = field(default_factory=list)
    dropped: list[tuple[Letter, str]] = field(default_factory=list)
    late: list[tuple[Letter, float]] = field(default_factory=list)


class Sending:
    """See the module.

    :param audience: has the database.
    :param means: what is needed of others.
    :param shard: of this worker.
    :param seconds: the time.
    """

    log = Logger()

    def __init__(
        self,
        audience: Audience,
        means: Means,
        shard: int,
        seconds: Callable[[], float],
    ) -> None:
        self._audience = audience
        # Used in the thread of the database only.
        self._definitions = Definitions()
        self._means = means
        self._shard = shard
        self._seconds = seconds
        #: Promised by this process, and not tried.
        self.fresh: set[str] = set()

    async def piece(self, limit: int) -> int:
        """Send what is due; answers how much that was.

        :raise TemporarilyUnavailable: if the database or the journal cannot be used.
        """
        now = self._seconds()
        promises = await self._audience.database.read(lambda base: outbox.due(base, now, limit, True))
        if not promises:
            return 0
        there = await self._there(promises)
        left = [one for one in promises if one.id not in there]
        left = await self._own(left)
        letters = await self._audience.database.read(lambda base: _letters(base, left))
        result = Result(sent=[Letter(one, None, None) for one in promises if one.id in there])
        # What one contact gets at once comes in the order of the steps.
        groups: dict[tuple[Any, ...], list[Letter]] = {}
        waves: Counter[int] = Counter()
        for letter in letters:
            if letter.contact is None or letter.run is None:
                result.dropped.append((letter, "there is no such contact any more"))
            else:
                wave = waves[letter.promise.contact]
                waves[letter.promise.contact] += 1
                groups.setdefault((wave, *letter.promise.group), []).append(letter)
        for _, some in sorted(groups.items()):
            await self._group(some, result)
        await self._audience.database.change("enrolments", lambda base: self._keep(base, result, now))
        self.fresh.difference_update(one.id for one in promises)
        return len(promises)

    async def _there(self, promises: Sequence[Promise]) -> Collection[str]:
        """Which of these are on their way already."""
        asked = [one.id for one in promises if one.attempts or one.id not in self.fresh]
        return await self._means.accepted(asked) if asked else ()

    async def _own(self, promises: Sequence[Promise]) -> list[Promise]:
        """The same under ids of ours: who is asked of a message looks into the shard that its id names."""
        renamed = {one.id: self._means.new_id() for one in promises if shard_of(one.id) != self._shard}
        if renamed:
            await self._audience.database.change("enrolments", lambda base: _rename(base, promises, renamed))
        return [replace(one, id=renamed.get(one.id, one.id)) for one in promises]

    async def _group(self, letters: list[Letter], result: Result) -> None:
        first = letters[0].promise
        try:
            definition = await self._audience.database.read(
                lambda base: self._definitions.get(base, first.tenant, first.sequence, first.version)
            )
            place = definition.place(first.step)
            step = definition.steps[place] if place is not None else None
            if not isinstance(step, Send | Notify):
                raise NoSequence(f"version {first.version} has no step {first.step} that sends")
        except NoSequence as error:
            result.dropped += [(one, str(error)) for one in letters]
            return
        wanted = []
        for letter in letters:
            if letter.run is not None and _over(definition, letter.run):
                why = f"it has left before: {letter.run.reason or letter.run.outcome}"
                result.dropped.append((letter, why))
            else:
                wanted.append(letter)
        if wanted:
            await self._try(wanted, definition, step, result)

    async def _try(
        self, letters: list[Letter], definition: Definition, step: Send | Notify, result: Result
    ) -> None:
        try:
            await self._send(letters, definition, step, result)
        except (NoTemplate, TemplateError) as error:
            # Who mends the template in time has lost nothing.
            self._later(letters, str(error), result)
        except TemporarilyUnavailable as trouble:
            self._later(letters, str(trouble), result)
        except CancelledError:
            raise
        except Exception as error:
            # One that is broken keeps no other; what was taken all the same, the journal knows.
            self.log.failure("Messages of sequence {sequence} fail", sequence=letters[0].promise.sequence)
            told = {one.promise.id for one in result.sent} | {one.promise.id for one, _ in result.dropped}
            left = [one for one in letters if one.promise.id not in told]
            self._later(left, f"trouble on our side: {type(error).__name__}", result)

    def _later(self, letters: Sequence[Letter], why: str, result: Result, again: float = 0.0) -> None:
        if not letters:
            return
        now = self._seconds()
        over = [one for one in letters if now - one.promise.made > LONGEST]
        result.dropped += [(one, f"it could not be sent for three days: {why}") for one in over]
        for one in letters:
            if now - one.promise.made <= LONGEST:
                pause = again or min(_LAST, _FIRST * 2.0 ** min(one.promise.attempts, 10))
                result.late.append((one, pause))
        self.log.warn(
            "{count} messages of step {step} of sequence {sequence} of {tenant} wait: {why}",
            count=len(letters),
            step=letters[0].promise.step,
            sequence=letters[0].promise.sequence,
            tenant=letters[0].promise.tenant,
            why=why,
        )

    async def _send(
        self, letters: list[Letter], definition: Definition, step: Send | Notify, result: Result
    ) -> None:
        tenant = letters[0].promise.tenant
        people = {one.contact.id: one.contact for one in letters if one.contact is not None}
        barred = await self._means.barred(tenant, list(people.values()), definition.list)
        wanted = []
        for one in letters:
            why = barred.get(one.promise.contact)
            if why is None:
                wanted.append(one)
            else:
                result.dropped.append((one, why))
        if not wanted:
            return
        terms = await self._means.terms(tenant, len(wanted))
        if terms.refused:
            self._later(wanted, terms.refused, result, terms.again)
            return
        bundle = await self._means.bundle(tenant, step.template)
        if step.subject:
            bundle = replace(bundle, parts=replace(bundle.parts, subject=step.subject))
        plan = _plan(definition, step, wanted, bundle, terms)
        try:
            progress = await self._means.take(plan, plan.people)
        except TemplateError as error:
            self._later(wanted, str(error), result)
            return
        troubles = {trouble.place: f"{trouble.kind}: {trouble.detail}" for trouble in progress.troubles}
        taken, left = set(progress.taken), {person.place for person in progress.left}
        for number, letter in enumerate(wanted):
            if number in taken:
                result.sent.append(letter)
            elif number in troubles:
                result.dropped.append((letter, troubles[number]))
            elif number in left:
                self._later([letter], "it cannot be taken now", result)

    def _keep(self, base: sqlite3.Connection, result: Result, now: float) -> None:
        outbox.done(base, [one.promise.id for one in result.sent])
        outbox.done(base, [one.promise.id for one, _ in result.dropped])
        for letter, why in result.dropped:
            promise = letter.promise
            enrolments.not_sent(base, promise.contact, promise.id)
            # It may be that it is to leave; the engine says so.
            enrolments.wake(base, promise.contact, now)
            if letter.run is not None:
                address = letter.contact.address if letter.contact is not None else ""
                told = Action("skip", promise.step, reason=why)
                tell(base, [stepped(letter.run, told, address, now)])
        for letter, pause in result.late:
            outbox.put_off(base, [letter.promise.id], now + pause)


def _over(definition: Definition, run: Enrolment) -> bool:
    """Whether a run has ended in a way after which what is not on its way is not wanted any more."""
    if run.outcome not in _OVER:
        return False
    place = definition.place(run.step)
    # By a step of its own it has ended as it was to, with all that was sent before.
    by_step = place is not None and isinstance(definition.steps[place], Exit)
    return not (by_step and run.outcome in ("goal", "exit"))


def _letters(base: sqlite3.Connection, promises: Sequence[Promise]) -> list[Letter]:
    people: dict[str, list[int]] = {}
    for one in promises:
        people.setdefault(one.tenant, []).append(one.contact)
    known = {tenant: contacts.some(base, tenant, ids) for tenant, ids in people.items()}
    return [
        Letter(one, enrolments.get(base, one.enrolment), known[one.tenant].get(one.contact))
        for one in promises
    ]


def _rename(base: sqlite3.Connection, promises: Sequence[Promise], renamed: Mapping[str, str]) -> None:
    for one in promises:
        new = renamed.get(one.id)
        if new is None:
            continue
        outbox.renamed(base, one.id, new)
        enrolments.not_sent(base, one.contact, one.id)
        enrolments.note_sent(base, one.contact, one.made, new)
        run = enrolments.get(base, one.enrolment)
        if run is not None:
            enrolments.name_message(base, run, one.step, new)


def _plan(
    definition: Definition, step: Send | Notify, letters: Sequence[Letter], bundle: Bundle, terms: Terms
) -> Plan:
    first = letters[0].promise
    people = []
    for number, one in enumerate(letters):
        assert one.contact is not None and one.run is not None
        people.append(
            Person(
                one.promise.id,
                one.contact.address,
                number,
                one.contact.name,
                one.contact.locale,
                {**one.contact.data, "event": dict(one.run.properties)},
                {"enrolment": str(one.promise.enrolment)},
            )
        )
    # A notification is what the person has asked for; all else can be left with one click.
    mailing: str | None = definition.list
    if not mailing and (isinstance(step, Notify) or not terms.base):
        mailing = None
    if not terms.base:
        mailing = None
    return Plan(
        batch="",
        tenant=first.tenant,
        key="",
        address="",
        session="",
        bundle=bundle.encode(),
        sender=_mailbox(step.sender or definition.sender),
        people=tuple(people),
        reply_to=tuple(_mailbox(one) for one in (step.reply_to or definition.reply_to,) if one),
        notify=("NEVER",),
        campaign=first.sequence,
        tags=step.tags,
        metadata={"sequence": first.sequence, "step": first.step},
        data={**step.data, "sequence": first.sequence, "step": first.step},
        unsubscribe=mailing,
        clicks=terms.clicks and bool(terms.base),
        opens=terms.opens and bool(terms.base),
        base=terms.base,
        named=step.template or "",
    )


def _mailbox(text: str) -> tuple[str, str]:
    name, address = parseaddr(text)
    return address, name
