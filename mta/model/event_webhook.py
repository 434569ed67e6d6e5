"""Events of webhooks' endpoints.  What was posted is in the outbox, not in the journal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from mta.model.event import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookChanged(Event):
    """An endpoint was ``disabled`` by the server, which ``reason`` explains.

    What tenants and operators do to endpoints is ``administered``.
    """

    kind: ClassVar[str] = "webhook"
    indexed: ClassVar[bool] = True

    action: str
    tenant: str
    endpoint: str
    host: str = ""
    reason: str = ""

    def keys(self) -> tuple[str, ...]:
        """Tenant and endpoint."""
        return (self.tenant.lower(), self.endpoint.lower())
