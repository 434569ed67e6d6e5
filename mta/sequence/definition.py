"""What a sequence is: data, checked by models.  :mod:`mta.sequence.reading` makes it of a file.

Steps stand in a list and lead to the next one, or to one that they name, which stands further down:
no sequence can go round in circles.  A step's ``id`` is where a contact is, so it stays the same from
version to version.
"""

from __future__ import annotations

import re
from email.utils import parseaddr
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator

from mta.config.settings import Duration
from mta.model.address import AddressError, parse_address
from mta.sequence.civil import parse_time, zone_of

#: Steps of one sequence, and triggers and exits.
MOST_STEPS, MOST_RULES = 200, 50
#: The longest that a step waits, in seconds: ten years.
LONGEST = 3650 * 86400.0
#: The shortest span in which messages are counted, and the longest.
_CAP = (60.0, 92 * 86400.0)
_ID = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _identifier(value: str) -> str:
    if not _ID.fullmatch(value):
        raise ValueError("it has lower-case letters, digits, - and _, and at most 64 of them")
    return value


def _line(value: str) -> str:
    if _CONTROLS.search(value):
        raise ValueError("it has no line breaks and no controls in it")
    return value


def _time(value: str) -> str:
    parse_time(value)
    return value


def _zone(value: str) -> str:
    if value and value != "contact":
        zone_of(value, strict=True)
    return value


def _wait(value: float) -> float:
    if not 0 < value <= LONGEST:
        raise ValueError('it is longer than nothing, and at most ten years, such as "2d"')
    return value


def _mailbox(value: str) -> str:
    if value:
        _, address = parseaddr(_line(value))
        try:
            parsed = parse_address(address)
        except AddressError as error:
            raise ValueError(f"it is no address, such as Shop <hello@shop.example>: {error}") from None
        if not parsed.domain or not address.isascii():
            raise ValueError("it is an address of ASCII with a domain, such as Shop <hello@shop.example>")
    return value


