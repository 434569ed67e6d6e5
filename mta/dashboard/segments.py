"""Segments of a tenant: conditions that choose contacts, tried out and saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import Field, field_validator

from mta.audience.audience import Audience
from mta.audience.condition import ConditionError, parse
from mta.audience.contact import Contact
from mta.audience.segments import Segment
from mta.dashboard.page import (
    Answered,
    Confirmation,
    Form,
    Html,
    Invalid,
    Page,
    Query,
    Redirect,
    missing,
    wrong_field,
)
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.model.event import Event
from mta.model.event_audience import AudienceChanged

PLACE = "/dashboard/contacts/segments"
_ON_PAGE, _FIRST = 50, 10
_BEGIN = {"all": [{"attribute": "plan", "is": "pro"}, {"behaviour": "opened", "within": "30d"}]}
#: What conditions there are, each with an example.
EXAMPLES = (
    ("an attribute", {"attribute": "plan", "is": "pro"}),
    ("a number", {"attribute": "orders", "at_least": 3}),
    ("a field", {"field": "locale", "starts_with": "de"}),
    ("on a list", {"list": "news", "state": "subscribed"}),
    ("has opened", {"behaviour": "opened", "within": "30d"}),
    ("an event of yours", {"event": "bought", "at_least": 2, "where": {"amount": {"more": 10}}}),
    ("another segment", {"segment": "readers"}),
    ("all of them, any of them, not", {"any": [{"not": {"behaviour": "clicked", "within": "90d"}}]}),
)


class Find(Query):
    """Which segments."""

    after: str = Field("", max_length=100)


class Members(Query):
    """Which contacts of one."""

    after: int = Field(0, ge=0)


class Fields(Form):
    """A segment as a form has it."""

    name: str = ""
    title: str = Field("", max_length=200)
    condition: str = Field(min_length=1, max_length=100_000)
    try_out: str = ""

    @field_validator("condition")
    @classmethod
    def _sound(cls, value: str) -> str:
        parse(_json(value))
        return value


class One(Form):
    """A segment that something is done to."""

    name: str


class SegmentPages:
    """See the module.

    :param audience: keeps them.
    :param note: puts an event into the journal.
    """

    def __init__(self, audience: Audience, note: Callable[[Event], None]) -> None:
        self._audience = audience
        self._note = note

    def pages(self) -> list[Page]:
        """What there is."""
        look, act, one = Right.LOOK_OWN, Right.ACT_OWN, PLACE + "/at/{name}"
        new, edit = f"{PLACE}/new", one + "/edit"
        return [
            Page("GET", PLACE, self.show_all, look, "Segments", query=Find),
            Page("GET", new, self.form, act, "A new segment"),
            Page("POST", new, self.save, act, "A new segment", form=Fields, again=self.form),
            Page("GET", one, self.one, look, "Segment", query=Members),
            Page("GET", edit, self.edit, act, "Change a segment"),
            Page("POST", edit, self.change, act, "Change a segment", form=Fields, again=self.edit),
            Page("POST", f"{PLACE}/remove", self.remove, act, "Remove", None, One, None, self.ask_remove),
        ]

    async def show_all(self, visit: Visit) -> Answered:
        """All of them."""
        found = await self._audience.segments.page(visit.tenant, visit.query.after, _ON_PAGE + 1)
        return Html("segments.html", {"found": found[:_ON_PAGE], "more": len(found) > _ON_PAGE})

    async def one(self, visit: Visit) -> Answered:
        """One, with who is in it now."""
        own = await self._own(visit, visit.path["name"])
        trouble, count, after = "", 0, None
        members: list[Contact] = []
        try:
            condition = parse(own.condition)
            segments = self._audience.segments
            count = await segments.count(visit.tenant, condition, visit.now)
            members, after = await segments.members(
                visit.tenant, condition, visit.query.after, _ON_PAGE, visit.now
            )
        except ConditionError as error:
            trouble = str(error)
        values = {
            "segment": own,
            "text": _text(own.condition),
            "trouble": trouble,
            "count": count,
            "members": members,
            "after": after,
        }
        return Html("segment.html", values)

    async def form(self, visit: Visit) -> Answered:
        """The form for a new one."""
        return self._form(None, _text(_BEGIN))

    async def edit(self, visit: Visit) -> Answered:
        """The form of one."""
        own = await self._own(visit, visit.path["name"])
        return self._form(own, _text(own.condition))

    @staticmethod
    def _form(segment: Segment | None, text: str, **more: Any) -> Html:
        values = {"segment": segment, "text": text, "examples": [(w, json.dumps(c)) for w, c in EXAMPLES]}
        return Html("segment_form.html", {**values, **more})

    async def save(self, visit: Visit) -> Answered:
        """Save a new one, or only try it out."""
        form: Fields = visit.form.value
        if form.try_out:
            return await self._tried(visit, None)
        if await self._audience.segments.find(visit.tenant, form.name) is not None:
            raise Invalid({"name": "There is a segment of this name already."})
        return await self._put(visit, form.name)

    async def change(self, visit: Visit) -> Answered:
        """Change one, or only try it out."""
        own = await self._own(visit, visit.path["name"])
        if visit.form.value.try_out:
            return await self._tried(visit, own)
        return await self._put(visit, own.name)

    async def _tried(self, visit: Visit, own: Segment | None) -> Answered:
        form: Fields = visit.form.value
        segments = self._audience.segments
        condition = parse(_json(form.condition))
        try:
            count = await segments.count(visit.tenant, condition, visit.now)
            first, _ = await segments.members(visit.tenant, condition, 0, _FIRST, visit.now)
        except ConditionError as error:
            raise Invalid({"condition": str(error)}) from None
        return self._form(own, form.condition, count=count, first=first)

    async def _put(self, visit: Visit, name: str) -> Answered:
        form: Fields = visit.form.value
        segment = Segment(name, form.title.strip(), _json(form.condition))
        try:
            made, _ = await self._audience.segments.put(visit.tenant, segment, visit.now)
        except ConditionError as error:
            raise Invalid({"condition": str(error)}) from None
        except ValueError as error:
            raise wrong_field(error, Fields) from None
        self._tell(visit, "segment put", made.name)
        return Redirect(f"{PLACE}/at/{made.name}", f"The segment {made.title or made.name} is saved.")

    async def ask_remove(self, visit: Visit) -> Confirmation:
        """What is lost then."""
        own = await self._own(visit, visit.form.value.name)
        return Confirmation(
            f"Remove the segment {own.title or own.name}?",
            "The contacts stay.  Campaigns, sequences and segments that name it stop until "
            "they name another.",
            "Remove",
            f"{PLACE}/at/{own.name}",
        )

    async def remove(self, visit: Visit) -> Answered:
        """Remove one."""
        own = await self._own(visit, visit.form.value.name)
        await self._audience.segments.remove(visit.tenant, own.name)
        self._tell(visit, "segment removed", own.name)
        return Redirect(PLACE, f"The segment {own.title or own.name} is removed.")

    async def _own(self, visit: Visit, name: str) -> Segment:
        found = await self._audience.segments.find(visit.tenant, name)
        if found is None:
            raise missing("There is no such segment")
        return found

    def _tell(self, visit: Visit, action: str, name: str) -> None:
        self._note(
            AudienceChanged(at=visit.now, action=action, tenant=visit.tenant, target=name, by=visit.by)
        )


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is no JSON: {error}") from None


def _text(condition: Any) -> str:
    return json.dumps(condition, indent=2, ensure_ascii=False)
