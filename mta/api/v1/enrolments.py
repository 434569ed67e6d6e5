"""``/v1/sequences/{name}/enrolments``: who is in a sequence; let in, moved and taken out by request."""

from __future__ import annotations

from collections.abc import Callable

from mta.api.v1.cursor import cursor
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Response, Route
from mta.api.v1.sequence_models import (
    Enrol,
    Enrolled,
    EnrolledShown,
    EnrolmentsAsked,
    EnrolmentShown,
    EnrolmentsShown,
    Move,
    MoveAll,
    MovedAll,
    Remove,
    enrolment_shown,
)
from mta.api.v1.sequences import whole
from mta.audience.facts import checked_properties
from mta.registry.suppressions import checked_address
from mta.sequence.sequences import NoSequence
from mta.sequence.stores import NoContact, NoEnrolment, Sequences

#: Enrolments that are moved in one transaction.
_AT_ONCE = 500


class EnrolmentRoutes:
    """Answers for enrolments.

    :param sequences: keeps them.
    :param wake: has the runner look.
    """

    def __init__(self, sequences: Sequences, wake: Callable[[], None]) -> None:
        self._sequences = sequences
        self._wake = wake

    def routes(self) -> list[Route]:
        """What it answers."""
        read, write = "sequences:read", "sequences"
        sequence = "/v1/sequences/{name}"
        place = sequence + "/enrolments"
        one = place + "/{enrolment}"
        named = {"name": "of the sequence"}
        numbered = {**named, "enrolment": "its number"}
        return [
            Route(
                "GET",
                place,
                self.list,
                read,
                "Who is in a sequence, and was",
                query=EnrolmentsAsked,
                answer=EnrolmentsShown,
                path_help=named,
            ),
            Route(
                "POST",
                place,
                self.enrol,
                write,
                "Let contacts in",
                body=Enrol,
                answer=Enrolled,
                path_help=named,
                examples={"one": {"addresses": ["ann@example.net"], "properties": {"order": 4711}}},
            ),
            Route(
                "GET",
                one,
                self.get,
                read,
                "Where one is",
                answer=EnrolmentShown,
                path_help=numbered,
            ),
            Route(
                "DELETE",
                one,
                self.remove,
                write,
                "Take a contact out",
                query=Remove,
                status=204,
                path_help=numbered,
                refusals=("conflict",),
            ),
            Route(
                "POST",
                one + "/move",
                self.move,
                write,
                "Let one go on at another step, or in another version",
                body=Move,
                answer=EnrolmentShown,
                path_help=numbered,
                refusals=("conflict",),
                examples={"to the last version's": {"version": 2, "step": "tips"}},
            ),
            Route(
                "POST",
                sequence + "/move",
                self.move_all,
                write,
                "Let all of one version go on in another",
                body=MoveAll,
                answer=MovedAll,
                path_help=named,
                examples={"to the second": {"from": 1, "to": 2}},
            ),
            Route(
                "GET",
                "/v1/contacts/{address}/enrolments",
                self.of_contact,
                read,
                "In which sequences a contact is, and was",
                answer=EnrolmentsShown,
                path_help={"address": "of the contact"},
            ),
        ]

    async def list(self, call: Call) -> EnrolmentsShown:
        """A page of them."""
        query: EnrolmentsAsked = call.query
        after = query.after(int) or [0]
        try:
            found = await self._sequences.people(
                call.tenant.name, call.path["name"], after[0], query.limit, query.state or ""
            )
        except NoSequence as error:
            raise Refusal("not-found", str(error)) from None
        more = len(found) == query.limit
        return EnrolmentsShown(
            enrolments=[enrolment_shown(one, address) for one, address in found],
            next=cursor(found[-1][0].id) if more else None,
        )

    async def enrol(self, call: Call) -> Enrolled:
        """Let some in."""
        body: Enrol = call.body
        try:
            checked_properties(body.properties)
        except ValueError as error:
            raise field_refusal("/properties", str(error)) from None
        try:
            found = await self._sequences.enrol(
                call.tenant.name, call.path["name"], body.addresses, body.properties, call.now, call.who
            )
        except NoSequence as error:
            raise Refusal("not-found", str(error)) from None
        self._wake()
        return Enrolled(
            enrolled=sum(run is not None for _, run, _ in found),
            contacts=[
                EnrolledShown(address=address, enrolment=run.id if run is not None else None, detail=why)
                for address, run, why in found
            ],
        )

    async def get(self, call: Call) -> EnrolmentShown:
        """One."""
        try:
            run, contact = await self._sequences.enrolment(
                call.tenant.name, call.path["name"], whole(call.path["enrolment"])
            )
        except NoEnrolment as error:
            raise Refusal("not-found", str(error)) from None
        return enrolment_shown(run, contact.address if contact is not None else "")

    async def remove(self, call: Call) -> Response:
        """Take one out."""
        await self._active(call)
        try:
            await self._sequences.unenrol(
                call.tenant.name,
                call.path["name"],
                whole(call.path["enrolment"]),
                call.now,
                call.who,
                call.query.reason,
            )
        except NoEnrolment as error:
            raise Refusal("conflict", str(error)) from None
        self._wake()
        return Response()

    async def move(self, call: Call) -> EnrolmentShown:
        """Let one go on elsewhere."""
        body: Move = call.body
        await self._active(call)
        name, number = call.path["name"], whole(call.path["enrolment"])
        try:
            await self._sequences.move(
                call.tenant.name, name, number, body.version, body.step, call.now, call.who
            )
        except NoEnrolment as error:
            raise Refusal("conflict", str(error)) from None
        except NoSequence as error:
            raise field_refusal("/version", str(error)) from None
        except LookupError as error:
            raise field_refusal("/step", str(error)) from None
        self._wake()
        return await self.get(call)

    async def move_all(self, call: Call) -> MovedAll:
        """Let those of a version go on in another."""
        body: MoveAll = call.body
        moved = stay = after = 0
        while True:
            try:
                done, left, after = await self._sequences.move_all(
                    call.tenant.name,
                    call.path["name"],
                    body.source,
                    body.version,
                    call.now,
                    call.who,
                    after,
                    _AT_ONCE,
                )
            except NoSequence as error:
                raise Refusal("not-found", str(error)) from None
            moved, stay = moved + done, stay + left
            if not after:
                break
        self._wake()
        return MovedAll(moved=moved, stay=stay)

    async def of_contact(self, call: Call) -> EnrolmentsShown:
        """All runs of a contact."""
        try:
            address = checked_address(call.path["address"])
        except ValueError as error:
            told = {"parameter": "address", "in": "path", "detail": str(error)}
            raise Refusal("invalid", f"address: {error}", [told]) from None
        try:
            found = await self._sequences.of(call.tenant.name, address)
        except NoContact:
            raise Refusal("not-found", "there is no such contact") from None
        return EnrolmentsShown(enrolments=[enrolment_shown(one, address) for one in found])

    async def _active(self, call: Call) -> None:
        """Whether there is one at all."""
        await self.get(call)
