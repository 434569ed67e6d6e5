"""Transitions on disk: the engine's, with all that they do and want sent, in one transaction a piece.

The writer of a database is one, so two workers that look at the same enrolment do so one after the other,
and the second finds that there is nothing to do any more: a lease is not needed for what stands here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from twisted.logger import Logger

from mta.audience import contacts
from mta.audience.contact import Contact
from mta.model.event import Event
from mta.sequence import enrolments, outbox, sequences, ways
from mta.sequence.definition import Definition
from mta.sequence.ended import forget_passed
from mta.sequence.engine import advance, begin, ended, moved
from mta.sequence.enrolment import Action, Enrolment
from mta.sequence.outbox import Promise
from mta.sequence.person import Person
from mta.sequence.sequences import Definitions, NoSequence
from mta.sequence.telling import stepped, tell

#: Seconds after which one is looked at again with which something is wrong on our side.
_LATER = 3600.0
_log = Logger()


class OutOfIds(Exception):
    """More is to be sent than there are queue ids for; the rest has its turn later."""


@dataclass(slots=True)
class Looked:
    """What became of a piece.

    :ivar looked: enrolments that were looked at.
    :ivar moved: of these, that are elsewhere now.
    :ivar promised: things that are to be sent.
    :ivar more: whether there are more that are due.
    """

    looked: int = 0
    moved: int = 0
    promised: list[str] = field(default_factory=list)
    more: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """One that is due, as much as is asked of others about it before."""

    run: Enrolment
    address: str
    list: str


class Transitions:
    """Makes them.

    :param definitions: those that were read.
    """

    def __init__(self, definitions: Definitions | None = None) -> None:
        self._definitions = definitions or Definitions()

    def waiting(self, base: sqlite3.Connection, now: float, limit: int) -> list[Waiting]:
        """Who is due, for asking whether anything may be sent to them."""
        found = []
        people: dict[str, list[int]] = {}
        runs = enrolments.due(base, now, limit)
        for run in runs:
            people.setdefault(run.tenant, []).append(run.contact)
        known = {tenant: contacts.some(base, tenant, ids) for tenant, ids in people.items()}
        for run in runs:
            contact = known[run.tenant].get(run.contact)
            definition = self._definition(base, run)
            mailing = definition.list if definition is not None else ""
            found.append(Waiting(run, contact.address if contact is not None else "", mailing))
        return found

    def make(
        self,
        base: sqlite3.Connection,
        now: float,
        limit: int,
        ids: Sequence[str],
        barred: Mapping[int, str],
    ) -> Looked:
        """Look at those that are due.

        :param ids: queue ids for what they want sent.
        :param barred: by enrolment, why nothing may be sent to its person.
        """
        looked = Looked()
        left = list(reversed(ids))
        runs = enrolments.due(base, now, limit)
        looked.more = len(runs) == limit
        paused = self._paused(base, runs)
        for run in runs:
            if (run.tenant, run.sequence) in paused:
                enrolments.park(base, [run.id])
                continue
            base.execute("SAVEPOINT run")
            before, promised = list(left), len(looked.promised)
            try:
                self._one(base, run, now, left, barred.get(run.id, ""), looked)
            except OutOfIds:
                base.execute("ROLLBACK TO run")
                base.execute("RELEASE run")
                looked.more = True
                break
            except sqlite3.Error:
                raise
            except Exception:
                base.execute("ROLLBACK TO run")
                left, looked.promised = before, looked.promised[:promised]
                _log.failure(
                    "{sequence} of {tenant} cannot go on with enrolment {id}",
                    sequence=run.sequence,
                    tenant=run.tenant,
                    id=run.id,
                )
                enrolments.put_off(base, run.id, now + _LATER)
            base.execute("RELEASE run")
            looked.looked += 1
        return looked

    def _paused(self, base: sqlite3.Connection, runs: Iterable[Enrolment]) -> set[tuple[str, str]]:
        found = set()
        for tenant, name in {(run.tenant, run.sequence) for run in runs}:
            try:
                if sequences.get(base, tenant, name).paused:
                    found.add((tenant, name))
            except NoSequence:
                continue
        return found

    def _definition(self, base: sqlite3.Connection, run: Enrolment) -> Definition | None:
        try:
            return self._definitions.get(base, run.tenant, run.sequence, run.version)
        except NoSequence:
            return None

    def _one(
        self,
        base: sqlite3.Connection,
        run: Enrolment,
        now: float,
        ids: list[str],
        barred: str,
        looked: Looked,
    ) -> None:
        definition = self._definition(base, run)
        contact = contacts.get(base, run.tenant, run.contact)
        if definition is None:
            after, actions = ended(run, "removed", "there is no such sequence any more", now)
            self._keep(base, after, contact, actions, {}, {}, now)
            return
        person = self._person(base, run, contact, definition, now, barred, ids, looked)
        after, actions = advance(definition, run, person, now)
        if after == run:
            # Looked at without need, or for something that changes nothing: it waits on.
            enrolments.write(base, run)
            return
        looked.moved += 1
        after = replace(after, messages={**run.messages, **person.messages})
        self._keep(base, after, person.contact, actions, person.messages, person.troubles, now)

    def _person(
        self,
        base: sqlite3.Connection,
        run: Enrolment,
        contact: Contact | None,
        definition: Definition,
        now: float,
        barred: str,
        ids: list[str],
        looked: Looked,
    ) -> Person:
        def promise(action: Action) -> str:
            if not ids:
                raise OutOfIds
            identifier = ids.pop()
            way = "post" if action.kind == "webhook" else action.way
            outbox.add(
                base,
                Promise(
                    identifier,
                    way,
                    run.tenant,
                    run.sequence,
                    run.version,
                    action.step,
                    run.id,
                    run.contact,
                    now,
                    now,
                ),
            )
            looked.promised.append(identifier)
            return identifier

        return Person(base, run, contact, definition, now, barred, promise)

    def _keep(
        self,
        base: sqlite3.Connection,
        run: Enrolment,
        contact: Contact | None,
        actions: Iterable[Action],
        messages: Mapping[str, str],
        troubles: Mapping[str, str],
        now: float,
        by: str = "",
    ) -> None:
        enrolments.write(base, run)
        address = contact.address if contact is not None else ""
        events: list[Event] = []
        for action in actions:
            trouble = troubles.get(action.step, "")
            told = replace(action, kind="skip", reason=trouble) if trouble and action.does else action
            message = messages.get(action.step, "") if action.kind == "send" and action.way == "mail" else ""
            events.append(stepped(run, told, address, now, **({"by": by} if by else {}), message=message))
            ways.count(base, run, [told])
        tell(base, events)

    # --- coming in, by hand, and out ---------------------------------------------

    def enter(
        self,
        base: sqlite3.Connection,
        tenant: str,
        name: str,
        contact: Contact,
        now: float,
        *,
        by: str,
        fact: int = 0,
        properties: Mapping[str, Any] | None = None,
    ) -> tuple[Enrolment | None, str]:
        """Let a contact in; it is looked at at once.

        :param by: which trigger, or who.
        :param fact: number of the fact that let it in; what is later counts as happened in this run.
        :return: the enrolment, or ``None`` and why not.
        :raise NoSequence: if there is none.
        """
        sequence = sequences.get(base, tenant, name)
        if not sequence.live:
            return None, "no version of it is live"
        if sequence.paused:
            return None, f"it is paused: {sequence.paused}"
        definition = self._definitions.get(base, tenant, name, sequence.live)
        before = enrolments.of(base, tenant, contact.id, name)
        active = enrolments.active_of(before)
        if before and definition.reentry == "never":
            return None, 'it was in it before, and reentry is "never"'
        if active and definition.reentry == "after_end":
            return None, 'it is in it still, and reentry is "after_end"'
        if active >= enrolments.MOST_AT_ONCE:
            return None, f"it is in it {active} times already"
        run = Enrolment(
            0, tenant, name, sequence.live, contact.id, "", fact=fact, properties=dict(properties or {})
        )
        run = begin(run, definition, now)
        if before:
            forget_passed(base, tenant, name, contact.id)
        run = replace(run, id=enrolments.add(base, run))
        entered = Action("enter", run.step)
        ways.count(base, run, [entered])
        tell(base, [stepped(run, entered, contact.address, now, by=by)])
        return run, ""

    def leave(self, base: sqlite3.Connection, run: Enrolment, now: float, by: str, reason: str = "") -> None:
        """Take a contact out."""
        after, actions = ended(run, "removed", reason or "by request", now)
        contact = contacts.get(base, run.tenant, run.contact)
        self._keep(base, after, contact, actions, {}, {}, now, by)

    def move(
        self, base: sqlite3.Connection, run: Enrolment, version: int, step: str, now: float, by: str
    ) -> Enrolment:
        """Let an enrolment go on in another version, or at another step.

        :raise NoSequence: if there is no such version.
        :raise LookupError: if it has no such step.
        """
        definition = self._definitions.get(base, run.tenant, run.sequence, version)
        after = moved(run, version, definition, now, step)
        contact = contacts.get(base, run.tenant, run.contact)
        words = f"from version {run.version}, step {run.step}"
        self._keep(base, after, contact, [Action("move", after.step, reason=words)], {}, {}, now, by)
        return after
