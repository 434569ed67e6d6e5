"""The table ``[tracking]``: what tenants can ask of their messages."""

from __future__ import annotations

from pydantic import Field

from mta.config.values import Duration, Table


class Tracking(Table):
    """What tenants can ask of their messages."""

    keep: Duration = 30 * 86400.0
    streams: int = Field(20, ge=0)
    heartbeat: Duration = Field(15.0, gt=0)
