"""The tables ``[dkim]`` and ``[arc]``: what we sign, and how."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, field_validator, model_validator

from mta.config.values import Duration, Table, domain

#: What a reader sees, and what says how to read it (RFC 6376, 5.4.1; RFC 8058).
_HEADERS = [
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-ID",
    "List-Id",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "Auto-Submitted",
]
#: Those of which there is one at the most, and a second one, or a first one, would deceive (8.15).
_OVERSIGN = [
    "From",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
]
#: Others change or take out these on the way (5.4.1).
_NEVER = frozenset({"return-path", "received", "dkim-signature", "bcc", "resent-bcc"})


def _names(value: list[str]) -> list[str]:
    for name in value:
        if not re.fullmatch(r"[!-9;-~]{1,100}", name):
            raise ValueError(f"{name!r} is no name of a header field")
        if name.lower() in _NEVER or name.lower().startswith("arc-"):
            raise ValueError(f"{name} changes on its way, and would break every signature")
    return value


FieldNames = Annotated[list[str], AfterValidator(_names)]
Way = Literal["relaxed/relaxed", "relaxed/simple", "simple/relaxed", "simple/simple"]


class Dkim(Table):
    """Signatures of ours; the keys are made with ``mta dkim``."""

    sign: bool = True
    sign_local: list[str] = ["*"]
    canonicalization: Way = "relaxed/relaxed"
    headers: FieldNames = _HEADERS
    oversign: FieldNames = _OVERSIGN
    expire: Duration = 0.0

    @model_validator(mode="after")
    def _signs_from(self) -> Dkim:
        if "from" not in {name.lower() for name in self.headers}:
            raise ValueError('"headers" lacks From, which every signature must cover (RFC 6376, 5.4)')
        return self

    @field_validator("expire")
    @classmethod
    def _long_enough(cls, value: float) -> float:
        if 0 < value < 86400:
            raise ValueError("mail may be on its way for days: it is 0, or at least a day")
        return value


class Arc(Table):
    """Seals of ours on what we pass on; the key is one of ``mta dkim``."""

    seal: bool = True
    domain: str = ""

    @field_validator("domain")
    @classmethod
    def _is_domain(cls, value: str) -> str:
        return domain(value) if value else ""
