"""Webhooks of a tenant: endpoints, their secrets, and what came of each post."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Literal

from pydantic import Field, field_validator

from mta.dashboard.asked import Ask, Refused
from mta.dashboard.page import Answered, Confirmation, Form, Html, Invalid, Page, Query, Redirect, missing
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.dashboard.words import sentence
from mta.interfaces import settle
from mta.registry.endpoints import FORMATS, Endpoint, Endpoints, NoEndpoint, checked_url
from mta.webhook.archive import Archive
from mta.webhook.content import PATTERNS
from mta.webhook.formats import verification_key
from mta.webhook.outbox import STATES

PLACE = "/dashboard/webhooks"
#: Of the API: all endpoints, and one.
API, ONE = "/v1/webhooks", "/v1/webhooks/{id}"
_EVER = "1970-01-01T00:00:01Z"
#: Deliveries on a page.
_ON_PAGE = 50
Hours = Literal["0", "1", "24", "168"]


class Deliveries(Query):
    """Which deliveries."""

    state: Literal["", "waiting", "delivered", "failed"] = ""
    before: float = 0.0
    before_id: str = Field("", max_length=200)


class Fields(Form):
    """An endpoint as a form has it."""

    url: str
    events: list[str] = Field(default_factory=lambda: ["*"])
    tags: str = Field("", max_length=2000)
    description: str = Field("", max_length=200)
    format: Literal["standard", "postmark", "sendgrid"] = "standard"

    @field_validator("url")
    @classmethod
    def _reachable(cls, value: str) -> str:
        return checked_url(value.strip())

    @field_validator("events")
    @classmethod
    def _known(cls, value: list[str]) -> list[str]:
        if unknown := [one for one in value if one not in PATTERNS]:
            raise ValueError(f"{unknown[0][:100]!r} is no type of event")
        return value

    @property
    def labels(self) -> tuple[str, ...]:
        """The tags."""
        return tuple(self.tags.replace(",", " ").split())


class One(Form):
    """An endpoint that something is done to."""

    id: str


class Switch(One):
    """Whether it is used."""

    enabled: Literal["yes", "no"]


class Rotate(One):
    """How its secret is replaced."""

    hours: Hours = "24"


class Again(One):
    """A delivery that is to be made once more."""

    delivery: str


class WebhookPages:
    """See the module.

    :param endpoints: keeps them.
    :param ask: asks the API.
    :param archive: what is and was to be posted.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self, endpoints: Endpoints, ask: Ask, archive: Archive, run_in_thread: Callable[..., Any]
    ) -> None:
        self._endpoints = endpoints
        self._ask = ask
        self._archive = archive
        self._run = run_in_thread

    def pages(self) -> list[Page]:
        """What there is."""
        look, manage, one = Right.LOOK_OWN, Right.MANAGE_OWN, PLACE + "/at/{id}"
        new, edit = f"{PLACE}/new", one + "/edit"
        return [
            Page("GET", PLACE, self.list, look, "Webhooks"),
            Page("GET", new, self.form, manage, "Add an endpoint"),
            Page("POST", new, self.create, manage, "Add an endpoint", form=Fields, again=self.form),
            Page("GET", one, self.one, look, "Endpoint", query=Deliveries),
            Page("GET", edit, self.edit, manage, "Change an endpoint"),
            Page("POST", edit, self.change, manage, "Change an endpoint", form=Fields, again=self.edit),
            Page("GET", one + "/delivery/{delivery}", self.delivery, look, "Delivery"),
            Page("POST", f"{PLACE}/test", self.test, manage, "Test", form=One),
            Page("POST", f"{PLACE}/switch", self.switch, manage, "Enable", form=Switch),
            Page("POST", f"{PLACE}/again", self.again, Right.ACT_OWN, "Deliver again", form=Again),
            Page("POST", f"{PLACE}/recover", self.recover, Right.ACT_OWN, "Deliver again", form=One),
            Page(
                "POST",
                f"{PLACE}/rotate",
                self.rotate,
                manage,
                "Replace the secret",
                form=Rotate,
                confirm=self.confirm_rotate,
            ),
            Page(
                "POST",
                f"{PLACE}/remove",
                self.remove,
                manage,
                "Remove an endpoint",
                form=One,
                confirm=self.confirm_remove,
            ),
        ]

    # --- looking -----------------------------------------------------------------------

    async def list(self, visit: Visit) -> Answered:
        """All endpoints."""
        return Html("webhooks.html", {"endpoints": await self._endpoints.of(visit.tenant)})

    async def one(self, visit: Visit) -> Answered:
        """One, with what was and is to be delivered."""
        own, query = await self._own(visit, visit.path["id"]), visit.query
        before = (query.before, query.before_id) if query.before else None
        state = STATES.index(query.state) if query.state else None
        found = await settle(self._run(self._archive.page, own.id, before, _ON_PAGE + 1, state))
        values = {
            "endpoint": own,
            "key": verification_key(own.format, own.secrets[0].octets),
            "signing": len(own.signing(visit.now)),
            "deliveries": found[:_ON_PAGE],
            "more": len(found) > _ON_PAGE,
            "states": STATES,
        }
        return Html("webhook.html", values)

    async def delivery(self, visit: Visit) -> Answered:
        """One delivery, with all attempts."""
        own = await self._own(visit, visit.path["id"])
        found = await settle(self._run(self._archive.find, own.id, visit.path["delivery"]))
        if found is None:
            raise missing("There is no such delivery", "Deliveries are forgotten after webhook.keep.")
        one, attempts = found
        body = json.dumps(json.loads(one.body), indent=2, ensure_ascii=False)
        values = {"endpoint": own, "delivery": one, "attempts": attempts, "body": body, "states": STATES}
        return Html("webhook_delivery.html", values)

    # --- forms -------------------------------------------------------------------------

    async def form(self, visit: Visit) -> Answered:
        """The form for a new one."""
        return Html("webhook_form.html", {"endpoint": None, "patterns": PATTERNS, "formats": FORMATS})

    async def edit(self, visit: Visit) -> Answered:
        """The form of one."""
        own = await self._own(visit, visit.path["id"])
        return Html("webhook_form.html", {"endpoint": own, "patterns": PATTERNS, "formats": FORMATS})

    async def create(self, visit: Visit) -> Answered:
        """Make one, and show its secret."""
        made = await self._kept(visit, "POST", API, {})
        return _secret(made)

    async def change(self, visit: Visit) -> Answered:
        """Change one."""
        own = await self._own(visit, visit.path["id"])
        await self._kept(visit, "PATCH", ONE, {"id": own.id})
        return Redirect(_at(own), "Changed.")

    async def _kept(self, visit: Visit, method: str, path: str, names: dict[str, str]) -> dict[str, Any]:
        """Make or change one as the form says."""
        form: Fields = visit.form.value
        body = {
            "url": form.url,
            "events": form.events,
            "tags": list(form.labels),
            "description": form.description,
            "format": form.format,
        }
        try:
            return await self._ask(visit, method, path, names, body=body)
        except Refused as refused:
            wrong = refused.invalid({name: name for name in body}).errors
            raise Invalid({name: sentence(what) for name, what in wrong.items()}) from None

    # --- acts --------------------------------------------------------------------------

    async def test(self, visit: Visit) -> Answered:
        """Post something that tries it out."""
        own = await self._own(visit, visit.form.value.id)
        if not own.enabled:
            return Redirect(_at(own), "It is switched off: switch it on first.", "warn")
        made = await self._ask(visit, "POST", f"{ONE}/test", {"id": own.id})
        return Redirect(f"{_at(own)}/delivery/{made['id']}", "A test is on its way; load this page again.")

    async def switch(self, visit: Visit) -> Answered:
        """Have it used, or not."""
        form: Switch = visit.form.value
        own = await self._own(visit, form.id)
        on = form.enabled == "yes"
        await self._ask(visit, "PATCH", ONE, {"id": own.id}, body={"enabled": on})
        said = (
            "It is switched on." if on else "It is switched off.  What happens meanwhile is not kept for it."
        )
        return Redirect(_at(own), said)

    async def again(self, visit: Visit) -> Answered:
        """Deliver one once more."""
        form: Again = visit.form.value
        own = await self._own(visit, form.id)
        names = {"id": own.id, "delivery": form.delivery}
        await self._ask(visit, "POST", ONE + "/deliveries/{delivery}/redeliver", names)
        return Redirect(_at(own), "It is delivered again.")

    async def recover(self, visit: Visit) -> Answered:
        """Deliver all that failed once more."""
        own = await self._own(visit, visit.form.value.id)
        body = {"since": _EVER}
        found = await self._ask(visit, "POST", f"{ONE}/redeliver", {"id": own.id}, body=body)
        count = found["count"]
        said = f"{count} are delivered again." if count else "Nothing has failed."
        return Redirect(_at(own), said, "good" if count else "note")

    async def confirm_rotate(self, visit: Visit) -> Confirmation:
        """What a receiver has to do."""
        own = await self._own(visit, visit.form.value.id)
        return Confirmation(
            "Replace the secret?",
            "A new secret is made and shown once.  Both sign for a day, so that the receiver has time to "
            "take it over.",
            "Replace",
            _at(own),
            [("Endpoint", own.url)],
            danger=False,
        )

    async def rotate(self, visit: Visit) -> Answered:
        """Give it another secret."""
        form: Rotate = visit.form.value
        own = await self._own(visit, form.id)
        body = {"overlap": int(form.hours) * 3600}
        return _secret(await self._ask(visit, "POST", f"{ONE}/rotate", {"id": own.id}, body=body))

    async def confirm_remove(self, visit: Visit) -> Confirmation:
        """What is lost then."""
        own = await self._own(visit, visit.form.value.id)
        return Confirmation(
            "Remove this endpoint?",
            "Nothing is posted to it any more, and what waits for it is dropped.",
            "Remove",
            _at(own),
            [("Endpoint", own.url)],
        )

    async def remove(self, visit: Visit) -> Answered:
        """Forget one."""
        own = await self._own(visit, visit.form.value.id)
        await self._ask(visit, "DELETE", ONE, {"id": own.id})
        return Redirect(PLACE, f"{own.url} is removed.")

    # --- in common ---------------------------------------------------------------------

    async def _own(self, visit: Visit, identifier: str) -> Endpoint:
        try:
            return await self._endpoints.get(visit.tenant, identifier)
        except NoEndpoint:
            raise missing("There is no such endpoint") from None


def _secret(made: dict[str, Any]) -> Html:
    """The secret of an endpoint, once."""
    return Html("webhook_secret.html", {"endpoint": made})


def _at(one: Endpoint) -> str:
    return f"{PLACE}/at/{one.id}"
