"""``/v1/lists``: lists, who is on them, and the mail by which people confirm that they want to be."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from mta.api.v1.contact_models import (
    Joined,
    JoinList,
    ListDetail,
    ListShown,
    ListsShown,
    MembersAsked,
    MembersShown,
    PutList,
    TakeOff,
    list_facts,
    member_shown,
)
from mta.api.v1.contacts import address_of, wrong_field
from mta.api.v1.cursor import Page, cursor
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Response, Route
from mta.audience.audience import Audience
from mta.audience.contact import Contact, NoContact
from mta.audience.joining import Joining
from mta.audience.lists import MailingList, NoList
from mta.engagement.links import LinkError, checked_target
from mta.model.event import Event
from mta.model.event_audience import AudienceChanged
from mta.registry.suppression_acts import changed
from mta.registry.suppressions import Suppression, Suppressions, checked_address

_JOINING = """A contact is made if there is none of this address; what the request names of it is changed.

On a list with double opt-in the person is `pending` until they have confirmed it by the link in a mail,
which goes out at once. Who has left the list does not come back by this: on a list with double opt-in they
are asked again, on one with single opt-in they stay `unsubscribed`."""


class ListRoutes:
    """Answers for lists.

    :param audience: keeps them.
    :param suppressions: the suppression lists.
    :param joining: puts people on them.
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
        read, write, place = "contacts:read", "contacts", "/v1/lists"
        one = place + "/{name}"
        named = {"name": "of the list: a-z, 0-9, '.', '_' and '-'"}
        member = {**named, "address": "of the contact"}
        return [
            Route("GET", place, self.list, read, "Lists, by name", query=Page, answer=ListsShown),
            Route(
                "PUT",
                one,
                self.put,
                write,
                "Make a list, or change it",
                body=PutList,
                answer=ListShown,
                also={201: "It is new."},
                path_help=named,
                examples={
                    "with double opt-in": {
                        "title": "News of the shop",
                        "opt_in": "double",
                        "public": True,
                        "confirmation": {"from": "news@shop.example"},
                    }
                },
            ),
            Route(
                "GET",
                one,
                self.get,
                read,
                "One list, with how many are on it",
                answer=ListDetail,
                path_help=named,
            ),
            Route(
                "DELETE",
                one,
                self.remove,
                write,
                "Remove a list",
                "Contacts stay; who has left the list stays on the suppression list.",
                status=204,
                path_help=named,
            ),
            Route(
                "GET",
                one + "/members",
                self.members,
                read,
                "Who is on a list",
                query=MembersAsked,
                answer=MembersShown,
                path_help=named,
            ),
            Route(
                "POST",
                one + "/members",
                self.join,
                write,
                "Put somebody on a list",
                _JOINING,
                body=JoinList,
                answer=Joined,
                path_help=named,
                refusals=("conflict",),
                examples={
                    "a form": {"address": "ann@example.net", "name": "Ann", "source": "form in the shop"}
                },
            ),
            Route(
                "DELETE",
                one + "/members/{address}",
                self.leave,
                write,
                "Take somebody off a list",
                "As if they had left it: they are on the suppression list for it, and nothing but their own "
                "wish brings them back. Whom it was a mistake to put on it is taken off with `forget`.",
                query=TakeOff,
                status=204,
                path_help=member,
            ),
            Route(
                "POST",
                one + "/members/{address}/resend",
                self.resend,
                write,
                "Ask somebody once more who has not confirmed",
                "Only so often: `confirmation` is `wait` when there were enough mails for now.",
                answer=Joined,
                path_help=member,
                refusals=("conflict",),
            ),
        ]

    async def list(self, call: Call) -> ListsShown:
        """A page of them."""
        query: Page = call.query
        (after,) = query.after(str) or ("",)
        found = await self._audience.lists.page(call.tenant.name, after, query.limit)
        return ListsShown(
            lists=[ListShown(**list_facts(one)) for one in found],
            next=cursor(found[-1].name) if len(found) == query.limit else None,
        )

    async def put(self, call: Call) -> Response:
        """Make one, or change it."""
        body: PutList = call.body
        confirmation = {}
        if body.confirmation is not None:
            said = body.confirmation.model_dump(by_alias=True)
            confirmation = {name: value for name, value in said.items() if value}
        if confirmation.get("from"):
            try:
                checked_address(confirmation["from"].rpartition("<")[2].rstrip("> "))
            except ValueError as error:
                raise field_refusal("/confirmation/from", str(error)) from None
        if confirmation.get("redirect"):
            try:
                checked_target(confirmation["redirect"])
            except LinkError as error:
                raise field_refusal("/confirmation/redirect", str(error)) from None
        wanted = MailingList(
            call.path["name"], body.title, body.description, body.opt_in, body.public, confirmation
        )
        try:
            made, new = await self._audience.lists.put(call.tenant.name, wanted, call.now)
        except ValueError as error:
            raise wrong_field(error) from None
        self._tell(call, "list put", made.name)
        return Response(ListShown(**list_facts(made)), 201 if new else 200)

    async def get(self, call: Call) -> ListDetail:
        """One."""
        tenant, name = call.tenant.name, call.path["name"]
        found = await self._audience.lists.find(tenant, name)
        if found is None:
            raise _nothing()
        counts: Mapping[str, Any] = await self._audience.memberships.counts(tenant, name)
        return ListDetail(**list_facts(found), **counts)

    async def remove(self, call: Call) -> Response:
        """Remove one."""
        try:
            await self._audience.lists.remove(call.tenant.name, call.path["name"])
        except NoList:
            raise _nothing() from None
        self._tell(call, "list removed", call.path["name"])
        return Response()

    async def members(self, call: Call) -> MembersShown:
        """Who is on one."""
        query: MembersAsked = call.query
        (after,) = query.after(int) or (0,)
        try:
            found = await self._audience.memberships.page(
                call.tenant.name, call.path["name"], after, query.limit, query.state or ""
            )
        except NoList:
            raise _nothing() from None
        return MembersShown(
            members=[member_shown(contact, one) for contact, one in found],
            next=cursor(found[-1][0].id) if len(found) == query.limit else None,
        )

    async def join(self, call: Call) -> Joined:
        """Put somebody on one."""
        body: JoinList = call.body
        tenant, name = call.tenant.name, call.path["name"]
        if await self._audience.lists.find(tenant, name) is None:
            raise _nothing()
        given = body.contact(body.address)
        # Without a word on when, it was now.
        given = replace(given, consented=given.consented or call.now)
        try:
            contact, new = await self._audience.contacts.put(tenant, given, call.now)
        except ValueError as error:
            raise wrong_field(error) from None
        if new:
            self._note(
                AudienceChanged(
                    at=call.now, action="created", tenant=tenant, recipient=contact.address, by=call.who
                )
            )
        try:
            member, sent = await self._joining.join(
                tenant,
                name,
                contact.id,
                who=call.who,
                now=call.now,
                source=body.source,
                confirmed=body.confirmed,
            )
        except (NoList, NoContact):
            raise _nothing() from None
        return Joined(address=contact.address, list=name, state=member.state, confirmation=sent)

    async def leave(self, call: Call) -> Response:
        """Take somebody off one."""
        query: TakeOff = call.query
        tenant, name = call.tenant.name, call.path["name"]
        contact = await self._own(call)
        act = self._joining.forget if query.forget else self._joining.leave
        try:
            done = await act(tenant, name, contact.id, who=call.who, now=call.now)
        except NoList:
            raise _nothing() from None
        if done and not query.forget:
            # Messages that go to the list without a campaign look there.
            entry = Suppression(contact.address, "unsubscribe", name, call.now, {"by": call.who}, tenant)
            for one in await self._suppressions.add(tenant, [entry]):
                self._note(changed("added", tenant, one, call.who, call.now))
        if not done:
            raise Refusal("not-found", "this contact is not on the list")
        return Response()

    async def resend(self, call: Call) -> Joined:
        """Ask once more."""
        contact = await self._own(call)
        name = call.path["name"]
        try:
            sent = await self._joining.resend(call.tenant.name, name, contact.id, call.who, call.now)
        except NoList:
            raise _nothing() from None
        if not sent:
            raise Refusal("conflict", "this contact does not wait to be confirmed on the list")
        return Joined(address=contact.address, list=name, state="pending", confirmation=sent)

    async def _own(self, call: Call) -> Contact:
        found = await self._audience.contacts.find(call.tenant.name, address_of(call))
        if found is None:
            raise Refusal("not-found", "there is no contact of this address")
        return found

    def _tell(self, call: Call, action: str, name: str) -> None:
        self._note(
            AudienceChanged(at=call.now, action=action, tenant=call.tenant.name, target=name, by=call.who)
        )


def _nothing() -> Refusal:
    return Refusal("not-found", "there is no list of this name")
