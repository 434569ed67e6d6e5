"""What requests and answers about contacts, lists and segments carry."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from mta.api.v1.cursor import Page
from mta.api.v1.keys import moment
from mta.api.v1.moment import Moment
from mta.api.v1.route import Model, Shown
from mta.audience.contact import MOST_OCTETS, Contact
from mta.audience.facts import KINDS, Fact
from mta.audience.lists import MailingList
from mta.audience.memberships import Membership, Step
from mta.audience.segments import Segment

Channel = Literal["mail", "webhook"]
State = Literal["pending", "subscribed", "unsubscribed"]
_ATTRIBUTES = f"JSON values by name, {MOST_OCTETS} octets of them at most"


class _Fields(Model):
    """What may be said of a person."""

    name: str = Field("", max_length=200)
    attributes: dict[str, Any] = Field({}, description=f"{_ATTRIBUTES}; null takes one away")
    time_zone: str = Field("", max_length=64, description="such as Europe/Vienna; empty: UTC")
    locale: str = Field("", max_length=35, description="such as de-AT")
    channel: Channel = Field("mail", description="how notifications come")
    webhook: str = Field("", max_length=2000, description="where they are posted to")
    source: str = Field("", max_length=500, description="where consent came from")
    consented: Moment | None = Field(None, description="when")

    def contact(self, address: str) -> Contact:
        """As it is kept."""
        return Contact(
            address,
            self.name,
            self.attributes,
            self.time_zone,
            self.locale,
            self.channel,
            self.webhook,
            self.source,
            self.consented.timestamp() if self.consented else 0.0,
        )


class PutContact(_Fields):
    """A contact to be made, or changed if there is one of this address."""

    address: str = Field(min_length=1, max_length=400)
    lists: list[str] = Field([], max_length=50, description="to be put on, as by /v1/lists/{name}/members")
    replace: bool = Field(False, description="forget what the request does not name, and keep nothing of it")


class ChangeContact(Model):
    """What is to be another; what is not named stays."""

    name: str | None = Field(None, max_length=200)
    attributes: dict[str, Any] = Field({}, description=f"{_ATTRIBUTES}; null takes one away")
    time_zone: str | None = Field(None, max_length=64)
    locale: str | None = Field(None, max_length=35)
    channel: Channel | None = None
    webhook: str | None = Field(None, max_length=2000)
    source: str | None = Field(None, max_length=500)
    consented: Moment | None = None


class JoinList(_Fields):
    """Somebody to be put on a list; a contact is made if there is none."""

    address: str = Field(min_length=1, max_length=400)
    confirmed: bool = Field(False, description="the person has confirmed it elsewhere already")


class PutList(Model):
    """A list."""

    title: str = Field("", max_length=200, description="for those who are on it")
    description: str = Field("", max_length=1000, description="likewise")
    opt_in: Literal["single", "double"] = Field("single", description="double: who joins confirms it by mail")
    public: bool = Field(False, description="whoever has a link of the tenant's may join it")
    confirmation: Confirmation | None = Field(None, description="how that mail is made")


class Confirmation(Model):
    """The mail by which somebody confirms that they want to be on a list."""

    sender: str = Field("", alias="from", max_length=400, description="of a domain of the tenant")
    subject: str = Field("", max_length=200)
    template: str = Field(
        "",
        max_length=100,
        description="with `confirm_url`, `list` and `contact`; empty: a plain mail of ours",
    )
    redirect: str = Field("", max_length=2000, description="where the person is led to afterwards")


PutList.model_rebuild()


class PutSegment(Model):
    """A segment."""

    title: str = Field("", max_length=200)
    condition: dict[str, Any] = Field(description="see the guide")


class Preview(Model):
    """A condition to be tried out."""

    condition: dict[str, Any] = Field(description="see the guide")
    limit: int = Field(10, ge=0, le=100, description="members that are shown")


class ContactsAsked(Page):
    """Which contacts to show."""

    address: str = Field("", max_length=320, description='part of the address, such as "@example.org"')


class MembersAsked(Page):
    """Which members to show."""

    state: State | None = Field(None, description="only in this state")


class TakeOff(Model):
    """How somebody is taken off a list."""

    forget: bool = Field(
        False, description="as if they had never been on it: they may be put on it again, unless they left it"
    )


class ActivityAsked(Page):
    """What to show of what somebody did."""

    kind: Literal[KINDS] | None = Field(None, description="only of this kind")  # type: ignore[valid-type]


class Erase(Model):
    """How somebody is forgotten."""

    for_good: bool = Field(False, description="remember a hash, so that nobody imports the person again")


class ContactShown(Shown):
    """A contact."""

    address: str
    name: str
    attributes: dict[str, Any]
    time_zone: str
    locale: str
    channel: str
    webhook: str
    source: str
    consented: str | None
    created: str | None
    changed: str | None


class MembershipShown(Shown):
    """How a contact stands to a list."""

    list: str
    state: str
    since: str | None
    source: str


class BarShown(Shown):
    """Why nothing is sent."""

    reason: str
    list: str = Field(description="only for this list; empty: for all mail")


class ContactDetail(ContactShown):
    """A contact with its lists."""

    lists: list[MembershipShown]
    suppressions: list[BarShown] = Field(description="why nothing is sent to it")


class ContactsShown(Shown):
    """Some contacts."""

    contacts: list[ContactShown]
    next: str | None = None


class StepShown(Shown):
    """One change of a membership."""

    at: str | None
    list: str
    state: str
    by: str
    evidence: dict[str, Any]


class HistoryShown(Shown):
    """How a contact came on lists and left, the last first."""

    history: list[StepShown]


class FactShown(Shown):
    """What somebody did, or what happened to what was sent."""

    at: str | None
    kind: str
    name: str
    message: str
    campaign: str
    list: str
    properties: dict[str, Any]


class ActivityShown(Shown):
    """What somebody did, the last first."""

    activity: list[FactShown]
    next: str | None = None


class ListShown(Shown):
    """A list."""

    name: str
    title: str
    description: str
    opt_in: str
    public: bool
    confirmation: dict[str, Any]
    created: str | None
    changed: str | None


class ListDetail(ListShown):
    """A list, with how many are on it."""

    pending: int
    subscribed: int
    unsubscribed: int


class ListsShown(Shown):
    """Some lists."""

    lists: list[ListShown]
    next: str | None = None


class MemberShown(ContactShown):
    """A contact on a list."""

    state: str
    since: str | None


class MembersShown(Shown):
    """Who is on a list."""

    members: list[MemberShown]
    next: str | None = None


class Joined(Shown):
    """How somebody stands to a list now."""

    address: str
    list: str
    state: str = Field(description="unsubscribed: they have left it, and must ask for it themselves")
    confirmation: str = Field(description="sent, suppressed, wait, or empty: none is needed")


class SegmentShown(Shown):
    """A segment."""

    name: str
    title: str
    condition: dict[str, Any]
    created: str | None
    changed: str | None


class SegmentsShown(Shown):
    """Some segments."""

    segments: list[SegmentShown]
    next: str | None = None


class PreviewShown(Shown):
    """For whom a condition holds."""

    count: int
    contacts: list[ContactShown] = Field(description="the first of them")


def _contact(one: Contact) -> dict[str, Any]:
    return {
        "address": one.address,
        "name": one.name,
        "attributes": dict(one.attributes),
        "time_zone": one.time_zone,
        "locale": one.locale,
        "channel": one.channel,
        "webhook": one.webhook,
        "source": one.source,
        "consented": moment(one.consented),
        "created": moment(one.created),
        "changed": moment(one.changed),
    }


def contact_shown(one: Contact) -> ContactShown:
    """A contact, for an answer."""
    return ContactShown(**_contact(one))


def contact_detail(one: Contact, on: list[Membership], barred: list[BarShown]) -> ContactDetail:
    """A contact with its lists."""
    return ContactDetail(**_contact(one), lists=[_membership(each) for each in on], suppressions=barred)


def _membership(one: Membership) -> MembershipShown:
    return MembershipShown(list=one.name, state=one.state, since=moment(one.since), source=one.source)


def member_shown(contact: Contact, one: Membership) -> MemberShown:
    """Somebody on a list."""
    return MemberShown(**_contact(contact), state=one.state, since=moment(one.since))


def step_shown(one: Step) -> StepShown:
    """A change of a membership."""
    return StepShown(
        at=moment(one.at), list=one.name, state=one.state, by=one.who, evidence=dict(one.evidence)
    )


def fact_shown(one: Fact) -> FactShown:
    """A fact."""
    return FactShown(
        at=moment(one.at),
        kind=one.kind,
        name=one.name,
        message=one.message,
        campaign=one.campaign,
        list=one.list,
        properties=dict(one.properties),
    )


def list_facts(one: MailingList) -> dict[str, Any]:
    """The fields of :class:`ListShown`."""
    return {
        "name": one.name,
        "title": one.title,
        "description": one.description,
        "opt_in": one.opt_in,
        "public": one.public,
        "confirmation": dict(one.confirmation),
        "created": moment(one.created),
        "changed": moment(one.changed),
    }


def segment_shown(one: Segment) -> SegmentShown:
    """A segment."""
    return SegmentShown(
        name=one.name,
        title=one.title,
        condition=dict(one.condition),
        created=moment(one.created),
        changed=moment(one.changed),
    )
