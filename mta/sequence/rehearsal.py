"""What would happen to a contact, step by step, on a clock that is moved: pure.

Nothing is sent or kept.  What the contact would do is supposed: nothing, or what the caller says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta.sequence.condition import fits
from mta.sequence.definition import Definition
from mta.sequence.engine import advance, begin
from mta.sequence.enrolment import NEVER, Action, Enrolment

#: Lines that are told, at the most.
_MOST = 1000


@dataclass(frozen=True, slots=True)
class Supposed:
    """Something that the contact is supposed to do.

    :ivar after: seconds after it came in, or after the message of ``step`` was sent.
    :ivar outcome: what becomes of that message; see :data:`mta.sequence.condition.OUTCOMES`.
    :ivar step: which step's.
    :ivar event: or the event that the application tells of.
    :ivar properties: its properties.
    """

    after: float
    outcome: str = ""
    step: str = ""
    event: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that would happen.

    :ivar at: when, in seconds since 1970.
    """

    at: float
    action: Action


@dataclass
class Rehearsed:
    """What is known of the contact on the moved clock (see :class:`~mta.sequence.engine.Facts`).

    :ivar asks: answers conditions of segments, as things are today.
    :ivar supposed: what it will do.
    """

    zone: str = ""
    channel: str = "mail"
    gone: str = ""
    asks: Callable[[Mapping[str, Any]], bool] = lambda condition: False
    supposed: Sequence[Supposed] = ()
    now: float = 0.0
    entered: float = 0.0
    sends: dict[str, float] = field(default_factory=dict)

    def became(self, step: str, outcome: str) -> bool:
        """Whether it was supposed to, by now."""
        return any(
            one.outcome == outcome and one.step == step and self._at(one) <= self.now for one in self.supposed
        )

    def happened(self, event: str, where: Mapping[str, Any]) -> int:
        """How often it was supposed to, by now."""
        return sum(
            one.event == event and self._at(one) <= self.now and fits(where, one.properties)
            for one in self.supposed
        )

    def matches(self, condition: Mapping[str, Any]) -> bool:
        """As things are today."""
        return self.asks(condition)

    def sent(self, since: float) -> Sequence[float]:
        """What this run has sent."""
        return sorted(at for at in self.sends.values() if at > since)

    def did(self, action: Action) -> None:
        """Remember what was sent."""
        if action.kind == "send":
            self.sends[action.step] = self.now

    def next(self) -> float:
        """When something is supposed to happen next."""
        return min((at for one in self.supposed if (at := self._at(one)) > self.now), default=NEVER)

    def _at(self, one: Supposed) -> float:
        begun = self.sends.get(one.step, NEVER) if one.step else self.entered
        return begun + one.after


def rehearse(definition: Definition, enrolment: Enrolment, facts: Rehearsed, now: float) -> list[Line]:
    """What would happen from now on, until it ends, or nothing would happen any more."""
    facts.now = facts.entered = now
    run, lines = begin(enrolment, definition, now), [Line(now, Action("enter", definition.steps[0].id))]
    while len(lines) < _MOST:
        run, actions = advance(definition, run, facts, facts.now)
        lines += [Line(facts.now, action) for action in actions]
        if not run.active:
            break
        then = min(run.until, facts.next())
        if then == NEVER:
            break
        facts.now = then
    return lines
