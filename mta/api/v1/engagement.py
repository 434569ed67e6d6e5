"""``/c/``, ``/o/`` and ``/u/``: where the links of messages lead; and ``/v1/engagement``.

Whoever comes here is a stranger: nothing counts but the token in the path, which is signed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qs, quote

from pydantic import Field, field_validator

from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown
from mta.engagement.links import Kind, Link, LinkError, checked_target, read_link
from mta.engagement.page import POLICY, preferences, wrong_link
from mta.engagement.unsubscribing import is_one_click
from mta.engagement.visitor import Network, Visitor, visitor
from mta.interfaces import settle
from mta.model.event import Event
from mta.model.event_engagement import Clicked, Opened, Unsubscribed
from mta.registry.registry import Registry
from mta.registry.tenants import Tenant

#: The name of what is kept of it among a tenant's settings.
SETTING = "engagement"
#: A transparent GIF of one pixel.
_PIXEL = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b"
)
#: Seconds within which the same visitor doing the same is the same visit.
_AGAIN = 30.0
#: Visits that are remembered for that.
_REMEMBERED = 10_000
#: Characters of what a visitor calls itself that are kept.
_AGENT = 300
_HEADERS = {
    "cache-control": "no-store, private",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex, nofollow",
    "x-content-type-options": "nosniff",
}


class Leaving(Protocol):
    """Keeps who wants no more mail: the suppression list, for the reason ``unsubscribe``."""

    async def left(self, tenant: str, address: str) -> Sequence[str]:
        """The lists that an address has left; ``""``: all mail."""

    async def leave(self, tenant: str, address: str, list_name: str, message: str, now: float) -> None:
        """Send it no more."""

    async def come_back(self, tenant: str, address: str, list_name: str, now: float) -> None:
        """Send it again."""

    async def lists_of(self, tenant: str, address: str) -> Sequence[tuple[str, str, str]]:
        """The lists that somebody is on, was on, or may join: name, words for people, state or ``""``."""


class Engagement(Model):
    """What is counted of what recipients do, and under which address they reach us."""

    opens: bool = Field(False, description="a picture in the HTML tells of opens, as far as it can")
    clicks: bool = Field(False, description="links of the HTML lead over this server")
    url: str = Field("", max_length=200, description="where links begin; without it, `api.url` of the server")
    name: str = Field("", max_length=100, description="of the sender, on pages that recipients see")

    @field_validator("url")
    @classmethod
    def _is_base(cls, value: str) -> str:
        if not value:
            return ""
        try:
            checked_target(value)
        except LinkError as error:
            raise ValueError(f"{error}; it is such as https://links.example.org") from None
        if "?" in value or "#" in value or not value.isascii():
            raise ValueError("it has no query and no fragment, such as https://links.example.org")
        return value.rstrip("/")


class EngagementShown(Shown):
    """What is set."""

    opens: bool
    clicks: bool
    url: str
    name: str


def engagement_of(tenant: Tenant) -> Engagement:
    """What is set for a tenant: nothing is counted unless it is."""
    return Engagement.model_validate(tenant.settings.get(SETTING) or {})


class EngagementRoutes:
    """Answers recipients, and whoever comes in their place.

    :param registry: knows tenants.
    :param master: the key from which those of links are made.
    :param leaving: keeps who wants no more mail.
    :param note: puts an event into the journal.
    :param delivered: from a queue id, when the message was delivered, in seconds since 1970; below 0: it
        was not yet; ``None``: not known.
    :param scanners: networks of scanners, beside those that are known.
    """

    def __init__(
        self,
        registry: Registry,
        master: bytes,
        leaving: Leaving,
        note: Callable[[Event], None],
        delivered: Callable[[str], Awaitable[float | None]],
        scanners: Callable[[], Sequence[Network]] = lambda: (),
    ) -> None:
        self._registry = registry
        self._master = master
        self._leaving = leaving
        self._note = note
        self._delivered = delivered
        self._scanners = scanners
        self._visits: OrderedDict[tuple[str, ...], float] = OrderedDict()

    def routes(self) -> list[Route]:
        """What it answers."""
        # For recipients, not for applications: they are not in the description of the API.
        told: dict[str, Any] = {"group": "recipients", "media": "text/html", "hidden": True}
        token = {"token": "signed; it stands in the message"}
        return [
            Route(
                "GET",
                "/c/{token}",
                self.click,
                None,
                "Follow a link of a message",
                "Leads to the target that is inside the signature of the token, and nowhere else.",
                status=302,
                path_help=token,
                **told,
            ),
            Route(
                "GET",
                "/o/{token}",
                self.open,
                None,
                "The picture that tells of an open",
                path_help=token,
                group="recipients",
                media="image/gif",
                hidden=True,
            ),
            Route(
                "GET",
                "/u/{token}",
                self.look,
                None,
                "The page on which a recipient unsubscribes",
                "Changes nothing: programs follow links, too.",
                path_help=token,
                **told,
            ),
            Route(
                "POST",
                "/u/{token}",
                self.leave,
                None,
                "Unsubscribe, by one click of a mail program (RFC 8058) or on the page",
                octets=("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"),
                path_help=token,
                **told,
            ),
            Route(
                "GET",
                "/v1/engagement",
                self.get,
                "messages:read",
                "What is counted of what recipients do",
                answer=EngagementShown,
            ),
            Route(
                "PUT",
                "/v1/engagement",
                self.put,
                "admin",
                "Set what is counted of what recipients do",
                body=Engagement,
                answer=EngagementShown,
                examples={"clicks only": {"clicks": True, "url": "https://links.shop.example"}},
            ),
        ]

    # --- links -------------------------------------------------------------------

    async def click(self, call: Call) -> Response:
        """Lead to the target."""
        link = self._link(call, "click")
        if link is None:
            return _wrong()
        await self._visit(call, link)
        # The target was checked before it was signed; an older server may have been less strict.
        target = quote(checked_target(link.more), safe="%/:=&?~#+!$,;'@()*[]")
        return Response(b"", 302, {**_HEADERS, "location": target}, "text/html")

    async def open(self, call: Call) -> Response:
        """Show the picture, whoever asks."""
        link = self._link(call, "open")
        if link is not None:
            await self._visit(call, link)
        return Response(_PIXEL, 200 if link else 404, _HEADERS, "image/gif")

    async def _visit(self, call: Call, link: Link) -> None:
        method, agent = call.request.method.decode("ascii", "replace"), call.header("user-agent")
        # Before the journal is asked: who comes again and again costs next to nothing.
        key = (link.kind, link.message, link.recipient, link.more, call.address, method, agent)
        before = self._visits.get(key)
        if before is not None and call.now - before < _AGAIN:
            return
        self._visits[key] = call.now
        self._visits.move_to_end(key)
        while len(self._visits) > _REMEMBERED:
            self._visits.popitem(last=False)
        found = await self._visitor(call, link, method, agent)
        facts: dict[str, Any] = {
            "at": call.now,
            "message": link.message,
            "recipient": link.recipient,
            "tenant": link.tenant,
            "sort": found.sort,
            "visitor": found.name,
            "client": call.address,
            "agent": agent[:_AGENT],
        }
        self._note(Clicked(**facts, target=link.more) if link.kind == "click" else Opened(**facts))

    async def _visitor(self, call: Call, link: Link, method: str, agent: str) -> Visitor:
        at = await self._delivered(link.message)
        since = None if at is None else call.now - at if at >= 0 else -1.0
        names = ("sec-purpose", "purpose", "x-purpose", "x-moz")
        return visitor(
            method=method,
            agent=agent,
            address=call.address,
            headers={name: call.header(name) for name in names},
            since_delivery=since,
            scanners=self._scanners(),
        )

    # --- unsubscribing -------------------------------------------------------------

    async def look(self, call: Call) -> Response:
        """Show what can be done, and do nothing."""
        link = self._link(call, "unsubscribe")
        return _wrong() if link is None else await self._page(link)

    async def leave(self, call: Call) -> Response:
        """Do what was asked."""
        link = self._link(call, "unsubscribe")
        if link is None:
            return _wrong()
        content = call.content
        if is_one_click(content):
            await self._change(call, link, link.more, "unsubscribe", "one-click")
            # RFC 8058, 3.2: no redirection; nobody reads this.
            return Response(b"unsubscribed\n", 200, _HEADERS, "text/plain")
        form = parse_qs(content[:1000].decode("ascii", "replace"), max_num_fields=10)
        action, scope = (form.get(name, [""])[0] for name in ("action", "scope"))
        if action not in ("unsubscribe", "resubscribe") or scope not in ("list", "all"):
            raise Refusal("malformed", "the form has neither List-Unsubscribe=One-Click nor an action")
        list_name = link.more if scope == "list" else ""
        if scope == "list" and form.get("list"):
            # Whoever has a link may see and change all that their address gets of this tenant.
            list_name = form["list"][0]
            known = await self._leaving.lists_of(link.tenant, link.recipient)
            if list_name not in [name for name, _, _ in known]:
                raise Refusal("malformed", "the form names a list that there is not")
        await self._change(call, link, list_name, action, "page")
        return await self._page(link)

    async def _change(self, call: Call, link: Link, list_name: str, action: str, way: str) -> None:
        if action == "unsubscribe":
            await self._leaving.leave(link.tenant, link.recipient, list_name, link.message, call.now)
        else:
            await self._leaving.come_back(link.tenant, link.recipient, list_name, call.now)
        self._note(
            Unsubscribed(
                at=call.now,
                message=link.message,
                recipient=link.recipient,
                tenant=link.tenant,
                list=list_name,
                action=action,
                way=way,
                client=call.address,
            )
        )

    async def _page(self, link: Link) -> Response:
        tenants = await settle(self._registry.tenants.all())
        tenant = tenants.get(link.tenant)
        name = (engagement_of(tenant).name if tenant is not None else "") or link.tenant
        off = frozenset(await self._leaving.left(link.tenant, link.recipient))
        lists = await self._leaving.lists_of(link.tenant, link.recipient)
        content = preferences(link.recipient, name, link.more, off, lists)
        return Response(content, 200, {**_HEADERS, "content-security-policy": POLICY}, _HTML)

    def _link(self, call: Call, kind: Kind) -> Link | None:
        try:
            return read_link(self._master, kind, call.path["token"])
        except LinkError:
            return None

    # --- what is set ---------------------------------------------------------------

    async def get(self, call: Call) -> EngagementShown:
        """As it is."""
        return EngagementShown(**engagement_of(call.tenant).model_dump())

    async def put(self, call: Call) -> EngagementShown:
        """As it is to be."""
        body: Engagement = call.body
        settings: Mapping[str, Any] = {SETTING: body.model_dump()}
        await self._registry.tenants.change(call.tenant.name, settings=settings)
        return EngagementShown(**body.model_dump())


_HTML = "text/html; charset=utf-8"


def _wrong() -> Response:
    return Response(wrong_link(), 404, {**_HEADERS, "content-security-policy": POLICY}, _HTML)
