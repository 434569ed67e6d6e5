"""What lets contacts in, and wakes those that wait: new facts, new members of lists, segments come into.

How far facts and memberships were read stands beside what was made of them, in one transaction: after a
crash it goes on from there, and nobody is let in twice or forgotten.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from mta.audience import condition as conditions
from mta.audience import contacts, facts, segments, selecting
from mta.audience.facts import Fact
from mta.sequence import enrolments, sequences
from mta.sequence.condition import fits
from mta.sequence.definition import Definition, Trigger
from mta.sequence.sequences import Definitions, NoSequence, Sequence
from mta.sequence.transition import Transitions

#: Larger than the number of every contact.
_LAST = 2**63 - 1
#: Names of places.
FACTS, MEMBERS = "facts", "members"


@dataclass(slots=True)
class Scan:
    """How far a look at a segment is.

    :ivar after: number of the last contact.
    :ivar first: whether it is the first look, which lets nobody in but for ``existing``.
    """

    tenant: str
    sequence: str
    trigger: Trigger
    first: bool
    after: int = 0


class Triggers:
    """See the module.

    :param transitions: let contacts in.
    :param definitions: those that were read.
    """

    def __init__(self, transitions: Transitions, definitions: Definitions) -> None:
        self._transitions = transitions
        self._definitions = definitions

    def _running(self, base: sqlite3.Connection) -> Iterator[tuple[Sequence, Definition]]:
        for one in sequences.running(base):
            try:
                yield one, self._definitions.get(base, one.tenant, one.name, one.live)
            except NoSequence:
                continue

    def any(self, base: sqlite3.Connection) -> bool:
        """Whether there is something new: a look that changes nothing."""
        place = enrolments.place(base, FACTS)
        if place is not None and facts.last(base) > place:
            return True
        place = enrolments.place(base, MEMBERS)
        query = "SELECT 1 FROM membership_history WHERE id > ? LIMIT 1"
        return place is not None and base.execute(query, (int(place),)).fetchone() is not None

    # --- facts -------------------------------------------------------------------

    def facts(self, base: sqlite3.Connection, now: float, limit: int) -> bool:
        """Go through new facts; answers whether there are more."""
        place = enrolments.place(base, FACTS)
        if place is None:
            # What happened before there were sequences lets nobody in.
            enrolments.remember(base, FACTS, facts.last(base))
            return False
        found = facts.after(base, int(place), limit)
        if not found:
            return False
        wanted: dict[tuple[str, str], list[tuple[Sequence, Trigger]]] = {}
        for sequence, definition in self._running(base):
            for trigger in definition.triggers:
                if trigger.event:
                    wanted.setdefault((sequence.tenant, trigger.event), []).append((sequence, trigger))
        for fact in found:
            enrolments.wake(base, fact.contact, now)
            if fact.kind == "event":
                self._enter(base, fact, wanted.get((fact.tenant, fact.name), []), now)
        enrolments.remember(base, FACTS, found[-1].id)
        return len(found) == limit

    def _enter(
        self, base: sqlite3.Connection, fact: Fact, wanted: list[tuple[Sequence, Trigger]], now: float
    ) -> None:
        entered = set()
        for sequence, trigger in wanted:
            if sequence.name in entered or not fits(trigger.where, fact.properties):
                continue
            contact = contacts.get(base, fact.tenant, fact.contact)
            if contact is None:
                return
            self._transitions.enter(
                base,
                fact.tenant,
                sequence.name,
                contact,
                now,
                by=f"event {fact.name}",
                fact=fact.id,
                properties=fact.properties,
            )
            entered.add(sequence.name)

    # --- lists -------------------------------------------------------------------

    def members(self, base: sqlite3.Connection, now: float, limit: int) -> bool:
        """Go through who has joined lists, or left; answers whether there are more."""
        place = enrolments.place(base, MEMBERS)
        if place is None:
            (last,) = base.execute("SELECT coalesce(max(id), 0) FROM membership_history").fetchone()
            enrolments.remember(base, MEMBERS, last)
            return False
        rows = base.execute(
            "SELECT h.id, h.contact, h.state, l.tenant, l.name FROM membership_history h"
            " LEFT JOIN lists l ON l.id = h.list WHERE h.id > ? ORDER BY h.id LIMIT ?",
            (int(place), limit),
        ).fetchall()
        if not rows:
            return False
        wanted: dict[tuple[str, str], set[str]] = {}
        for sequence, definition in self._running(base):
            for trigger in definition.triggers:
                if trigger.list:
                    wanted.setdefault((sequence.tenant, trigger.list), set()).add(sequence.name)
        last_fact = facts.last(base)
        for _, number, state, tenant, mailing in rows:
            enrolments.wake(base, number, now)
            if state != "subscribed" or (tenant, mailing) not in wanted:
                continue
            contact = contacts.get(base, tenant, number)
            for name in sorted(wanted[tenant, mailing]) if contact is not None else ():
                assert contact is not None
                self._transitions.enter(
                    base, tenant, name, contact, now, by=f"list {mailing}", fact=last_fact
                )
        enrolments.remember(base, MEMBERS, rows[-1][0])
        return len(rows) == limit

    # --- segments ------------------------------------------------------------------

    def scans(self, base: sqlite3.Connection) -> list[Scan]:
        """The looks at segments that there are to make."""
        found = []
        for sequence, definition in self._running(base):
            for trigger in definition.triggers:
                if not trigger.segment:
                    continue
                name = f"segment {sequence.tenant} {sequence.name} {trigger.segment}"
                first = enrolments.place(base, name) is None
                found.append(Scan(sequence.tenant, sequence.name, trigger, first))
        return found

    def scan(self, base: sqlite3.Connection, scan: Scan, now: float, limit: int) -> bool:
        """Go on with a look; answers whether it is to be gone on with."""
        where = (scan.tenant, scan.sequence, scan.trigger.segment)
        segment = segments.find(base, scan.tenant, scan.trigger.segment)
        if segment is None:
            return False
        try:
            found, after = selecting.piece(
                base, scan.tenant, conditions.parse(segment.condition), scan.after, limit, now
            )
        except conditions.ConditionError:
            return False
        # Only what is different is written: a segment of many costs nothing while nobody comes or goes.
        rows = base.execute(
            "SELECT contact FROM sequence_seen WHERE tenant = ? AND sequence = ? AND segment = ?"
            " AND contact > ? AND contact <= ?",
            (*where, scan.after, _LAST if after is None else after),
        )
        seen = {number for (number,) in rows}
        here = {contact.id for contact in found}
        base.executemany(
            "DELETE FROM sequence_seen WHERE tenant = ? AND sequence = ? AND segment = ? AND contact = ?",
            [(*where, number) for number in sorted(seen - here)],
        )
        last_fact = facts.last(base)
        for contact in found:
            if contact.id in seen:
                continue
            base.execute("INSERT INTO sequence_seen VALUES (?, ?, ?, ?)", (*where, contact.id))
            if not scan.first or scan.trigger.existing:
                by = f"segment {scan.trigger.segment}"
                try:
                    self._transitions.enter(
                        base, scan.tenant, scan.sequence, contact, now, by=by, fact=last_fact
                    )
                except NoSequence:
                    return False
        if after is not None:
            scan.after = after
            return True
        enrolments.remember(base, "segment " + " ".join(where), 1)
        return False
