"""What requests about campaigns carry, and what their answers."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from mta.api.v1.keys import moment
from mta.api.v1.message_models import Line, Metadata, Tags, Text, Track
from mta.api.v1.moment import Moment
from mta.api.v1.person import OnePerson, People, Person
from mta.api.v1.route import Model, Shown
from mta.api.v1.template_models import Name, Source
from mta.campaign.campaigns import checked_name
from mta.campaign.definition import (
    MOST_VARIANTS,
    Bound,
    Definition,
    Guard,
    Target,
    Test,
    Variant,
)
from mta.campaign.schedule import is_zone
from mta.compose.fields import checked_field

#: A list or a segment: that there is one of this name is looked at before a campaign begins.
Slug = Annotated[Line, Field(min_length=1, max_length=100)]
_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d")
CampaignName = Annotated[str, Field(max_length=64), AfterValidator(checked_name)]


def _local(value: str) -> str:
    if value:
        if not _LOCAL.fullmatch(value):
            raise ValueError("it is a day and an hour without a zone, such as 2027-01-31T09:00")
        if not 1971 <= datetime.fromisoformat(value).year <= 9998:
            raise ValueError("it is before 1971, or after 9998")
    return value


def _zone(value: str) -> str:
    if value and not is_zone(value):
        raise ValueError(f"{value[:80]!r} is no time zone, such as Europe/Vienna")
    return value


def _data(value: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        # It is told again as it was given.
        raise ValueError("it has half of a surrogate pair in it, or lies too deep") from None
    return value


Data = Annotated[dict[str, Any], AfterValidator(_data)]


class CampaignTarget(Model):
    """For whom: who is on one of the lists or in one of the segments, and in none of the others."""

    lists: list[Slug] = Field([], max_length=50)
    segments: list[Slug] = Field([], max_length=50)
    except_lists: list[Slug] = Field([], max_length=50)
    except_segments: list[Slug] = Field([], max_length=50)

    @model_validator(mode="after")
    def _is_somebody(self) -> CampaignTarget:
        if not self.lists and not self.segments:
            raise ValueError("it names at least one list or segment")
        return self


class CampaignVariant(Model):
    """One content."""

    name: str = Field("A", pattern=r"^[A-Za-z0-9_-]{1,20}$")
    weight: float = Field(1.0, ge=0, le=1000, description="of how many it is for, beside the others")
    template: Name | None = Field(None, description="or subject, and text or html")
    version: int = Field(0, ge=0, le=1 << 31, description="of the template; 0: the one that is live then")
    subject: Source | None = Field(None, description="in Jinja2; with a template: in place of its own")
    text: Source | None = None
    html: Source | None = None
    sender: OnePerson | None = Field(None, alias="from", description="in place of that of the campaign")
    data: Data = Field({}, description="for the template, over those of the campaign")

    @model_validator(mode="after")
    def _is_complete(self) -> CampaignVariant:
        if self.template is not None:
            if self.text is not None or self.html is not None:
                raise ValueError("give either a template, or text and html")
        elif not self.subject or not (self.text or self.html):
            raise ValueError("without a template there are a subject, and text or html")
        return self


class CampaignTest(Model):
    """Variants are tried with some first, and the rest gets the best."""

    share: float = Field(0.2, gt=0, lt=1, description="of all, with whom they are tried")
    wait: int = Field(14400, ge=60, le=30 * 86400, description="seconds from the last of them to the look")
    metric: Literal["opened", "clicked"] = Field("clicked", description="by what they are compared")
    confidence: float = Field(0.95, ge=0.5, le=0.999, description="how sure it must be")
    least: int = Field(100, ge=1, le=1_000_000, description="people who must have had each of them")
    otherwise: Literal["wait", "split", "first"] = Field(
        "wait", description="where it is not clear: a person chooses, the rest is split, the first one goes"
    )


class GuardBound(Model):
    """How many are too many."""

    share: float = Field(gt=0, le=1, description="above it the campaign pauses")
    least: int = Field(1, ge=1, le=1_000_000, description="fewer than these never pause it")

    def bound(self) -> Bound:
        """As it is kept."""
        return Bound(self.share, self.least)


_BOUNCED, _COMPLAINED = GuardBound(share=0.05, least=20), GuardBound(share=0.003, least=5)


class CampaignGuard(Model):
    """When a campaign pauses by itself."""

    bounced: GuardBound | None = Field(
        _BOUNCED, description="of those whose message was delivered or came back"
    )
    complained: GuardBound | None = Field(_COMPLAINED, description="of those to whom it was delivered")
    hold: bool = Field(True, description="hold what is in the queue already, too, until it is resumed")

    def guard(self) -> Guard:
        """As it is kept."""
        return Guard(
            self.bounced.bound() if self.bounced is not None else None,
            self.complained.bound() if self.complained is not None else None,
            self.hold,
        )


class Throttle(Model):
    """How fast it goes, at the most."""

    count: int = Field(ge=1, le=100_000_000)
    per: Literal["minute", "hour", "day"] = "hour"


class CampaignSettings(Model):
    """A campaign, as long as it is a draft."""

    title: Line = Field("", max_length=200, description="for people")
    audience: CampaignTarget
    sender: OnePerson = Field(alias="from", description="of a domain of the tenant")
    reply_to: People = Field([], max_length=20)
    variants: list[CampaignVariant] = Field(min_length=1, max_length=MOST_VARIANTS)
    data: Data = Field({}, description="for the templates; those of contacts come over them")
    strict: bool = Field(True, description="whether missing variables refuse a message")
    headers: dict[str, Text] = Field({}, max_length=100, description="further header fields")
    tags: Tags = Field([], max_length=10)
    metadata: Metadata = Field({}, max_length=20)
    unsubscribe: Line | None = Field(
        None,
        max_length=100,
        description="the list that is left with one click; empty: all mail; without it: the one of the"
        " audience, or all mail if that are several",
    )
    track: Track = Track()
    send_at: Moment | None = Field(None, description="when it begins, once it is scheduled")
    local_time: Annotated[str, AfterValidator(_local)] = Field(
        "", max_length=16, description="the same hour for everybody, in time zones of their own"
    )
    time_zone: Annotated[str, AfterValidator(_zone)] = Field(
        "", max_length=64, description="of contacts that have none; without it: UTC"
    )
    throttle: Throttle | None = None
    spread: int = Field(0, ge=0, le=30 * 86400, description="seconds over which it is spread evenly")
    test: CampaignTest | None = None
    guard: CampaignGuard | None = Field(
        CampaignGuard(bounced=_BOUNCED, complained=_COMPLAINED, hold=True),
        description="when it pauses by itself; null: it never does",
    )

    @field_validator("headers")
    @classmethod
    def _may_be_set(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            checked_field(name, text)
        if len({name.lower() for name in value}) < len(value):
            raise ValueError("a field stands there twice")
        return value

    @model_validator(mode="after")
    def _fits(self) -> CampaignSettings:
        names = [one.name for one in self.variants]
        if len(set(names)) < len(names):
            raise ValueError("each variant has a name of its own")
        if not any(one.weight for one in self.variants):
            raise ValueError("at least one variant has a weight above 0")
        if self.send_at is not None and self.local_time:
            raise ValueError("give either send_at or local_time")
        if self.test is not None:
            if len(self.variants) < 2:
                raise ValueError("a test needs two variants")
            if self.local_time:
                raise ValueError(
                    "a test and local_time do not go together: the rest would wait for those in whose zone"
                    " the hour comes last; give a spread in place of one of them"
                )
            if any(not one.weight for one in self.variants):
                raise ValueError("in a test each variant has a weight above 0")
        return self

    def definition(self) -> Definition:
        """As it is kept."""
        throttle = self.throttle
        return Definition(
            target=Target(
                tuple(self.audience.lists),
                tuple(self.audience.segments),
                tuple(self.audience.except_lists),
                tuple(self.audience.except_segments),
            ),
            sender=(self.sender.email, self.sender.name),
            variants=tuple(
                Variant(
                    one.name,
                    one.weight,
                    one.template or "",
                    one.version,
                    one.subject or "",
                    one.text or "",
                    one.html or "",
                    (one.sender.email, one.sender.name) if one.sender is not None else ("", ""),
                    one.data,
                )
                for one in self.variants
            ),
            title=self.title,
            reply_to=tuple((one.email, one.name) for one in self.reply_to),
            headers=self.headers,
            data=self.data,
            tags=tuple(self.tags),
            metadata=self.metadata,
            unsubscribe=self.unsubscribe,
            clicks=self.track.clicks,
            opens=self.track.opens,
            strict=self.strict,
            send_at=self.send_at.timestamp() if self.send_at is not None else 0.0,
            local=self.local_time,
            zone=self.time_zone,
            throttle=throttle.count if throttle is not None else 0,
            unit=throttle.per if throttle is not None else "hour",
            spread=float(self.spread),
            test=Test(**self.test.model_dump()) if self.test is not None else None,
            guard=self.guard.guard() if self.guard is not None else None,
        )


class NewCampaign(CampaignSettings):
    """A campaign to be made."""

    name: CampaignName = Field(description="for good: messages, events and statistics have it")


def told(definition: Definition) -> dict[str, Any]:
    """A definition as requests have it."""
    target, test = definition.target, definition.test
    value: dict[str, Any] = {
        "title": definition.title,
        "audience": {
            "lists": list(target.lists),
            "segments": list(target.segments),
            "except_lists": list(target.except_lists),
            "except_segments": list(target.except_segments),
        },
        "from": _person(definition.sender),
        "reply_to": [_person(one) for one in definition.reply_to],
        "variants": [_variant(one) for one in definition.variants],
        "data": dict(definition.data),
        "strict": definition.strict,
        "headers": dict(definition.headers),
        "tags": list(definition.tags),
        "metadata": dict(definition.metadata),
        "unsubscribe": definition.unsubscribe,
        "track": {"opens": definition.opens, "clicks": definition.clicks},
        "send_at": None,
        "local_time": definition.local,
        "time_zone": definition.zone,
        "throttle": {"count": definition.throttle, "per": definition.unit} if definition.throttle else None,
        "spread": int(definition.spread),
        "test": None,
        "guard": asdict(definition.guard) if definition.guard is not None else None,
    }
    if definition.send_at:
        value["send_at"] = moment(definition.send_at)
    if test is not None:
        value["test"] = {
            "share": test.share,
            "wait": int(test.wait),
            "metric": test.metric,
            "confidence": test.confidence,
            "least": test.least,
            "otherwise": test.otherwise,
        }
    return value


def _person(one: tuple[str, str]) -> dict[str, str]:
    return {"email": one[0], "name": one[1]}


def _variant(one: Variant) -> dict[str, Any]:
    value: dict[str, Any] = {"name": one.name, "weight": one.weight, "data": dict(one.data)}
    for name in ("template", "subject", "text", "html"):
        if getattr(one, name):
            value[name] = getattr(one, name)
    if one.version:
        value["version"] = one.version
    if one.sender[0]:
        value["from"] = _person(one.sender)
    return value


class CampaignAct(Model):
    """Why; it stands in the journal."""

    reason: Line = Field("", max_length=500)


class CampaignPause(CampaignAct):
    """How it pauses."""

    hold: bool = Field(False, description="hold what is in the queue already, too, until it is resumed")


class CampaignSchedule(CampaignAct):
    """When it begins."""

    send_at: Moment | None = Field(None, description="without it, as its `send_at` or `local_time` says")


class CampaignChoice(CampaignAct):
    """What the rest gets."""

    variant: str | None = Field(None, max_length=20, description="its name; null: as the test was split")


class CampaignTestSend(Model):
    """Who gets a test message."""

    to: list[Person] = Field(min_length=1, max_length=10)
    variant: str = Field("", max_length=20, description="only this one; empty: all")
    contact: str = Field(
        "",
        max_length=320,
        description="with whose data it is made; empty: those of somebody in the audience",
    )


class CampaignProgress(Shown):
    """How far it is."""

    total: int = Field(description="people in the audience when it began")
    waiting: int
    sent: int = Field(description="messages handed to the queue")
    suppressed: int = Field(description="of the audience; they got nothing")
    left: int = Field(description="have left or are gone since it began; they got nothing")
    refused: int = Field(description="for whom no message could be made, or the server refused it")
    prepared: bool = Field(description="whether the audience is written down")
    seconds_left: int | None = Field(description="for which it goes on, at the least; null: it does not run")
    waits: str = Field(description="why nothing goes just now; empty: it does, or has no reason not to")


class CampaignShown(Shown):
    """A campaign."""

    name: str
    state: str = Field(description="draft, scheduled, running, paused, done or stopped")
    title: str
    created: str | None
    changed: str | None
    begins: str | None = Field(description="when it begins by itself")
    started: str | None
    ended: str | None
    reason: str = Field(description="of the last change of its state")
    by: str = Field(description="who has changed it last")
    hold: bool = Field(description="whether what is in the queue is held, too")
    chosen: str | None = Field(description="the variant that the rest gets; split: all of them")
    decision: str = Field(description="what the test has shown")
    definition: dict[str, Any] = Field(description="as it was made")


class CampaignFull(CampaignShown):
    """A campaign, with how far it is."""

    progress: CampaignProgress


class CampaignsShown(Shown):
    """A page of campaigns, the last made first."""

    campaigns: list[CampaignShown]
    next: str | None = None


class CampaignFinding(Shown):
    """One thing that was found."""

    level: str = Field(description="error: it cannot begin; warning; note")
    code: str
    words: str
    remedy: str


class CampaignReport(Shown):
    """What was looked at before a campaign begins."""

    fit: bool = Field(description="whether it may begin")
    size: int | None = Field(description="people in the audience now; null: it cannot be told")
    suppressed: int = Field(description="of them get nothing, as they stand now")
    looked_at: int = Field(description="people of whom that was asked")
    findings: list[CampaignFinding]


class CampaignTested(Shown):
    """What became of test messages."""

    messages: list[dict[str, str]] = Field(description="`id`, `to`, `variant`, or `error` in place of an id")


class CampaignRate(Shown):
    """A share, and between what the true one lies."""

    rate: float
    low: float
    high: float


class CampaignOutcome(Shown):
    """What came of one variant."""

    name: str
    counts: dict[str, int] = Field(description="of people, each once, as the journal has it")
    rates: dict[str, CampaignRate] = Field(
        description="`delivered` and `bounced` of all messages, the others of those that were delivered"
    )
    best: float = Field(description="how probable it is that it is the best")
    cost: float = Field(description="the rate that is given up on the average if another one is better")


class CampaignResult(Shown):
    """What came of a campaign."""

    state: str
    metric: str
    confidence: float
    variants: list[CampaignOutcome]
    leader: str | None = Field(description="the variant that is most probably the best")
    clear: bool = Field(description="whether it is sure enough")
    difference: CampaignRate | None = Field(description="of the leader to the next one")
    words: str
    decision: str = Field(description="what was decided when the test had ended")


class CampaignPerson(Shown):
    """How one person stands."""

    contact: int
    email: str = Field(description="empty: the contact was erased")
    variant: str
    state: str = Field(description="waiting, handed over just now, sent, suppressed, refused, left")
    message: str | None = Field(description="for looking at what becomes of it")
    why: str


class CampaignPeople(Shown):
    """A page of people, by number."""

    recipients: list[CampaignPerson]
    next: str | None = None


#: Campaigns that can be made.
EXAMPLES: dict[str, dict[str, Any]] = {
    "simple": {
        "name": "spring",
        "title": "Spring sale",
        "audience": {"lists": ["news"]},
        "from": {"email": "shop@example.org", "name": "The Shop"},
        "variants": [{"template": "spring"}],
    },
    "with a test": {
        "name": "spring-test",
        "audience": {"lists": ["news"], "except_segments": ["bought-lately"]},
        "from": "shop@example.org",
        "variants": [
            {"name": "A", "template": "spring"},
            {"name": "B", "template": "spring", "subject": "It is spring, {{ name }}"},
        ],
        "test": {"share": 0.2, "wait": 14400, "metric": "clicked", "otherwise": "wait"},
        "throttle": {"count": 10000, "per": "hour"},
    },
    "in the morning of everybody's day": {
        "name": "morning",
        "audience": {"segments": ["active"]},
        "from": "shop@example.org",
        "variants": [{"subject": "Good morning", "text": "Hello {{ name }}.\n%unsubscribe_url%\n"}],
        "local_time": "2027-03-01T09:00",
        "time_zone": "Europe/Vienna",
        "spread": 7200,
    },
}
