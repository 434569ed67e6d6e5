"""What requests to the control socket may carry, and how it is read."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator

from mta.api.problem import ApiProblem
from mta.config.settings import parse_duration
from mta.model.ids import decode_id
from mta.model.selection import Selection, Way, reply_pattern, ways_to
from mta.model.supposition import Supposition

#: Octets of a request's body.
MAX_BODY = 4 * 1024 * 1024
#: The last second of the year 9999: later ones nobody can write.
_LAST = 253402300799


def _queue_id(value: Any) -> Any:
    if isinstance(value, str):
        decode_id(value)
        return value.lower()
    return value


def _moment(value: Any) -> Any:
    """``2h`` (so long ago), or seconds since 1970."""
    if isinstance(value, str) and not value.replace(".", "", 1).isdigit():
        return time.time() - float(parse_duration(value))
    return value


QueueId = Annotated[str, BeforeValidator(_queue_id)]
Moment = Annotated[float, BeforeValidator(_moment)]


class Body(BaseModel):
    """Unknown members are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


class Deed(Body):
    """What somebody has the server do.

    :ivar by: who does it.
    """

    by: str = Field("", max_length=200)


class Act(Deed):
    """Something to do to messages of the queue.

    :ivar ids: queue ids; those that are not in the queue are passed over.
    :ivar reason: why.
    """

    ids: list[QueueId] = Field(min_length=1, max_length=100_000)
    reason: str = Field("", max_length=1000)


class Removal(Act):
    """Take messages out of the queue; with ``notify`` their senders are told."""

    notify: bool = False


class Move(Act):
    """Send messages another way; without a transport by the one that they have."""

    transport: str = Field("", max_length=100)
    next_hop: str = Field(max_length=1000, pattern=r"^[^\x00-\x20\x7f]+$")


class Reschedule(Act):
    """Give messages another time, in seconds since 1970."""

    at: float = Field(gt=0, le=_LAST)


class Bounce(Act):
    """Return messages to their senders, who are told why."""

    reason: str = Field(min_length=1, max_length=1000)


class Suspend(Deed):
    """Let nothing go to destinations until resumed, or until a time in seconds since 1970."""

    pattern: str = Field(max_length=1000, pattern=r"^[^\x00-\x20\x7f]+$")
    reason: str = Field("", max_length=1000)
    until: float = Field(0.0, ge=0.0, le=_LAST)


class Resume(Deed):
    """End a suspension."""

    pattern: str = Field(min_length=1, max_length=1000)
    reason: str = Field("", max_length=1000)


class BanBody(Deed):
    """A network, or an address, and how long it is not let in: until a time, 0: until it is lifted."""

    network: str = Field(min_length=1, max_length=200)
    reason: str = Field("", max_length=400)
    until: float = Field(0.0, ge=0.0)


class AccountBody(Deed):
    """An account to be suspended or resumed."""

    account: str = Field(min_length=1, max_length=320)
    reason: str = Field("", max_length=400)


class Flush(Deed):
    """Try everything now."""


class Administer(Deed):
    """What is asked of tenants, domains and keys; the registry knows the rest."""

    model_config = ConfigDict(extra="allow", frozen=True, defer_build=True)


class Rules(Deed):
    """Other rules for a mailbox, as its file ``rules.toml`` has them; ``null``: none."""

    address: str = Field(min_length=1, max_length=320)
    toml: str | None = Field(None, max_length=1 << 18)


class AlertTest(Body):
    """Which rule of ``[[alert]]`` is tried out."""

    rule: str = Field(max_length=100)


class DailyReports(Deed):
    """Of which day, in UTC, and for which domain (``""``: all) to send reports now."""

    day: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    domain: str = Field("", max_length=255)


class Rehearsal(Body):
    """A message to play through without sending it."""

    address: str = Field(min_length=1, max_length=400)
    sender: str = Field("", max_length=400)
    client_ip: str = Field("", max_length=60)
    helo: str = Field("", max_length=255)
    account: str = Field("", max_length=255)
    tenant: str = Field("", max_length=255)

    def supposition(self) -> Supposition:
        """What is supposed."""
        return Supposition(**self.model_dump())


class Page(Body):
    """Which part of the queue to show."""

    after: str = Field("", pattern="^([0-9a-zA-Z]{13})?$")
    limit: int = Field(100, ge=1, le=1000)
    sender: str = ""
    recipient: str = ""
    domain: str = ""
    state: Literal["", "queued", "held"] = ""
    sender_domain: str = ""
    destination: str = Field("", max_length=1000)
    site: str = Field("", max_length=1000)
    tenant: str = ""
    campaign: str = ""
    priority: int | None = Field(None, ge=-9, le=9)
    last_reply: str = Field("", max_length=1000)
    before: Moment = float("inf")
    since: Moment = 0.0
    deferred: bool = False
    scheduled: bool | None = None

    @field_validator("last_reply")
    @classmethod
    def _is_expression(cls, value: str) -> str:
        reply_pattern(value)
        return value

    def selection(self, sites: Mapping[Way, Sequence[str]]) -> Selection:
        """What messages must be.

        :param sites: hosts by way, if ``site`` is given.
        """
        return Selection(
            self.sender_domain,
            self.destination,
            self.tenant,
            self.campaign,
            self.priority,
            reply_pattern(self.last_reply),
            self.before,
            self.since,
            self.deferred,
            self.scheduled,
            ways_to(self.site, sites) if self.site else None,
        )


class Summary(Page):
    """By what to sum up which part of the queue."""

    by: Literal["destination", "site", "tenant", "campaign", "sender", "age", "reply"] = "destination"


class Search(Body):
    """Which events to show."""

    word: str = Field("", max_length=1000)
    since: Moment = 0.0
    until: Moment = float("inf")
    rejected: bool = False
    limit: int = Field(100, ge=1, le=10_000)


class DmarcSummary(Body):
    """Which DMARC reports to add up."""

    since: Moment = 0.0
    domain: str = Field("", max_length=255)
    failed: bool = False
    limit: int = Field(100, ge=1, le=10_000)


B = TypeVar("B", bound=Body)


def read_body(model: type[B], content: bytes) -> B:
    """A request's body.

    :raise ApiProblem: 400 or 413, saying what is wrong with it.
    """
    if len(content) > MAX_BODY:
        raise ApiProblem(413, "The body is too large", f"at most {MAX_BODY} octets")
    try:
        return model.model_validate_json(content or b"{}")
    except ValidationError as error:
        raise _invalid(error) from None


def read_query(model: type[B], arguments: Mapping[bytes, list[bytes]]) -> B:
    """A request's query; a parameter that comes twice counts as its last.

    :raise ApiProblem: 400, saying what is wrong with it.
    """
    values = {
        key.decode("utf-8", "replace"): item[-1].decode("utf-8", "replace") for key, item in arguments.items()
    }
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> ApiProblem:
    errors = [
        {
            "where": ".".join(map(str, item["loc"])),
            "what": item["msg"].removeprefix("Value error, "),
        }
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    detail = "; ".join(f"{item['where']}: {item['what']}".removeprefix(": ") for item in errors)
    return ApiProblem(400, "The request is not valid", detail, errors=errors)
