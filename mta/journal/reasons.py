"""Why an address, a client or a message was refused or marked, in one screen; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta.journal.timeline import refusal_lines
from mta.journal.words import evidence_lines, local_time, printable
from mta.model.event import AuthenticationFailed, Event, Received, Rejected

#: Refusals that are told in full, and messages.
_IN_FULL = 2
_MESSAGES = 3


@dataclass(slots=True)
class Group:
    """Refusals by the same rule.

    :ivar rule: its name.
    :ivar stage: where.
    :ivar count: how many.
    :ivar first: when.
    :ivar newest: the last one.
    """

    rule: str
    stage: str
    count: int
    first: float
    newest: Event

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "rule": self.rule,
            "stage": self.stage,
            "count": self.count,
            "first": self.first,
            "last": self.newest.at,
            "newest": self.newest.payload(),
        }


@dataclass(slots=True)
class Reasons:
    """What is known against something.

    :ivar groups: refusals, by rule, the newest first.
    :ivar marked: messages that were taken, and held or marked, the newest first.
    :ivar standing: bans and suspensions that hold now: (what, reason, how to end it).
    """

    groups: list[Group] = field(default_factory=list)
    marked: list[Received] = field(default_factory=list)
    standing: list[tuple[str, str, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.groups or self.marked or self.standing)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "standing": [
                {"what": what, "reason": reason, "way_out": way} for what, reason, way in self.standing
            ],
            "refused": [group.to_json() for group in self.groups],
            "marked": [
                {"message": event.message, "at": event.at, "held": event.held, "evidence": event.tags}
                for event in self.marked
            ],
        }

    def lines(self, when: Callable[[float], str] = local_time) -> list[str]:
        """All of it for a person."""
        lines: list[str] = []
        for what, reason, way in self.standing:
            lines += [what, f"  because  {reason}", f"  way out  {way}", ""]
        if len(self.groups) > 1:
            lines.append("refused, by rule:")
            lines += [
                f"  {group.count:5}  {group.rule or group.stage} (at {group.stage}), "
                f"{when(group.first)} to {when(group.newest.at)}"
                for group in self.groups
            ]
            lines.append("")
        for group in self.groups[:_IN_FULL]:
            lines += [*refusal_lines(group.newest, when), ""]
        for event in self.marked[:_MESSAGES]:
            lines += [*_marked(event, when), ""]
        if len(self.marked) > _MESSAGES:
            lines += [f"and {len(self.marked) - _MESSAGES} more messages that were held or marked", ""]
        return [printable(line) for line in lines[:-1]]


def reasons(events: Iterable[Event], standing: Sequence[tuple[str, str, str]] = ()) -> Reasons:
    """What events say against something.

    :param events: newest first.
    :param standing: see :class:`Reasons`.
    """
    found = Reasons(standing=list(standing))
    groups: dict[tuple[str, str], Group] = {}
    seen: set[str] = set()
    for event in events:
        if isinstance(event, (Rejected, AuthenticationFailed)):
            stage = event.stage if isinstance(event, Rejected) else "auth"
            rule = event.rule if isinstance(event, Rejected) else event.name or event.reason
            group = groups.get((stage, rule))
            if group is None:
                groups[stage, rule] = Group(rule, stage, 1, event.at, event)
            else:
                group.count += 1
                group.first = event.at
        elif isinstance(event, Received) and (event.held or event.tags) and event.message not in seen:
            seen.add(event.message)
            found.marked.append(event)
    found.groups = list(groups.values())
    return found


def _marked(event: Received, when: Callable[[float], str]) -> list[str]:
    state = "held" if event.held else "taken and marked"
    lines = [f"message {event.message}: {state}"]
    lines.append(f"  {when(event.at)}  from <{event.sender}> to <{', '.join(event.recipients[:3])}>")
    if event.held:
        lines.append(f"  rule     {event.held}")
    lines += [f"  because  {line}" for line in evidence_lines(event.tags)]
    way = f"`mta queue release {event.message}`, or `mta queue remove {event.message}`"
    if not event.held:
        way = f"nothing is in its way; `mta trace {event.message}` tells what became of it"
    lines.append(f"  way out  {way}")
    return lines
