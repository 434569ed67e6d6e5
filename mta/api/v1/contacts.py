"""``/v1/contacts``: a tenant makes contacts, looks at them, changes them and has them forgotten."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from mta.api.v1.contact_models import (
    ActivityAsked,
    ActivityShown,
    BarShown,
    ChangeContact,
    ContactDetail,
    ContactsAsked,
    ContactShown,
    ContactsShown,
    Erase,
    HistoryShown,
    PutContact,
    contact_detail,
    contact_shown,
    fact_shown,
    step_shown,
)
from mta.api.v1.cursor import cursor
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Response, Route
from mta.audience import contacts, facts
from mta.audience.audience import Audience
from mta.audience.contact import Contact, NoContact
from mta.audience.contacts import Erased
from mta.audience.joining import Joining
from mta.audience.lists import NoList
from mta.audience.memberships import Membership
from mta.model.event import Event
from mta.model.event_audience import AudienceChanged
from mta.registry.suppressions import Suppressions, checked_address

_NAMED = {"address": "of the contact"}


class ContactRoutes:
    """Answers for contacts.

    :param audience: keeps them.
    :param suppressions: knows who gets nothing.
    :param joining: puts them on lists.
    :param note: puts an event into the journal.
    """

    def __init__(
        self,
        audience: Audience,
        suppressions: Suppressions,
        joining: Joining,
        note: Callable[[Event], None],
    ) -> None:
        self._audience = audience
        self._suppressions = suppressions
        self._joining = joining
        self._note = note

    def routes(self) -> list[Route]:
        """What it answers."""
        read, write, place = "contacts:read", "contacts", "/v1/contacts"
        one = place + "/{address}"
        return [
            Route(
                "GET",
                place,
                self.list,
                read,
                "Contacts, by address",
                query=ContactsAsked,
                answer=ContactsShown,
            ),
            Route(
                "POST",
                place,
                self.put,
                write,
                "Make a contact, or change it",
                "There is one contact for an address, however it is spelled. What the request does not name "
                "stays, unless it says `replace`. Who has left a list is not put on it again.",
                body=PutContact,
                answer=ContactDetail,
                status=201,
                also={200: "There was one of this address; it is as asked now."},
                refusals=("conflict",),
                examples={
                    "a customer": {
                        "address": "ann@example.net",
                        "name": "Ann",
                        "attributes": {"plan": "pro", "orders": 3},
                        "time_zone": "Europe/Vienna",
                        "source": "order form",
                    }
                },
            ),
            Route(
                "GET",
                one,
                self.get,
                read,
                "One contact, with its lists, and why nothing is sent to it",
                answer=ContactDetail,
                path_help=_NAMED,
            ),
            Route(
                "PATCH",
                one,
                self.change,
                write,
                "Change some of a contact",
                body=ChangeContact,
                answer=ContactShown,
                path_help=_NAMED,
                examples={"an attribute": {"attributes": {"plan": "team", "trial": None}}},
            ),
            Route(
                "DELETE",
                one,
                self.erase,
                write,
                "Forget a person",
                "All that is kept of the contact goes: attributes, lists, how it came on them, what it did. "
                "What tells that it wants no mail stays on the suppression list. With `for_good` a hash is "
                "kept, and neither an import nor a request makes the contact again.",
                query=Erase,
                status=204,
                path_help=_NAMED,
            ),
            Route(
                "POST",
                one + "/readmit",
                self.readmit,
                write,
                "Let somebody come back who was forgotten for good",
                status=204,
                path_help=_NAMED,
            ),
            Route(
                "GET",
                one + "/history",
                self.history,
                read,
                "How a contact came on lists and left",
                "The evidence of consent: when, by whom, by which message or form.",
                answer=HistoryShown,
                path_help=_NAMED,
            ),
            Route(
                "GET",
                one + "/activity",
                self.activity,
                read,
                "What a contact did",
                query=ActivityAsked,
                answer=ActivityShown,
                path_help=_NAMED,
            ),
        ]

    async def list(self, call: Call) -> ContactsShown:
        """A page of them."""
        query: ContactsAsked = call.query
        (after,) = query.after(str) or ("",)
        found = await self._audience.contacts.page(call.tenant.name, after, query.limit, query.address)
        return ContactsShown(
            contacts=[contact_shown(one) for one in found],
            next=cursor(found[-1].address) if len(found) == query.limit else None,
        )

    async def put(self, call: Call) -> Response:
        """Make one, or change it."""
        body: PutContact = call.body
        tenant = call.tenant.name
        try:
            found, new = await self._audience.contacts.put(
                tenant, body.contact(body.address), call.now, merge=not body.replace
            )
        except ValueError as error:
            raise wrong_field(error) from None
        self.changed(call, "created" if new else "changed", found.address)
        for name in dict.fromkeys(body.lists):
            try:
                await self._joining.join(
                    tenant, name, found.id, who=call.who, now=call.now, source=body.source
                )
            except NoList:
                raise field_refusal("/lists", f"there is no list {name!r:.80}") from None
        return Response(await self._detail(found), 201 if new else 200)

    async def get(self, call: Call) -> ContactDetail:
        """One."""
        return await self._detail(await self._own(call))

    async def _detail(self, one: Contact) -> ContactDetail:
        on: list[Membership] = await self._audience.memberships.of(one.tenant, one.id)
        barred = await self._suppressions.of(one.tenant, one.address)
        return contact_detail(one, on, [BarShown(reason=each.reason, list=each.list) for each in barred])

    async def change(self, call: Call) -> ContactShown:
        """Change some of it."""
        body: ChangeContact = call.body
        address = address_of(call)
        tenant = call.tenant.name
        given: dict[str, Any] = body.model_dump(exclude_unset=True, exclude={"attributes", "consented"})
        changes = {name: value for name, value in given.items() if value is not None}
        if body.consented is not None:
            changes["consented"] = body.consented.timestamp()

        def work(base: sqlite3.Connection) -> tuple[Contact, bool]:
            before = contacts.find(base, tenant, address)
            if before is None:
                raise NoContact(address)
            attributes = {**before.attributes, **body.attributes}
            after = replace(before, **changes, attributes=attributes)
            made, _ = contacts.put(base, tenant, after, call.now, merge=False)
            return made, made != before

        try:
            made, differs = await self._audience.database.change(contacts.TABLES.noun, work)
        except NoContact:
            raise _nobody() from None
        except ValueError as error:
            raise wrong_field(error) from None
        if differs:
            self.changed(call, "changed", made.address)
        return contact_shown(made)

    async def erase(self, call: Call) -> Response:
        """Forget one."""
        query: Erase = call.query
        address = address_of(call)
        done = await self._audience.contacts.erase(
            call.tenant.name, address, call.now, keep_hash=query.for_good
        )
        if not done and not query.for_good:
            raise _nobody()
        # Who it was is what is to be forgotten.
        self.changed(call, "erased", "")
        return Response()

    async def readmit(self, call: Call) -> Response:
        """Let one come back."""
        if not await self._audience.contacts.readmit(call.tenant.name, address_of(call)):
            raise Refusal("not-found", "nobody of this address was erased for good")
        self.changed(call, "readmitted", "")
        return Response()

    async def history(self, call: Call) -> HistoryShown:
        """How it came on lists."""
        one = await self._own(call)
        steps = await self._audience.memberships.history(one.tenant, one.id)
        return HistoryShown(history=[step_shown(step) for step in steps])

    async def activity(self, call: Call) -> ActivityShown:
        """What it did."""
        query: ActivityAsked = call.query
        one = await self._own(call)
        at, number = query.after(float, int) or (float("inf"), 0)
        kinds = (query.kind,) if query.kind else ()
        found = await self._audience.look(
            lambda base: facts.of(
                base, one.tenant, one.id, kinds=kinds, until=at, before=number, limit=query.limit
            )
        )
        return ActivityShown(
            activity=[fact_shown(fact) for fact in found],
            next=cursor(found[-1].at, found[-1].id) if len(found) == query.limit else None,
        )

    async def _own(self, call: Call) -> Contact:
        found = await self._audience.contacts.find(call.tenant.name, address_of(call))
        if found is None:
            raise _nobody()
        return found

    def changed(self, call: Call, action: str, address: str) -> None:
        """Tell the journal."""
        self._note(
            AudienceChanged(
                at=call.now, action=action, tenant=call.tenant.name, recipient=address, by=call.who
            )
        )


def address_of(call: Call) -> str:
    """The address in the path, as it is kept.

    :raise Refusal: if it is none.
    """
    try:
        return checked_address(call.path["address"])
    except ValueError as error:
        told = {"parameter": "address", "in": "path", "detail": str(error)}
        raise Refusal("invalid", f"address: {error}", [told]) from None


def wrong_field(error: ValueError, place: str = "") -> Refusal:
    """A field of a contact or a list is wrong: its name stands before the colon.

    :param place: JSON pointer to what the field is of.
    """
    if isinstance(error, Erased):
        return Refusal("conflict", f"{error}; POST /v1/contacts/ADDRESS/readmit lets the person come back")
    name, colon, what = str(error).partition(": ")
    if not colon or not name.replace(".", "").replace("_", "").replace("-", "").isalnum():
        return Refusal("invalid", str(error))
    return field_refusal(f"{place}/{name.replace('.', '/')}", what)


def _nobody() -> Refusal:
    return Refusal("not-found", "there is no contact of this address")
