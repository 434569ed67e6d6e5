"""``/v1/webhooks``: a tenant says where its events are posted to, and looks at what came of it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from mta.api.v1.cursor import Page, cursor
from mta.api.v1.keys import moment
from mta.api.v1.moment import Moment
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown
from mta.interfaces import settle
from mta.model.event import Administered, Event
from mta.registry.endpoints import Endpoint, Endpoints, NoEndpoint, checked_url
from mta.webhook.archive import Archive
from mta.webhook.content import PATTERNS
from mta.webhook.formats import verification_key
from mta.webhook.outbox import STATES, Attempt, Delivery
from mta.webhook.trial import trial

Format = Literal["standard", "postmark", "sendgrid"]
State = Literal["waiting", "delivered", "failed"]
_WEEK = 7 * 86400


def _pattern(text: str) -> str:
    if text not in PATTERNS:
        raise ValueError(f"{text[:100]!r} is no type of event; there are {', '.join(PATTERNS)}")
    return text


Pattern = Annotated[str, AfterValidator(_pattern)]
Url = Annotated[str, AfterValidator(checked_url)]
Tag = Annotated[str, Field(min_length=1, max_length=100)]


class NewWebhook(Model):
    """An endpoint to be made."""

    url: Url = Field(description="https://; http:// only where the operator allows it")
    events: list[Pattern] = Field(
        ["*"], min_length=1, max_length=100, description="types, such as message.delivered or message.*"
    )
    tags: list[Tag] = Field([], max_length=100, description="only of messages with one of these")
    description: str = Field("", max_length=200, description="for people")
    format: Format = Field("standard", description="as whose webhooks events are written")


class Change(Model):
    """What is to be changed; what is not there stays."""

    url: Url | None = None
    events: list[Pattern] | None = Field(None, min_length=1, max_length=100)
    tags: list[Tag] | None = Field(None, max_length=100)
    description: str | None = Field(None, max_length=200)
    format: Format | None = Field(None, description="of events from now on; what waits is posted as it is")
    enabled: bool | None = Field(None, description="true also for one that the server has disabled")


class SecretRotation(Model):
    """How a secret is to be replaced."""

    overlap: int = Field(86400, ge=0, le=_WEEK, description="seconds for which the old one signs, too")


class Deliveries(Page):
    """Which deliveries to show."""

    state: State | None = Field(None, description="only those")


class Recovery(Model):
    """Which deliveries are to be made again."""

    since: Moment = Field(description="of when the delivery was made")
    until: Moment | None = Field(None, description="likewise")
    states: list[Literal["delivered", "failed"]] = Field(["failed"], min_length=1, max_length=2)


class WebhookShown(Shown):
    """An endpoint, without its secret."""

    id: str
    url: str
    events: list[str]
    tags: list[str]
    description: str
    created: str | None
    enabled: bool
    disabled: str = Field(description="why the server has disabled it")
    secrets: int = Field(description="how many sign now")
    format: Format
    verification_key: str | None = Field(description="public key of signatures in SendGrid's format")


class WebhookMade(WebhookShown):
    """An endpoint with its newest secret, which is shown only now."""

    secret: str


class WebhooksShown(Shown):
    """The endpoints of the tenant."""

    webhooks: list[WebhookShown]
    next: str | None = None


class DeliveryShown(Shown):
    """One event for one endpoint."""

    id: str = Field(description="the webhook-id")
    type: str
    message: str | None
    state: State
    created: str | None
    attempts: int = Field(description="since it is to be delivered")
    next_attempt: str | None


class DeliveriesShown(Shown):
    """Deliveries, the newest first."""

    deliveries: list[DeliveryShown]
    next: str | None = None


class AttemptShown(Shown):
    """One post."""

    at: str | None
    seconds: float
    status: int = Field(description="of HTTP; 0: there was no answer")
    reply: str = Field(description="the start of the answer, or why there was none")


class DeliveryWhole(DeliveryShown):
    """One delivery, with what is posted, and what came of it."""

    payload: dict[str, Any] | list[dict[str, Any]]
    log: list[AttemptShown]


class Recovered(Shown):
    """How many are delivered again."""

    count: int


class WebhookRoutes:
    """Answers for webhooks.

    :param endpoints: keeps them.
    :param archive: what is and was to be posted.
    :param shard: of this worker.
    :param wake: is told of an endpoint for which there is something new.
    :param note: puts an event into the journal.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param refuses: why nothing may be posted to a URL, as far as it tells itself; ``""``: something may.
    """

    def __init__(
        self,
        endpoints: Endpoints,
        archive: Archive,
        shard: int,
        *,
        wake: Callable[[Endpoint], Awaitable[None]],
        note: Callable[[Event], None],
        run_in_thread: Callable[..., Any],
        refuses: Callable[[str], str] = lambda url: "",
    ) -> None:
        self._refuses = refuses
        self._endpoints = endpoints
        self._archive = archive
        self._shard = shard
        self._wake = wake
        self._note = note
        self._run = run_in_thread

    def routes(self) -> list[Route]:
        """What it answers."""
        scope, place, one = "webhooks", "/v1/webhooks", "/v1/webhooks/{id}"
        named = {"id": "of the endpoint"}
        delivery = {**named, "delivery": "the webhook-id"}
        example = {"url": "https://app.example.org/hooks", "events": ["message.delivered", "message.bounced"]}
        return [
            Route("GET", place, self.list, scope, "All endpoints of the tenant", answer=WebhooksShown),
            Route(
                "POST",
                place,
                self.create,
                scope,
                "Make an endpoint",
                "Events from now on are posted to it, signed as Standard Webhooks says. The secret is shown "
                "only in this answer.",
                body=NewWebhook,
                answer=WebhookMade,
                status=201,
                examples={"two types of events": example},
            ),
            Route("GET", one, self.get, scope, "One endpoint", answer=WebhookShown, path_help=named),
            Route(
                "PATCH",
                one,
                self.change,
                scope,
                "Change an endpoint",
                body=Change,
                answer=WebhookShown,
                path_help=named,
                examples={"again": {"enabled": True}},
            ),
            Route("DELETE", one, self.remove, scope, "Remove an endpoint", status=204, path_help=named),
            Route(
                "POST",
                f"{one}/rotate",
                self.rotate,
                scope,
                "Give an endpoint another secret",
                "Until `overlap` has passed, both sign.",
                body=SecretRotation,
                answer=WebhookMade,
                path_help=named,
                examples={"an hour to change over": {"overlap": 3600}},
            ),
            Route(
                "POST",
                f"{one}/test",
                self.test,
                scope,
                "Post a test to an endpoint",
                "The answer has the id by which its delivery is found.",
                answer=DeliveryShown,
                status=202,
                refusals=("conflict",),
                path_help=named,
            ),
            Route(
                "POST",
                f"{one}/redeliver",
                self.recover,
                scope,
                "Have the events of a time delivered again",
                body=Recovery,
                answer=Recovered,
                status=202,
                path_help=named,
                examples={"what failed": {"since": "2027-01-31T08:00:00Z"}},
            ),
            Route(
                "GET",
                f"{one}/deliveries",
                self.deliveries,
                scope,
                "What was and is to be delivered to an endpoint",
                query=Deliveries,
                answer=DeliveriesShown,
                path_help=named,
            ),
            Route(
                "GET",
                one + "/deliveries/{delivery}",
                self.delivery,
                scope,
                "One delivery, with all attempts",
                answer=DeliveryWhole,
                path_help=delivery,
            ),
            Route(
                "POST",
                one + "/deliveries/{delivery}/redeliver",
                self.redeliver,
                scope,
                "Have it delivered again",
                "With the same webhook-id.",
                answer=DeliveryShown,
                status=202,
                path_help=delivery,
            ),
        ]

    async def list(self, call: Call) -> WebhooksShown:
        """All of them."""
        found = await self._endpoints.of(call.tenant.name)
        return WebhooksShown(webhooks=[_shown(one, call.now) for one in found])

    async def create(self, call: Call) -> WebhookMade:
        """Make one."""
        body: NewWebhook = call.body
        self._check(body.url)
        try:
            made = await self._endpoints.create(
                call.tenant.name,
                body.url,
                call.now,
                events=body.events,
                tags=body.tags,
                description=body.description,
                format=body.format,
            )
        except ValueError as error:
            raise field_refusal("/url", str(error)) from None
        self._record(call, "webhook create", made.id)
        return _made(made, call.now)

    async def get(self, call: Call) -> WebhookShown:
        """One."""
        return _shown(await self._own(call), call.now)

    async def change(self, call: Call) -> WebhookShown:
        """Change one."""
        body: Change = call.body
        changes = {
            name: tuple(value) if name in ("events", "tags") else value
            for name, value in body.model_dump(exclude_none=True).items()
        }
        if "enabled" in changes:
            changes["disabled"] = ""
        own = await self._own(call)
        if body.url is not None:
            self._check(body.url)
        changed = await self._endpoints.change(call.tenant.name, own.id, **changes)
        self._record(call, "webhook change", own.id)
        await self._wake(changed)
        return _shown(changed, call.now)

    async def remove(self, call: Call) -> Response:
        """Forget one."""
        own = await self._own(call)
        await self._endpoints.remove(call.tenant.name, own.id)
        self._record(call, "webhook remove", own.id)
        return Response()

    async def rotate(self, call: Call) -> WebhookMade:
        """Another secret."""
        own = await self._own(call)
        changed = await self._endpoints.rotate(call.tenant.name, own.id, call.now, call.body.overlap)
        self._record(call, "webhook rotate", own.id)
        await self._wake(changed)
        return _made(changed, call.now)

    async def test(self, call: Call) -> DeliveryShown:
        """Try one out."""
        own = await self._own(call)
        if not own.enabled:
            raise Refusal("conflict", "the endpoint is disabled; PATCH it with enabled: true")
        new = trial(own, self._shard, call.now, call.who)
        await settle(self._run(self._archive.put, self._shard, new, call.now))
        await self._wake(own)
        return _delivery_shown((await self._found(own, new.id))[0])

    async def recover(self, call: Call) -> Recovered:
        """Have many delivered again."""
        own = await self._own(call)
        body: Recovery = call.body
        until = body.until.timestamp() if isinstance(body.until, datetime) else call.now
        states = [STATES.index(state) for state in body.states]
        count = await settle(
            self._run(self._archive.recover, own.id, body.since.timestamp(), until, states, call.now)
        )
        self._record(call, "webhook redeliver", own.id)
        await self._wake(own)
        return Recovered(count=count)

    async def deliveries(self, call: Call) -> DeliveriesShown:
        """What was and is to be delivered."""
        own = await self._own(call)
        query: Deliveries = call.query
        place = query.after(float, str)
        before = None if place is None else (place[0], place[1])
        state = None if query.state is None else STATES.index(query.state)
        found = await settle(self._run(self._archive.page, own.id, before, query.limit, state))
        more = len(found) == query.limit
        return DeliveriesShown(
            deliveries=[_delivery_shown(one) for one in found],
            next=cursor(found[-1].created, found[-1].id) if more else None,
        )

    async def delivery(self, call: Call) -> DeliveryWhole:
        """One of them."""
        found, log = await self._found(await self._own(call), call.path["delivery"])
        return DeliveryWhole(
            **_delivery_shown(found).model_dump(),
            payload=json.loads(found.body),
            log=[_attempt_shown(one) for one in log],
        )

    async def redeliver(self, call: Call) -> DeliveryShown:
        """Have one delivered again."""
        own = await self._own(call)
        identity = call.path["delivery"]
        await settle(self._run(self._archive.again, own.id, identity, call.now))
        found, _ = await self._found(own, identity)
        self._record(call, "webhook redeliver", own.id)
        await self._wake(own)
        return _delivery_shown(found)

    def _check(self, url: str) -> None:
        why = self._refuses(url)
        if why:
            raise field_refusal("/url", why)

    async def _own(self, call: Call) -> Endpoint:
        try:
            return await self._endpoints.get(call.tenant.name, call.path["id"])
        except NoEndpoint:
            raise Refusal("not-found", "there is no such endpoint") from None

    async def _found(self, own: Endpoint, identity: str) -> tuple[Delivery, Sequence[Attempt]]:
        found = await settle(self._run(self._archive.find, own.id, identity))
        if found is None:
            raise Refusal("not-found", "there is no such delivery, or it is forgotten by now")
        return found  # type: ignore[no-any-return]

    def _record(self, call: Call, action: str, target: str) -> None:
        self._note(
            Administered(at=call.now, action=action, tenant=call.tenant.name, target=target, by=call.who)
        )


def _facts(one: Endpoint, now: float) -> dict[str, Any]:
    return {
        "id": one.id,
        "url": one.url,
        "events": list(one.events),
        "tags": list(one.tags),
        "description": one.description,
        "created": moment(one.created),
        "enabled": one.enabled,
        "disabled": one.disabled,
        "secrets": len(one.signing(now)),
        "format": one.format,
        "verification_key": verification_key(one.format, one.secrets[0].octets) or None,
    }


def _shown(one: Endpoint, now: float) -> WebhookShown:
    return WebhookShown(**_facts(one, now))


def _made(one: Endpoint, now: float) -> WebhookMade:
    return WebhookMade(**_facts(one, now), secret=one.secrets[0].text)


def _delivery_shown(one: Delivery) -> DeliveryShown:
    return DeliveryShown(
        id=one.id,
        type=one.type,
        message=one.message or None,
        state=STATES[one.state],  # type: ignore[arg-type]
        created=moment(one.created),
        attempts=one.attempts,
        next_attempt=moment(one.due) if one.state == 0 else None,
    )


def _attempt_shown(one: Attempt) -> AttemptShown:
    return AttemptShown(at=moment(one.at), seconds=one.seconds, status=one.status, reply=one.reply)
