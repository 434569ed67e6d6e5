"""Answers ``POST /v3/mail/send`` as SendGrid does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from mta.api.compatible.sendgrid import SendGridMail, asked, pointed, told, translated
from mta.api.compatible.sending import Filling, NoSuchTemplate, Part, Sender
from mta.api.v1.idempotent import HEADER, REFUSALS, key_of
from mta.api.v1.refusal import Refusal, field_refusal
from mta.api.v1.route import Call, Response, Route
from mta.template.bundle import Rendered


class SendGridRoutes:
    """Answers SendGrid's call.

    :param sender: sends messages.
    :param new_id: gives ids of batches, which are never those of messages.
    """

    def __init__(self, sender: Sender, new_id: Callable[[], str]) -> None:
        self._sender = sender
        self._new_id = new_id

    def routes(self) -> list[Route]:
        """What it answers."""
        return [
            Route(
                "POST",
                "/v3/mail/send",
                self.send,
                "messages:send",
                "Send messages, as SendGrid takes them",
                "The key stands in `Authorization: Bearer`. Each personalization is a message. All of them "
                "are taken, or none; `X-Message-Id` is the id of the message, or of the batch where there "
                "are several. `Mta-Ignored` names what has no counterpart here.",
                group="as SendGrid",
                body=SendGridMail,
                examples=_EXAMPLES,
                status=202,
                also={200: "In sandbox mode: nothing was sent."},
                headers=HEADER,
                refusals=("sender", "suspended", "refused", "quota", "template", *REFUSALS),
                told=told,
            )
        ]

    async def send(self, call: Call) -> Response:
        """All messages of a request."""
        mail: SendGridMail = call.body
        linked = self._sender.has_links(call)
        what = asked(mail, linked)
        count = len(mail.personalizations)
        contents: list[Rendered | None] = [None] * count
        if what.template:
            contents = await self._filled(call, mail, what.template)
        batch = self._batch(call) if count > 1 else ""
        messages = [translated(mail, place, contents[place], batch, linked) for place in range(count)]
        try:
            taken = await self._sender.send_all(call, messages)
        except Part as part:
            raise pointed(part.problem, mail, part.place) from None
        headers = {"x-message-id": batch or taken[0].id}
        if what.ignored:
            headers["mta-ignored"] = "; ".join(what.ignored)
        return Response(None, 200 if messages[0].dry_run else 202, headers)

    def _batch(self, call: Call) -> str:
        """A batch's id; that of a request that is sent again is the same."""
        key = key_of(call)
        if not key:
            return self._new_id()
        return hashlib.sha256(f"{call.tenant.name}\n{key}".encode()).hexdigest()[:26]

    async def _filled(self, call: Call, mail: SendGridMail, template: str) -> list[Rendered | None]:
        fillings = [Filling(template, one.dynamic_template_data) for one in mail.personalizations]
        found: list[Rendered | None] = []
        for place, one in enumerate(await self._sender.fill(call, fillings)):
            if isinstance(one, NoSuchTemplate):
                what = f"the template {template!r:.80} is not there, or has no live version"
                raise field_refusal("/template_id", what)
            if isinstance(one, Refusal):
                pointer = f"/personalizations/{place}/dynamic_template_data"
                raise field_refusal(pointer, one.detail, "template")
            found.append(one)
        return found


_EXAMPLES: dict[str, dict[str, Any]] = {
    "a message": {
        "personalizations": [{"to": [{"email": "ann@example.net", "name": "Ann"}]}],
        "from": {"email": "orders@example.org", "name": "Shop"},
        "subject": "Your order",
        "content": [{"type": "text/plain", "value": "It is on its way."}],
        "categories": ["order"],
        "custom_args": {"order": "17"},
    },
    "for two, in a dry run": {
        "personalizations": [
            {"to": [{"email": "ann@example.net"}], "substitutions": {"-name-": "Ann"}},
            {"to": [{"email": "ben@example.net"}], "substitutions": {"-name-": "Ben"}},
        ],
        "from": {"email": "orders@example.org"},
        "subject": "Hello -name-",
        "content": [{"type": "text/html", "value": "<p>Hello -name-</p>"}],
        "mail_settings": {"sandbox_mode": {"enable": True}},
    },
}