Identifier = Annotated[str, AfterValidator(_identifier)]
#: The name of a step; ``""``: the one that stands below.
Target = Annotated[str, Field(max_length=64)]
Line = Annotated[str, AfterValidator(_line)]
TimeOfDay = Annotated[str, AfterValidator(_time)]
Zone = Annotated[str, AfterValidator(_zone)]
Wait = Annotated[Duration, AfterValidator(_wait)]
Sender = Annotated[str, Field(max_length=1000), AfterValidator(_mailbox)]
#: See :mod:`mta.sequence.condition`.
ConditionData = dict[str, Any]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Part(BaseModel):
    """A piece of a definition; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class _Step(Part):
    id: Identifier = Field(description="by which other steps name it; where a contact is")
    title: Line = Field("", max_length=200, description="for people")
    next: Target = Field("", description="the step that follows; without it, the one that stands below")


class Send(_Step):
    """Send a message by a template."""

    do: Literal["send"]
    template: str = Field(max_length=64, description="its live version at the moment of sending")
    subject: Line = Field("", max_length=2000, description="in place of the template's, in Jinja2")
    sender: Sender = Field("", alias="from", description="in place of that of the sequence")
    reply_to: Sender = Field("", description="likewise")
    data: dict[str, Any] = Field({}, description="for the template, besides the contact's own")
    tags: tuple[Line, ...] = Field((), max_length=10, description="of the message")


class WaitFor(_Step):
    """Wait for some time."""

    do: Literal["wait"]
    span: Wait = Field(alias="for", description='such as "2d"')


class WaitUntil(_Step):
    """Wait until a time of day, or until a condition holds, for so long at the most."""

    do: Literal["wait_until"]
    time: TimeOfDay | None = Field(None, description='such as "09:00"')
    days: tuple[Day, ...] = Field((), max_length=7, description="only on these; none: on all")
    zone: Zone = Field("contact", description="contact: where the contact is; or a name of the IANA")
    when: ConditionData | None = Field(None, description="until this holds")
    timeout: Wait | None = Field(None, description="for so long at the most")
    then: Target = Field("", description="when it holds")
    otherwise: Target = Field("", description="when the time is over")


class Branch(_Step):
    """Go one way or the other."""

    do: Literal["branch"]
    when: ConditionData = Field(description="what is asked")
    then: Target = Field("", description="when it holds")
    otherwise: Target = Field("", description="when it does not")


class Notify(_Step):
    """Tell the person by the channel that it has chosen: mail, or a webhook of its own."""

    do: Literal["notify"]
    template: str = Field(max_length=64, description="its live version at the moment of sending")
    channel: Literal["contact", "mail", "webhook"] = Field(
        "contact", description="contact: that which the contact has chosen"
    )
    subject: Line = Field("", max_length=2000, description="in place of the template's, in Jinja2")
    sender: Sender = Field("", alias="from", description="in place of that of the sequence")
    reply_to: Sender = Field("", description="likewise")
    data: dict[str, Any] = Field({}, description="for the template, besides the contact's own")
    tags: tuple[Line, ...] = Field((), max_length=10, description="of the message")


class Webhook(_Step):
    """Post to an application."""

    do: Literal["webhook"]
    endpoint: str = Field("", max_length=100, description="id of one of the tenant's webhooks: it signs")
    url: str = Field("", max_length=2000, description="in place of an endpoint; signed as notifications are")
    data: dict[str, Any] = Field({}, description="goes with it")


class Assign(_Step):
    """Set attributes of the contact."""

    do: Literal["set"]
    attributes: dict[str, Any] = Field(min_length=1, max_length=50, description="null takes one away")


class AddToList(_Step):
    """Add the contact to a list."""

    do: Literal["add_to_list"]
    list: str = Field(min_length=1, max_length=200, description="its name")


class RemoveFromList(_Step):
    """Take the contact off a list."""

    do: Literal["remove_from_list"]
    list: str = Field(min_length=1, max_length=200, description="its name")


class Exit(_Step):
    """Leave the sequence here."""

    do: Literal["exit"]
    goal: bool = Field(False, description="whether it counts as reached")
    reason: Line = Field("", max_length=200, description="for people")


Step = Annotated[
    Send | WaitFor | WaitUntil | Branch | Notify | Webhook | Assign | AddToList | RemoveFromList | Exit,
    Field(discriminator="do"),
]
#: By ``do``.
STEPS: dict[str, type[_Step]] = {
    "send": Send,
    "wait": WaitFor,
    "wait_until": WaitUntil,
    "branch": Branch,
    "notify": Notify,
    "webhook": Webhook,
    "set": Assign,
    "add_to_list": AddToList,
    "remove_from_list": RemoveFromList,
    "exit": Exit,
}
AnyStep = Send | WaitFor | WaitUntil | Branch | Notify | Webhook | Assign | AddToList | RemoveFromList | Exit


class Trigger(Part):
    """What lets a contact in: one of ``event``, ``list`` and ``segment``."""

    event: Line = Field("", max_length=200, description="an event of the application")
    where: dict[str, Any] = Field({}, max_length=20, description="what the properties of the event must be")
    list: str = Field("", max_length=200, description="the contact has joined it")
    segment: str = Field("", max_length=200, description="the contact has come into it")
    existing: bool = Field(False, description="of a segment: those, too, that are in it at the beginning")


class Leave(Part):
    """When a contact leaves before the end."""

    name: Line = Field("", max_length=100, description="for people")
    when: ConditionData = Field(description="a condition, asked at any time")
    goal: bool = Field(False, description="whether it counts as reached")


class Quiet(Part):
    """Hours in which nothing is sent."""

    begin: TimeOfDay = Field(alias="from", description='such as "21:00"')
    until: TimeOfDay = Field(description='such as "08:00"')
    zone: Zone = Field("contact", description="contact: where the contact is; or a name of the IANA")


class Cap(Part):
    """How many messages one contact gets from sequences at the most."""

    messages: int = Field(ge=1, le=1000, description="so many")
    within: Duration = Field(description='in so long, such as "1d"')
    over: Literal["wait", "skip"] = Field("wait", description="what becomes of one more")

    @field_validator("within")
    @classmethod
    def _is_kept(cls, value: float) -> float:
        if not _CAP[0] <= value <= _CAP[1]:
            raise ValueError("it is from a minute to 92 days")
        return value


class Definition(Part):
    """A sequence."""

    title: Line = Field("", max_length=200, description="for people")
    list: str = Field(
        "", max_length=100, description="of mail: who has left it leaves; messages let it be left"
    )
    sender: Sender = Field("", alias="from", description="of messages, such as Shop <hello@shop.example>")
    reply_to: Sender = Field("", description="of messages")
    triggers: tuple[Trigger, ...] = Field((), max_length=MOST_RULES, description="who is let in")
    reentry: Literal["never", "after_end", "always"] = Field(
        "never", description="whether a contact that was in it comes in again"
    )
    exits: tuple[Leave, ...] = Field((), max_length=MOST_RULES, description="who leaves before the end")
    quiet: Quiet | None = Field(None, description="hours in which nothing is sent")
    cap: Cap | None = Field(None, description="how many messages one contact gets")
    steps: tuple[Step, ...] = Field(min_length=1, max_length=MOST_STEPS, description="what happens, in order")

    def place(self, step: str) -> int | None:
        """Where a step stands; ``None``: there is none of this name."""
        return next((number for number, one in enumerate(self.steps) if one.id == step), None)

    def after(self, step: AnyStep, target: str = "") -> str:
        """The id of the step that follows; ``""``: it was the last.

        :param target: which one it names.
        """
        wanted = target or step.next
        if wanted:
            return wanted
        place = self.place(step.id)
        assert place is not None
        return self.steps[place + 1].id if place + 1 < len(self.steps) else ""

    def to_json(self) -> dict[str, Any]:
        """As it is kept: JSON values, without what was not said."""
        return self.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {
            "steps": [one.model_dump(mode="json", by_alias=True, exclude_defaults=True) for one in self.steps]
        }


def targets(step: AnyStep) -> list[tuple[str, str]]:
    """The ways out of a step: key, and the step that it names (``""``: the next)."""
    if isinstance(step, Exit):
        return []
    if isinstance(step, Branch) or (isinstance(step, WaitUntil) and step.when is not None):
        return [("then", step.then or step.next), ("otherwise", step.otherwise or step.next)]
    return [("next", step.next)]
