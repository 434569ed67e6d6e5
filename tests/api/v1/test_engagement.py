"""Links of messages, followed by people and by programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock

from mta.api.v1.application import Application
from mta.api.v1.engagement import EngagementRoutes
from mta.api.v1.site import ApiSite
from mta.engagement.links import MessageLinks, master_key, message_key
from mta.model.event_engagement import Clicked, Opened, Unsubscribed
from tests.api.v1.channel import Answer
from tests.api.v1.test_application import NOW, ApplicationCase

MASTER = master_key(b"s" * 32)
ID = "0hs3b2kqv8g00"
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/120 Safari/537.36"
TARGET = "https://shop.example/ä?a=1&b=%20#x"


class Kept:
    """A suppression list in memory."""

    def __init__(self) -> None:
        self.off: set[tuple[str, str, str]] = set()

    async def left(self, tenant: str, address: str) -> Sequence[str]:
        return [name for of, who, name in self.off if (of, who) == (tenant, address)]

    async def leave(self, tenant: str, address: str, list_name: str, message: str, now: float) -> None:
        self.off.add((tenant, address, list_name))

    async def come_back(self, tenant: str, address: str, list_name: str, now: float) -> None:
        self.off.discard((tenant, address, list_name))

    async def lists_of(self, tenant: str, address: str) -> Sequence[tuple[str, str, str]]:
        return []


class EngagementCase(ApplicationCase):
    """The routes, with what they need."""

    def setUp(self) -> None:
        super().setUp()
        self.noted: list[Any] = []
        self.kept = Kept()
        self.delivered: float | None = NOW - 3600

        async def delivered(message: str) -> float | None:
            self.assertEqual(ID, message)
            return self.delivered

        routes = EngagementRoutes(self.registry, MASTER, self.kept, self.noted.append, delivered).routes()
        self.site = ApiSite(
            Application(self.registry, routes, reactor=self.clock).app.resource(), 1 << 16, 30
        )
        self.site.reactor = Clock()
        self.links = MessageLinks(message_key(MASTER, ID), "", ID, "shop", "ann@example.net")
        self.key = self.make_key("shop", "admin")

    def visit(self, link: str, method: str = "GET", agent: str = CHROME, **headers: str) -> Answer:
        return self.ask(method, link, key="", headers={"User-Agent": agent, **headers})


class VisitTests(EngagementCase):
    """Opens and clicks."""

    def test_click(self) -> None:
        answer = self.visit(self.links.click(TARGET))
        self.assertEqual(302, answer.status)
        self.assertEqual("https://shop.example/%C3%A4?a=1&b=%20#x", answer.headers["location"])
        self.assertEqual(
            ("no-referrer", "no-store, private"),
            (
                answer.headers["referrer-policy"],
                answer.headers["cache-control"],
            ),
        )
        (event,) = self.noted
        self.assertEqual(
            Clicked(
                at=NOW,
                message=ID,
                recipient="ann@example.net",
                tenant="shop",
                client="192.0.2.7",
                agent=CHROME,
                target=TARGET,
            ),
            event,
        )

    def test_open(self) -> None:
        answer = self.visit(self.links.open())
        self.assertEqual((200, "image/gif"), (answer.status, answer.headers["content-type"]))
        self.assertTrue(answer.content.startswith(b"GIF89a"))
        self.assertEqual((Opened, "human"), (type(self.noted[0]), self.noted[0].sort))

    def test_programs_are_told_apart(self) -> None:
        self.visit(self.links.open(), agent="x (via ggpht.com GoogleImageProxy)")
        self.visit(self.links.click(TARGET), "HEAD")
        self.clock.advance(60)
        self.delivered = NOW + 59
        self.visit(self.links.click(TARGET))
        self.delivered = -1.0
        self.clock.advance(60)
        self.visit(self.links.click(TARGET))
        self.assertEqual(
            [
                ("proxy", "gmail"),
                ("scanner", "HEAD"),
                ("scanner", "within seconds of delivery"),
                ("scanner", "before delivery"),
            ],
            [(one.sort, one.visitor) for one in self.noted],
        )

    def test_once_a_visit(self) -> None:
        """A picture that is loaded again and again by one client is one open."""
        for _ in range(3):
            self.visit(self.links.open())
        self.clock.advance(31)
        self.visit(self.links.open())
        self.assertEqual(2, len(self.noted))

    def test_wrong_links(self) -> None:
        """Nobody is led anywhere by what we have not signed."""
        right = self.links.click(TARGET)
        for wrong in (
            right[:-1],
            right + "A",
            "/c/https://evil.example/",
            right.replace("/c/", "/o/"),
            self.links.open().replace("/o/", "/c/"),
        ):
            answer = self.visit(wrong)
            self.assertEqual(404, answer.status, wrong)
            self.assertNotIn("location", answer.headers)
        self.assertEqual(302, self.visit(right + "?target=https://evil.example/").status)
        self.assertNotIn("evil", self.visit(right + "?target=https://evil.example/").headers["location"])
        self.assertEqual({TARGET}, {one.target for one in self.noted})


class UnsubscribeTests(EngagementCase):
    """RFC 8058, and the page."""

    def post(self, body: bytes, link: str = "", media: str = "application/x-www-form-urlencoded") -> Answer:
        return self.ask("POST", link or self.links.unsubscribe("news"), body, key="", media=media)

    def test_one_click(self) -> None:
        answer = self.post(b"List-Unsubscribe=One-Click")
        self.assertEqual(200, answer.status)
        self.assertEqual({("shop", "ann@example.net", "news")}, self.kept.off)
        self.assertEqual(
            Unsubscribed(
                at=NOW,
                message=ID,
                recipient="ann@example.net",
                tenant="shop",
                list="news",
                way="one-click",
                client="192.0.2.7",
            ),
            self.noted[0],
        )

    def test_form_data(self) -> None:
        body = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
        self.assertEqual(200, self.post(body, media="multipart/form-data; boundary=x").status)
        self.assertEqual({("shop", "ann@example.net", "news")}, self.kept.off)

    def test_looking_changes_nothing(self) -> None:
        """Scanners follow links."""
        for method in ("GET", "HEAD"):
            answer = self.visit(self.links.unsubscribe("news"), method)
            self.assertEqual(200, answer.status)
        page = self.visit(self.links.unsubscribe("news")).content.decode()
        self.assertIn("Unsubscribe from news", page)
        self.assertIn("ann@example.net", page)
        self.assertEqual((set(), []), (self.kept.off, self.noted))

    def test_page(self) -> None:
        page = self.post(b"action=unsubscribe&scope=all")
        self.assertIn(b"You get none of it", page.content)
        self.assertIn("default-src 'none'", page.headers["content-security-policy"])
        self.assertEqual({("shop", "ann@example.net", "")}, self.kept.off)
        self.assertNotIn(b"none of it", self.post(b"action=resubscribe&scope=all").content)
        self.assertEqual(set(), self.kept.off)
        self.assertIn(b"You do not get", self.post(b"action=unsubscribe&scope=list").content)
        self.assertEqual(
            [("unsubscribe", ""), ("resubscribe", ""), ("unsubscribe", "news")],
            [(one.action, one.list) for one in self.noted],
        )

    def test_nonsense(self) -> None:
        for body in (b"", b"action=remove&scope=all", b"action=unsubscribe", b"\xff" * 50):
            self.refused("malformed", self.post(body))
        self.assertEqual(404, self.post(b"List-Unsubscribe=One-Click", self.links.unsubscribe()[:-1]).status)
        self.assertEqual(404, self.post(b"List-Unsubscribe=One-Click", "/u/" + self.links.open()[3:]).status)
        self.assertEqual(set(), self.kept.off)

    def test_what_is_shown_is_escaped(self) -> None:
        links = MessageLinks(message_key(MASTER, ID), "", ID, "<i>", '"<b>"@example.net')
        page = self.visit(links.unsubscribe("<script>")).content.decode()
        for raw in ("<i>", '<b>"', "<script>"):
            self.assertNotIn(raw, page)


class SettingTests(EngagementCase):
    """``/v1/engagement``."""

    def test_off_until_it_is_set(self) -> None:
        off = {"opens": False, "clicks": False, "url": "", "name": ""}
        self.assertEqual(off, self.ask("GET", "/v1/engagement").json)
        on = {"opens": True, "clicks": True, "url": "https://links.example.org", "name": "The <Shop>"}
        self.assertEqual(on, self.ask("PUT", "/v1/engagement", {**on, "url": on["url"] + "/"}).json)
        self.assertEqual(on, self.ask("GET", "/v1/engagement").json)
        other = self.make_key("default", "admin")
        self.assertEqual(off, self.ask("GET", "/v1/engagement", key=other).json)
        self.assertIn(b"The &lt;Shop&gt;", self.visit(self.links.unsubscribe()).content)

    def test_wrong(self) -> None:
        for url in ("ftp://x", "https://", "https://x/?a=b", "javascript:x", "https://ä.example"):
            self.refused("invalid", self.ask("PUT", "/v1/engagement", {"url": url}))
        self.refused("scope", self.ask("PUT", "/v1/engagement", {}, key=self.make_key("b", "messages:send")))
