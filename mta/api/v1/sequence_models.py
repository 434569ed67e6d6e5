"""What requests and answers about sequences carry."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from mta.api.v1.cursor import MOST_NUMBER, Page
from mta.api.v1.keys import moment
from mta.api.v1.moment import Moment
from mta.api.v1.route import Model, Shown
from mta.registry.suppressions import checked_address
from mta.sequence.enrolment import NEVER, Enrolment
from mta.sequence.rehearsal import Line
from mta.sequence.sequences import NAME, Sequence, Version

Address = Annotated[str, AfterValidator(checked_address)]
_DEFINITION = "see the guide on sequences: triggers, exits, steps and so on"


class PutSequence(Model):
    """A version of a sequence."""

    definition: dict[str, Any] = Field(description=_DEFINITION)
    note: str = Field("", max_length=1000, description="what is said of this version")
    activate: bool = Field(True, description="whether who comes in gets it from now on")


class CheckSequence(Model):
    """A definition to be looked at."""

    definition: dict[str, Any] = Field(description=_DEFINITION)


class Activate(Model):
    """Which version those get who come in."""

    version: int = Field(ge=1, le=MOST_NUMBER)


class Pause(Model):
    """Why nobody comes in or goes on."""

    reason: str = Field("", max_length=500)


class SupposedThing(Model):
    """Something that the contact is supposed to do."""

    after: float = Field(
        ge=0, le=10 * 366 * 86400, description="seconds after it came in, or after the message of `step`"
    )
    outcome: Literal["opened", "clicked", "delivered", "bounced", "complained"] | None = None
    step: str = Field("", max_length=64, description="of which message")
    event: str = Field("", max_length=200, description="or an event of the application")
    properties: dict[str, Any] = Field({}, description="of the event")


class Rehearse(Model):
    """What would happen to a contact."""

    address: Address | None = Field(
        None, description="of a contact; without it: somebody of whom nothing is known"
    )
    definition: dict[str, Any] | None = Field(None, description="in place of the version that is kept")
    version: int = Field(0, ge=0, le=MOST_NUMBER, description="0: the live one")
    at: Moment | None = Field(None, description="when it would come in; without it: now")
    supposed: list[SupposedThing] = Field([], max_length=100, description="what it would do")


class Enrol(Model):
    """Who is to come in."""

    addresses: list[Address] = Field(min_length=1, max_length=1000, description="of contacts")
    properties: dict[str, Any] = Field({}, description="as of an event; `event` in templates")


class Move(Model):
    """Where an enrolment goes on."""

    version: int = Field(0, ge=0, le=MOST_NUMBER, description="0: the same")
    step: str = Field("", max_length=64, description="without it: the one at which it is")


class MoveAll(Model):
    """Those of a version go on in another."""

    source: int = Field(ge=1, le=MOST_NUMBER, alias="from")
    version: int = Field(ge=1, le=MOST_NUMBER, alias="to")


class Remove(Model):
    """Why a contact is taken out."""

    reason: str = Field("", max_length=500)


class EnrolmentsAsked(Page):
    """Which to show."""

    state: Literal["active", "finished", "goal", "exit", "left", "removed"] | None = None


class SequenceShown(Shown):
    """How a sequence is."""

    name: str
    live: int = Field(description="the version those get who come in; 0: none")
    latest: int
    state: str = Field(description="runs, paused or draft")
    paused: str = Field(description="why")
    created: str | None


class SequencesShown(Shown):
    """A page of sequences."""

    sequences: list[SequenceShown]
    next: str | None = None


class VersionShown(Shown):
    """One version."""

    version: int
    created: str | None
    by: str
    note: str
    definition: dict[str, Any]


class VersionsShown(Shown):
    """Versions, the last first."""

    versions: list[VersionShown]
    next: str | None = None


class SequenceDetail(SequenceShown):
    """A sequence, its live version, and who is where."""

    version: VersionShown
    steps: dict[str, int] = Field(description="how many contacts are at each step")
    ended: dict[str, int] = Field(description="how many have left, by how")
    drawing: list[str] = Field(description="the flow as lines of text")


class Kept(Shown):
    """A version that is kept now."""

    name: str
    version: int
    new: bool = Field(description="whether it differs from the one before")
    live: bool


class ProblemShown(Shown):
    """Something that is wrong with a definition."""

    place: str
    detail: str
    remedy: str


class Checked(Shown):
    """What was found."""

    valid: bool
    problems: list[ProblemShown]
    drawing: list[str]


class LineShown(Shown):
    """Something that would happen."""

    at: str | None
    step: str
    action: str
    way: str = ""
    reason: str = ""
    until: str | None = None


class Rehearsal(Shown):
    """What would happen, in order."""

    lines: list[LineShown]


class EnrolmentShown(Shown):
    """A contact in a sequence."""

    id: int
    sequence: str
    address: str
    version: int
    state: str = Field(description="active, finished, goal, exit, left or removed")
    step: str
    waits_until: str | None = Field(description="of one that waits for a time")
    entered: str | None
    ended: str | None
    reason: str
    properties: dict[str, Any]
    messages: dict[str, str] = Field(description="by step, the id of the message")


class EnrolmentsShown(Shown):
    """A page of enrolments."""

    enrolments: list[EnrolmentShown]
    next: str | None = None


class EnrolledShown(Shown):
    """What became of one."""

    address: str
    enrolment: int | None
    detail: str = Field("", description="why it did not come in")


class Enrolled(Shown):
    """What became of those who were to come in."""

    enrolled: int
    contacts: list[EnrolledShown]


class MovedAll(Shown):
    """How many go on in the other version."""

    moved: int
    stay: int = Field(description="whose step that version has not; they go on as they were")


def sequence_shown(one: Sequence) -> SequenceShown:
    """How it is told."""
    return SequenceShown(**_facts(one))


def _facts(one: Sequence) -> dict[str, Any]:
    state = "paused" if one.paused else "runs" if one.live else "draft"
    return {
        "name": one.name,
        "live": one.live,
        "latest": one.latest,
        "state": state,
        "paused": one.paused,
        "created": moment(one.created),
    }


def sequence_detail(
    one: Sequence, version: Version, steps: dict[str, int], ended: dict[str, int], drawing: list[str]
) -> SequenceDetail:
    """Likewise, with all that is known."""
    return SequenceDetail(
        **_facts(one), version=version_shown(version), steps=steps, ended=ended, drawing=drawing
    )


def version_shown(one: Version) -> VersionShown:
    """How it is told."""
    return VersionShown(
        version=one.number,
        created=moment(one.created),
        by=one.who,
        note=one.note,
        definition=dict(one.source),
    )


def enrolment_shown(one: Enrolment, address: str) -> EnrolmentShown:
    """How it is told."""
    waits = one.active and one.phase == "waiting" and one.until != NEVER
    return EnrolmentShown(
        id=one.id,
        sequence=one.sequence,
        address=address,
        version=one.version,
        state=one.outcome or "active",
        step=one.step,
        waits_until=moment(one.until) if waits else None,
        entered=moment(one.entered),
        ended=moment(one.ended),
        reason=one.reason,
        properties=dict(one.properties),
        messages=dict(one.messages),
    )


def line_shown(one: Line) -> LineShown:
    """How it is told."""
    action = one.action
    return LineShown(
        at=moment(one.at),
        step=action.step,
        action=action.kind,
        way=action.way,
        reason=action.reason,
        until=moment(action.until),
    )


def checked_name(text: str) -> str:
    """The name of a sequence.

    :raise ValueError: if it is none.
    """
    if not NAME.fullmatch(text):
        raise ValueError("a name has lower-case letters, digits, '.', '_' and '-', and at most 64 of them")
    return text
