"""Events of contacts: who came, went, joined a list or left it, and who did that."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from mta.model.event import Event, lower_words


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceChanged(Event):
    """What a tenant keeps of contacts changed.

    ``action`` is ``created``, ``changed``, ``erased`` or ``readmitted`` (a contact), ``joined``, ``asked``
    (to confirm), ``confirmed``, ``left`` or ``removed`` (of a list), ``list put``, ``list removed``,
    ``segment put``, ``segment removed``, ``import begun``, ``imported`` or ``exported`` (``count`` at once).
    ``target`` is the name of a list or a segment, the number of an import.  ``message`` is the one whose
    link was used.  Of who was erased nothing is told.
    """

    kind: ClassVar[str] = "audience"
    indexed: ClassVar[bool] = True

    action: str
    tenant: str = ""
    recipient: str = ""
    target: str = ""
    count: int = 0
    by: str = ""
    reason: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)

    def keys(self) -> tuple[str, ...]:
        """Address, tenant and target."""
        return lower_words(self.recipient, self.tenant, self.target)
