"""``mta_client`` with a whole server."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from mta_client import (
    AsyncClient,
    Attachment,
    Batch,
    Client,
    Conflict,
    Contact,
    Forbidden,
    Happening,
    Invalid,
    MailingList,
    Message,
    NewCampaign,
    NotFound,
    Recipient,
    Refused,
    TemplateVersion,
    Unauthorized,
    Variant,
)
from tests.e2e.test_sending_api import SendingCase

MESSAGE = Message(sender="shop@example.org", to=["Ann <ann@example.org>"], subject="Hi", text="It works.")


class PythonClientTests(SendingCase):
    async def begun(self, **settings: Any) -> tuple[str, str]:
        """URL and key of a server that listens."""
        api = await self.served(**settings)
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

    async def test_audience(self) -> None:
        """Contacts, lists, segments, sequences, campaigns and numbers, sync; and some of it async."""
        url, key = await self.begun(api={"url": "https://mail.example.org"})
        await deferToThread(self.use_audience, url, key)
        found = await deferToThread(asyncio.run, self.look(url, key))
        self.assertEqual((["ann@example.org"], "stopped", 1), found)

    def use_audience(self, url: str, key: str) -> None:
        """As an application would."""
        with Client(url, key) as client:
            client.lists.put(MailingList(name="news", title="News"))
            ann = Contact(address="ann@example.org", attributes={"plan": "pro"}, lists=["news"])
            self.assertEqual(["subscribed"], [one["state"] for one in client.contacts.put(ann).lists])
            changed = client.contacts.change("ann@example.org", name="Ann", attributes={"plan": None})
            self.assertEqual(("Ann", {}), (changed.name, changed.attributes))
            self.assertEqual(
                "subscribed", client.lists.join("news", Contact(address="ben@example.org")).state
            )
            self.assertEqual(2, client.lists.get("news").subscribed)
            client.lists.take_off("news", "ben@example.org")
            self.assertEqual(
                ["ann@example.org"], [one.address for one in client.lists.members("news", state="subscribed")]
            )
            bought = Happening(id="o1", name="bought", address="ann@example.org", properties={"amount": 2})
            told = [client.contacts.tell([bought]) for _ in range(2)]
            self.assertEqual([(1, 0), (0, 1)], [(one.taken, one.known) for one in told])
            self.assertIn("bought", [one.name for one in client.contacts.activity("ann@example.org")])
            self.assertTrue(client.contacts.history("ann@example.org"))

            condition = {"field": "name", "is": "Ann"}
            client.segments.put("anns", condition, title="All Anns")
            self.assertEqual(1, client.segments.count(condition))
            self.assertEqual(["ann@example.org"], [one.address for one in client.segments.members("anns")])
            self.assertIn(b"ann@example.org", client.contacts.export(segment="anns"))
            tried = client.contacts.bring(b"email\ncy@example.org\n", dry_run="true")
            self.assertEqual("dry", tried.state)

            steps = [{"id": "later", "do": "wait", "for": "9d"}]
            definition = {"title": "Welcome", "steps": steps}
            self.assertTrue(client.sequences.check(definition).valid)
            self.assertEqual(
                [True, False], [client.sequences.put("welcome", definition).new for _ in range(2)]
            )
            self.assertEqual(1, client.sequences.enrol("welcome", ["ann@example.org"]).enrolled)
            (run,) = client.sequences.enrolments("welcome")
            client.sequences.take_out("welcome", run.id, "enough")
            self.assertEqual("paused", client.sequences.pause("welcome", "holidays").state)
            self.assertEqual("runs", client.sequences.resume("welcome").state)

            draft = NewCampaign(
                name="spring",
                sender="shop@example.org",
                lists=["news"],
                variants=[Variant(subject="Spring", text="Hello")],
            )
            self.assertEqual("draft", client.campaigns.create(draft).state)
            with self.assertRaises(Conflict):
                client.campaigns.create(draft)
            self.assertEqual("Sale", client.campaigns.change(replace(draft, title="Sale")).title)
            self.assertEqual(1, client.campaigns.check("spring").size)
            client.campaigns.schedule("spring", "2099-01-01T00:00:00Z")
            self.assertEqual("stopped", client.campaigns.stop("spring").state)
            self.assertEqual([], list(client.campaigns.recipients("spring", state="sent")))
            self.assertTrue(client.campaigns.result("spring")["variants"])

            numbers = client.statistics.series(step="hour")
            self.assertTrue(numbers.points)
            self.assertIsInstance(list(client.statistics.breakdown("domain")), list)
            with self.assertRaises(NotFound):  # It was stopped before it sent anything.
                client.statistics.campaign("spring")
            client.contacts.erase("ben@example.org")
            client.segments.remove("anns")

    async def look(self, url: str, key: str) -> tuple[list[str], str, int]:
        """The same server."""
        async with AsyncClient(url, key) as client:
            people = [one.address async for one in client.contacts.all()]
            flow = await client.sequences.get("welcome")
            return people, (await client.campaigns.get("spring")).state, flow.live

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
