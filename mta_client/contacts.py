"""Contacts, what they do, lists and segments; the requests for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from mta_client.calls import Call, Page, nothing, page_of, part, read_as
from mta_client.messages import without_empty


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """Somebody whom the tenant knows.

    :ivar consented: when, as a time of RFC 3339; ``created`` and ``changed`` likewise, by the server.
    :ivar lists: to be put on; of one that was answered, the lists with their ``state``.
    :ivar suppressions: why nothing is sent there; by the server.
    """

    address: str
    name: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    time_zone: str = ""
    locale: str = ""
    channel: str = ""
    webhook: str = ""
    source: str = ""
    consented: str | None = None
    lists: Sequence[Any] = ()
    suppressions: Sequence[Mapping[str, Any]] = ()
    created: str | None = None
    changed: str | None = None

    def encode(self) -> dict[str, Any]:
        """As it is sent."""
        found = asdict(self)
        for name in ("suppressions", "created", "changed"):
            del found[name]
        # Lists that were answered are named with their state.
        found["lists"] = [one["list"] if isinstance(one, Mapping) else one for one in self.lists]
        return without_empty(found)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a contact did, or that became of a message to them."""

    at: str | None
    kind: str
    name: str
    message: str
    campaign: str
    list: str
    properties: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """Something that a person did, as the application tells it.

    :ivar id: the same event told again has the same.
    :ivar at: a time of RFC 3339; ``""``: now.
    """

    id: str
    name: str
    address: str
    at: str = ""
    properties: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Happened:
    """What became of happenings that were told.

    :ivar known: how many were there before.
    :ivar problems: ``place``, ``id`` and ``detail`` of those that were not taken.
    """

    taken: int
    known: int
    problems: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MailingList:
    """A list that people are on; the last five members are by the server."""

    name: str
    title: str = ""
    description: str = ""
    opt_in: str = "single"
    public: bool = False
    confirmation: Mapping[str, Any] = field(default_factory=dict)
    created: str | None = None
    changed: str | None = None
    pending: int | None = None
    subscribed: int | None = None
    unsubscribed: int | None = None


@dataclass(frozen=True, slots=True)
class Joined:
    """How somebody stands who was put on a list; ``confirmation``: what is sent for it."""

    address: str
    list: str
    state: str
    confirmation: str


@dataclass(frozen=True, slots=True)
class Segment:
    """Who meets a condition."""

    name: str
    title: str
    condition: Mapping[str, Any]
    created: str | None = None
    changed: str | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """A file of contacts; ``state`` is ``running``, ``done``, ``stopped``, ``failed`` or ``dry``."""

    id: str
    state: str
    line: int
    counts: Mapping[str, int]
    trouble: str
    plan: Mapping[str, Any]
    problems: Sequence[Mapping[str, Any]]


_contact = read_as(Contact)


def contacts(address: str, cursor: str | None) -> Call[Page[Contact]]:
    """A part of the contacts."""
    query = without_empty({"address": address, "cursor": cursor})
    return Call("GET", "/v1/contacts", page_of("contacts", _contact), query=query)


def contact(address: str) -> Call[Contact]:
    """One."""
    return Call("GET", f"/v1/contacts/{part(address)}", _contact)


def put(one: Contact, replace: bool) -> Call[Contact]:
    """Keep one."""
    return Call("POST", "/v1/contacts", _contact, {**one.encode(), **without_empty({"replace": replace})})


def change(address: str, changes: Mapping[str, Any]) -> Call[Contact]:
    """Change what is named."""
    return Call("PATCH", f"/v1/contacts/{part(address)}", _contact, dict(changes))


def erase(address: str, for_good: bool) -> Call[None]:
    """Forget one."""
    query = {"for_good": "true"} if for_good else {}
    return Call("DELETE", f"/v1/contacts/{part(address)}", nothing, query=query)


def activity(address: str, kind: str, cursor: str | None) -> Call[Page[Fact]]:
    """A part of what one did."""
    query = without_empty({"kind": kind, "cursor": cursor})
    path = f"/v1/contacts/{part(address)}/activity"
    return Call("GET", path, page_of("activity", read_as(Fact)), query=query)


