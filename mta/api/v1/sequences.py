"""``/v1/sequences``: a tenant makes sequences, looks at their flow, pauses and tries them out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mta.api.v1.cursor import Page, cursor
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Response, Route
from mta.api.v1.sequence_models import (
    Activate,
    Checked,
    CheckSequence,
    Kept,
    Pause,
    ProblemShown,
    PutSequence,
    Rehearsal,
    Rehearse,
    SequenceDetail,
    SequenceShown,
    SequencesShown,
    VersionShown,
    VersionsShown,
    checked_name,
    line_shown,
    sequence_detail,
    sequence_shown,
    version_shown,
)
from mta.audience import condition, selecting
from mta.audience.audience import Audience
from mta.audience.contact import Contact
from mta.config.problem import ConfigurationError
from mta.sequence.definition import Definition
from mta.sequence.drawing import drawn
from mta.sequence.enrolment import Enrolment
from mta.sequence.person import check_foreign
from mta.sequence.reading import checked
from mta.sequence.rehearsal import Rehearsed, Supposed, rehearse
from mta.sequence.sequences import NoSequence, TooMany
from mta.sequence.stores import Sequences

#: A definition for the reference.
EXAMPLE: dict[str, Any] = {
    "title": "Welcome",
    "from": "Shop <hello@shop.example>",
    "triggers": [{"event": "signed_up"}],
    "exits": [{"when": {"event": "purchase"}, "goal": True}],
    "steps": [
        {"id": "welcome", "do": "send", "template": "welcome"},
        {"id": "pause", "do": "wait", "for": "2d"},
        {"id": "read", "do": "branch", "when": {"opened": "welcome"}, "then": "tips", "otherwise": "again"},
        {"id": "again", "do": "send", "template": "welcome-again", "next": "bye"},
        {"id": "tips", "do": "send", "template": "tips"},
        {"id": "bye", "do": "exit"},
    ],
}


class SequenceRoutes:
    """Answers for sequences.

    :param sequences: keeps them.
    :param audience: knows contacts.
    :param wake: has the runner look.
    """

    def __init__(self, sequences: Sequences, audience: Audience, wake: Callable[[], None]) -> None:
        self._sequences = sequences
        self._audience = audience
        self._wake = wake

    def routes(self) -> list[Route]:
        """What it answers."""
        read, write, place = "sequences:read", "sequences", "/v1/sequences"
        one = place + "/{name}"
        named = {"name": "of the sequence: a-z, 0-9, '.', '_' and '-'"}
        version = {**named, "version": "its number"}
        example = {"a welcome": {"definition": EXAMPLE}}
        return [
            Route("GET", place, self.list, read, "Sequences, by name", query=Page, answer=SequencesShown),
            Route(
                "POST",
                f"{place}/check",
                self.check,
                read,
                "Look at a definition, and keep nothing",
                body=CheckSequence,
                answer=Checked,
                examples=example,
            ),
            Route(
                "PUT",
                one,
                self.put,
                write,
                "Keep a version of a sequence",
                "The first one makes the sequence. A version never changes: who is in it goes on by the one "
                "with which it came in, unless it is moved. The same definition again makes no version.",
                body=PutSequence,
                answer=Kept,
                path_help=named,
                refusals=("conflict",),
                examples=example,
            ),
            Route(
                "GET",
                one,
                self.get,
                read,
                "A sequence, its flow, and how many are where",
                answer=SequenceDetail,
                path_help=named,
            ),
            Route(
                "DELETE",
                one,
                self.remove,
                write,
                "Forget a sequence, with all who are in it",
                status=204,
                path_help=named,
            ),
            Route(
                "GET",
                one + "/versions",
                self.versions,
                read,
                "Versions, the last first",
                query=Page,
                answer=VersionsShown,
                path_help=named,
            ),
            Route(
                "GET",
                one + "/versions/{version}",
                self.version,
                read,
                "One version",
                answer=VersionShown,
                path_help=version,
            ),
            Route(
                "POST",
                one + "/activate",
                self.activate,
                write,
                "Let those who come in have a version",
                body=Activate,
                answer=SequenceShown,
                path_help=named,
                examples={"back to the first": {"version": 1}},
            ),
            Route(
                "POST",
                one + "/pause",
                self.pause,
                write,
                "Let nobody come in or go on",
                "Timers go on: what is due meanwhile is done when it goes on.",
                body=Pause,
                answer=SequenceShown,
                path_help=named,
                examples={"with a reason": {"reason": "the shop is closed"}},
            ),
            Route(
                "POST",
                one + "/resume",
                self.resume,
                write,
                "Let contacts come in and go on",
                answer=SequenceShown,
                path_help=named,
            ),
            Route(
                "POST",
                one + "/rehearse",
                self.rehearse,
                read,
                "What would happen to a contact, step by step",
                "On a clock that is moved; nothing is sent or kept. What the contact does is supposed: "
                "nothing, or what the request says. Attributes, lists and segments are those of now.",
                body=Rehearse,
                answer=Rehearsal,
                path_help=named,
                examples={
                    "who opens": {
                        "address": "ann@example.net",
                        "supposed": [{"after": 3600, "outcome": "opened", "step": "welcome"}],
                    }
                },
            ),
        ]

    async def list(self, call: Call) -> SequencesShown:
        """A page of them."""
        query: Page = call.query
        after = query.after(str) or [""]
        found = await self._sequences.page(call.tenant.name, after[0], query.limit)
        more = len(found) == query.limit
        return SequencesShown(
            sequences=[sequence_shown(one) for one in found], next=cursor(found[-1].name) if more else None
        )

    async def check(self, call: Call) -> Checked:
        """Look at a definition."""
        try:
            definition = checked(call.body.definition, check_foreign)
        except ConfigurationError as error:
            return Checked(
                valid=False,
                problems=[
                    ProblemShown(place=one.key, detail=one.what, remedy=one.remedy) for one in error.problems
                ],
                drawing=[],
            )
        return Checked(valid=True, problems=[], drawing=drawn(definition))

    async def put(self, call: Call) -> Kept:
        """Keep a version."""
        body: PutSequence = call.body
        try:
            name = checked_name(call.path["name"])
        except ValueError as error:
            told = {"parameter": "name", "in": "path", "detail": str(error)}
            raise Refusal("invalid", f"name: {error}", [told]) from None
        definition = _definition(body.definition)
        try:
            version, new = await self._sequences.put(
                call.tenant.name,
                name,
                definition,
                call.now,
                who=call.who,
                note=body.note,
                activate=body.activate,
            )
        except TooMany as error:
            raise Refusal("conflict", str(error)) from None
        self._wake()
        kept = await self._sequences.get(call.tenant.name, name)
        return Kept(name=name, version=version.number, new=new, live=kept.live == version.number)

    async def get(self, call: Call) -> SequenceDetail:
        """One, with all that is known."""
        tenant, name = call.tenant.name, call.path["name"]
        try:
            one = await self._sequences.get(tenant, name)
            version = await self._sequences.version(tenant, name)
        except NoSequence as error:
            raise Refusal("not-found", str(error)) from None
        steps, ended = await self._sequences.counts(tenant, name)
        return sequence_detail(one, version, steps, ended, drawn(version.definition(), steps))

    async def remove(self, call: Call) -> Response:
        """Forget one."""
        try:
            await self._sequences.remove(call.tenant.name, call.path["name"], call.now, call.who)
        except NoSequence as error:
            raise Refusal("not-found", str(error)) from None
        self._wake()
        return Response()

    async def versions(self, call: Call) -> VersionsShown:
        """A page of versions."""
        query: Page = call.query
        before = query.after(int) or [0]
        try:
            found = await self._sequences.versions(
                call.tenant.name, call.path["name"], before[0], query.limit
            )
        except NoSequence as error:
            raise Refusal("not-found", str(error)) from None
        more = len(found) == query.limit and found[-1].number > 1
        return VersionsShown(
            versions=[version_shown(one) for one in found], next=cursor(found[-1].number) if more else None
        )

    async def version(self, call: Call) -> VersionShown:
        """One version."""
        number = whole(call.path["version"])
        try:
            return version_shown(await self._sequences.version(call.tenant.name, call.path["name"], number))
        except NoSequence as error:
            raise Refusal("not-found", str(error)) from None

    async def activate(self, call: Call) -> SequenceShown:
        """Let those who come in have a version."""
        try:
            one = await self._sequences.activate(
                call.tenant.name, call.path["name"], call.body.version, call.now, call.who
            )
        except NoSequence as error:
            raise Refusal("not-found", str(error)) from None
        self._wake()
        return sequence_shown(one)

    async def pause(self, call: Call) -> SequenceShown:
        """Let nobody go on."""
        try:
            one = await self._sequences.pause(
                call.tenant.name, call.path["name"], call.body.reason, call.now, call.who
            )
        except NoSequence as error:
            raise Refusal("not-found", str(error)) from None
        self._wake()
        return sequence_shown(one)

    async def resume(self, call: Call) -> SequenceShown:
        """Let them go on."""
        try:
            one = await self._sequences.resume(call.tenant.name, call.path["name"], call.now, call.who)
        except NoSequence as error:
            raise Refusal("not-found", str(error)) from None
        self._wake()
        return sequence_shown(one)

    async def rehearse(self, call: Call) -> Rehearsal:
        """What would happen."""
        body: Rehearse = call.body
        tenant, name = call.tenant.name, call.path["name"]
        if body.definition is not None:
            definition = _definition(body.definition)
        else:
            try:
                version = await self._sequences.version(tenant, name, body.version)
            except NoSequence as error:
                raise Refusal("not-found", str(error)) from None
            definition = version.definition()
        now = body.at.timestamp() if body.at is not None else call.now
        supposed = [
            Supposed(one.after, one.outcome or "", one.step, one.event, one.properties)
            for one in body.supposed
        ]
        contact: Contact | None = None
        if body.address is not None:
            contact = await self._audience.contacts.find(tenant, body.address)
            if contact is None:
                raise field_refusal("/address", "there is no such contact")

        def work(base: Any) -> Rehearsal:
            def asks(data: Mapping[str, Any]) -> bool:
                if contact is None:
                    return False
                try:
                    parsed = condition.parse(data)
                    return selecting.matches(base, tenant, parsed, contact.id, call.now)
                except condition.ConditionError:
                    return False

            known = Rehearsed(supposed=supposed, asks=asks)
            if contact is not None:
                known.zone, known.channel = contact.time_zone, contact.channel
            run = Enrolment(0, tenant, name, 0, contact.id if contact is not None else 0, "")
            return Rehearsal(lines=[line_shown(one) for one in rehearse(definition, run, known, now)])

        return await self._audience.look(work)


def _definition(data: Mapping[str, Any]) -> Definition:
    """A definition of a request.

    :raise Refusal: with everything that is wrong.
    """
    try:
        return checked(data, check_foreign)
    except ConfigurationError as error:
        errors = [
            {
                "pointer": "#/definition",
                "place": one.key,
                "detail": f"{one.what}: {one.remedy}" if one.remedy else one.what,
            }
            for one in error.problems
        ]
        told = "; ".join(f"{one['place']}: {one['detail']}" for one in errors[:5])
        raise Refusal("invalid", f"/definition: {told}", errors[:100]) from None


def whole(text: str) -> int:
    """A number in a path.

    :raise Refusal: if it is none.
    """
    if not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text)):
        raise Refusal("not-found", f"{text[:40]!r} is no number of one")
    return int(text)
