"""Notifications through a whole server: by the channel of each contact, once, signed."""

from __future__ import annotations

import base64
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from mta.registry.endpoints import Endpoint
from mta.webhook.outbox import Attempt, Delivery
from tests.e2e.test_batches import BatchCase

NOTIFICATION: dict[str, Any] = {
    "template": "shipped",
    "from": "The Shop <shop@example.org>",
    "data": {"order": 4711},
}


class NotificationTests(BatchCase):
    """One server; its contacts have their mailboxes on it."""

    async def begun(self) -> None:
        await self.served(api={"url": "https://links.example.org"})
        self.posts: list[tuple[Endpoint, Delivery]] = []
        sequencing = self.api.server.api.sequencing

        async def post(endpoint: Endpoint, delivery: Delivery) -> tuple[Attempt, float]:
            self.posts.append((endpoint, delivery))
            return Attempt(0.0, 0.0, 204, "No Content"), 0.0

        self.patch(sequencing._posting, "post", post)
        sequencing.begin()
        template = {"subject": "Order {{ order }}", "text": "Dear {{ name }}"}
        await self.do("PUT", "/v1/templates/shipped", template)
        await self.do("POST", "/v1/contacts", {"address": "u1@example.org", "name": "Ann"})
        bob = {"address": "u2@example.org", "name": "Bob", "channel": "webhook"}
        await self.do("POST", "/v1/contacts", {**bob, "webhook": "https://bob.example/hook"})

    async def do(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        return await self.api.ask(method, path, body, key=self.key, **more)

    async def notify(self, to: Any, **more: Any) -> Any:
        headers = more.pop("headers_", {})
        return await self.do("POST", "/v1/notifications", {**NOTIFICATION, "to": to, **more}, headers=headers)

    async def settled(self, answer: Any) -> Any:
        """Wait until nobody of a notification waits; what is told of it then."""
        while True:
            shown = await self.get(f"/v1/notifications/{answer.json['id']}")
            if not any(one["waits"] for one in shown["recipients"]):
                return shown
            await deferLater(reactor, 0.01)

    async def test_channels(self) -> None:
        """Each gets it as he has chosen; a post is signed; the same request is carried out once."""
        await self.begun()
        to = ["u1@example.org", "u2@example.org", "nobody@example.org"]
        once = {"headers_": {"Idempotency-Key": "order-4711"}}
        answer = await self.notify(to, **once)
        self.assertEqual((202, 2), (answer.status, answer.json["accepted"]), answer)
        told = answer.json["recipients"]
        self.assertEqual(["mail", "webhook", None], [one["channel"] for one in told])
        self.assertIn("no such contact", told[2]["detail"])
        again = await self.notify(to, **once)
        self.assertEqual((answer.json, "true"), (again.json, again.headers.get("idempotent-replayed")))
        shown = await self.settled(answer)
        await self.until(lambda: self.mailbox(1))
        (message,) = self.mailbox(1)
        self.assertEqual("Order 4711", message["subject"])
        self.assertIn("Dear Ann", message.get_content())
        # What comes of another request comes behind all that there is of these.
        await self.settled(await self.notify(to, data={"order": 4712}))
        await self.until(lambda: len(self.mailbox(1)) > 1)
        self.assertEqual(["Order 4711", "Order 4712"], sorted(one["subject"] for one in self.mailbox(1)))
        self.assertIn("Order 4712", str(self.posts.pop()[1].body))
        ((endpoint, delivery),) = self.posts
        self.assertEqual(("https://bob.example/hook", told[1]["id"]), (endpoint.url, delivery.id))
        self.assertIn(b'"text":"Dear Bob', delivery.body)
        secret = (await self.get("/v1/notifications/secret"))["secret"]
        self.assertEqual([base64.b64decode(secret.removeprefix("whsec_"))], endpoint.signing(0.0))
        # For a time the old one signs, too; then the new one alone.
        made = await self.do("POST", "/v1/notifications/secret/rotate", {"overlap": 3600})
        self.assertEqual((200, True), (made.status, made.json["secret"] != secret), made)
        self.assertIsNotNone(made.json["until"])
        await self.notify(["u2@example.org"])
        await self.until(lambda: len(self.posts) == 2)
        endpoint, _ = self.posts[1]
        both = [base64.b64decode(one.removeprefix("whsec_")) for one in (made.json["secret"], secret)]
        now = self.api.server.api.sequencing._reactor.seconds()
        self.assertEqual((both, both[:1]), (endpoint.signing(now), endpoint.signing(now + 3601)))
        shown = await self.get(f"/v1/notifications/{answer.json['id']}")
        self.assertEqual([False, False], [one["waits"] for one in shown["recipients"]])
        self.assertEqual([one["id"] for one in told[:2]], [one["id"] for one in shown["recipients"]])

    async def test_who_has_left(self) -> None:
        """Suppression and unsubscription win, also over what was promised before."""
        await self.begun()
        self.assertEqual(201, (await self.do("PUT", "/v1/lists/orders", {"title": "Orders"})).status)
        answer = await self.notify("u1@example.org", list="orders")
        self.assertEqual(0, answer.json["accepted"])
        self.assertIn("not on the list", answer.json["recipients"][0]["detail"])
        await self.do("POST", "/v1/suppressions", {"addresses": ["u2@example.org"]})
        dry = await self.notify(["u1@example.org", "u2@example.org"], dry_run=True)
        self.assertEqual((200, None, 1), (dry.status, dry.json["id"], dry.json["accepted"]))
        answer = await self.notify("u1@example.org")
        await self.do("POST", "/v1/suppressions", {"addresses": ["u1@example.org"]})
        await self.settled(answer)
        self.assertEqual([], self.posts)
        self.assertTrue(len(self.mailbox(1)) <= 1)

    async def test_wrong(self) -> None:
        await self.begun()
        for more, pointer in (
            ({"template": "none"}, "#/template"),
            ({"from": "a@elsewhere.example"}, "#/from"),
            ({"to": []}, "#/to"),
            ({"to": ["x"]}, "#/to/0"),
        ):
            answer = await self.do(
                "POST", "/v1/notifications", {**NOTIFICATION, "to": "u1@example.org", **more}
            )
            self.assertIn(answer.status, (403, 422), answer)
            self.assertEqual(pointer, answer.json["errors"][0]["pointer"])
