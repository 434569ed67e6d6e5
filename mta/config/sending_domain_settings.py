"""The table ``[sending_domains]``: what domains must publish that tenants add by themselves."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from mta.config.values import Duration, Table

Purpose = Literal["ownership", "spf", "dkim", "dmarc", "return_path", "tracking"]


class SendingDomainTable(Table):
    """Domains that tenants add by themselves."""

    require: list[Purpose] = ["ownership", "dkim"]
    recheck: Duration = Field(6 * 3600.0, ge=60)
    grace: Duration = 3 * 86400.0

    @field_validator("require")
    @classmethod
    def _needs_a_proof(cls, value: list[Purpose]) -> list[Purpose]:
        if "ownership" not in value:
            raise ValueError('without "ownership" a tenant could send from anybody\'s domain')
        return value
