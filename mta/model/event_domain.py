"""Events of domains that tenants send from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from mta.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class DomainChecked(Event):
    """Something is new about a domain: it was ``verified``, is ``failing``, or was ``revoked``.

    ``lacking`` are the names of the records that must be there, and are not.
    """

    kind: ClassVar[str] = "domain"
    indexed: ClassVar[bool] = True

    action: str
    tenant: str
    domain: str
    lacking: list[str] = field(default_factory=list)
    reason: str = ""

    def keys(self) -> tuple[str, ...]:
        """Domain and tenant."""
        return (self.domain.lower(), self.tenant.lower())
