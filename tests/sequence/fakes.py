"""Definitions and facts for tests of sequences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta.sequence.condition import fits
from mta.sequence.definition import Definition
from mta.sequence.enrolment import Action, Enrolment
from mta.sequence.reading import checked

#: A Wednesday, 12:00 UTC.
NOW = 1_800_446_400.0
HOUR, DAY = 3600.0, 86400.0


def anything(condition: Mapping[str, Any]) -> None:
    """Conditions of segments are somebody else's affair here."""


def definition(*steps: dict[str, Any], **more: Any) -> Definition:
    """A sequence of some steps; their ids are a, b, c and so on, where none is given."""
    named = [{"id": chr(97 + number % 26), **one} for number, one in enumerate(steps)]
    return checked({"from": "shop@example.org", "steps": named, **more}, anything)


def at(step: str, **more: Any) -> Enrolment:
    """An enrolment that has just come to a step."""
    values: dict[str, Any] = {"since": NOW, "until": NOW, "entered": NOW, **more}
    return Enrolment(1, "shop", "welcome", 1, 7, step, **values)


@dataclass
class Known:
    """Facts as a test says them."""

    gone: str = ""
    zone: str = ""
    channel: str = "mail"
    outcomes: set[tuple[str, str]] = field(default_factory=set)
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    asked: dict[str, bool] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    done: list[Action] = field(default_factory=list)

    def became(self, step: str, outcome: str) -> bool:
        return (step, outcome) in self.outcomes

    def happened(self, event: str, where: Mapping[str, Any]) -> int:
        return sum(name == event and fits(where, properties) for name, properties in self.events)

    def matches(self, condition: Mapping[str, Any]) -> bool:
        return self.asked.get(str(next(iter(condition.values()))), False)

    def sent(self, since: float) -> Sequence[float]:
        return [time for time in sorted(self.times) if time > since]

    def did(self, action: Action) -> None:
        self.done.append(action)
