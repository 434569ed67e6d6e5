"""Where one contact is in one run of a sequence: what is kept, and what the engine makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: How a run has ended: all steps were gone, by an exit, by the person or what became of it, by hand.
OUTCOMES = ("finished", "goal", "exit", "left", "removed")
#: For ever, as far as a clock is concerned.
NEVER = float("inf")
Phase = Literal["arrived", "waiting"]


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A contact in a sequence.

    :ivar id: its number; 0: it is not kept yet.
    :ivar contact: number of the contact.
    :ivar step: the id of the step at which it is; ``""`` where it has ended.
    :ivar phase: ``arrived``: the step is to be done; ``waiting``: until an instant.
    :ivar since: when it came to the step, in seconds since 1970.
    :ivar until: up to when it waits there.
    :ivar entered: when it came in.
    :ivar ended: when it left; 0: it has not.
    :ivar outcome: of :data:`OUTCOMES`; ``""``: it is in it still.
    :ivar reason: of its end, for a person.
    :ivar fact: number of the fact with which it came in: what counts as happened in this run is later.
    :ivar properties: of the event with which it came in.
    :ivar messages: by step, the queue id of what it sent.
    """

    id: int
    tenant: str
    sequence: str
    version: int
    contact: int
    step: str
    phase: Phase = "arrived"
    since: float = 0.0
    until: float = 0.0
    entered: float = 0.0
    ended: float = 0.0
    outcome: str = ""
    reason: str = ""
    fact: int = 0
    properties: Mapping[str, Any] = field(default_factory=dict)
    messages: Mapping[str, str] = field(default_factory=dict)

    @property
    def active(self) -> bool:
        """Whether it goes on."""
        return not self.outcome


@dataclass(frozen=True, slots=True)
class Action:
    """Something that a transition wants done, or told.

    :ivar kind: ``send``, ``webhook``, ``set``, ``add_to_list``, ``remove_from_list``: to be done;
        ``branch``, ``wait``, ``hold``, ``skip``, ``end``: only told.
    :ivar step: at which.
    :ivar way: of ``send``: ``mail`` or ``webhook``; of ``branch``: ``then`` or ``otherwise``; of ``end``:
        the outcome.
    :ivar reason: why, for a person.
    :ivar until: of ``wait`` and ``hold``.
    """

    kind: str
    step: str
    way: str = ""
    reason: str = ""
    until: float = 0.0

    @property
    def does(self) -> bool:
        """Whether it is more than told."""
        return self.kind in ("send", "webhook", "set", "add_to_list", "remove_from_list")
