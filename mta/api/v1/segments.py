"""``/v1/segments``: conditions that choose contacts, tried out and saved."""

from __future__ import annotations

from collections.abc import Callable

from mta.api.v1.contact_models import (
    ContactsShown,
    Preview,
    PreviewShown,
    PutSegment,
    SegmentShown,
    SegmentsShown,
    contact_shown,
    segment_shown,
)
from mta.api.v1.contacts import wrong_field
from mta.api.v1.cursor import Page, cursor
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Response, Route
from mta.audience.audience import Audience
from mta.audience.condition import ConditionError, parse
from mta.audience.contact import Contact
from mta.audience.segments import NoSegment, Segment
from mta.model.event import Event
from mta.model.event_audience import AudienceChanged


class SegmentRoutes:
    """Answers for segments.

    :param audience: keeps them.
    :param note: puts an event into the journal.
    """

    def __init__(self, audience: Audience, note: Callable[[Event], None]) -> None:
        self._audience = audience
        self._note = note

    def routes(self) -> list[Route]:
        """What it answers."""
        read, write, place = "contacts:read", "contacts", "/v1/segments"
        one = place + "/{name}"
        named = {"name": "of the segment: a-z, 0-9, '.', '_' and '-'"}
        condition = {"all": [{"attribute": "plan", "is": "pro"}, {"behaviour": "opened", "within": "30d"}]}
        return [
            Route("GET", place, self.list, read, "Segments, by name", query=Page, answer=SegmentsShown),
            Route(
                "POST",
                f"{place}/preview",
                self.preview,
                read,
                "For how many contacts a condition holds, and the first of them",
                body=Preview,
                answer=PreviewShown,
                examples={"who has opened something": {"condition": condition}},
            ),
            Route(
                "PUT",
                one,
                self.put,
                write,
                "Save a segment",
                body=PutSegment,
                answer=SegmentShown,
                also={201: "It is new."},
                path_help=named,
                examples={"customers who read": {"title": "Readers", "condition": condition}},
            ),
            Route("GET", one, self.get, read, "One segment", answer=SegmentShown, path_help=named),
            Route("DELETE", one, self.remove, write, "Remove a segment", status=204, path_help=named),
            Route(
                "GET",
                one + "/members",
                self.members,
                read,
                "Who is in a segment now",
                query=Page,
                answer=ContactsShown,
                path_help=named,
                refusals=("conflict",),
            ),
        ]

    async def list(self, call: Call) -> SegmentsShown:
        """A page of them."""
        query: Page = call.query
        (after,) = query.after(str) or ("",)
        found = await self._audience.segments.page(call.tenant.name, after, query.limit)
        return SegmentsShown(
            segments=[segment_shown(one) for one in found],
            next=cursor(found[-1].name) if len(found) == query.limit else None,
        )

    async def preview(self, call: Call) -> PreviewShown:
        """Try a condition out."""
        body: Preview = call.body
        tenant, segments = call.tenant.name, self._audience.segments
        try:
            condition = parse(body.condition)
            count = await segments.count(tenant, condition, call.now)
            found: list[Contact] = []
            if body.limit:
                found, _ = await segments.members(tenant, condition, 0, body.limit, call.now)
        except ConditionError as error:
            raise _wrong(error) from None
        return PreviewShown(count=count, contacts=[contact_shown(one) for one in found])

    async def put(self, call: Call) -> Response:
        """Save one."""
        body: PutSegment = call.body
        segment = Segment(call.path["name"], body.title, body.condition)
        try:
            made, new = await self._audience.segments.put(call.tenant.name, segment, call.now)
        except ConditionError as error:
            raise _wrong(error) from None
        except ValueError as error:
            raise wrong_field(error) from None
        self._tell(call, "segment put", made.name)
        return Response(segment_shown(made), 201 if new else 200)

    async def get(self, call: Call) -> SegmentShown:
        """One."""
        return segment_shown(await self._own(call))

    async def remove(self, call: Call) -> Response:
        """Remove one."""
        try:
            await self._audience.segments.remove(call.tenant.name, call.path["name"])
        except NoSegment:
            raise _nothing() from None
        self._tell(call, "segment removed", call.path["name"])
        return Response()

    async def members(self, call: Call) -> ContactsShown:
        """Who is in one."""
        query: Page = call.query
        (after,) = query.after(int) or (0,)
        segment = await self._own(call)
        try:
            found, place = await self._audience.segments.members(
                call.tenant.name, parse(segment.condition), after, query.limit, call.now
            )
        except ConditionError as error:
            raise Refusal("conflict", f"the segment cannot be used: {error}") from None
        return ContactsShown(
            contacts=[contact_shown(one) for one in found], next=None if place is None else cursor(place)
        )

    async def _own(self, call: Call) -> Segment:
        found = await self._audience.segments.find(call.tenant.name, call.path["name"])
        if found is None:
            raise _nothing()
        return found

    def _tell(self, call: Call, action: str, name: str) -> None:
        self._note(
            AudienceChanged(at=call.now, action=action, tenant=call.tenant.name, target=name, by=call.who)
        )


def _wrong(error: ConditionError) -> Refusal:
    place = "/condition" + "".join(f"/{part}" for part in error.where.replace("[", ".").split(".") if part)
    pointer = place.replace("]", "")
    return Refusal("invalid", f"condition: {error}", [{"pointer": f"#{pointer}", "detail": error.what}])


def _nothing() -> Refusal:
    return Refusal("not-found", "there is no segment of this name")
