"""Who is in a sequence: let in one by one or a whole list, looked at, taken out; the way that each went."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, field_validator

from mta.audience.audience import Audience
from mta.audience.condition import ConditionError, parse
from mta.dashboard.asked import Ask, Refused, place_of
from mta.dashboard.page import Answered, Confirmation, Form, Html, Invalid, Page, Query, Redirect, missing
from mta.dashboard.role import Right
from mta.dashboard.sequences import ONE, PLACE
from mta.dashboard.visit import Visit
from mta.model.event import Event
from mta.model.event_sequence import SequenceStepped
from mta.registry.suppressions import checked_address
from mta.sequence.sequences import NoSequence
from mta.sequence.stores import Sequences

_ON_PAGE = 50
#: Contacts that are let in at once, and of one list at the most.
_PIECE, _MOST = 1000, 20_000
#: Events that are looked at for the way of one contact.
_EVENTS = 2000


class Which(Query):
    """Which people."""

    state: Literal["", "active", "finished", "goal", "exit", "left", "removed"] = ""
    after: str = Field("", max_length=200)


class Enrol(Form):
    """Who is to come in."""

    addresses: str = Field("", max_length=200_000)
    group: str = Field("", max_length=250)

    @field_validator("addresses")
    @classmethod
    def _are_addresses(cls, value: str) -> str:
        found = _addresses(value)
        if len(found) > _PIECE:
            raise ValueError(f"at most {_PIECE} at once; put more on a list, and let the list in")
        return value


class Unenrol(Form):
    """Who is to be taken out."""

    name: str
    enrolment: int = Field(ge=1, le=1 << 62)
    reason: str = Field("", max_length=500)


class SequencePeoplePages:
    """See the module.

    :param ask: asks the API.
    :param sequences: keeps them.
    :param audience: has lists and segments.
    :param find: the events of a word, the newest first.
    """

    def __init__(
        self,
        ask: Ask,
        sequences: Sequences,
        audience: Audience,
        find: Callable[[str, int], Awaitable[Sequence[Event]]],
    ) -> None:
        self._ask = ask
        self._sequences = sequences
        self._audience = audience
        self._find = find

    def pages(self) -> list[Page]:
        """What there is."""
        look, act = Right.LOOK_OWN, Right.ACT_OWN
        people = PLACE + "/at/{name}/people"
        one, out = people + "/{enrolment}", f"{PLACE}/unenrol"
        return [
            Page("GET", people, self.people, look, "Who is in it", query=Which),
            Page("POST", people, self.enrol, act, "Let contacts in", Which, Enrol, self.people),
            Page("GET", one, self.one, look, "The way of a contact"),
            Page("POST", out, self.unenrol, act, "Take out", None, Unenrol, None, self.ask_unenrol),
        ]

    async def people(self, visit: Visit) -> Answered:
        """A page of them."""
        names = {"name": visit.path["name"]}
        query: Which = visit.query
        asked = {"limit": _ON_PAGE, "cursor": query.after, "state": query.state or None}
        try:
            found = await self._ask(visit, "GET", f"{ONE}/enrolments", names, query=asked)
        except Refused:
            return Redirect(f"{place_of(PLACE, names['name'])}/people")
        kept = await self._kept(visit)
        steps, ended = await self._sequences.counts(visit.tenant, kept.name)
        values = {
            "kept": kept,
            "found": found["enrolments"],
            "more": found["next"],
            "states": {"active": sum(steps.values()), **ended},
            "groups": await self._groups(visit),
        }
        return Html("sequence_people.html", values)

    async def _groups(self, visit: Visit) -> list[tuple[str, str]]:
        lists = await self._audience.lists.all_of(visit.tenant)
        segments = await self._audience.segments.page(visit.tenant, "", 200)
        return [
            ("", "nobody else"),
            *((f"list {one.name}", f"the list {one.title or one.name}") for one in lists),
            *((f"segment {one.name}", f"the segment {one.title or one.name}") for one in segments),
        ]

    async def enrol(self, visit: Visit) -> Answered:
        """Let some in."""
        form: Enrol = visit.form.value
        kept = await self._kept(visit)
        addresses = _addresses(form.addresses)
        if form.group:
            addresses += [one for one in await self._members(visit, form.group) if one not in set(addresses)]
        if not addresses:
            raise Invalid({"addresses": "Say who: an address, or a list."})
        count, why = 0, dict[str, int]()
        for first in range(0, len(addresses), _PIECE):
            some = addresses[first : first + _PIECE]
            try:
                answer = await self._ask(
                    visit, "POST", f"{ONE}/enrolments", {"name": kept.name}, body={"addresses": some}
                )
            except Refused as refused:
                raise refused.invalid({"addresses": "addresses"}) from None
            count += answer["enrolled"]
            for one in answer["contacts"]:
                if one["enrolment"] is None:
                    why[one["detail"]] = why.get(one["detail"], 0) + 1
        words = f"{count} came in." if count != 1 else "One came in."
        words += "".join(f"  {number} did not: {reason}." for reason, number in why.items())
        return Redirect(f"{place_of(PLACE, kept.name)}/people", words, "warn" if why else "good")

    async def _members(self, visit: Visit, group: str) -> list[str]:
        kind, _, name = group.partition(" ")
        data = {"list": name, "state": "subscribed"} if kind == "list" else {"segment": name}
        segments = self._audience.segments
        try:
            condition = parse(data)
            count = await segments.count(visit.tenant, condition, visit.now)
            if count > _MOST:
                raise Invalid(
                    {
                        "group": f"{count} are in it, and {_MOST} can be let in at once.  Make it a trigger "
                        f'of the sequence: [[triggers]] with {kind} = "{name}"'
                        + (" and existing = true." if kind == "segment" else ".")
                    }
                )
            found: list[str] = []
            after: int | None = 0
            while after is not None:
                members, after = await segments.members(visit.tenant, condition, after, _PIECE, visit.now)
                found += [one.address for one in members]
        except ConditionError as error:
            raise Invalid({"group": str(error)}) from None
        return found

    async def one(self, visit: Visit) -> Answered:
        """Where a contact is in it, and how it came there."""
        names = {"name": visit.path["name"], "enrolment": visit.path["enrolment"]}
        run = await self._ask(visit, "GET", ONE + "/enrolments/{enrolment}", names)
        # Of an erased contact nothing is found, which is as it should be.
        events = await self._find(run["address"], _EVENTS) if run["address"] else []
        told = [
            one
            for one in reversed(events)
            if isinstance(one, SequenceStepped)
            and one.enrolment == run["id"]
            and one.sequence == run["sequence"]
            and one.tenant == visit.tenant
        ]
        # Those of one moment stay in the order in which the journal has them.
        told.sort(key=lambda one: one.at)
        version = await self._sequences.version(visit.tenant, run["sequence"], run["version"])
        steps = {one.id: one for one in version.definition().steps}
        return Html("sequence_person.html", {"run": run, "told": told, "steps": steps})

    async def ask_unenrol(self, visit: Visit) -> Confirmation:
        """What that means."""
        form: Unenrol = visit.form.value
        names = {"name": form.name, "enrolment": str(form.enrolment)}
        run = await self._ask(visit, "GET", ONE + "/enrolments/{enrolment}", names)
        return Confirmation(
            f"Take {run['address'] or 'this contact'} out of {form.name}?",
            "Nothing more of the sequence is sent to it.  What is in the queue already goes on.  Whether it "
            "can come in again is said by the sequence (reentry).",
            "Take out",
            f"{place_of(PLACE, form.name)}/people/{form.enrolment}",
            facts=[("It is at", run["step"])],
            reason="Why",
        )

    async def unenrol(self, visit: Visit) -> Answered:
        """Take one out."""
        form: Unenrol = visit.form.value
        names = {"name": form.name, "enrolment": str(form.enrolment)}
        back = f"{place_of(PLACE, form.name)}/people/{quote(str(form.enrolment))}"
        query = {"reason": form.reason}
        try:
            await self._ask(visit, "DELETE", ONE + "/enrolments/{enrolment}", names, query=query)
        except Refused as refused:
            return refused.back(back)
        return Redirect(back, "It is out of the sequence.")

    async def _kept(self, visit: Visit) -> Any:
        try:
            return await self._sequences.get(visit.tenant, visit.path["name"])
        except NoSequence:
            raise missing("There is no such sequence") from None


def _addresses(text: str) -> list[str]:
    """Those of a text, one a line, or with commas between."""
    return list(dict.fromkeys(checked_address(one) for one in text.replace(",", " ").split()))
