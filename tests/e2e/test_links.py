"""Links in messages that applications write themselves, through a whole server."""

from __future__ import annotations

import base64
from typing import Any

from mta.engagement.links import master_key, read_link
from tests.api.v1.channel import Answer
from tests.e2e.test_batches import BatchCase
from tests.engagement.test_mime import written


class RawLinkTests(BatchCase):
    """``POST /v1/messages/raw``."""

    async def raw(self, content: bytes, **more: Any) -> Answer:
        asked = {"from": "shop@example.org", "to": ["u1@example.org"], **more}
        return await self.send({**asked, "mime": base64.b64encode(content).decode()}, "/v1/messages/raw")

    async def counting(self) -> None:
        body = {"clicks": True, "opens": True, "url": "https://links.example.org"}
        answer = await self.api.ask("PUT", "/v1/engagement", body, key=self.key)
        self.assertEqual(200, answer.status, answer)

    def message(self) -> bytes:
        message = written('<a href="https://x.example/">x</a> <a href="%unsubscribe_url%">leave</a>')
        message.replace_header("From", "shop@example.org")
        return message.as_bytes()

    async def test_put_in(self) -> None:
        await self.served()
        await self.counting()
        answer = await self.raw(self.message(), unsubscribe="news", dry_run=True)
        told = (
            "1 link leads over the server, a picture tells of opens, "
            "it can be unsubscribed from with one click"
        )
        self.assertEqual((200, told), (answer.status, answer.json["links"]), answer)
        answer = await self.raw(self.message(), unsubscribe="news")
        self.assertEqual((202, told), (answer.status, answer.json["links"]), answer)
        (message,) = await self.arrived("u1@example.org")
        html = message.get_body(("html",)).get_content()
        self.assertIn("https://links.example.org/c/", html)
        self.assertIn("https://links.example.org/o/", html)
        page = message["list-unsubscribe"].strip("<>")
        self.assertIn(f'"{page}"', html)
        master = master_key(self.api.server._secret)
        link = read_link(master, "unsubscribe", page.rpartition("/")[2])
        self.assertEqual(("u1@example.org", "news", "default"), (link.recipient, link.more, link.tenant))
        page = page.removeprefix("https://links.example.org")
        left = await self.api.ask(
            "POST",
            page,
            b"List-Unsubscribe=One-Click",
            headers={"content-type": "application/x-www-form-urlencoded"},
        )
        self.assertEqual(200, left.status, left)
        answer = await self.raw(self.message(), unsubscribe="news")
        self.assertEqual("suppressed", answer.json["state"], answer)

    async def test_signed(self) -> None:
        await self.served()
        await self.counting()
        content = b"DKIM-Signature: v=1; d=shop.example; b=\r\n" + self.message()
        answer = await self.raw(content, dry_run=True)
        self.assertIn("signed with DKIM by shop.example already", answer.json["links"])
        identifier = (await self.raw(content)).json["id"]
        (message,) = await self.arrived("u1@example.org")
        self.assertIn('href="https://x.example/"', message.get_body(("html",)).get_content())
        (event,) = [one for one in await self.events(identifier) if one.kind == "links"]
        self.assertIn("signed with DKIM", event.why)

    async def test_refused(self) -> None:
        """What cannot be is not sent without."""
        await self.served()
        answer = await self.raw(self.message(), unsubscribe="")
        self.assertEqual((422, "#/unsubscribe"), (answer.status, answer.json["errors"][0]["pointer"]))
        await self.counting()
        answer = await self.raw(self.message(), unsubscribe="", to=["u1@example.org", "u2@example.org"])
        self.assertEqual((422, "#/unsubscribe"), (answer.status, answer.json["errors"][0]["pointer"]))


class PlaceholderTests(BatchCase):
    """``%unsubscribe_url%`` in what is sent by parts."""

    def address(self, message: Any) -> str:
        page: str = message["list-unsubscribe"].strip("<>")
        self.assertIn(page, message.get_body(("plain",)).get_content())
        self.assertIn(f'href="{page}"', message.get_body(("html",)).get_content())
        return page

    async def test_batch_and_message(self) -> None:
        await self.served(api={"requests_per_second": 0, "url": "https://mail.example.org"})
        html, text = '<a href="%unsubscribe_url%">leave</a>', "Leave: %unsubscribe_url%"
        await self.batch(self.people(2), html=html, text=text, unsubscribe="news")
        pages = []
        for number in range(2):
            (message,) = await self.arrived(f"u{number}@example.org")
            pages.append(self.address(message))
        self.assertEqual(2, len(set(pages)))
        body = {"from": "shop@example.org", "to": ["u5@example.org"], "subject": "x", "text": text}
        answer = await self.send({**body, "html": html, "unsubscribe": "news"})
        self.assertEqual(202, answer.status, answer)
        (message,) = await self.arrived("u5@example.org")
        self.address(message)
