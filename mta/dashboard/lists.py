"""Lists of a tenant: made, changed, removed; who is on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from pydantic import Field

from mta.audience.audience import Audience
from mta.audience.contact import NoContact
from mta.audience.joining import Joining
from mta.audience.lists import MailingList, NoList
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
from mta.registry.suppressions import checked_address

PLACE = "/dashboard/contacts/lists"
_ON_PAGE = 50


class Find(Query):
    """Which lists."""

    after: str = Field("", max_length=100)


class Members(Query):
    """Which of those on a list."""

    state: Literal["", "subscribed", "pending", "unsubscribed"] = ""
    after: int = Field(0, ge=0)


class Fields(Form):
    """A list as a form has it."""

    name: str
    title: str = Field("", max_length=200)
    description: str = Field("", max_length=1000)
    opt_in: Literal["single", "double"] = "double"
    public: bool = False
    sender: str = Field("", max_length=320)


class One(Form):
    """A list that something is done to."""

    name: str


class Waiting(One):
    """Somebody who has not confirmed yet."""

    address: str


class ListPages:
    """See the module.

    :param audience: keeps them.
    :param joining: asks people to confirm.
    :param note: puts an event into the journal.
    """

    def __init__(self, audience: Audience, joining: Joining, note: Callable[[Event], None]) -> None:
        self._audience = audience
        self._joining = joining
        self._note = note

    def pages(self) -> list[Page]:
        """What there is."""
        look, act, one = Right.LOOK_OWN, Right.ACT_OWN, PLACE + "/at/{name}"
        new, edit = f"{PLACE}/new", one + "/edit"
        return [
            Page("GET", PLACE, self.show_all, look, "Lists", query=Find),
            Page("GET", new, self.form, act, "A new list"),
            Page("POST", new, self.add, act, "A new list", form=Fields, again=self.form),
            Page("GET", one, self.one, look, "List", query=Members),
            Page("GET", edit, self.edit, act, "Change a list"),
            Page("POST", edit, self.change, act, "Change a list", form=Fields, again=self.edit),
            Page("POST", f"{PLACE}/resend", self.resend, act, "Ask again", form=Waiting),
            Page(
                "POST", f"{PLACE}/remove", self.remove, act, "Remove a list", None, One, None, self.ask_remove
            ),
        ]

    async def show_all(self, visit: Visit) -> Answered:
        """Lists, with how many are on each."""
        found = await self._audience.lists.page(visit.tenant, visit.query.after, _ON_PAGE + 1)
        shown = found[:_ON_PAGE]
        counts = await self._audience.memberships.counts_of(shown)
        values = {"found": shown, "counts": counts, "more": len(found) > _ON_PAGE}
        return Html("lists.html", values)

    async def one(self, visit: Visit) -> Answered:
        """One, with who is on it."""
        own, query = await self._own(visit, visit.path["name"]), visit.query
        memberships = self._audience.memberships
        found = await memberships.page(visit.tenant, own.name, query.after, _ON_PAGE + 1, query.state)
        values = {
            "mailing": own,
            "counts": await memberships.counts(visit.tenant, own.name),
            "members": found[:_ON_PAGE],
            "more": len(found) > _ON_PAGE,
        }
        return Html("list.html", values)

    async def form(self, visit: Visit) -> Answered:
        """The form for a new one."""
        return Html("list_form.html", {"mailing": None})

    async def edit(self, visit: Visit) -> Answered:
        """The form of one."""
        return Html("list_form.html", {"mailing": await self._own(visit, visit.path["name"])})

    async def add(self, visit: Visit) -> Answered:
        """Make one."""
        form: Fields = visit.form.value
        if await self._audience.lists.find(visit.tenant, form.name) is not None:
            raise Invalid({"name": "There is a list of this name already."})
        return await self._put(visit, MailingList(form.name), "is made")

    async def change(self, visit: Visit) -> Answered:
        """Change one."""
        own = await self._own(visit, visit.path["name"])
        return await self._put(visit, own, "is changed")

    async def _put(self, visit: Visit, before: MailingList, done: str) -> Answered:
        form: Fields = visit.form.value
        confirmation = dict(before.confirmation)
        confirmation.pop("from", None)
        if form.sender.strip():
            try:
                checked_address(form.sender.rpartition("<")[2].rstrip("> "))
            except ValueError as error:
                raise Invalid({"sender": str(error)}) from None
            confirmation["from"] = form.sender.strip()
        wanted = replace(
            before,
            title=form.title.strip(),
            description=form.description.strip(),
            opt_in=form.opt_in,
            public=form.public,
            confirmation=confirmation,
        )
        try:
            made, _ = await self._audience.lists.put(visit.tenant, wanted, visit.now)
        except ValueError as error:
            raise wrong_field(error, Fields) from None
        self._tell(visit, "list put", made.name)
        return Redirect(f"{PLACE}/at/{made.name}", f"The list {made.words} {done}.")

    async def resend(self, visit: Visit) -> Answered:
        """Ask somebody once more who has not confirmed."""
        form: Waiting = visit.form.value
        own = await self._own(visit, form.name)
        found = await self._audience.contacts.find(visit.tenant, checked_address(form.address))
        if found is None:
            raise missing("There is no such contact")
        try:
            sent = await self._joining.resend(visit.tenant, own.name, found.id, visit.by, visit.now)
        except (NoList, NoContact):
            raise missing("There is no such list") from None
        said = {
            "sent": ("They are asked once more.", "good"),
            "wait": ("There were enough mails for now; try again tomorrow.", "warn"),
            "suppressed": ("Nothing is sent to this address: it is suppressed.", "warn"),
            "": ("They do not wait to be confirmed any more.", "note"),
        }.get(sent, ("They are asked as soon as mail can be taken.", "note"))
        return Redirect(f"{PLACE}/at/{own.name}?state=pending", *said)

    async def ask_remove(self, visit: Visit) -> Confirmation:
        """What is lost then."""
        own = await self._own(visit, visit.form.value.name)
        counts = await self._audience.memberships.counts(visit.tenant, own.name)
        return Confirmation(
            f"Remove the list {own.words}?",
            "The contacts stay; that they were on this list is forgotten.  Who has left it stays on the "
            "suppression list.",
            "Remove",
            f"{PLACE}/at/{own.name}",
            [("On it", str(counts["subscribed"]))],
        )

    async def remove(self, visit: Visit) -> Answered:
        """Remove one."""
        own = await self._own(visit, visit.form.value.name)
        await self._audience.lists.remove(visit.tenant, own.name)
        self._tell(visit, "list removed", own.name)
        return Redirect(PLACE, f"The list {own.words} is removed.")

    async def _own(self, visit: Visit, name: str) -> MailingList:
        found = await self._audience.lists.find(visit.tenant, name)
        if found is None:
            raise missing("There is no such list")
        return found

    def _tell(self, visit: Visit, action: str, name: str) -> None:
        self._note(
            AudienceChanged(at=visit.now, action=action, tenant=visit.tenant, target=name, by=visit.by)
        )
