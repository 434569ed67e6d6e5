"""The table ``[audience]``: contacts of tenants, and how they join lists."""

from __future__ import annotations

from pydantic import Field

from mta.config.values import Duration, Table


class AudienceTable(Table):
    """Contacts of tenants."""

    keep: Duration = 365 * 86400.0
    confirm_within: Duration = Field(7 * 86400.0, ge=3600.0)
    confirm_pause: Duration = Field(600.0, ge=0)
    confirm_most: int = Field(3, ge=1, le=100)
    confirm_of_all: int = Field(5, ge=1, le=1000)
