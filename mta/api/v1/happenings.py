"""``POST /v1/events``: a tenant's application tells what its people do."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from mta.api.v1.moment import Moment
from mta.api.v1.route import Call, Model, Route, Shown
from mta.audience import contacts, facts
from mta.audience.audience import Audience
from mta.audience.contact import Contact
from mta.registry.suppressions import checked_address

#: Events of one request, and seconds by which one may be ahead of our clock.
MOST, _AHEAD = 1000, 300.0
_TEXT = "of your choice; an event with an id that is known is kept once"


def _id(value: str) -> str:
    if not value.isprintable():
        raise ValueError("it has printable characters only")
    return value


def _name(value: str) -> str:
    return facts.checked_name(value)


class NewEvent(Model):
    """Something that a person did."""

    id: Annotated[str, AfterValidator(_id)] = Field(min_length=1, max_length=200, description=_TEXT)
    name: Annotated[str, AfterValidator(_name)] = Field(description="such as signed_up")
    address: str = Field(min_length=1, max_length=400, description="of the contact")
    at: Moment | None = Field(None, description="when; without it: now")
    properties: dict[str, Any] = Field({}, description="JSON values, 8 KiB of them at most")
    attributes: dict[str, Any] = Field({}, description="of the contact, to be set; null takes one away")


class NewEvents(Model):
    """What happened, in order."""

    events: list[NewEvent] = Field(min_length=1, max_length=MOST)
    create: bool = Field(True, description="whether a contact is made of an address that there is none of")


class EventProblem(Shown):
    """Why one was not taken."""

    place: int = Field(description="position in the request")
    id: str
    detail: str


class Happened(Shown):
    """What became of them."""

    taken: int
    known: int = Field(description="that were there before, by their id")
    problems: list[EventProblem] = Field(description="the others were taken")


class EventRoutes:
    """Takes events.

    :param audience: keeps them.
    :param wake: has the runner look.
    """

    def __init__(self, audience: Audience, wake: Callable[[], None]) -> None:
        self._audience = audience
        self._wake = wake

    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                "POST",
                "/v1/events",
                self.take,
                "events",
                "Tell what people did",
                "Events let contacts into sequences, wake those that wait for them, and are found by "
                "segments. They are on disk when this answers. The same event may be told again: its id "
                "says that it is the same.",
                body=NewEvents,
                answer=Happened,
                status=202,
                examples={
                    "one": {
                        "events": [
                            {
                                "id": "order-4711",
                                "name": "purchase",
                                "address": "ann@example.net",
                                "properties": {"amount": 12.5},
                            }
                        ]
                    }
                },
            )
        ]

    async def take(self, call: Call) -> Happened:
        """Take some."""
        body: NewEvents = call.body
        answer: Happened = await self._audience.database.change(
            "facts", lambda base: _taken(base, call.tenant.name, body, call.now)
        )
        self._wake()
        return answer


def _taken(base: sqlite3.Connection, tenant: str, body: NewEvents, now: float) -> Happened:
    taken = known = 0
    problems = []
    for place, event in enumerate(body.events):
        base.execute("SAVEPOINT event")
        try:
            new = _one(base, tenant, event, body.create, now)
        except (ValueError, LookupError) as error:
            base.execute("ROLLBACK TO event")
            problems.append(EventProblem(place=place, id=event.id, detail=str(error)))
        else:
            taken, known = taken + new, known + (not new)
        base.execute("RELEASE event")
    return Happened(taken=taken, known=known, problems=problems)


def _one(base: sqlite3.Connection, tenant: str, event: NewEvent, create: bool, now: float) -> bool:
    at = event.at.timestamp() if event.at is not None else now
    if at > now + _AHEAD:
        raise ValueError("at: it is in the future")
    try:
        address = checked_address(event.address)
    except ValueError as error:
        raise ValueError(f"address: {error}") from None
    contact = contacts.find(base, tenant, address)
    if contact is None:
        if not create:
            raise LookupError(f"address: there is no contact {address}")
        contact, _ = contacts.put(base, tenant, Contact(address, source="event"), now)
    number = facts.record(
        base,
        tenant,
        contact.id,
        "event",
        min(at, now),
        name=event.name,
        properties=event.properties,
        key=f"event {event.id}",
    )
    if number and event.attributes:
        contacts.set_attributes(base, tenant, contact.id, event.attributes, now)
    return bool(number)