def history(address: str) -> Call[Sequence[Mapping[str, Any]]]:
    """How one came on lists and left them."""
    return Call("GET", f"/v1/contacts/{part(address)}/history", lambda value: list(value["history"]))


def tell(happenings: Sequence[Happening], create: bool) -> Call[Happened]:
    """Tell what people did."""
    body = {"events": [without_empty(asdict(one)) for one in happenings], "create": create}
    return Call("POST", "/v1/events", read_as(Happened), body)


def bring(file: bytes, media: str, lists: Sequence[str], more: Mapping[str, Any]) -> Call[Import]:
    """Take a file of contacts in."""
    query = {**without_empty({"list": [*lists]}), **more}
    read, path = read_as(Import), "/v1/contacts/import"
    return Call("POST", path, read, query=query, content=file, media=media, safe=False)


def brought(identifier: str) -> Call[Import]:
    """How far a file is."""
    return Call("GET", f"/v1/imports/{part(identifier)}", read_as(Import))


def export(format: str, list: str, segment: str) -> Call[bytes]:
    """Contacts as a file."""
    query = without_empty({"format": format, "list": list, "segment": segment})
    return Call("GET", "/v1/contacts/export", bytes, query=query, raw=True)


# --- lists and segments ----------------------------------------------------------------


def lists(cursor: str | None) -> Call[Page[MailingList]]:
    """A part of the lists."""
    query = without_empty({"cursor": cursor})
    return Call("GET", "/v1/lists", page_of("lists", read_as(MailingList)), query=query)


def list_(name: str) -> Call[MailingList]:
    """One."""
    return Call("GET", f"/v1/lists/{part(name)}", read_as(MailingList))


def put_list(one: MailingList) -> Call[MailingList]:
    """Keep one."""
    names = ("title", "description", "opt_in", "public", "confirmation")
    body = without_empty({name: getattr(one, name) for name in names})
    return Call("PUT", f"/v1/lists/{part(one.name)}", read_as(MailingList), body)


def remove_list(name: str) -> Call[None]:
    """Remove one."""
    return Call("DELETE", f"/v1/lists/{part(name)}", nothing)


def members(name: str, state: str, cursor: str | None) -> Call[Page[Contact]]:
    """A part of those on it."""
    query = without_empty({"state": state, "cursor": cursor})
    return Call("GET", f"/v1/lists/{part(name)}/members", page_of("members", _contact), query=query)


def join(name: str, one: Contact, confirmed: bool) -> Call[Joined]:
    """Put somebody on it."""
    body = {**one.encode(), **without_empty({"confirmed": confirmed})}
    body.pop("lists", None)
    return Call("POST", f"/v1/lists/{part(name)}/members", read_as(Joined), body)


def take_off(name: str, address: str, forget: bool) -> Call[None]:
    """Take somebody off it."""
    query = {"forget": "true"} if forget else {}
    return Call("DELETE", f"/v1/lists/{part(name)}/members/{part(address)}", nothing, query=query)


def segments(cursor: str | None) -> Call[Page[Segment]]:
    """A part of the segments."""
    query = without_empty({"cursor": cursor})
    return Call("GET", "/v1/segments", page_of("segments", read_as(Segment)), query=query)


def segment(name: str) -> Call[Segment]:
    """One."""
    return Call("GET", f"/v1/segments/{part(name)}", read_as(Segment))


def put_segment(name: str, condition: Mapping[str, Any], title: str) -> Call[Segment]:
    """Keep one."""
    body = {"condition": dict(condition), **without_empty({"title": title})}
    return Call("PUT", f"/v1/segments/{part(name)}", read_as(Segment), body)


def remove_segment(name: str) -> Call[None]:
    """Remove one."""
    return Call("DELETE", f"/v1/segments/{part(name)}", nothing)


def in_segment(name: str, cursor: str | None) -> Call[Page[Contact]]:
    """A part of those who are in it."""
    path, query = f"/v1/segments/{part(name)}/members", without_empty({"cursor": cursor})
    return Call("GET", path, page_of("contacts", _contact), query=query)


def count(condition: Mapping[str, Any]) -> Call[int]:
    """How many meet a condition."""
    body = {"condition": dict(condition), "limit": 0}
    return Call("POST", "/v1/segments/preview", lambda value: int(value["count"]), body)
