"""Webhooks of a tenant: endpoints, their secrets, and what came of each post."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from pydantic import Field, field_validator

from mta.dashboard.page import Answered, Confirmation, Form, Html, Invalid, Page, Query, Redirect, missing
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.dashboard.words import sentence
from mta.interfaces import settle
from mta.model.event import Administered, Event
from mta.registry.endpoints import FORMATS, Endpoint, Endpoints, NoEndpoint, checked_url
from mta.webhook.archive import Archive
from mta.webhook.content import PATTERNS
from mta.webhook.formats import verification_key
from mta.webhook.outbox import STATES
from mta.webhook.trial import trial

PLACE = "/dashboard/webhooks"
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
    :param archive: what is and was to be posted.
    :param shard: of this worker.
    :param wake: is told of an endpoint for which there is something new.
    :param refuses: why nothing may be posted to a URL, as far as it tells itself; ``""``: something may.
    :param note: puts an event into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        archive: Archive,
        shard: int,
        *,
        wake: Callable[[Endpoint], Awaitable[None]],
        refuses: Callable[[str], str],
        note: Callable[[Event], None],
        run_in_thread: Callable[..., Any],
    ) -> None:
        self._endpoints = endpoints
        self._archive = archive
        self._shard = shard
        self._wake = wake
        self._refuses = refuses
        self._note = note
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
        form = self._fields(visit)
        try:
            made = await self._endpoints.create(
                visit.tenant,
                form.url,
                visit.now,
                events=form.events,
                tags=form.labels,
                description=form.description,
                format=form.format,
            )
        except ValueError as error:
            raise Invalid({"url": str(error)}) from None
        self._record(visit, "webhook create", made)
        return self._secret(made)

    async def change(self, visit: Visit) -> Answered:
        """Change one."""
        form = self._fields(visit)
        own = await self._own(visit, visit.path["id"])
        changed = await self._endpoints.change(
            visit.tenant,
            own.id,
            url=form.url,
            events=tuple(form.events),
            tags=form.labels,
            description=form.description,
            format=form.format,
        )
        self._record(visit, "webhook change", own)
        await self._wake(changed)
        return Redirect(_at(own), "Changed.")

    # --- acts --------------------------------------------------------------------------

    async def test(self, visit: Visit) -> Answered:
        """Post something that tries it out."""
        own = await self._own(visit, visit.form.value.id)
        if not own.enabled:
            return Redirect(_at(own), "It is switched off: switch it on first.", "warn")
        new = trial(own, self._shard, visit.now, visit.by)
        await settle(self._run(self._archive.put, self._shard, new, visit.now))
        await self._wake(own)
        return Redirect(f"{_at(own)}/delivery/{new.id}", "A test is on its way; load this page again.")

    async def switch(self, visit: Visit) -> Answered:
        """Have it used, or not."""
        form: Switch = visit.form.value
        own = await self._own(visit, form.id)
        on = form.enabled == "yes"
        changed = await self._endpoints.change(visit.tenant, own.id, enabled=on, disabled="")
        self._record(visit, "webhook change", own)
        await self._wake(changed)
        said = (
            "It is switched on." if on else "It is switched off.  What happens meanwhile is not kept for it."
        )
        return Redirect(_at(own), said)

    async def again(self, visit: Visit) -> Answered:
        """Deliver one once more."""
        form: Again = visit.form.value
        own = await self._own(visit, form.id)
        if not await settle(self._run(self._archive.again, own.id, form.delivery, visit.now)):
            raise missing("There is no such delivery")
        self._record(visit, "webhook redeliver", own)
        await self._wake(own)
        return Redirect(_at(own), "It is delivered again.")

    async def recover(self, visit: Visit) -> Answered:
        """Deliver all that failed once more."""
        own = await self._own(visit, visit.form.value.id)
        failed = [STATES.index("failed")]
        count = await settle(self._run(self._archive.recover, own.id, 0.0, visit.now, failed, visit.now))
        self._record(visit, "webhook redeliver", own)
        await self._wake(own)
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
        changed = await self._endpoints.rotate(visit.tenant, own.id, visit.now, int(form.hours) * 3600.0)
        self._record(visit, "webhook rotate", own)
        await self._wake(changed)
        return self._secret(changed)

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
        await self._endpoints.remove(visit.tenant, own.id)
        self._record(visit, "webhook remove", own)
        return Redirect(PLACE, f"{own.url} is removed.")

    def _fields(self, visit: Visit) -> Fields:
        form: Fields = visit.form.value
        if why := self._refuses(form.url):
            raise Invalid({"url": sentence(why)})
        return form

    # --- in common ---------------------------------------------------------------------

    async def _own(self, visit: Visit, identifier: str) -> Endpoint:
        try:
            return await self._endpoints.get(visit.tenant, identifier)
        except NoEndpoint:
            raise missing("There is no such endpoint") from None

    def _secret(self, one: Endpoint) -> Answered:
        key = verification_key(one.format, one.secrets[0].octets)
        return Html("webhook_secret.html", {"endpoint": one, "secret": one.secrets[0].text, "key": key})

    def _record(self, visit: Visit, action: str, one: Endpoint) -> None:
        self._note(Administered(at=visit.now, action=action, tenant=visit.tenant, target=one.id, by=visit.by))


def _at(one: Endpoint) -> str:
    return f"{PLACE}/at/{one.id}"
