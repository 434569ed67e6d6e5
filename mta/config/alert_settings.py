"""What somebody is to be told of: ``[[alert]]``; see :mod:`mta.alert`."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from mta.config.values import Duration, OneOrMore, Table, parse_size
from mta.model import event_rows as event_rows  # It knows all kinds.
from mta.model.event import event_kinds

#: What an alert may be about; each has exactly one of them.
SUBJECTS = ("event", "certificate", "disk", "queue_age", "queue_size", "statistic")
#: What ``statistic`` may be; rates first.  Held against :mod:`mta.analytics.measures` by a test.
RATES = (
    "delivery_rate",
    "bounce_rate",
    "deferral_rate",
    "complaint_rate",
    "open_rate",
    "click_rate",
    "unsubscribe_rate",
    "refusal_rate",
)
COUNTS = (
    "accepted",
    "recipients",
    "octets",
    "refused",
    "suppressed",
    "attempted",
    "delivered",
    "deferred",
    "bounced",
    "expired",
    "bounced_later",
    "complained",
    "unsubscribed",
    "opened",
    "opens",
    "opens_proxy",
    "opens_scanner",
    "clicked",
    "clicks",
    "clicks_proxy",
    "clicks_scanner",
)
#: What ``by`` may be; likewise.
DIMENSIONS = (
    "tenant",
    "tag",
    "domain",
    "provider",
    "campaign",
    "source",
    "class",
    "reply",
    "tls",
    "template",
    "variant",
    "rule",
    "provider-class",
)
_ADDRESS = re.compile(r"[!-;=?-~]+@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|postmaster")


def _room(value: Any) -> Any:
    """``"5%"`` as -5, a size as octets."""
    if isinstance(value, str) and value.strip().endswith("%"):
        match = re.fullmatch(r"(\d{1,2})\s*%", value.strip())
        if not match or not int(match[1]):
            raise ValueError('a share is a whole percentage, such as "5%"')
        return -int(match[1])
    found = parse_size(value)
    if isinstance(found, int | float) and found < 0:
        raise ValueError('it is a size, such as "2G", or a share, such as "5%"')
    return found


def _part(value: Any) -> Any:
    """``"5%"`` as 0.05; a number as it is."""
    if isinstance(value, str):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*%", value.strip())
        if not match:
            raise ValueError('it is a number, or a share such as "5%"')
        return float(match[1]) / 100
    return value


#: A count, or a share of one.
Part = Annotated[float | None, BeforeValidator(_part), Field(ge=0)]


class Alert(Table):
    """One rule."""

    name: str = Field(min_length=1, max_length=100)
    event: str = ""
    rule: str = ""
    count: int = Field(1, ge=1, le=10_000_000)
    within: Duration = 600.0
    certificate: Duration = 0.0
    disk: Annotated[int, BeforeValidator(_room)] = 0
    queue_age: Duration = 0.0
    queue_size: int = Field(0, ge=0)
    statistic: str = ""
    above: Part = None
    below: Part = None
    change: float = Field(0.0, ge=0, le=1000)
    by: str = ""
    value: str = Field("", max_length=200)
    tenant: str = Field("*", max_length=100)
    minimum: int = Field(100, ge=0, le=1_000_000_000)
    to: OneOrMore = Field(min_length=1)
    secret: str = ""
    repeat: Duration = 3600.0

    @field_validator("event")
    @classmethod
    def _is_a_kind(cls, value: str) -> str:
        known = event_kinds() - {"alert"}
        if value and value not in known:
            raise ValueError(f"there is no such kind of event; there are {', '.join(sorted(known))}")
        return value

    @field_validator("statistic", "by")
    @classmethod
    def _is_counted(cls, value: str, info: ValidationInfo) -> str:
        known = (*RATES, *COUNTS) if info.field_name == "statistic" else DIMENSIONS
        if value and value not in known:
            raise ValueError(f"there is no {value!r}; there are {', '.join(known)}")
        return value

    @field_validator("within")
    @classmethod
    def _is_bounded(cls, value: float) -> float:
        if not 1 <= value <= 7 * 86400:
            raise ValueError("it is at least a second, and at most 7 days")
        return value

    @field_validator("repeat")
    @classmethod
    def _is_not_a_flood(cls, value: float) -> float:
        if value < 60:
            raise ValueError("nobody is told of the same more often than once a minute")
        return value

    @field_validator("to")
    @classmethod
    def _can_be_told(cls, value: list[str]) -> list[str]:
        for item in value:
            if "://" not in item:
                if not _ADDRESS.fullmatch(item):
                    raise ValueError(f'{item!r} is no address, such as "postmaster@example.org", and no URL')
                continue
            parts = urlsplit(item)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
                raise ValueError(
                    f"{parts.hostname or 'this'!r} is no URL of a webhook, without a password in it"
                )
            if parts.scheme == "http" and not _is_here(parts.hostname):
                raise ValueError("a webhook elsewhere is reached by https:// only")
        return value

    @model_validator(mode="after")
    def _is_about_one_thing(self) -> Alert:
        named = [name for name in SUBJECTS if getattr(self, name)]
        if len(named) != 1:
            raise ValueError(f"it is about exactly one of {', '.join(SUBJECTS)}")
        if self.rule and not self.event:
            raise ValueError('"rule" goes with "event"')
        self._has_what_statistics_need()
        if any("://" in item for item in self.to) and not self.secret:
            raise ValueError(
                "what is posted is signed: name a file in secret; "
                '`echo "whsec_$(openssl rand -base64 32)"` makes one'
            )
        return self

    def _has_what_statistics_need(self) -> None:
        if not self.statistic:
            for name in ("above", "below", "change", "by", "value"):
                if getattr(self, name):
                    raise ValueError(f'"{name}" goes with "statistic"')
            return
        if self.above is None and self.below is None and not self.change:
            raise ValueError('say what is too much: "above", "below", or "change"')
        if self.change == 1:
            raise ValueError('"change" is a factor, such as 3 for three times as much, or 0.5 for half')
        if self.value and not self.by:
            raise ValueError('"value" goes with "by"')
        for name in ("above", "below"):
            if self.statistic in RATES and (getattr(self, name) or 0) > 1:
                raise ValueError(f'"{name}" of a rate is a share, such as "5%" or 0.05')

    @property
    def subject(self) -> str:
        """What it is about."""
        return next(name for name in SUBJECTS if getattr(self, name))


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
