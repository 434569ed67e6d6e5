"""Campaigns and statistics; the requests for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta_client.calls import Call, Page, nothing, page_of, part, read_as
from mta_client.messages import without_empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """What is sent: a template, or a text of its own."""

    name: str = ""
    template: str = ""
    subject: str = ""
    text: str = ""
    html: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewCampaign:
    """A campaign to be made, as a draft.

    :ivar lists: and ``segments``: who gets it.
    :ivar send_at: a time of RFC 3339 at which it begins, once it is scheduled.
    :ivar more: further members of the request, as the server's reference has them: ``test``,
        ``throttle``, ``local_time``, ``track`` and so on.
    """

    name: str
    sender: str
    variants: Sequence[Variant]
    lists: Sequence[str] = ()
    segments: Sequence[str] = ()
    title: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    tags: Sequence[str] = ()
    unsubscribe: str | None = None
    send_at: str = ""
    more: Mapping[str, Any] = field(default_factory=dict)

    def encode(self) -> dict[str, Any]:
        """As it is sent, but for its name."""
        names = ("name", "template", "subject", "text", "html")
        found = {
            "from": self.sender,
            "variants": [
                without_empty({name: getattr(one, name) for name in names}) for one in self.variants
            ],
            "audience": without_empty({"lists": [*self.lists], "segments": [*self.segments]}),
        }
        for name in ("title", "send_at"):
            found[name] = getattr(self, name)
        found |= {"data": dict(self.data), "tags": [*self.tags]}
        found = without_empty(found)
        if self.unsubscribe is not None:
            found["unsubscribe"] = self.unsubscribe
        return {**found, **self.more}


@dataclass(frozen=True, slots=True)
class Campaign:
    """One that there is; ``progress`` is told of one alone.

    :ivar state: ``draft``, ``scheduled``, ``running``, ``paused``, ``done`` or ``stopped``.
    :ivar chosen: the variant that the rest gets.
    """

    name: str
    state: str
    title: str
    created: str | None
    begins: str | None
    started: str | None
    ended: str | None
    reason: str
    by: str
    hold: bool
    chosen: str | None
    decision: str
    definition: Mapping[str, Any]
    progress: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """What was looked at before a campaign begins."""

    fit: bool
    size: int | None
    suppressed: int
    looked_at: int
    findings: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Person:
    """How somebody in a campaign stands."""

    contact: int
    email: str
    variant: str
    state: str
    message: str | None
    why: str


@dataclass(frozen=True, slots=True)
class Numbers:
    """Counts, rates and percentiles of delivery times, by name; ``at``, ``value``: of what."""

    counts: Mapping[str, int]
    rates: Mapping[str, float | None]
    delay: Mapping[str, float | None]
    at: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True)
class Series:
    """Numbers over time."""

    since: str
    until: str
    step: str
    total: Numbers
    points: Sequence[Numbers]


def _path(name: str, *more: str) -> str:
    return "/".join(("/v1/campaigns", part(name), *more))


def campaigns(state: str, cursor: str | None) -> Call[Page[Campaign]]:
    """A part of them."""
    query = without_empty({"state": state, "cursor": cursor})
    return Call("GET", "/v1/campaigns", page_of("campaigns", read_as(Campaign)), query=query)


def campaign(name: str) -> Call[Campaign]:
    """One."""
    return Call("GET", _path(name), read_as(Campaign))


def create(one: NewCampaign) -> Call[Campaign]:
    """Make one."""
    return Call("POST", "/v1/campaigns", read_as(Campaign), {"name": one.name, **one.encode()}, safe=False)


def change(one: NewCampaign) -> Call[Campaign]:
    """Change a draft."""
    return Call("PUT", _path(one.name), read_as(Campaign), one.encode())


def remove(name: str) -> Call[None]:
    """Remove one that was never started."""
    return Call("DELETE", _path(name), nothing)


def check(name: str) -> Call[Report]:
    """Look at everything."""
    return Call("POST", _path(name, "check"), read_as(Report))


def test(name: str, to: Sequence[str], more: Mapping[str, Any]) -> Call[None]:
    """Send test messages."""
    body = {"to": [{"email": one} for one in to], **more}
    return Call("POST", _path(name, "test"), nothing, body, safe=False)


def act(name: str, what: str, **more: Any) -> Call[Campaign]:
    """Lead one to another state."""
    return Call("POST", _path(name, what), read_as(Campaign), without_empty(more), safe=False)


def result(name: str) -> Call[Mapping[str, Any]]:
    """What came of it."""
    return Call("GET", _path(name, "result"), dict)


def recipients(name: str, state: str, cursor: str | None) -> Call[Page[Person]]:
    """A part of those who get it."""
    query = without_empty({"state": state, "cursor": cursor})
    return Call("GET", _path(name, "recipients"), page_of("recipients", read_as(Person)), query=query)


# --- statistics --------------------------------------------------------------------------


def _series(value: Any) -> Series:
    read = read_as(Numbers)
    points = [read(one) for one in value["points"]]
    return Series(value["since"], value["until"], value["step"], read(value["total"]), points)


def series(query: Mapping[str, str]) -> Call[Series]:
    """Numbers over time."""
    return Call("GET", "/v1/statistics", _series, query=without_empty(dict(query)))


def breakdown(query: Mapping[str, str], cursor: str | None) -> Call[Page[Numbers]]:
    """A part of the numbers by the values of a dimension."""
    found = without_empty({**query, "cursor": cursor})
    return Call("GET", "/v1/statistics/breakdown", page_of("values", read_as(Numbers)), query=found)


def funnel(query: Mapping[str, str]) -> Call[Mapping[str, Any]]:
    """How far the recipients of a campaign came."""
    return Call("GET", "/v1/statistics/campaign", dict, query=without_empty(dict(query)))
