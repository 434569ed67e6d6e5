"""The table ``[dashboard]``: who may open the pages, and for how long."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from mta.config.values import Duration, OneOrMore, Table


class Dashboard(Table):
    """The pages under ``/dashboard/`` on ``listen.http``.

    Accounts are those of ``[[identity]]``; ``*@example.org`` stands for all of a domain.
    """

    enabled: bool = True
    administrators: OneOrMore = []
    operators: OneOrMore = []
    viewers: OneOrMore = []
    tenants: dict[str, OneOrMore] = {}
    idle: Duration = Field(1800.0, ge=60)
    longest: Duration = Field(12 * 3600.0, ge=60)
    streams: int = Field(20, ge=0, description="live pages that are open at a time, of one worker")

    @field_validator("administrators", "operators", "viewers")
    @classmethod
    def _are_accounts(cls, value: list[str]) -> list[str]:
        return [_pattern(one) for one in value]

    @field_validator("tenants")
    @classmethod
    def _are_of_tenants(cls, value: dict[str, list[str]]) -> dict[str, list[str]]:
        return {name: [_pattern(one) for one in accounts] for name, accounts in value.items()}


def _pattern(value: str) -> str:
    """An account, or all of a domain.

    :raise ValueError: for a pattern that would let in more than somebody has thought of.
    """
    text = value.strip().lower()
    if not text or re.search(r"[\s\x00-\x1f]", text):
        raise ValueError(f'{value!r} is no account, such as "anna@example.org"')
    if "*" in text and not re.fullmatch(r"\*@[^*@]+", text):
        raise ValueError(f'{value!r}: only a whole domain can stand for several accounts, "*@example.org"')
    return text
