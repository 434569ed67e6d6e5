"""Sequences and who is in them; the requests for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mta_client.calls import Call, Page, nothing, page_of, part, read_as
from mta_client.messages import without_empty


@dataclass(frozen=True, slots=True)
class Flow:
    """A sequence; ``steps`` and ``ended``, who is where, are told of one alone.

    :ivar live: the version that those get who come in; 0: none.
    :ivar state: ``runs``, ``paused`` or ``draft``.
    """

    name: str
    live: int
    latest: int
    state: str
    paused: str
    created: str | None
    version: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)
    ended: Mapping[str, int] = field(default_factory=dict)
    drawing: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """A version that is kept; ``new``: whether it differs from the one before."""

    name: str
    version: int
    new: bool
    live: bool


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with a definition: ``place``, ``detail`` and ``remedy`` of each problem."""

    valid: bool
    problems: Sequence[Mapping[str, Any]]
    drawing: Sequence[str]


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A contact in a sequence; ``messages`` by step."""

    id: int
    sequence: str
    address: str
    version: int
    state: str
    step: str
    waits_until: str | None
    entered: str | None
    ended: str | None
    reason: str
    properties: Mapping[str, Any]
    messages: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Who came in: ``address``, ``enrolment`` and ``detail``, why not, of each."""

    enrolled: int
    contacts: Sequence[Mapping[str, Any]]


def _path(name: str, *more: str) -> str:
    return "/".join(("/v1/sequences", part(name), *more))


def sequences(cursor: str | None) -> Call[Page[Flow]]:
    """A part of them."""
    query = without_empty({"cursor": cursor})
    return Call("GET", "/v1/sequences", page_of("sequences", read_as(Flow)), query=query)


def sequence(name: str) -> Call[Flow]:
    """One."""
    return Call("GET", _path(name), read_as(Flow))


def put(name: str, definition: Mapping[str, Any], note: str, activate: bool) -> Call[Kept]:
    """Keep a version."""
    body = {"definition": dict(definition), "activate": activate, **without_empty({"note": note})}
    return Call("PUT", _path(name), read_as(Kept), body)


def check(definition: Mapping[str, Any]) -> Call[Checked]:
    """Look at a definition."""
    return Call("POST", "/v1/sequences/check", read_as(Checked), {"definition": dict(definition)})


def remove(name: str) -> Call[None]:
    """Remove one."""
    return Call("DELETE", _path(name), nothing)


def activate(name: str, version: int) -> Call[Flow]:
    """Let those who come in have a version."""
    return Call("POST", _path(name, "activate"), read_as(Flow), {"version": version})


def pause(name: str, reason: str) -> Call[Flow]:
    """Let nobody go on."""
    return Call("POST", _path(name, "pause"), read_as(Flow), without_empty({"reason": reason}))


def resume(name: str) -> Call[Flow]:
    """Let them go on."""
    return Call("POST", _path(name, "resume"), read_as(Flow))


def enrol(name: str, addresses: Sequence[str], properties: Mapping[str, Any]) -> Call[Enrolled]:
    """Let contacts in."""
    body = {"addresses": [*addresses], **without_empty({"properties": dict(properties)})}
    # Where one may be in it several times, twice is not once.
    return Call("POST", _path(name, "enrolments"), read_as(Enrolled), body, safe=False)


def enrolments(name: str, state: str, cursor: str | None) -> Call[Page[Enrolment]]:
    """A part of those in it."""
    query = without_empty({"state": state, "cursor": cursor})
    return Call("GET", _path(name, "enrolments"), page_of("enrolments", read_as(Enrolment)), query=query)


def take_out(name: str, enrolment: int, reason: str) -> Call[None]:
    """Take a contact out."""
    query = without_empty({"reason": reason})
    return Call("DELETE", _path(name, "enrolments", str(enrolment)), nothing, query=query)
