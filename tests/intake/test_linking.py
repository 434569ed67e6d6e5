"""Links in what is submitted by SMTP, and in what is handed over raw."""

from __future__ import annotations

from typing import Any

from mta.config.settings import Submission
from mta.engagement.links import MessageLinks, message_key
from mta.engagement.mime import linked
from mta.intake import linking
from mta.intake.linking import Linking
from mta.intake.suppressing import Suppressing
from mta.interfaces import Answer
from mta.model.event_engagement import LinksPut
from mta.model.event_suppression import SuppressedTo
from mta.model.linked import Linked, Wish
from mta.model.reply import Reply
from mta.registry.suppressions import Suppression
from tests.engagement.test_links import BASE, MASTER
from tests.engagement.test_mime import HTML, written
from tests.intake.test_reception import ReceptionCase


def change(content: bytes, wish: Wish, message: str, tenant: str, recipient: str) -> Linked:
    links = MessageLinks(message_key(MASTER, message), wish.base, message, tenant, recipient)
    return linked(content, links, wish)


class LinkingTests(ReceptionCase):
    wish: Answer[Wish | None] = Wish(clicks=True, base=BASE)

    def submit(self, content: bytes, *to: str, tenant: str = "shop", **more: Any) -> Reply:
        reception = self.reception(labels=Submission(tenants={"ann": tenant} if tenant else {}), **more)

        async def in_thread(work: Any, *what: Any) -> Any:
            return work(*what)

        reception.linking = Linking(lambda name: self.wish if name else None, change, in_thread)
        reception.run_in_thread = in_thread
        return self.send(
            reception, *(to or ("ann@local.test",)), role="submission", data=content, account="ann"
        )[-1]

    def kept(self) -> tuple[bytes, LinksPut]:
        ((message, events),) = self.spool.admitted
        (event,) = [event for event in events if isinstance(event, LinksPut)]
        return message.content.read(), event

    def test_put_in(self) -> None:
        self.assertEqual(250, self.submit(written().as_bytes()).code)
        content, event = self.kept()
        self.assertIn(f"{BASE}/c/".encode(), content)
        self.assertEqual((1, False, ""), (event.links, event.opens, event.why))

    def test_large(self) -> None:
        """It streams into a file, and is read out of it again."""
        octets = written(HTML + "<p>x</p>" * 20_000).as_bytes()
        self.assertEqual(250, self.submit(octets).code)
        content, event = self.kept()
        self.assertEqual((1, True), (event.links, f"{BASE}/c/".encode() in content))

    def test_the_header_says_otherwise(self) -> None:
        self.submit(b"X-MTA-Track: opens\r\n" + written().as_bytes())
        content, event = self.kept()
        self.assertEqual((0, True), (event.links, event.opens))
        self.assertNotIn(b"X-MTA", content)

    def test_nothing_wanted(self) -> None:
        octets = written().as_bytes()
        self.submit(b"X-MTA-Track: none\r\n" + octets)
        ((message, events),) = self.spool.admitted
        self.assertEqual((octets, 1), (message.content.read(), len(events)))

    def test_signed(self) -> None:
        octets = b"DKIM-Signature: d=a.test\r\n" + written().as_bytes()
        self.submit(octets)
        content, event = self.kept()
        self.assertEqual(octets, content)
        self.assertIn("signed with DKIM by a.test", event.why)

    def test_unsubscribing(self) -> None:
        self.submit(b"X-MTA-Unsubscribe: news\r\n" + written().as_bytes())
        content, event = self.kept()
        self.assertTrue(event.unsubscribe)
        self.assertIn(b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n", content)

    def test_cannot_be_unsubscribed_from(self) -> None:
        octets = b"X-MTA-Unsubscribe: *\r\n" + written().as_bytes()
        reply = self.submit(octets, "ann@local.test", "x@far.test")
        self.assertEqual((554, True), (reply.code, "X-MTA-Unsubscribe" in reply.text))
        self.assertIn("only a tenant has lists", self.submit(octets, tenant="").text)
        self.wish = Wish()
        self.assertIn("api.url", self.submit(octets).text)
        self.assertEqual([], self.spool.admitted)

    def test_no_address(self) -> None:
        """What nobody asked for in so many words is left out, and told."""
        self.wish = Wish(clicks=True)
        octets = written().as_bytes()
        self.submit(octets)
        content, event = self.kept()
        self.assertEqual((octets, True), (content, "api.url" in event.why))

    def test_too_large(self) -> None:
        self.patch(linking, "MOST", 100)
        octets = written().as_bytes()
        self.submit(octets)
        content, event = self.kept()
        self.assertEqual((octets, True), (content, "100 are looked through" in event.why))

    def test_left_out(self) -> None:
        """Who has left a list gets nothing of it, though he gets other mail."""

        def find(tenant: str, addresses: Any, mailing: str = "") -> dict[str, Suppression]:
            entry = Suppression("ann@local.test", "unsubscribe", "news", 0.0, {}, tenant)
            return {"ann@local.test": entry} if mailing == "news" else {}

        reply = self.submit(
            b"X-MTA-Unsubscribe: news\r\n" + written().as_bytes(),
            "ann@local.test",
            "x@far.test",
            suppressing=Suppressing(find),
        )
        self.assertEqual(250, reply.code, reply)
        ((message, events),) = self.spool.admitted
        self.assertEqual(["x@far.test"], [one.address for one in message.addressees])
        self.assertEqual([True], [isinstance(one, SuppressedTo) for one in events[1:2]])
