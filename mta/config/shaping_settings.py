"""Tables about how much destinations are given, and from where: ``[[shape]]``, ``[[egress]]`` and kin."""

from __future__ import annotations

from datetime import UTC, date, datetime
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from mta.config.values import Duration, HostPatterns, OneOrMore, Rate, Table, domain
from mta.model.automation import Automation as AutomationRule
from mta.model.bounce import Rule
from mta.model.bounce_classes import BY_NAME
from mta.model.bounce_data import shipped
from mta.model.egress import Source
from mta.model.limits import Timeouts
from mta.model.tls_demand import TlsLevel
from mta.model.warm_up import Plan

#: Seconds; 0 is no time at all.
_Wait = Annotated[Duration, Field(gt=0)]


class ShapeTimeouts(Table):
    """How long to wait for a peer; what is not set is as in the table of the transport."""

    connect: _Wait | None = None
    greeting: _Wait | None = None
    hello: _Wait | None = None
    mail: _Wait | None = None
    recipient: _Wait | None = None
    data: _Wait | None = None
    block: _Wait | None = None
    end: _Wait | None = None

    def timeouts(self) -> Timeouts:
        """The same, for those who wait."""
        return Timeouts(**{name: value for name, value in self.model_dump().items() if value})


class Shape(Table):
    """What some destinations are given at the most; see :mod:`mta.route.shaping`.

    ``*`` in a pattern stands for anything.
    """

    domain: HostPatterns = []
    mx: HostPatterns = []
    tenant: list[str] = []
    source: OneOrMore = []
    transport: list[str] = ["relay"]
    connections: int = Field(0, ge=0)
    messages_per_connection: int = Field(0, ge=0)
    messages: list[Rate] = []
    recipients: list[Rate] = []
    retry: list[Duration] = []
    egress: str = ""
    tls: TlsLevel | None = None
    timeouts: ShapeTimeouts | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Shape:
        sets = (
            self.connections, self.messages_per_connection, self.messages, self.recipients, self.retry,
            self.egress, self.tls, self.timeouts,
        )  # fmt: skip
        if not any(sets):
            names = (
                "connections, messages_per_connection, messages, recipients, retry, egress, tls or timeouts"
            )
            raise ValueError(f"it sets nothing: give {names}")
        if self.source and self.egress:
            raise ValueError("a table about a source cannot pick one: take egress or source out")
        return self


class WarmUp(Table):
    """How many messages a day a new source sends; see :mod:`mta.model.warm_up`."""

    start: date
    total: list[Annotated[int, Field(ge=1)]] = []
    per_site: list[Annotated[int, Field(ge=1)]] = []
    factor: float = Field(1.0, ge=1, le=10)
    days: int = Field(30, ge=1)

    @model_validator(mode="after")
    def _limits_something(self) -> WarmUp:
        if not (self.total or self.per_site):
            raise ValueError("it limits nothing: give total or per_site, messages of each day")
        return self

    def plan(self) -> Plan:
        """The same, as a plan."""
        start = datetime(self.start.year, self.start.month, self.start.day, tzinfo=UTC).timestamp()
        return Plan(start, tuple(self.total), tuple(self.per_site), self.factor, self.days)


def _name(value: str) -> str:
    if not value or not all(one.isalnum() or one in "-_." for one in value):
        raise ValueError('a name is of letters, digits, "-", "_" and "."')
    return value


class Egress(Table):
    """A source: an address of this machine that mail leaves from, and who it says it is."""

    name: Annotated[str, AfterValidator(_name)]
    ipv4: str = ""
    ipv6: str = ""
    helo: str = ""
    warm_up: WarmUp | None = None

    @field_validator("ipv4", "ipv6")
    @classmethod
    def _is_address(cls, value: str) -> str:
        try:
            return str(ip_address(value)) if value else ""
        except ValueError:
            raise ValueError('it is an IP address of this machine, such as "192.0.2.1"') from None

    @field_validator("helo")
    @classmethod
    def _is_domain(cls, value: str) -> str:
        return domain(value) if value else ""

    @model_validator(mode="after")
    def _has_address(self) -> Egress:
        if ":" in self.ipv4 or (self.ipv6 and ":" not in self.ipv6):
            raise ValueError("ipv4 and ipv6 have each other's address")
        if not (self.ipv4 or self.ipv6):
            raise ValueError("it has no address: give ipv4, ipv6 or both")
        return self

    def source(self) -> Source:
        """The source."""
        return Source(self.name, self.ipv4, self.ipv6, self.helo)


class EgressPool(Table):
    """Sources among which messages are spread, and whose messages those are."""

    name: Annotated[str, AfterValidator(_name)]
    sources: dict[str, Annotated[float, Field(gt=0)]] = Field(min_length=1)
    tenant: list[str] = []
    sender: Annotated[OneOrMore, AfterValidator(lambda value: [one.lower() for one in value])] = []
    transport: list[str] = ["relay"]


class Automation(Table):
    """What follows when a remote says certain things; see :mod:`mta.model.automation`."""

    name: Annotated[str, AfterValidator(_name)] | None = None
    means: list[str] = []
    provider: list[str] = []
    text: list[str] = []
    code: list[str] = []
    enhanced: list[str] = []
    host: list[str] = []
    command: list[str] = []
    trigger: Rate = (1, 1.0)
    action: Literal["suspend", "slow", "nothing"]
    duration: Duration = 0.0
    scope: Literal["source", "site"] = "source"
    connections: int = Field(0, ge=0)
    messages: list[Rate] = []

    @field_validator("means")
    @classmethod
    def _are_classes(cls, value: list[str]) -> list[str]:
        for name in value:
            if name not in BY_NAME:
                raise ValueError(f"there is no class {name!r}; known are {', '.join(BY_NAME)}")
        return value

    @field_validator("provider")
    @classmethod
    def _are_providers(cls, value: list[str]) -> list[str]:
        known = shipped()[1]
        for name in value:
            if name not in known:
                raise ValueError(f"there is no provider {name!r}; known are {', '.join(sorted(known))}")
        return value

    @model_validator(mode="after")
    def _makes_sense(self) -> Automation:
        looks = (self.means, self.provider, self.text, self.code, self.enhanced, self.host, self.command)
        if not any(looks):
            raise ValueError(
                "it fits every reply: give means, provider, text, code, enhanced, host or command"
            )
        if any(not phrase.strip(" *") for phrase in self.text):
            raise ValueError("a phrase of text is empty")
        limits = bool(self.connections or self.messages)
        if self.action == "slow" and not limits:
            raise ValueError('"slow" needs connections or messages')
        if self.action != "slow" and limits:
            raise ValueError(f'connections and messages are for "slow", not for "{self.action}"')
        if self.action != "nothing" and not self.duration:
            raise ValueError('it has to end: give duration, such as "30m"')
        return self

    def rule(self, number: int) -> AutomationRule:
        """The rule.

        :param number: its place, for one without a name.
        """
        pattern = Rule(
            "other",
            text=tuple(self.text),
            code=tuple(self.code),
            enhanced=tuple(self.enhanced),
            provider=tuple(self.provider),
            host=tuple(self.host),
            command=tuple(self.command),
        )
        return AutomationRule(
            self.name or f"automation-{number}",
            self.action,
            self.duration,
            tuple(self.means),
            pattern,
            self.trigger,
            self.scope == "site",
            self.connections,
            tuple(self.messages),
        )
