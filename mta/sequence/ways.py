"""How many have gone which way at each step, counted in the transaction in which they go."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from mta.sequence.enrolment import Action, Enrolment

#: By action: under which word it is counted; what is not here is none.
_COUNTED = {"enter": "enter", "send": "sent", "skip": "skipped", "webhook": "posted"}


@dataclass(frozen=True, slots=True)
class Way:
    """One way out of a step, or in.

    :ivar step: the step's id.
    :ivar way: ``then`` and ``otherwise`` of a condition; ``enter``, ``sent``, ``skipped``, ``posted``.
    :ivar count: how many, of all versions.
    """

    step: str
    way: str
    count: int


def count(base: sqlite3.Connection, run: Enrolment, actions: Iterable[Action]) -> None:
    """Count what was done."""
    for action in actions:
        way = action.way if action.kind == "branch" else _COUNTED.get(action.kind, "")
        if way and action.step:
            base.execute(
                "INSERT INTO sequence_ways VALUES (?, ?, ?, ?, 1)"
                " ON CONFLICT (tenant, sequence, step, way) DO UPDATE SET count = count + 1",
                (run.tenant, run.sequence, action.step, way),
            )


def of(base: sqlite3.Connection, tenant: str, sequence: str) -> list[Way]:
    """Those of a sequence."""
    query = "SELECT step, way, count FROM sequence_ways WHERE tenant = ? AND sequence = ?"
    return [Way(*row) for row in base.execute(query, (tenant, sequence))]
