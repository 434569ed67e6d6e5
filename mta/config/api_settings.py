"""The table ``[api]``: the HTTP API for applications."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from mta.config.values import Duration, Network, Size, Table


class Api(Table):
    """The HTTP API for applications, on ``listen.http``."""

    url: str = ""
    requests_per_second: int = Field(500, ge=0, description="of one tenant")
    strangers_per_minute: int = Field(60, ge=0, description="requests of one address without a valid key")
    recipients_per_second: float = Field(0.0, ge=0, description="of one tenant")
    recipients_per_day: int = Field(0, ge=0, description="of one tenant")
    body_size: Size = 75 * 1024 * 1024
    body_timeout: Duration = 60.0
    idempotency: Duration = 86400.0
    proxies: list[Network] = []

    @field_validator("url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[A-Za-z0-9.\-\[\]:]+(?:/[!-~]*)?", value):
            raise ValueError(f'{value!r} is no address of the API, such as "https://mail.example.org"')
        return value.rstrip("/")
