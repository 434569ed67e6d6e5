"""The tables ``[tls_report]`` and ``[dmarc_report]``: what we tell others once a day, and they us."""

from __future__ import annotations

import re
from typing import Self

from pydantic import Field, field_validator, model_validator

from mta.config.values import Duration, Network, Size, Table
from mta.model.address import domain_of


class DailyReports(Table):
    """What every kind of report has: who reports and answers, when, and where reports of others come to."""

    contact: str = ""
    organization: str = ""
    sender: str = ""
    spread: Duration = 4 * 3600.0
    addresses: list[str] = []

    @field_validator("contact", "sender", mode="after")
    @classmethod
    def _is_address(cls, value: str) -> str:
        if value and not re.fullmatch(r"[!-;=?-~]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?", value):
            raise ValueError(f'{value!r} is no address, such as "postmaster@example.org"')
        return value

    @field_validator("addresses", mode="after")
    @classmethod
    def _are_addresses(cls, value: list[str]) -> list[str]:
        for item in value:
            local, at, domain = item.rpartition("@")
            if not at or not local or not domain:
                raise ValueError(f'{item!r} is no address, such as "reports@example.org"')
        return value

    @field_validator("spread", mode="after")
    @classmethod
    def _within_a_day(cls, value: float) -> float:
        if value > 86400 / 2:
            raise ValueError("a report of the day before is to be sent within half a day")
        return value

    @model_validator(mode="after")
    def _somebody_answers(self) -> Self:
        if (self.organization or self.sender) and not self.contact:
            raise ValueError("no report is sent without a contact: an address at which a person answers")
        if self.sender and domain_of(self.sender) != domain_of(self.contact):
            raise ValueError("sender and contact are of one domain, which the report names (RFC 8460, 5.3)")
        return self


class TlsReports(DailyReports):
    """TLS reports (RFC 8460); see :mod:`mta.tls_report`."""

    private: list[Network] = []
    authorities: str = ""


class DmarcReports(DailyReports):
    """DMARC aggregate reports (RFC 9990); see :mod:`mta.dmarc_report`."""

    max_size: Size = Field(10 * 1024 * 1024, ge=10_000)
