"""``POST /v1/messages``: a message is checked, composed, and handed over to the intake.

Sender and recipients are asked about as those of a session are, by the same code; the 202 follows
the spool's commit as a 250 does.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pydantic import BaseModel

from mta.api.v1.allowance import Allowance
from mta.api.v1.domains import why_not
from mta.api.v1.idempotent import HEADER, REFUSALS, once
from mta.api.v1.keys import moment
from mta.api.v1.message_models import (
    MOST_RECIPIENTS,
    MessageTaken,
    RawMessage,
    RawQuery,
    RecipientTaken,
    SendMessage,
    Terms,
    Written,
)
from mta.api.v1.person import canonical
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Response, Route
from mta.api.v1.tenant_account import TenantAccount
from mta.compose.message import Draft, message_id, written
from mta.interfaces import Answer, settle
from mta.model.address import domain_of
from mta.model.author import authors
from mta.model.envelope import Envelope, Recipient
from mta.model.event import Received
from mta.model.header import field_value, header_section
from mta.model.message import Message
from mta.model.options import Options
from mta.model.reply import Reply
from mta.registry.idempotency import Idempotency
from mta.registry.registry import Registry
from mta.registry.tenants import Tenant
from mta.template.html import plain_text

#: Octets from which on a message is composed in a thread.
_LARGE = 128 * 1024
#: Seconds after which somebody may try again who was put off.
_AGAIN = "60"


class HandOver(Protocol):
    """See :func:`mta.intake.handover.hand_over`."""

    def __call__(
        self,
        call: Call,
        account: Any,
        envelope: Envelope,
        recipients: Sequence[Recipient],
        compose: Callable[[str, str], Answer[bytes]],
        options: Options,
        dry: bool,
        identifier: str,
    ) -> Awaitable[Any]:
        """Take a message."""


@dataclass(slots=True)
class Sending:
    """A message on its way to the intake; those who prepare it may change it.

    :ivar recipients: addresses, and where in the request each stands (JSON pointer).
    :ivar suppressed: addresses that get nothing, and why.
    :ivar draft: ``None``: the message was written by the application.
    :ivar sender: the reverse-path.
    :ivar identifier: its queue id.
    :ivar dry: it is not kept.
    :ivar body: the request.
    """

    tenant: Tenant
    recipients: dict[str, str]
    options: Options
    draft: Draft | None
    suppressed: dict[str, str] = field(default_factory=dict)
    sender: str = ""
    identifier: str = ""
    dry: bool = False
    body: Terms | None = None


#: Whoever prepares messages: looks at suppressions, fills templates, adds links.
Prepare = Callable[[Sending], Awaitable[None]]


class Messages:
    """Takes messages.

    :param registry: knows tenants and domains.
    :param idempotency: keeps what was answered.
    :param hand_over: takes a message.
    :param new_id: gives queue ids.
    :param received: from queue ids, what the journal has of their acceptance.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param allowance: how many recipients tenants may send to.
    :param required: gives the purposes of records that a domain must have.
    :param prepare: whoever changes messages before they are written, in order.
    """

    def __init__(
        self,
        registry: Registry,
        idempotency: Idempotency,
        *,
        hand_over: HandOver,
        new_id: Callable[[], str],
        received: Callable[[Sequence[str]], Awaitable[Sequence[Received]]],
        run_in_thread: Callable[..., Any],
        allowance: Allowance | None = None,
        prepare: Sequence[Prepare] = (),
        furthest: Callable[[], float] = lambda: 30 * 86400.0,
        required: Callable[[], list[str]] = list,
    ) -> None:
        self._registry = registry
        self._idempotency = idempotency
        self._hand_over = hand_over
        self._new_id = new_id
        self._received = received
        self._run = run_in_thread
        self._allowance = allowance
        self._prepare = tuple(prepare)
        self._furthest = furthest
        self._required = required

    def routes(self) -> list[Route]:
        """What it answers."""
        told: dict[str, Any] = {
            "answer": MessageTaken,
            "status": 202,
            "also": {200: "A dry run: nothing was sent."},
            "headers": HEADER,
            "refusals": ("sender", "suspended", "refused", "template", "quota", *REFUSALS),
        }
        return [
            Route(
                "POST",
                "/v1/messages",
                self.send,
                "messages:send",
                "Send a message",
                "The answer comes when the message is on disk: it is delivered from then on, or returned.\n\n"
                "Either every recipient is accepted, or the message is refused and nobody gets it.",
                body=SendMessage,
                examples=_EXAMPLES,
                **told,
            ),
            Route(
                "POST",
                "/v1/messages/raw",
                self.send_raw,
                "messages:send",
                "Send a message that is written already",
                "As message/rfc822 with `from` and `to` in the query, or in base64 as JSON. Bcc is taken out."
                " X-MTA-Tags, X-MTA-Metadata, X-MTA-Track, X-MTA-Unsubscribe and X-MTA-Send-At in its header"
                " are understood. Links of its HTML are rewritten where clicks are counted, unless it is"
                " signed or encrypted already; `links` tells.",
                query=RawQuery,
                body=RawMessage,
                octets=("message/rfc822",),
                examples={
                    "in base64": {
                        "from": "news@example.org",
                        "to": ["ann@example.net"],
                        "mime": "U3ViamVjdDogSGVsbG8NCg0KSXQgd29ya3MuDQo=",
                    }
                },
                **told,
            ),
        ]

    # --- a message of parts ------------------------------------------------------

    async def send(self, call: Call) -> Response:
        """Compose it, and send it."""
        body: SendMessage = call.body
        people: dict[str, str] = {}
        for name in ("to", "cc", "bcc"):
            for number, person in enumerate(getattr(body, name)):
                people.setdefault(person.email, f"/{name}/{number}")
        draft = Draft(
            body.sender.mailbox(),
            [person.mailbox() for person in body.to],
            [person.mailbox() for person in body.cc],
            [person.mailbox() for person in body.reply_to],
            body.subject,
            body.text,
            body.html,
            body.headers,
            [attachment.file() for attachment in body.attachments],
        )
        size = sum(len(file.content) for file in draft.files) + len(body.text or "") + len(body.html or "")
        if draft.text is None and draft.html is not None:
            made = self._run(plain_text, draft.html) if len(draft.html) > _LARGE else plain_text(draft.html)
            try:
                draft.text = await settle(made)
            except ValueError as error:
                raise field_refusal("/html", f"{error}; give a text, too") from None

        def compose(identifier: str, date: str) -> Answer[bytes]:
            if size > _LARGE:
                return self._run(written, draft, identifier, date)  # type: ignore[no-any-return]
            return written(draft, identifier, date)

        return await self._send(call, body, draft.sender.address, people, draft, compose)

    # --- a message that is written -------------------------------------------------

    async def send_raw(self, call: Call) -> Response:
        """Send it as it is."""
        query: RawQuery = call.query
        terms: Terms
        if isinstance(call.body, RawMessage):
            body = call.body
            octets, sender, to, terms, place = body.mime, body.sender, body.to, body, "/mime"
        else:
            octets, sender, to, place = call.body, _address(query.sender, "from"), query.to, ""
            to = [_address(one, "to") for one in to]
            terms = Written.model_validate({"dry_run": query.dry_run, "unsubscribe": query.unsubscribe})
        written_by, named, content = await settle(
            self._run(_raw, octets) if len(octets) > _LARGE else _raw(octets)
        )
        if not written_by:
            raise field_refusal(place, "its header has no From with an address")
        people = {address: f"/to/{number}" if to else place for number, address in enumerate(to or named)}
        if not people:
            raise field_refusal(place, "it names no recipient: give `to`")
        if len(people) > MOST_RECIPIENTS:
            raise field_refusal(place, f"it has {len(people)} recipients, and there may be {MOST_RECIPIENTS}")
        for author in written_by:
            await self._own_domain(call, author, place or "/")
        sender = sender or written_by[0]
        return await self._send(call, terms, sender, people, None, lambda identifier, date: content)

    # --- any message -------------------------------------------------------------

    async def _send(
        self,
        call: Call,
        terms: Terms,
        sender: str,
        people: dict[str, str],
        draft: Draft | None,
        compose: Callable[[str, str], Answer[bytes]],
    ) -> Response:
        if call.tenant.suspended:
            raise Refusal("suspended", call.tenant.suspended)
        await self._own_domain(call, sender, "/from")
        if terms.return_path:
            await self._own_domain(call, terms.return_path, "/return_path")
        release = terms.send_at.timestamp() if terms.send_at is not None else 0.0
        if release > call.now + self._furthest():
            raise field_refusal("/send_at", "it is further ahead than messages may be scheduled")
        assert call.key is not None
        options = terms.options(call.tenant.name, call.key.id)
        identifier = self._new_id()
        sending = Sending(
            call.tenant,
            people,
            options,
            draft,
            sender=terms.return_path or sender,
            identifier=identifier,
            dry=terms.dry_run,
            body=terms,
        )

        async def act() -> tuple[int, BaseModel]:
            allowance = None if terms.dry_run else self._allowance
            if allowance is not None:
                await allowance.take(call, len(people))
            try:
                for prepare in self._prepare:
                    await prepare(sending)
                return await self._act(call, terms, sender, sending, compose, release, identifier)
            except BaseException:
                if allowance is not None:
                    allowance.give_back(call, len(people))
                raise

        if terms.dry_run:
            status, model = await act()
            return Response(model, status)
        return await once(self._idempotency, call, [identifier], act, self._done_before)

    async def _act(
        self,
        call: Call,
        terms: Terms,
        sender: str,
        sending: Sending,
        compose: Callable[[str, str], Answer[bytes]],
        release: float,
        identifier: str,
    ) -> tuple[int, BaseModel]:
        notify = frozenset(word.upper() for word in terms.notify) or frozenset({"NEVER"})
        getting = [one for one in sending.recipients if one not in sending.suppressed]
        envelope = Envelope(terms.return_path or sender)
        envelope.smtputf8 = not all(one.isascii() for one in (envelope.reverse_path, *getting)) or (
            sending.draft is not None and sending.draft.utf8
        )
        envelope.release = release if release > call.now else 0.0
        envelope.asked = terms.priority
        recipients = [Recipient(address, notify) for address in getting]
        account = TenantAccount(self._registry, call.tenant.name)
        handed = None
        if recipients:
            handed = await self._hand_over(
                call, account, envelope, recipients, compose, sending.options, terms.dry_run, identifier
            )
            if not handed.reply.is_positive:
                raise _refused(handed, [sending.recipients[one] for one in getting])
        message: Message | None = None if handed is None else handed.message
        state = "accepted" if terms.dry_run else _state(message, envelope) if recipients else "suppressed"
        known = "" if sending.draft is None else message_id(sending.draft, identifier)
        if message is not None and not known:
            known = _message_id(message)
        return 200 if terms.dry_run else 202, MessageTaken(
            id=identifier,
            message_id=known,
            state=state,
            recipients=_taken(identifier, sending.recipients, sending.suppressed, state),
            send_at=moment(envelope.release),
            priority=0 if message is None else message.attributes.get("priority", 0),
            size=0 if handed is None else handed.size,
            dry_run=terms.dry_run,
            links=handed.linked.words if handed is not None and handed.linked is not None else "",
        )

    async def _done_before(self, ids: Sequence[str]) -> tuple[int, BaseModel] | None:
        """What an attempt that was broken off has done."""
        events = await self._received(ids)
        if not events:
            return None
        event = events[0]
        state = "held" if event.held else "scheduled" if event.scheduled else "queued"
        return 202, MessageTaken(
            id=event.message,
            message_id=event.message_id,
            state=state,
            recipients=_taken(event.message, event.recipients, {}, state),
            send_at=moment(event.scheduled),
            priority=event.priority,
            size=event.size,
            links="",
        )

    async def _own_domain(self, call: Call, address: str, pointer: str) -> None:
        domains = self._registry.domains
        name = domain_of(address)
        if not domains.belongs(await settle(domains.known()), call.tenant.name, name):
            raise field_refusal(
                pointer, await why_not(self._registry, call.tenant.name, name, self._required()), "sender"
            )


def _taken(
    identifier: str, people: Sequence[str] | Mapping[str, str], suppressed: Mapping[str, str], state: str
) -> list[RecipientTaken]:
    return [
        RecipientTaken.model_construct(
            id=f"{identifier}.{number}", email=one, state="suppressed" if one in suppressed else state
        )
        for number, one in enumerate(people)
    ]


def _state(message: Message | None, envelope: Envelope) -> str:
    if message is None:
        return "discarded"
    if message.attributes.get("held"):
        return "held"
    return "scheduled" if envelope.release else "queued"


def _message_id(message: Message) -> str:
    for octets in (message.trace, getattr(message.content, "data", b"")):
        found = field_value(header_section(octets), b"message-id")
        if found:
            return found.decode("utf-8", "replace")[:998]
    return ""


def _refused(handed: Any, pointers: Sequence[str]) -> Refusal:
    """What a client is told of a refusal by the intake."""
    reply: Reply = handed.reply
    errors = [
        {"pointer": f"#{pointers[position]}", "detail": one.text, "reply": str(one), "name": one.name}
        for position, one in handed.refused
    ]
    more: dict[str, Any] = {"reply": str(reply), "name": reply.name, "rule": reply.rule or reply.name}
    if reply.is_permanent:
        return Refusal("refused", reply.text, errors, **more)
    return Refusal("unavailable", reply.text, errors, {"retry-after": _AGAIN}, **more)


def _address(text: str, name: str) -> str:
    """An address of the query."""
    if not text:
        return ""
    try:
        return canonical(text)
    except ValueError as error:
        what = {"parameter": name, "in": "query", "detail": str(error)}
        raise Refusal("invalid", f"{name}: {error}", [what]) from None


_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")
_NAMING = (b"to", b"cc", b"bcc")


def _raw(octets: bytes) -> tuple[list[str], list[str], bytes]:
    """Authors and recipients of a message, and the message as it is sent: with CRLF, without Bcc."""
    from email.utils import getaddresses

    from mta.model.header import take_fields

    content = _BARE.sub(b"\r\n", octets)
    header = header_section(content)
    named: dict[str, None] = {}
    for name in _NAMING:
        value = (field_value(header, name) or b"").decode("utf-8", "replace")
        for _, address in getaddresses([value], strict=True) if value else ():
            try:
                named[canonical(address)] = None
            except ValueError:
                continue
    content, _ = take_fields(content, [b"Bcc"])
    written_by = []
    for author in authors(header):
        try:
            written_by.append(canonical(author))
        except ValueError:
            continue
    return written_by, list(named), content


_EXAMPLES: dict[str, dict[str, Any]] = {
    "the least": {
        "from": "Shop <orders@example.org>",
        "to": ["ann@example.net"],
        "subject": "Your order",
        "text": "It is on its way.",
    },
    "with everything": {
        "from": {"email": "orders@example.org", "name": "Shop"},
        "to": [{"email": "ann@example.net", "name": "Ann"}],
        "bcc": ["archive@example.org"],
        "reply_to": ["help@example.org"],
        "subject": "Your order 17",
        "text": "It is on its way.",
        "html": '<p>It is on its way. <img src="cid:logo"></p>',
        "attachments": [
            {"name": "logo.png", "type": "image/png", "content": "iVBORw0KGgo=", "cid": "logo"},
            {"name": "terms.txt", "content": "QmUga2luZC4="},
        ],
        "headers": {"X-Order": "17"},
        "tags": ["order"],
        "metadata": {"order": "17"},
        "campaign": "orders",
        "send_at": "2027-01-31T08:00:00Z",
        "priority": 0,
        "dry_run": True,
    },
}
