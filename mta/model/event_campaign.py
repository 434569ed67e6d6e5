"""Events of campaigns: who has led one from state to state, and what a test of variants has decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mta.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignChanged(Event):
    """A campaign was changed by somebody, or by its time.

    ``action`` is ``created``, ``changed``, ``removed``, ``tested``, what was asked for (``schedule``,
    ``unschedule``, ``start``, ``pause``, ``resume``, ``stop``), ``finish``, ``decide`` or ``undecided``;
    ``halted`` when it has paused by itself, for many bounce or complain.
    ``count`` is how many people it is about, and ``evidence`` what a decision rests on.
    """

    kind: ClassVar[str] = "campaign"
    indexed: ClassVar[bool] = True

    action: str
    tenant: str
    campaign: str
    by: str = ""
    reason: str = ""
    count: int = 0
    until: float = 0.0
    evidence: Mapping[str, Any] = field(default_factory=dict)

    def keys(self) -> tuple[str, ...]:
        """Tenant and campaign."""
        return (self.tenant.lower(), self.campaign.lower())
