"""Contacts of a tenant: looked for, made, changed, forgotten; what each did, and how it came on lists."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, field_validator

from mta.audience import contacts
from mta.audience.audience import Audience
from mta.audience.contact import Contact, NoContact
from mta.audience.joining import Joining
from mta.audience.lists import NoList
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
from mta.registry.suppressions import Suppressions, checked_address

PLACE = "/dashboard/contacts"
_ON_PAGE = 50


class Find(Query):
    """Which contacts."""

    q: str = Field("", max_length=320)
    after: str = Field("", max_length=400)


class Person(Form):
    """A contact as a form has it."""

    address: str
    name: str = Field("", max_length=200)
    time_zone: str = Field("", max_length=100)
    locale: str = Field("", max_length=35)
    channel: Literal["mail", "webhook"] = "mail"
    webhook: str = Field("", max_length=2000)
    source: str = Field("", max_length=200)
    attributes: str = ""

    @field_validator("address")
    @classmethod
    def _address(cls, value: str) -> str:
        return checked_address(value)

    @field_validator("attributes")
    @classmethod
    def _json(cls, value: str) -> str:
        try:
            found = json.loads(value or "{}")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"it is no JSON: {error}") from None
        if not isinstance(found, dict):
            raise ValueError('it is no JSON object, such as {"plan": "pro"}')
        return value


class One(Form):
    """A contact that something is done to."""

    address: str


class Erase(One):
    """How it is forgotten."""

    for_good: bool = False


class OnList(One):
    """A contact and a list."""

    list: str


class ContactPages:
    """See the module.

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

    def pages(self) -> list[Page]:
        """What there is."""
        look, act, one = Right.LOOK_OWN, Right.ACT_OWN, PLACE + "/at/{address}"
        new, edit = f"{PLACE}/new", one + "/edit"
        return [
            Page("GET", PLACE, self.show_all, look, "Contacts", query=Find),
            Page("GET", new, self.form, act, "Add a contact"),
            Page("POST", new, self.add, act, "Add a contact", form=Person, again=self.form),
            Page("GET", one, self.one, look, "Contact"),
            Page("GET", edit, self.edit, act, "Change a contact"),
            Page("POST", edit, self.change, act, "Change a contact", form=Person, again=self.edit),
            Page("POST", f"{PLACE}/join", self.join, act, "Put on a list", form=OnList),
            Page(
                "POST",
                f"{PLACE}/leave",
                self.leave,
                act,
                "Take off a list",
                None,
                OnList,
                None,
                self.ask_leave,
            ),
            Page("POST", f"{PLACE}/erase", self.erase, act, "Forget", None, Erase, None, self.ask_erase),
        ]

    # --- looking -----------------------------------------------------------------------

    async def show_all(self, visit: Visit) -> Answered:
        """Some of them, by address."""
        query: Find = visit.query
        store = self._audience.contacts
        found = await store.page(visit.tenant, query.after, _ON_PAGE + 1, query.q.strip())
        values = {
            "found": found[:_ON_PAGE],
            "more": len(found) > _ON_PAGE,
            "count": await store.count(visit.tenant),
        }
        return Html("contacts.html", values)

    async def one(self, visit: Visit) -> Answered:
        """One, with all that is known of it."""
        own = await self._own(visit, visit.path["address"])
        on = await self._audience.memberships.of(visit.tenant, own.id)
        there = {one.name for one in on}
        lists = await self._audience.lists.all_of(visit.tenant)
        values = {
            "contact": own,
            "on": on,
            "others": [one for one in lists if one.name not in there],
            "barred": await self._suppressions.of(visit.tenant, own.address),
            "history": await self._audience.memberships.history(visit.tenant, own.id),
            "did": await self._audience.facts.of(visit.tenant, own.id, limit=_ON_PAGE),
            "attributes": _written(own),
        }
        return Html("contact.html", values)

    async def form(self, visit: Visit) -> Answered:
        """The form for a new one."""
        return Html("contact_form.html", {"contact": None, "attributes": ""})

    async def edit(self, visit: Visit) -> Answered:
        """The form of one."""
        own = await self._own(visit, visit.path["address"])
        return Html("contact_form.html", {"contact": own, "attributes": _written(own)})

    # --- changing ----------------------------------------------------------------------

    async def add(self, visit: Visit) -> Answered:
        """Make one."""
        form: Person = visit.form.value
        if await self._audience.contacts.find(visit.tenant, form.address) is not None:
            raise Invalid({"address": "There is a contact of this address already."})
        made = await self._put(visit, _filled(Contact(form.address), form))
        self._tell(visit, "created", made.address)
        return Redirect(_at(made), f"{made.address} is added.")

    async def change(self, visit: Visit) -> Answered:
        """Change one."""
        own = await self._own(visit, visit.path["address"])
        made = await self._put(visit, _filled(own, visit.form.value))
        self._tell(visit, "changed", made.address)
        return Redirect(_at(made), "Changed.")

    async def _put(self, visit: Visit, wanted: Contact) -> Contact:
        def work(base: sqlite3.Connection) -> Contact:
            return contacts.put(base, visit.tenant, wanted, visit.now, merge=False)[0]

        try:
            return await self._audience.database.change(contacts.TABLES.noun, work)
        except ValueError as error:
            raise wrong_field(error, Person) from None

    async def join(self, visit: Visit) -> Answered:
        """Put one on a list."""
        form: OnList = visit.form.value
        own = await self._own(visit, form.address)
        try:
            member, sent = await self._joining.join(
                visit.tenant, form.list, own.id, who=visit.by, now=visit.now, source="dashboard"
            )
        except (NoList, NoContact):
            raise missing("There is no such list") from None
        match member.state:
            case "subscribed":
                return Redirect(_at(own), f"{own.address} is on {form.list}.")
            case "pending":
                words = "is asked to confirm it" if sent == "sent" else "is asked to confirm it later"
                return Redirect(_at(own), f"{own.address} {words}.", "note")
            case _:
                said = f"{own.address} has left {form.list}, and only their own wish brings them back."
                return Redirect(_at(own), said, "warn")

    async def ask_leave(self, visit: Visit) -> Confirmation:
        """What that means."""
        form: OnList = visit.form.value
        own = await self._own(visit, form.address)
        return Confirmation(
            f"Take {own.address} off {form.list}?",
            "As if they had left it themselves: nothing but their own wish brings them back.",
            "Take off the list",
            _at(own),
        )

    async def leave(self, visit: Visit) -> Answered:
        """Take one off a list."""
        form: OnList = visit.form.value
        own = await self._own(visit, form.address)
        try:
            await self._joining.leave(visit.tenant, form.list, own.id, who=visit.by, now=visit.now)
        except NoList:
            raise missing("There is no such list") from None
        return Redirect(_at(own), f"{own.address} is off {form.list}.")

    async def ask_erase(self, visit: Visit) -> Confirmation:
        """What is lost then."""
        form: Erase = visit.form.value
        own = await self._own(visit, form.address)
        return Confirmation(
            f"Forget {own.address}?",
            "Attributes, lists, how it came on them and what it did are erased.  That it wants no mail stays "
            "on the suppression list."
            + ("  A hash is kept, so that no import brings it back." if form.for_good else ""),
            "Forget",
            _at(own),
        )

    async def erase(self, visit: Visit) -> Answered:
        """Forget one."""
        form: Erase = visit.form.value
        own = await self._own(visit, form.address)
        await self._audience.contacts.erase(visit.tenant, own.address, visit.now, keep_hash=form.for_good)
        # Who it was is what is to be forgotten.
        self._tell(visit, "erased", "")
        return Redirect(PLACE, "The contact is forgotten.")

    # --- in common ---------------------------------------------------------------------

    async def _own(self, visit: Visit, address: str) -> Contact:
        try:
            found = await self._audience.contacts.find(visit.tenant, checked_address(address))
        except ValueError:
            found = None
        if found is None:
            raise missing("There is no such contact")
        return found

    def _tell(self, visit: Visit, action: str, address: str) -> None:
        self._note(
            AudienceChanged(at=visit.now, action=action, tenant=visit.tenant, recipient=address, by=visit.by)
        )


def _at(one: Contact) -> str:
    return f"{PLACE}/at/{quote(one.address, safe='')}"


def _written(one: Contact) -> str:
    return json.dumps(dict(one.attributes), indent=2, ensure_ascii=False) if one.attributes else ""


def _filled(before: Contact, form: Person) -> Contact:
    attributes: dict[str, Any] = json.loads(form.attributes or "{}")
    return replace(
        before,
        name=form.name.strip(),
        attributes=attributes,
        time_zone=form.time_zone.strip(),
        locale=form.locale.strip(),
        channel=form.channel,
        webhook=form.webhook.strip(),
        source=form.source.strip() or before.source,
    )
