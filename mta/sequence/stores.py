"""What requests and commands do with sequences: each act in one transaction, told in the same."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from mta.audience import contacts, facts
from mta.audience.audience import Audience
from mta.audience.contact import Contact
from mta.model.event_sequence import SequenceChanged
from mta.registry.schema import Tables
from mta.sequence import enrolments, outbox, sequences, ways
from mta.sequence.definition import Definition
from mta.sequence.enrolment import Enrolment
from mta.sequence.sequences import Definitions, Version
from mta.sequence.sequences import Sequence as Kept
from mta.sequence.telling import tell
from mta.sequence.transition import Transitions
from mta.sequence.triggers import FACTS, MEMBERS

T = TypeVar("T")
#: All tables of this room, in the database of the audience.
TABLES: tuple[Tables, ...] = (sequences.TABLES, enrolments.TABLES, outbox.TABLES)


class NoContact(LookupError):
    """The tenant has no such contact."""


class NoEnrolment(LookupError):
    """The tenant has no such enrolment, or it has ended."""


class Sequences:
    """Those of all tenants.

    :param audience: has the database.
    """

    def __init__(self, audience: Audience) -> None:
        self._audience = audience
        # In the thread of the database only.
        self._transitions = Transitions(Definitions())
        audience.erasing.append(enrolments.erase)
        audience.emptying.extend((enrolments.empty, sequences.empty))

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._audience.database.read(work)

    async def _change(self, noun: str, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._audience.database.change(noun, work)

    # --- definitions -----------------------------------------------------------------

    async def page(self, tenant: str, after: str, limit: int) -> list[Kept]:
        """Some by name, from behind one."""
        return await self._read(lambda base: sequences.page(base, tenant, after, limit))

    async def get(self, tenant: str, name: str) -> Kept:
        """One.

        :raise NoSequence: if there is none.
        """
        return await self._read(lambda base: sequences.get(base, tenant, name))

    async def version(self, tenant: str, name: str, number: int = 0) -> Version:
        """One version; 0: the live one, or the last.

        :raise NoSequence: if there is none.
        """
        return await self._read(lambda base: sequences.version(base, tenant, name, number))

    async def versions(self, tenant: str, name: str, before: int, limit: int) -> list[Version]:
        """Versions, the last first.

        :raise NoSequence: if there is no such sequence.
        """
        return await self._read(lambda base: sequences.versions(base, tenant, name, before, limit))

    async def put(
        self,
        tenant: str,
        name: str,
        definition: Definition,
        now: float,
        *,
        who: str,
        note: str = "",
        activate: bool = True,
    ) -> tuple[Version, bool]:
        """Keep a version; whether it is new.

        :raise TooMany: if it is one too many.
        """

        def work(base: sqlite3.Connection) -> tuple[Version, bool]:
            # What has happened until now lets nobody in.
            if enrolments.place(base, FACTS) is None:
                enrolments.remember(base, FACTS, facts.last(base))
            if enrolments.place(base, MEMBERS) is None:
                (last,) = base.execute("SELECT coalesce(max(id), 0) FROM membership_history").fetchone()
                enrolments.remember(base, MEMBERS, last)
            version, new = sequences.put(
                base, tenant, name, definition, now, who=who, note=note, activate=activate
            )
            if new:
                _told(base, "changed", tenant, name, version.number, who, now, note)
            return version, new

        return await self._change("sequences", work)

    async def activate(self, tenant: str, name: str, number: int, now: float, who: str) -> Kept:
        """Let those who come in have a version.

        :raise NoSequence: if there is none.
        """

        def work(base: sqlite3.Connection) -> Kept:
            sequences.go_live(base, tenant, name, number)
            _told(base, "activated", tenant, name, number, who, now)
            return sequences.get(base, tenant, name)

        return await self._change("sequences", work)

    async def pause(self, tenant: str, name: str, reason: str, now: float, who: str) -> Kept:
        """Let nobody come in or go on.

        :raise NoSequence: if there is none.
        """

        def work(base: sqlite3.Connection) -> Kept:
            if sequences.pause(base, tenant, name, reason or "by request"):
                _told(base, "paused", tenant, name, 0, who, now, reason)
            return sequences.get(base, tenant, name)

        return await self._change("sequences", work)

    async def resume(self, tenant: str, name: str, now: float, who: str) -> Kept:
        """Let contacts go on; what was due meanwhile is done now.

        :raise NoSequence: if there is none.
        """

        def work(base: sqlite3.Connection) -> Kept:
            if sequences.pause(base, tenant, name, ""):
                enrolments.unpark(base, tenant, name, now)
                _told(base, "resumed", tenant, name, 0, who, now)
            return sequences.get(base, tenant, name)

        return await self._change("sequences", work)

    async def remove(self, tenant: str, name: str, now: float, who: str) -> None:
        """Forget one, with all who are in it.

        :raise NoSequence: if there is none.
        """

        def work(base: sqlite3.Connection) -> None:
            sequences.remove(base, tenant, name)
            enrolments.remove(base, tenant, name)
            _told(base, "removed", tenant, name, 0, who, now)

        await self._change("sequences", work)

    # --- enrolments ------------------------------------------------------------------

    async def counts(self, tenant: str, name: str) -> tuple[dict[str, int], dict[str, int]]:
        """How many are at each step, and how many have ended how."""
        return await self._audience.look(lambda base: enrolments.counts(base, tenant, name))

    async def ways(self, tenant: str, name: str) -> list[ways.Way]:
        """How many have gone which way at each step."""
        return await self._audience.look(lambda base: ways.of(base, tenant, name))

    async def people(
        self, tenant: str, name: str, after: int, limit: int, state: str
    ) -> list[tuple[Enrolment, str]]:
        """Those in a sequence, by number, with their addresses.

        :raise NoSequence: if there is none.
        """

        def work(base: sqlite3.Connection) -> list[tuple[Enrolment, str]]:
            sequences.get(base, tenant, name)
            found = enrolments.page(base, tenant, name, after, limit, state)
            known = contacts.some(base, tenant, {one.contact for one in found})
            return [(one, known[one.contact].address if one.contact in known else "") for one in found]

        return await self._read(work)

    async def of(self, tenant: str, address: str) -> list[Enrolment]:
        """All runs of a contact, the last first.

        :param address: as the audience has it.
        :raise NoContact: if there is no such contact.
        """

        def work(base: sqlite3.Connection) -> list[Enrolment]:
            contact = contacts.find(base, tenant, address)
            if contact is None:
                raise NoContact(address)
            return enrolments.of(base, tenant, contact.id)

        return await self._read(work)

    async def enrol(
        self,
        tenant: str,
        name: str,
        addresses: Sequence[str],
        properties: Mapping[str, Any],
        now: float,
        who: str,
    ) -> list[tuple[str, Enrolment | None, str]]:
        """Let contacts in; for each its enrolment, or why it has none.

        :raise NoSequence: if there is no such sequence.
        """

        def work(base: sqlite3.Connection) -> list[tuple[str, Enrolment | None, str]]:
            sequences.get(base, tenant, name)
            last = facts.last(base)
            found: list[tuple[str, Enrolment | None, str]] = []
            for address in addresses:
                contact = contacts.find(base, tenant, address)
                if contact is None:
                    found.append((address, None, "there is no such contact"))
                    continue
                run, why = self._transitions.enter(
                    base, tenant, name, contact, now, by=who, fact=last, properties=properties
                )
                found.append((address, run, why))
            return found

        return await self._change("enrolments", work)

    async def enrolment(self, tenant: str, name: str, number: int) -> tuple[Enrolment, Contact | None]:
        """One.

        :raise NoEnrolment: if there is none.
        """

        def work(base: sqlite3.Connection) -> tuple[Enrolment, Contact | None]:
            run = _own(base, tenant, name, number)
            return run, contacts.get(base, tenant, run.contact)

        return await self._read(work)

    async def unenrol(self, tenant: str, name: str, number: int, now: float, who: str, reason: str) -> None:
        """Take a contact out.

        :raise NoEnrolment: if there is none, or it has ended.
        """

        def work(base: sqlite3.Connection) -> None:
            run = _own(base, tenant, name, number)
            if not run.active:
                raise NoEnrolment(f"enrolment {number} has ended: {run.outcome}")
            self._transitions.leave(base, run, now, who, reason)

        await self._change("enrolments", work)

    async def move(
        self, tenant: str, name: str, number: int, version: int, step: str, now: float, who: str
    ) -> Enrolment:
        """Let an enrolment go on in another version, or at another step.

        :raise NoEnrolment: if there is none, or it has ended.
        :raise LookupError: if there is no such version or step.
        """

        def work(base: sqlite3.Connection) -> Enrolment:
            run = _own(base, tenant, name, number)
            if not run.active:
                raise NoEnrolment(f"enrolment {number} has ended: {run.outcome}")
            return self._transitions.move(base, run, version or run.version, step, now, who)

        return await self._change("enrolments", work)

    async def move_all(
        self, tenant: str, name: str, source: int, version: int, now: float, who: str, after: int, limit: int
    ) -> tuple[int, int, int]:
        """Let those of a version go on in another, some at once.

        :return: how many were moved, how many stay since their step is not there, and the number of the
            last that was looked at; 0: there are no more.
        :raise NoSequence: if there is no such version.
        """

        def work(base: sqlite3.Connection) -> tuple[int, int, int]:
            sequences.version(base, tenant, name, version)
            done = stay = 0
            found = enrolments.page(base, tenant, name, after, limit, "active")
            for run in found:
                if run.version != source:
                    continue
                try:
                    self._transitions.move(base, run, version, "", now, who)
                    done += 1
                except LookupError:
                    stay += 1
            return done, stay, found[-1].id if len(found) == limit else 0

        return await self._change("enrolments", work)


def _own(base: sqlite3.Connection, tenant: str, name: str, number: int) -> Enrolment:
    run = enrolments.get(base, number)
    if run is None or run.tenant != tenant or run.sequence != name:
        raise NoEnrolment(f"there is no enrolment {number} in {name}")
    return run


def _told(
    base: sqlite3.Connection,
    action: str,
    tenant: str,
    name: str,
    version: int,
    who: str,
    now: float,
    reason: str = "",
) -> None:
    tell(
        base,
        [
            SequenceChanged(
                at=now, action=action, tenant=tenant, sequence=name, version=version, by=who, reason=reason
            )
        ],
    )
