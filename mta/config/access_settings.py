"""Who may send what: ``[access]``, ``[[limit]]``, ``[authentication]``, ``[ban]``, ``[abuse]``."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from mta.config.submission_settings import Account
from mta.config.values import Duration, HostPatterns, Network, OneOrMore, Rate, Table, parse_rate

Role = Literal["mx", "submission", "submissions", "lmtp", "local"]
#: What a rule or a line of its file does.
RuleAction = Literal["accept", "reject", "defer", "hold", "tag"]
#: What a rule's file is about.
Subject = Literal["client", "reverse_name", "helo", "account", "sender", "recipient"]
#: What a limit is counted by.
By = Literal["client", "network", "account", "sender", "sender_domain", "recipient", "domain", "tenant"]


def _rate_or_none(value: Any) -> Any:
    return None if value == "" else parse_rate(value)


#: A rate, or ``""`` for none.
MaybeRate = Annotated[tuple[int, float] | None, BeforeValidator(_rate_or_none)]


class AccessRule(Table):
    """One rule; see :mod:`mta.judge.access`.  What is not given fits anything."""

    name: str = ""
    role: list[Role] = []
    client: list[Network] = []
    reverse_name: HostPatterns = []
    helo: HostPatterns = []
    account: OneOrMore = []
    sender: OneOrMore = []
    recipient: OneOrMore = []
    file: str = ""
    of: Subject | None = None
    action: RuleAction = "reject"
    reply: str = ""
    field: str = "X-Mta-Access"

    @field_validator("name")
    @classmethod
    def _is_short(cls, value: str) -> str:
        if not re.fullmatch(r"[\w .:@/-]{0,60}", value):
            raise ValueError("a rule's name has letters, digits and -_.:@/, 60 at the most")
        return value

    @field_validator("field")
    @classmethod
    def _is_field(cls, value: str) -> str:
        if not re.fullmatch(r"[!-9;-~]{1,100}", value):
            raise ValueError('it is the name of a header field without the colon, such as "X-Access"')
        return value

    @model_validator(mode="after")
    def _fits(self) -> AccessRule:
        if bool(self.file) != bool(self.of):
            raise ValueError(
                'a file needs to be told what it is about, such as of = "client"; and so does of'
            )
        if self.file and getattr(self, str(self.of)):
            raise ValueError(f"its file says already which {self.of} it fits")
        if not self.file and not any(getattr(self, key) for key in _CRITERIA):
            raise ValueError(f"it fits everybody: give one of {', '.join(_CRITERIA)}")
        code = re.match(r"([2-5]\d\d)(?: |$)", self.reply)
        wanted = {"reject": "5", "defer": "4"}.get(self.action)
        if code and code[1][0] != wanted:
            raise ValueError(f"the reply {code[1]} does not fit action = {self.action!r}")
        return self


_CRITERIA = ("client", "reverse_name", "helo", "account", "sender", "recipient")


class Access(Table):
    """Who may relay without AUTH, and rules for everybody."""

    relay_from: list[Network] = []
    contact: str = ""
    rule: list[AccessRule] = []


class Limit(Table):
    """So much in so much time; see :mod:`mta.judge.limits`."""

    name: str = ""
    by: Annotated[list[By], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
    match: OneOrMore = []
    role: list[Role] = ["mx", "submission", "submissions"]
    connections: Rate | None = None
    messages: Rate | None = None
    recipients: Rate | None = None
    burst: int = Field(0, ge=0)
    action: Literal["defer", "close", "hold"] = "defer"

    @model_validator(mode="after")
    def _counts_something(self) -> Limit:
        if not self.by:
            raise ValueError('it is counted by nothing: by = "client", or another of its kind')
        if sum(rate is not None for rate in (self.connections, self.messages, self.recipients)) != 1:
            raise ValueError("it counts one of connections, messages and recipients")
        if self.connections is not None and set(self.by) - {"client", "network"}:
            raise ValueError("connections are counted by client or network")
        if self.action == "hold" and self.connections is not None:
            raise ValueError("a connection cannot be held")
        return self


class Authentication(Table):
    """How fast passwords may be tried; see :mod:`mta.identity.throttle`."""

    free: int = Field(3, ge=0)
    delay: Duration = 2.0
    longest_delay: Duration = 900.0
    wait: Duration = 10.0
    forget: Duration = 3600.0
    known_for: Duration = 30 * 86400.0


class Ban(Table):
    """Who is not let in for a while; see :mod:`mta.ledger.bans`."""

    failures: MaybeRate = (30, 3600.0)
    network_failures: MaybeRate = (200, 3600.0)
    refusals: MaybeRate = None
    span: Duration = 3600.0
    longest: Duration = 86400.0
    never: list[Network] = Field(["127.0.0.0/8", "::1/128"], validate_default=True)


class Abuse(Table):
    """What is done when an account seems to be stolen; see :mod:`mta.judge.abuse`."""

    action: Literal["off", "hold", "defer", "reject"] = "off"
    volume: int = Field(200, ge=1)
    factor: float = Field(5.0, ge=1)
    unknown: MaybeRate = (50, 3600.0)
    bounces: MaybeRate = (50, 3600.0)
    networks: MaybeRate = (8, 3600.0)
    held: int = Field(100, ge=1)
    alert: str = ""
    exempt: list[Account] = []
