"""``mta_client`` with a whole server."""

from __future__ import annotations

import asyncio
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mta_client import (
    AsyncClient,
    Attachment,
    Batch,
    Client,
    Forbidden,
    Invalid,
    Message,
    NotFound,
    Recipient,
    Refused,
    TemplateVersion,
    Unauthorized,
)
from tests.e2e.test_sending_api import SendingCase

MESSAGE = Message(sender="shop@example.org", to=["Ann <ann@example.org>"], subject="Hi", text="It works.")


class PythonClientTests(SendingCase):
    async def begun(self) -> tuple[str, str]:
        """URL and key of a server that listens."""
        api = await self.served()
        port = reactor.listenTCP(0, api.server.api.site, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(port.stopListening)
        return f"http://127.0.0.1:{port.getHost().port}", await api.key("default")

    async def test_sync(self) -> None:
        url, key = await self.begun()
        await deferToThread(self.use, url, key)
        messages = await self.arrived("ann@example.org", 2)
        self.assertEqual({"Hi", "Hello Ann"}, {one["Subject"] for one in messages})

    def use(self, url: str, key: str) -> None:
        """All that it can, as a program would."""
        with Client(url, key) as client:
            sent = client.send(MESSAGE, idempotency_key="one")
            self.assertEqual(sent, client.send(MESSAGE, idempotency_key="one"))
            self.assertEqual("ann@example.org", sent.recipients[0].email)
            self.assertEqual("Hi", client.message(sent.id)["subject"])

            self.assertEqual(
                1, client.put_template("hello", TemplateVersion(subject="Hello {{ name }}", text="x"))
            )
            self.assertEqual(["hello"], [one.name for one in client.templates()])
            self.assertEqual("Hello Ben", client.preview("hello", {"name": "Ben"}).subject)
            people = [
                Recipient("ann@example.org", data={"name": "Ann"}),
                Recipient("nobody", data={"name": "N"}),
            ]
            taken = client.send_batch(Batch(sender="shop@example.org", recipients=people, template="hello"))
            self.assertEqual((1, "address"), (taken.accepted, taken.errors[0].kind))
            self.assertEqual(2, client.batch(taken.id).total)
            client.delete_template("hello")

            self.assertEqual(1, client.suppress(["gone@example.org"], note="asked"))
            self.assertEqual("manual", client.suppression("gone@example.org")[0].reason)
            self.assertEqual(["gone@example.org"], [one.address for one in client.suppressions()])
            client.unsuppress("gone@example.org")
            self.assertEqual([], list(client.suppressions()))

            wrong: list[tuple[type[Exception], dict[str, Any]]] = [
                (Forbidden, {"sender": "shop@elsewhere.example"}),
                (Refused, {"to": ["nobody@example.org"]}),
                (Invalid, {"to": ["x"]}),
                (Invalid, {"attachments": [Attachment("", b"")]}),
            ]
            for kind, changed in wrong:
                said = {"sender": MESSAGE.sender, "to": MESSAGE.to, "subject": "Hi", "text": "x", **changed}
                with self.assertRaises(kind) as caught:
                    client.send(Message(**said))
                self.assertTrue(caught.exception.errors, kind)  # type: ignore[attr-defined]
            with self.assertRaises(NotFound):
                client.cancel("0000000000000")
        with Client(url, "mk_wrong_key") as client, self.assertRaises(Unauthorized):
            client.send(MESSAGE)

    async def test_followed(self) -> None:
        """From the sending to the delivery, and again from where it was left."""
        url, key = await self.begun()
        types = await deferToThread(asyncio.run, self.follow(url, key))
        self.assertEqual(["received", "delivered", "delivered"], types)

    async def follow(self, url: str, key: str) -> list[str]:
        """Types of what was told."""
        async with AsyncClient(url, key) as client:
            found, place = [], ""
            started = asyncio.Event()

            async def send() -> None:
                await started.wait()
                await client.send(MESSAGE)

            sending = asyncio.ensure_future(send())
            client_events = client.follow(types=["received", "delivered"])
            waiting = asyncio.ensure_future(anext(client_events))
            # The stream begins with what happens from then on.
            while not self.api.server.api.following.feed.count:  # noqa: ASYNC110  (it is in another thread)
                await asyncio.sleep(0.01)
            started.set()
            event = await waiting
            found.append(event.type)
            place = event.last_id
            found.append((await anext(client_events)).type)
            await sending
            async for event in client.follow(last_id=place, types=["delivered"]):
                found.append(event.type)
                break
        return found
