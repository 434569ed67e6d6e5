"""Events of suppression lists: who was put on one or taken off, and who got nothing for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from mta.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressionChanged(Event):
    """A suppression list changed.

    ``action`` is ``added``, ``removed`` or ``imported`` (``count`` of them at once).  ``tenant`` is empty
    where it is the server's.  ``message`` is the one whose bounce or complaint led to it.
    """

    kind: ClassVar[str] = "suppression"
    indexed: ClassVar[bool] = True

    action: str
    tenant: str = ""
    recipient: str = ""
    reason: str = ""
    list: str = ""
    count: int = 0
    by: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    def keys(self) -> tuple[str, ...]:
        """Address and tenant."""
        return tuple(dict.fromkeys(word.lower() for word in (self.recipient, self.tenant) if word))


@dataclass(frozen=True, slots=True, kw_only=True)
class SuppressedTo(Event):
    """A recipient of a message gets nothing, for the address is on a suppression list.

    ``since`` is when it was put there; ``everybody`` whether the server's list has it; ``evidence`` is
    that of the suppression.
    """

    kind: ClassVar[str] = "suppressed"
    indexed: ClassVar[bool] = True

    recipient: str
    tenant: str = ""
    reason: str = ""
    list: str = ""
    since: float = 0.0
    everybody: bool = False
    sender: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    def keys(self) -> tuple[str, ...]:
        """Recipient and sender."""
        return tuple(dict.fromkeys(word.lower() for word in (self.recipient, self.sender) if word))
