"""The table ``[webhook]``: how events are posted to the applications of tenants."""

from __future__ import annotations

from pydantic import Field

from mta.config.values import Duration, Network, Table


class WebhookTable(Table):
    """Webhooks of tenants, as Standard Webhooks has them."""

    retry: list[Duration] = Field(
        [5.0, 300.0, 1800.0, 7200.0, 18000.0, 36000.0, 50400.0, 72000.0, 86400.0], min_length=1, max_length=50
    )
    timeout: Duration = Field(20.0, ge=1, le=120)
    concurrency: int = Field(8, ge=1, le=100)
    disable_after: Duration = Field(5 * 86400.0, ge=60)
    keep: Duration = Field(7 * 86400.0, ge=60)
    allow: list[Network] = []
