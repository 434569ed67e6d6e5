"""What is known of a contact at a moment, for the engine; out of the audience, within one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mta.audience import condition as segments
from mta.audience import contacts, facts, lists, memberships, selecting
from mta.audience.contact import Contact
from mta.sequence import enrolments
from mta.sequence.condition import Wrong, fits
from mta.sequence.definition import AddToList, Assign, Definition, RemoveFromList
from mta.sequence.enrolment import Action, Enrolment

#: Facts of one kind that are looked at: the newest.
_MOST_FACTS = 1000
#: Who opens before a person does.
_NOBODY = "scanner"


def check_foreign(data: Mapping[str, Any]) -> None:
    """Check a condition of segments (see :func:`mta.sequence.reading.checked`).

    :raise Wrong: if it is none.
    """
    try:
        segments.parse(data)
    except segments.ConditionError as error:
        place = tuple(part for part in error.where.replace("[", ".").replace("]", "").split(".") if part)
        raise Wrong(place, error.what) from None


class Person:
    """See :class:`mta.sequence.engine.Facts`; what it does to the contact is done in the transaction.

    :param base: the transaction.
    :param run: of the contact.
    :param contact: ``None``: there is none any more.
    :param definition: of the run.
    :param now: the time.
    :param barred: why nothing may be sent to it, as far as that is known from elsewhere.
    :param promise: is told of each thing that is to be sent; answers with its id.
    """

    def __init__(
        self,
        base: sqlite3.Connection,
        run: Enrolment,
        contact: Contact | None,
        definition: Definition,
        now: float,
        barred: str,
        promise: Callable[[Action], str],
    ) -> None:
        self._base = base
        self._run = run
        self.contact = contact
        self._definition = definition
        self._now = now
        self._promise = promise
        #: By step, what was promised now.
        self.messages: dict[str, str] = {}
        #: What could not be done, by step, and why.
        self.troubles: dict[str, str] = {}
        self.gone = barred or self._left()

    @property
    def zone(self) -> str:
        """Where it is."""
        return self.contact.time_zone if self.contact is not None else ""

    @property
    def channel(self) -> str:
        """By which it wants to be told."""
        return self.contact.channel if self.contact is not None else "mail"

    def became(self, step: str, outcome: str) -> bool:
        """Whether the message of a step was opened, and so on."""
        message = self._run.messages.get(step)
        if not message:
            return False
        found = facts.of(self._base, self._run.tenant, self._run.contact, kinds=(outcome,), limit=_MOST_FACTS)
        return any(one.message == message and one.properties.get("sort") != _NOBODY for one in found)

    def happened(self, event: str, where: Mapping[str, Any]) -> int:
        """How often the application told of an event in this run."""
        found = facts.of(
            self._base, self._run.tenant, self._run.contact, kinds=("event",), name=event, limit=_MOST_FACTS
        )
        return sum(one.id > self._run.fact and fits(where, one.properties) for one in found)

    def matches(self, condition: Mapping[str, Any]) -> bool:
        """Whether a condition of segments holds; one that names what is gone does not."""
        try:
            parsed = segments.parse(condition)
            return selecting.matches(self._base, self._run.tenant, parsed, self._run.contact, self._now)
        except segments.ConditionError:
            return False

    def sent(self, since: float) -> Sequence[float]:
        """When sequences have sent it something."""
        return enrolments.sent(self._base, self._run.contact, since)

    def did(self, action: Action) -> None:
        """Do what an action does; what goes out is promised."""
        if not action.does:
            return
        try:
            if action.kind == "send":
                self.messages[action.step] = identifier = self._promise(action)
                enrolments.note_sent(self._base, self._run.contact, self._now, identifier)
            elif action.kind == "webhook":
                self.messages[action.step] = self._promise(action)
            else:
                self._change(action)
        except (ValueError, LookupError) as error:
            self.troubles[action.step] = str(error)

    def _change(self, action: Action) -> None:
        tenant, contact = self._run.tenant, self._run.contact
        place = self._definition.place(action.step)
        assert place is not None
        at = self._definition.steps[place]
        who = f"sequence {self._run.sequence}"
        if isinstance(at, Assign):
            self.contact = contacts.set_attributes(self._base, tenant, contact, at.attributes, self._now)
        elif isinstance(at, AddToList | RemoveFromList):
            mailing = lists.find(self._base, tenant, at.list)
            if mailing is None:
                raise LookupError(f"there is no list {at.list}")
            if isinstance(at, AddToList):
                memberships.join(self._base, tenant, mailing, contact, who, self._now, source=who)
            else:
                memberships.leave(self._base, tenant, mailing, contact, who, self._now)

    def _left(self) -> str:
        if self.contact is None:
            return "there is no such contact any more"
        if self._definition.list:
            mailing = lists.find(self._base, self._run.tenant, self._definition.list)
            if (
                mailing is not None
                and memberships.state(self._base, mailing.id, self._run.contact) == "unsubscribed"
            ):
                return f"it has left the list {mailing.name}"
        return ""
