"""``/d/``: where people confirm that they want to be on a list; and the mail that leads them there."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from mta.api.v1.engagement import engagement_of
from mta.api.v1.message_models import SendMessage
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Response, Route
from mta.audience.audience import Audience
from mta.audience.contact import Contact
from mta.audience.joining import Joining
from mta.audience.lists import MailingList
from mta.engagement.links import Link, LinkError, MessageLinks, message_key, read_link
from mta.engagement.page import POLICY, confirmed_page, confirming_page, over_page, wrong_link
from mta.interfaces import TemporarilyUnavailable, settle
from mta.model.ids import decode_id, encode_id
from mta.registry.keys import ADMIN, Key
from mta.registry.registry import Registry
from mta.registry.tenants import Tenant

_HEADERS = {
    "cache-control": "no-store, private",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
    "x-content-type-options": "nosniff",
    "content-security-policy": POLICY,
}
_HTML = "text/html; charset=utf-8"
#: Hosts that may stand in a policy.
_HOST = re.compile(r"[A-Za-z0-9.-]+(?::[0-9]{1,5})?")


class Sending(Protocol):
    """See :class:`mta.api.v1.messages.Messages`."""

    def send(self, call: Call) -> Awaitable[Response]:
        """Take a message."""


class OwnRequest:
    """Stands for a request where the server itself asks.

    :param name: of what is asked: the same name is the same request.
    """

    method = b"POST"

    def __init__(self, name: str) -> None:
        self.uri = name.encode()

    def getHeader(self, name: str) -> None:
        """There is no header."""

    def isSecure(self) -> bool:
        """It never leaves the process."""
        return True


class ConfirmationMail:
    """Sends the mail.

    :param registry: knows tenants.
    :param messages: takes it.
    :param master: the key from which those of links are made.
    :param base: gives the address under which people reach us; ``""``: it is not set.
    :param seconds: the time, in seconds since 1970.
    :param valid: gives the seconds for which a link is good.
    """

    def __init__(
        self,
        registry: Registry,
        messages: Sending,
        master: bytes,
        base: Callable[[], str],
        seconds: Callable[[], float],
        valid: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._messages = messages
        self._master = master
        self._base = base
        self._seconds = seconds
        self._valid = valid

    async def __call__(self, tenant: str, mailing: MailingList, contact: Contact, name: str) -> str:
        """Send it, once for its name.

        :return: ``sent``, ``suppressed``, or ``failed: ...`` with what the tenant must mend.
        :raise TemporarilyUnavailable: if it is to be tried again.
        """
        found = (await settle(self._registry.tenants.all())).get(tenant)
        if found is None:
            return "failed: there is no such tenant"
        now = self._seconds()
        try:
            body = await self._body(found, mailing, contact, now)
        except ValueError as error:
            return f"failed: {error}"
        call = Call(
            OwnRequest(name),
            name,
            now,
            "127.0.0.1",
            body=body,
            content=name.encode(),
            tenant=found,
            key=Key("", tenant, "the server", frozenset({ADMIN}), b"", now),
            once=name,
        )
        try:
            answer = await self._messages.send(call)
        except Refusal as refusal:
            if refusal.kind == "idempotency-busy":
                raise TemporarilyUnavailable("another worker sends it") from None
            if refusal.status in (429, 503):
                raise TemporarilyUnavailable(refusal.detail) from None
            return f"failed: {refusal.detail}"
        return "suppressed" if _state(answer) == "suppressed" else "sent"

    async def _body(self, tenant: Tenant, mailing: MailingList, one: Contact, now: float) -> SendMessage:
        settings = engagement_of(tenant)
        base = settings.url or self._base()
        if not base:
            raise ValueError("links need an address under which people reach the server: api.url")
        of = mailing.confirmation
        sender = of.get("from") or await self._sender(tenant.name)
        identifier = encode_id(one.id)
        links = MessageLinks(
            message_key(self._master, identifier), base, identifier, tenant.name, one.address
        )
        link = links.confirm(mailing.name, int(now + self._valid()))
        body: dict[str, Any] = {
            "from": sender,
            "to": [{"email": one.address, "name": one.name}],
            "tags": ["confirmation"],
            # The link is what counts, and nobody else's affair.
            "track": {"opens": False, "clicks": False},
        }
        if of.get("template"):
            about = {"name": mailing.name, "title": mailing.words, "description": mailing.description}
            body |= {
                "template": of["template"],
                "locale": one.locale,
                "data": {"confirm_url": link, "list": about, "contact": one.data},
            }
        else:
            # "default" says nothing to anybody.
            whose = settings.name or (sender.rpartition("@")[2].rstrip("> ") or tenant.name)
            body |= {
                "subject": of.get("subject") or f"Please confirm: {mailing.words}",
                "text": _text(one, mailing, whose, link),
                "html": _html(one, mailing, whose, link),
            }
        try:
            return SendMessage.model_validate(body)
        except ValidationError as error:
            raise ValueError(str(error.errors(include_url=False, include_input=False)[0]["msg"])) from None

    async def _sender(self, tenant: str) -> str:
        for domain in await self._registry.domains.of(tenant):
            return f"no-reply@{domain.name}"
        raise ValueError("the list names no sender (confirmation.from), and the tenant has no domain")


def _state(answer: Response) -> str:
    body = answer.body
    if isinstance(body, BaseModel):
        return str(getattr(body, "state", ""))
    return str(json.loads(body or b"{}").get("state", ""))


def _text(one: Contact, mailing: MailingList, whose: str, link: str) -> str:
    hello = f"Hello {one.name},\n\n" if one.name else ""
    return (
        f"{hello}Somebody, hopefully you, asked {whose} to send {mailing.words} to {one.address}.\n\n"
        f"Open this page and press the button there if you want it:\n\n{link}\n\n"
        "If you do not, there is nothing to do: without this you get nothing.\n"
    )


def _html(one: Contact, mailing: MailingList, whose: str, link: str) -> str:
    hello = f"<p>Hello {escape(one.name)},</p>" if one.name else ""
    return (
        f"<html><body>{hello}<p>Somebody, hopefully you, asked <b>{escape(whose)}</b> to send"
        f" <b>{escape(mailing.words)}</b> to {escape(one.address)}.</p>"
        f'<p><a href="{escape(link)}">Go on to confirm it</a></p>'
        "<p>If you do not want it, there is nothing to do: without this you get nothing.</p></body></html>"
    )


class ConfirmRoutes:
    """Answers people who follow the link.

    :param registry: knows tenants.
    :param master: the key from which those of links are made.
    :param audience: keeps lists.
    :param joining: puts them on lists.
    :param lift: takes what they had left off the suppression list: tenant, address, list, and when.
    """

    def __init__(
        self,
        registry: Registry,
        master: bytes,
        audience: Audience,
        joining: Joining,
        lift: Callable[[str, str, str, float], Awaitable[None]],
    ) -> None:
        self._registry = registry
        self._master = master
        self._audience = audience
        self._joining = joining
        self._lift = lift

    def routes(self) -> list[Route]:
        """What it answers."""
        told: dict[str, Any] = {
            "group": "recipients",
            "media": "text/html",
            "hidden": True,
            "path_help": {"token": "signed; it stands in the mail"},
        }
        return [
            Route("GET", "/d/{token}", self.look, None, "The page on which somebody confirms a list", **told),
            Route(
                "POST",
                "/d/{token}",
                self.confirm,
                None,
                "Confirm a list",
                octets=("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"),
                **told,
            ),
        ]

    async def look(self, call: Call) -> Response:
        """Show what is asked, and do nothing: programs follow links, too."""
        link = self._link(call)
        if link is None:
            return _page(wrong_link(), 404)
        found = await self._about(link)
        if found is None or _until(link) < call.now:
            return _page(over_page(), 410)
        mailing, whose = found
        content = confirming_page(link.recipient, whose, mailing.words, mailing.description)
        answer = _page(content)
        origin = _origin(str(mailing.confirmation.get("redirect", "")))
        if origin:
            # Browsers hold the redirection that answers a form to the policy of its page.
            policy = POLICY.replace("form-action 'self'", f"form-action 'self' {origin}")
            answer.headers = {**_HEADERS, "content-security-policy": policy}
        return answer

    async def confirm(self, call: Call) -> Response:
        """The person has pressed the button."""
        link = self._link(call)
        if link is None:
            return _page(wrong_link(), 404)
        found = await self._about(link)
        if found is None or _until(link) < call.now:
            return _page(over_page(), 410)
        mailing, whose = found
        done = await self._joining.confirm(
            link.tenant, mailing.name, decode_id(link.message), call.now, call.address
        )
        if done == "gone":
            return _page(over_page(), 410)
        if done == "confirmed":
            await self._lift(link.tenant, link.recipient, mailing.name, call.now)
            redirect = str(mailing.confirmation.get("redirect", ""))
            if redirect:
                return Response(b"", 303, {**_HEADERS, "location": redirect}, _HTML)
        return _page(confirmed_page(link.recipient, whose, mailing.words))

    async def _about(self, link: Link) -> tuple[MailingList, str] | None:
        tenant = (await settle(self._registry.tenants.all())).get(link.tenant)
        mailing = None
        if tenant is not None and self._audience.used:
            mailing = await self._audience.lists.find(link.tenant, link.more.partition("\n")[0])
        if tenant is None or mailing is None:
            return None
        return mailing, engagement_of(tenant).name or tenant.name

    def _link(self, call: Call) -> Link | None:
        try:
            return read_link(self._master, "confirm", call.path["token"])
        except LinkError:
            return None


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if _HOST.fullmatch(parts.netloc) else ""


def _until(link: Link) -> float:
    return float(link.more.rpartition("\n")[2] or 0)


def _page(content: bytes, status: int = 200) -> Response:
    return Response(content, status, _HEADERS, _HTML)
