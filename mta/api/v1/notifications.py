"""``/v1/notifications``: people are told something, each by the channel that they have chosen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from email.utils import parseaddr
from typing import Any

from pydantic import BaseModel, Field, ValidationError

from mta.api.v1.campaign_models import Data
from mta.api.v1.idempotent import HEADER, REFUSALS, once
from mta.api.v1.keys import moment
from mta.api.v1.message_models import Line
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown
from mta.api.v1.template_models import Name
from mta.api.v1.webhooks import SecretRotation
from mta.audience import contacts
from mta.audience.audience import Audience
from mta.audience.contact import Contact
from mta.model.address import domain_of
from mta.model.event import Administered, Event
from mta.registry.idempotency import Idempotency
from mta.registry.post_secrets import PostSecrets
from mta.registry.secret import Secret
from mta.registry.suppressions import checked_address
from mta.registry.templates import NoTemplate
from mta.sequence import notification
from mta.sequence.notification import NoNotification, Notified

#: How the journal calls what is signed.
WHAT = "posts to people"
#: People of one request.
MOST = 1000


class NewNotification(Model):
    """Something that people are told."""

    to: list[str] | str = Field(description=f"addresses of contacts, or one; {MOST} at the most")
    template: Name = Field(description="its live version at the moment of sending")
    sender: str = Field(alias="from", max_length=1000, description="of mail; of a domain of the tenant")
    reply_to: str = Field("", max_length=1000)
    subject: Line = Field("", max_length=2000, description="in place of the template's, in Jinja2")
    data: Data = Field({}, description="for the template; the contact's own come over them")
    mailing: Line = Field(
        "",
        alias="list",
        max_length=100,
        description="which it belongs to: who is not subscribed gets nothing, and mail "
        "lets it be left with one click",
    )
    dry_run: bool = Field(False, description="only tell who would get it, and how")


class NotificationRecipient(Shown):
    """How one person is told."""

    address: str
    channel: str | None = Field(description="mail or webhook; null: there is no such contact")
    id: str | None = Field(description="of the message, or webhook-id of the post; null: nothing is sent")
    waits: bool = Field(description="whether it is not on its way yet")
    detail: str = Field(description="why nothing is sent")


class NotificationShown(Shown):
    """A notification."""

    id: str | None = Field(description="null: a dry run")
    accepted: int = Field(description="people who are told")
    recipients: list[NotificationRecipient]


class NotificationSecret(Shown):
    """What posts to people are signed with."""

    secret: str = Field(description="as Standard Webhooks have it: whsec_ and base64")
    until: str | None = Field(description="up to when the one before signs, too; null: there is none")


class NotificationRoutes:
    """Answers for notifications.

    :param audience: has contacts, and keeps what is promised.
    :param idempotency: keeps what was answered.
    :param barred: to whom nothing may be sent, and why.
    :param template: raises :class:`NoTemplate` where the tenant has none of a name.
    :param may_send: why a tenant may not send from an address; ``""``: it may.
    :param new_id: gives queue ids.
    :param secrets: sign posts of a tenant to people.
    :param note: puts events into the journal.
    :param wake: has the runner look.
    """

    def __init__(
        self,
        audience: Audience,
        idempotency: Idempotency,
        *,
        barred: Callable[[str, Sequence[Contact], str], Awaitable[Mapping[int, str]]],
        template: Callable[[str, str], Awaitable[Any]],
        may_send: Callable[[str, str], Awaitable[str]],
        new_id: Callable[[], str],
        secrets: PostSecrets,
        note: Callable[[Sequence[Event]], None],
        wake: Callable[[], None],
    ) -> None:
        self._audience = audience
        self._idempotency = idempotency
        self._barred = barred
        self._template = template
        self._may_send = may_send
        self._new_id = new_id
        self._secrets = secrets
        self._note = note
        self._wake = wake

    def routes(self) -> list[Route]:
        """What it answers."""
        place, scope = "/v1/notifications", "notifications"
        return [
            Route(
                "POST",
                place,
                self.ask,
                scope,
                "Tell people something, by the channel that each has chosen",
                "Mail, or a signed post to the person's own webhook. What is promised is on disk when this "
                "answers, and is sent once. Suppression and unsubscription win, now and when it is sent.",
                body=NewNotification,
                answer=NotificationShown,
                status=202,
                also={200: "A dry run: nothing is sent."},
                headers=HEADER,
                refusals=("sender", "suspended", *REFUSALS),
                examples={
                    "one": {
                        "to": "ann@example.net",
                        "template": "shipped",
                        "from": "The Shop <shop@example.org>",
                        "data": {"order": 4711},
                    }
                },
            ),
            Route(
                "GET",
                place + "/secret",
                self.secret,
                scope,
                "What posts to people are signed with",
                "Whoever gets such a post verifies it with this, as with the secret of a webhook.",
                answer=NotificationSecret,
            ),
            Route(
                "POST",
                place + "/secret/rotate",
                self.rotate,
                scope,
                "Give posts to people another secret",
                "Until `overlap` has passed, both sign.",
                body=SecretRotation,
                answer=NotificationSecret,
                examples={"an hour to change over": {"overlap": 3600}},
            ),
            Route(
                "GET",
                place + "/{id}",
                self.get,
                scope,
                "How people were told",
                "It is remembered for 30 days.",
                answer=NotificationShown,
                path_help={"id": "of the notification"},
            ),
        ]

    async def ask(self, call: Call) -> Response:
        """Promise one."""
        body: NewNotification = call.body
        tenant = call.tenant.name
        if call.tenant.suspended:
            raise Refusal("suspended", call.tenant.suspended)
        addresses = _addresses(body.to)
        why = await self._may_send(tenant, _sender(body.sender))
        if why:
            raise field_refusal("/from", why, "sender")
        try:
            await self._template(tenant, body.template)
            definition = notification.definition_of(
                body.template,
                sender=body.sender,
                reply_to=body.reply_to,
                mailing=body.mailing,
                subject=body.subject,
                data=body.data,
            )
        except NoTemplate:
            raise field_refusal("/template", "there is no template of this name that is live") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            raise field_refusal("/", str(first["msg"])) from None
        people, told = await self._chosen(tenant, addresses, body.mailing)
        if body.dry_run:
            return Response(_shown(None, told), 200)
        identifier = self._new_id()
        promised = [(one, self._new_id()) for one in people]

        async def act() -> tuple[int, BaseModel]:
            await self._audience.database.change(
                "enrolments",
                lambda base: notification.ask(
                    base, tenant, identifier, definition, promised, call.now, call.who
                ),
            )
            self._wake()
            ids = {contact.address: message for contact, message in promised}
            return 202, _shown(identifier, told, ids)

        async def again(before: Sequence[str]) -> tuple[int, BaseModel] | None:
            for one in before:
                try:
                    return 202, _shown(one, await self._of(tenant, one))
                except NoNotification:
                    continue
            return None

        return await once(self._idempotency, call, [identifier], act, again)

    async def get(self, call: Call) -> NotificationShown:
        """How people were told."""
        try:
            return _shown(call.path["id"], await self._of(call.tenant.name, call.path["id"]))
        except NoNotification:
            raise Refusal("not-found", "there is no notification of this id, or it is forgotten") from None

    async def secret(self, call: Call) -> NotificationSecret:
        """What signs."""
        return _signs(await self._secrets.of(call.tenant.name), call.now)

    async def rotate(self, call: Call) -> NotificationSecret:
        """Another one."""
        tenant = call.tenant.name
        found = await self._secrets.rotate(tenant, call.now, call.body.overlap)
        self._note(
            [Administered(at=call.now, action="secret rotate", tenant=tenant, target=WHAT, by=call.who)]
        )
        return _signs(found, call.now)

    async def _of(self, tenant: str, identifier: str) -> list[Notified]:
        return await self._audience.database.read(lambda base: notification.of(base, tenant, identifier))

    async def _chosen(
        self, tenant: str, addresses: Sequence[str], mailing: str
    ) -> tuple[list[Contact], list[Notified]]:
        """Who is told, and how everybody is."""
        found = await self._audience.database.read(
            lambda base: {one: contacts.find(base, tenant, one) for one in addresses}
        )
        known = [one for one in found.values() if one is not None]
        barred = await self._barred(tenant, known, mailing)
        told, people = [], []
        for address, contact in found.items():
            if contact is None:
                told.append(Notified(address, "", why="there is no such contact"))
                continue
            why = barred.get(contact.id, "")
            if not why and contact.channel == "webhook" and not contact.webhook:
                why = "the contact has chosen a webhook, and has none"
            told.append(Notified(address, contact.channel, waits=not why, why=why))
            if not why:
                people.append(contact)
        return people, told


def _addresses(to: list[str] | str) -> list[str]:
    given = [to] if isinstance(to, str) else to
    if not 1 <= len(given) <= MOST:
        raise field_refusal("/to", f"it has 1 to {MOST} addresses, and there are {len(given)}")
    found: dict[str, None] = {}
    for number, one in enumerate(given):
        try:
            found[checked_address(one)] = None
        except ValueError as error:
            place = "/to" if isinstance(to, str) else f"/to/{number}"
            raise field_refusal(place, str(error)) from None
    return list(found)


def _sender(text: str) -> str:
    address = parseaddr(text)[1]
    try:
        checked = checked_address(address)
    except ValueError as error:
        raise field_refusal("/from", str(error)) from None
    return domain_of(checked)


def _shown(
    identifier: str | None, told: Sequence[Notified], ids: Mapping[str, str] | None = None
) -> NotificationShown:
    recipients = [
        NotificationRecipient(
            address=one.address,
            channel=one.channel or None,
            id=(ids or {}).get(one.address, one.id) or None,
            waits=one.waits,
            detail=one.why,
        )
        for one in told
    ]
    return NotificationShown(id=identifier, accepted=sum(not one.why for one in told), recipients=recipients)


def _signs(secrets: Sequence[Secret], now: float) -> NotificationSecret:
    before = max((one.expires for one in secrets[1:]), default=0.0)
    return NotificationSecret(secret=secrets[0].text, until=moment(before) if before > now else None)
