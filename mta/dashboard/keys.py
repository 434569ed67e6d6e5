"""Keys of a tenant: made, replaced, revoked; the text of a key is shown once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from pydantic import Field, field_validator

from mta.dashboard.page import Answered, Confirmation, Form, Html, Page, Redirect, missing
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.model.event import Administered, Event
from mta.registry.keys import SCOPES, Key, Keys, NoKey, checked_scopes

PLACE = "/dashboard/keys"
_DAY = 86400.0
Days = Literal["", "1", "30", "90", "365"]
Hours = Literal["0", "1", "24", "168"]


class New(Form):
    """A key to be made."""

    name: str = Field(min_length=1, max_length=100)
    scopes: list[str] = Field(min_length=1)
    days: Days = ""

    @field_validator("scopes")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        return sorted(checked_scopes(value))


class Rotate(Form):
    """A key to be replaced."""

    id: str
    hours: Hours = "24"


class Revoke(Form):
    """A key to be revoked."""

    id: str


class KeyPages:
    """See the module.

    :param keys: keeps them.
    :param note: puts an event into the journal.
    """

    def __init__(self, keys: Keys, note: Callable[[Event], None]) -> None:
        self._keys = keys
        self._note = note

    def pages(self) -> list[Page]:
        """What there is."""
        new, act = f"{PLACE}/new", Right.MANAGE_OWN
        return [
            Page("GET", PLACE, self.list, Right.LOOK_OWN, "Keys"),
            Page("GET", new, self.form, act, "Make a key"),
            Page("POST", new, self.create, act, "Make a key", form=New, again=self.form),
            Page("GET", PLACE + "/{id}/rotate", self.offer, act, "Replace a key"),
            Page("POST", f"{PLACE}/rotate", self.rotate, act, "Replace a key", form=Rotate),
            Page(
                "POST",
                f"{PLACE}/revoke",
                self.revoke,
                act,
                "Revoke a key",
                form=Revoke,
                confirm=self.confirm_revoke,
            ),
        ]

    async def list(self, visit: Visit) -> Answered:
        """All of them."""
        return Html("keys.html", {"keys": await self._keys.of(visit.tenant)})

    async def form(self, visit: Visit) -> Answered:
        """The form for a new one."""
        return Html("keys_new.html", {"scopes": SCOPES})

    async def create(self, visit: Visit) -> Answered:
        """Make one, and show its text; a page that is loaded again does not have it any more."""
        form: New = visit.form.value
        expires = visit.now + int(form.days) * _DAY if form.days else 0.0
        key, text = await self._keys.create(visit.tenant, form.name, form.scopes, visit.now, expires)
        self._record(visit, "key create", key)
        return Html("keys_made.html", {"key": key, "text": text, "url": _address(visit)})

    async def offer(self, visit: Visit) -> Answered:
        """How one is replaced."""
        return Html("keys_rotate.html", {"key": await self._own(visit, visit.path["id"])})

    async def rotate(self, visit: Visit) -> Answered:
        """Make one in place of another."""
        form: Rotate = visit.form.value
        try:
            key, text = await self._keys.rotate(visit.tenant, form.id, visit.now, int(form.hours) * 3600.0)
        except NoKey:
            raise missing("There is no such key, or it is expired") from None
        self._record(visit, "key rotate", key)
        return Html(
            "keys_made.html", {"key": key, "text": text, "url": _address(visit), "hours": int(form.hours)}
        )

    async def confirm_revoke(self, visit: Visit) -> Confirmation:
        """Whose requests fail then."""
        key = await self._own(visit, visit.form.value.id)
        return Confirmation(
            f"Revoke the key {key.name}?",
            "Requests with it are refused from the next one on, by every worker.  This cannot be undone; "
            "replace a key instead where a program still uses it.",
            "Revoke",
            PLACE,
            [("Key", f"mk_{key.id}_…"), ("Scopes", ", ".join(sorted(key.scopes)))],
        )

    async def revoke(self, visit: Visit) -> Answered:
        """Forget one."""
        key = await self._own(visit, visit.form.value.id)
        try:
            await self._keys.revoke(visit.tenant, key.id)
        except NoKey:
            raise missing("There is no such key") from None
        self._record(visit, "key revoke", key)
        return Redirect(PLACE, f"The key {key.name} is revoked.")

    async def _own(self, visit: Visit, identifier: str) -> Key:
        try:
            return await self._keys.get(visit.tenant, identifier)
        except NoKey:
            raise missing("There is no such key") from None

    def _record(self, visit: Visit, action: str, key: Key) -> None:
        self._note(Administered(at=visit.now, action=action, tenant=visit.tenant, target=key.id, by=visit.by))


def _address(visit: Visit) -> str:
    """Where the API is, as this browser has found it."""
    return f"{'https' if visit.secure else 'http'}://{visit.header('host')}"
