"""Events of sequences: who came in, what each step did and why, who left."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from mta.model.event import Event, lower_words


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceStepped(Event):
    """A contact came into a sequence, a step was made, or it left.

    ``action`` is ``enter``, ``send``, ``webhook``, ``set``, ``add_to_list``, ``remove_from_list``,
    ``branch``, ``wait``, ``hold``, ``skip``, ``move``, ``post`` (what became of a webhook) or ``end``.
    ``way`` is which way of a branch, by which channel, or how it ended; ``reason`` why; ``until`` up to
    when it waits; ``by`` who decided: ``the sequence`` (its definition), a trigger, a key, a person.
    ``message`` is the queue id of what is sent.
    """

    kind: ClassVar[str] = "sequence"
    indexed: ClassVar[bool] = True

    action: str
    tenant: str = ""
    recipient: str = ""
    sequence: str = ""
    version: int = 0
    step: str = ""
    way: str = ""
    reason: str = ""
    until: float = 0.0
    by: str = ""
    enrolment: int = 0

    def keys(self) -> tuple[str, ...]:
        """The recipient, and the sequence."""
        return lower_words(self.recipient, self.sequence)


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceChanged(Event):
    """A sequence itself was changed.

    ``action`` is ``changed`` (a new version), ``activated``, ``paused``, ``resumed`` or ``removed``.
    """

    kind: ClassVar[str] = "sequence-changed"
    indexed: ClassVar[bool] = True

    action: str
    tenant: str = ""
    sequence: str = ""
    version: int = 0
    reason: str = ""
    by: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    def keys(self) -> tuple[str, ...]:
        """The sequence, and the tenant."""
        return lower_words(self.sequence, self.tenant)
