"""The table ``[suppression]``: who is put on suppression lists by itself, and what SMTP says of it."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from mta.config.values import Table
from mta.model.bounce_classes import BY_NAME

#: Classes of replies after which an address is written to no more: it is not there, or wants nothing.
SUPPRESSING = ("bad-mailbox", "bad-domain", "inactive-mailbox")


class SuppressionTable(Table):
    """Suppression lists of tenants."""

    automatic: bool = True
    classes: list[str] = list(SUPPRESSING)
    complaints: bool = True
    smtp: Literal["refuse", "accept"] = "refuse"

    @field_validator("classes")
    @classmethod
    def _are_known(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in BY_NAME:
                raise ValueError(
                    f"there is no class {name!r}; `mta explain bounces` tells of {', '.join(BY_NAME)}"
                )
        return value
