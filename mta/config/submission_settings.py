"""The table ``[submission]``: what people and programs that authenticate may ask of the queue."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field, field_validator

from mta.config.values import Duration, Table


def _account(value: str) -> str:
    if not re.fullmatch(r"\*|@?[^\s@*]+(?:@[^\s@*]+)?", value):
        raise ValueError(f'{value!r} is no account, no domain such as "@example.org", and not "*" for all')
    return value.lower()


#: An account, the ``@domain`` of accounts, or ``*``.
Account = Annotated[str, AfterValidator(_account)]


class Submission(Table):
    """What people and programs that authenticate may ask of the queue."""

    future_release: Duration = 30 * 86400.0
    priorities: bool = True
    priority_ceilings: dict[Account, Annotated[int, Field(ge=-9, le=9)]] = {}
    priority_field: str = "X-Mta-Priority"
    tenants: dict[Account, str] = {}
    tenant_field: str = "X-Mta-Tenant"
    tenant_field_from: list[Account] = []
    campaign_field: str = "X-Mta-Campaign"
    options: bool = True

    @field_validator("tenants")
    @classmethod
    def _have_names(cls, value: dict[str, str]) -> dict[str, str]:
        for key, name in value.items():
            if not name.isprintable() or name != name.strip() or not 1 <= len(name) <= 100:
                raise ValueError(f"{key}: a tenant's name has 1 to 100 printable characters")
        return value

    @field_validator("tenant_field", "campaign_field", "priority_field")
    @classmethod
    def _is_name(cls, value: str) -> str:
        if not re.fullmatch(r"[!-9;-~]{0,100}", value):
            raise ValueError('it is the name of a header field without the colon, such as "X-Campaign"')
        return value
