"""Contacts, lists and segments of a whole server: by the API, by links in mail, by what the journal tells."""

from __future__ import annotations

import re
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from mta.engagement.links import MessageLinks, master_key, message_key
from mta.model.event import Complained, DeliveredTo, Event, Received
from mta.model.event_engagement import Clicked, Opened
from tests.e2e.api import ServedApi

FORM = "application/x-www-form-urlencoded"
PLACE = "https://mail.shop.example"


class ContactCase(TestCase):
    timeout = 300

    async def served(self, **settings: Any) -> None:
        self.api = await ServedApi(self, api={"requests_per_second": 0, "url": PLACE}, **settings).started()
        await self.api.tenant("shop", "shop.example")
        self.key = await self.api.key("shop")

    async def ask(self, *what: Any, status: int = 200, **how: Any) -> Any:
        answer = await self.api.ask(*what, **{"key": self.key, **how})
        self.assertEqual(status, answer.status, f"{what}: {answer}")
        is_json = answer.headers.get("content-type", "").startswith(
            ("application/json", "application/problem")
        )
        return answer.json if is_json and answer.content else answer

    async def until(self, found: Any, *what: Any) -> Any:
        """Ask until an answer is as wanted."""
        for _ in range(6000):
            answer = await self.ask(*what)
            if found(answer):
                return answer
            await deferLater(reactor, 0.01)
        raise AssertionError(f"{what}: {answer}")

    async def events(self, word: str) -> list[Any]:
        """What the journal tells of contacts under a word, the oldest first."""
        await self.api.journaled()
        found = await self.api.server._environment.journal.find(word, 100)
        return [event for event in reversed(found) if event.kind == "audience"]

    async def mails(self) -> list[str]:
        """The texts of the confirmations that were sent."""
        answer = await self.ask("GET", "/v1/messages?tag=confirmation")
        found = []
        for one in answer["messages"]:
            content = await self.ask("GET", f"/v1/messages/{one['id']}/content")
            found.append(content.content.decode().replace("=\r\n", "").replace("=3D", "="))
        return found


class ContactTests(ContactCase):
    async def test_contacts(self) -> None:
        """A contact is made, changed, found and forgotten, and the journal tells who did it."""
        await self.served()
        body = {
            "address": "Ann@Far.example",
            "name": "Ann",
            "attributes": {"plan": "pro", "age": 30},
            "time_zone": "Europe/Vienna",
            "consented": "2026-01-01T00:00:00Z",
            "source": "form",
        }
        made = await self.ask("POST", "/v1/contacts", body, status=201)
        self.assertEqual(
            ("ann@far.example", {"plan": "pro", "age": 30}), (made["address"], made["attributes"])
        )
        again = await self.ask(
            "POST", "/v1/contacts", {"address": "ann@far.example", "attributes": {"age": None}}
        )
        self.assertEqual(("Ann", {"plan": "pro"}), (again["name"], again["attributes"]))
        one = "/v1/contacts/ANN@far.example"
        changed = await self.ask("PATCH", one, {"locale": "de_at", "attributes": {"tags": ["a"]}})
        self.assertEqual(("de-AT", ["a"], "pro"), (changed["locale"], changed["attributes"]["tags"], "pro"))
        self.assertEqual(changed["changed"], (await self.ask("GET", one))["changed"])
        for body, pointer in (
            ({"address": "nobody"}, "#/address"),
            ({"address": "a@far.example", "time_zone": "Mars"}, "#/time_zone"),
            ({"address": "a@far.example", "attributes": {"a b": 1}}, "#/attributes"),
            ({"address": "a@far.example", "attributes": {"a": {"b": [[[[1]]]]}}}, None),
            ({"address": "a@far.example", "channel": "webhook"}, "#/webhook"),
            ({"address": "a@far.example", "lists": ["none"]}, "#/lists"),
        ):
            answer = await self.ask("POST", "/v1/contacts", body, status=422)
            if pointer:
                self.assertEqual(pointer, answer["errors"][0]["pointer"], body)
        await self.ask("DELETE", f"{one}?for_good=true", status=204)
        await self.ask("GET", one, status=404)
        await self.ask("POST", "/v1/contacts", {"address": "ann@far.example"}, status=409)
        await self.ask("POST", f"{one}/readmit", status=204)
        await self.ask("POST", "/v1/contacts", {"address": "ann@far.example"}, status=201)
        told = await self.events("shop")
        self.assertEqual(
            ["created", "changed", "changed", "created", "erased", "readmitted", "created"],
            [event.action for event in told],
        )
        self.assertTrue(all(event.by.startswith("key ") for event in told))

    async def test_pages(self) -> None:
        """Pages go on where the one before ended."""
        await self.served()
        for number in range(5):
            await self.ask("POST", "/v1/contacts", {"address": f"n{number}@far.example"}, status=201)
        page = await self.ask("GET", "/v1/contacts?limit=3")
        rest = await self.ask("GET", f"/v1/contacts?limit=3&cursor={page['next']}")
        addresses = [one["address"] for one in [*page["contacts"], *rest["contacts"]]]
        self.assertEqual([f"n{number}@far.example" for number in range(5)], addresses)
        self.assertIsNone(rest["next"])

    async def test_scopes(self) -> None:
        """Who may look may not change, and who may change may look."""
        await self.served()
        reader = await self.api.key("shop", ["contacts:read"])
        writer = await self.api.key("shop", ["contacts"])
        body = {"address": "ann@far.example"}
        await self.ask("POST", "/v1/contacts", body, key=reader, status=403)
        await self.ask("POST", "/v1/contacts", body, key=writer, status=201)
        for key in (reader, writer):
            self.assertEqual(1, len((await self.ask("GET", "/v1/contacts", key=key))["contacts"]))

    async def test_segments(self) -> None:
        """Conditions are tried out, saved, and told with the place of a mistake."""
        await self.served()
        for number in range(6):
            await self.ask(
                "POST",
                "/v1/contacts",
                {"address": f"n{number}@far.example", "attributes": {"even": number % 2 == 0}},
                status=201,
            )
        condition = {"attribute": "even", "is": True}
        found = await self.ask("POST", "/v1/segments/preview", {"condition": condition, "limit": 1})
        self.assertEqual((3, 1), (found["count"], len(found["contacts"])))
        await self.ask("PUT", "/v1/segments/even", {"condition": condition}, status=201)
        page = await self.ask("GET", "/v1/segments/even/members?limit=2")
        rest = await self.ask("GET", f"/v1/segments/even/members?limit=2&cursor={page['next']}")
        self.assertEqual(3, len(page["contacts"]) + len(rest["contacts"]))
        wrong = {"condition": {"all": [condition, {"attribute": "even", "like": 1}]}}
        answer = await self.ask("PUT", "/v1/segments/even", wrong, status=422)
        self.assertEqual("#/condition/all/1/like", answer["errors"][0]["pointer"])
        await self.ask("PUT", "/v1/segments/self", {"condition": {"segment": "self"}}, status=422)
        await self.ask("DELETE", "/v1/segments/even", status=204)


class DoubleOptInTests(ContactCase):
    async def joined(self) -> str:
        """Ann has asked for the news; the path of the link in her mail."""
        confirmation = {"from": "news@shop.example", "redirect": "https://shop.example/thanks"}
        body = {"title": "The <News>", "opt_in": "double", "confirmation": confirmation}
        await self.ask("PUT", "/v1/lists/news", body, status=201)
        form = {"address": "ann@far.example", "name": "Ann", "source": "form"}
        answer = await self.ask("POST", "/v1/lists/news/members", form)
        self.assertEqual(("pending", "sent"), (answer["state"], answer["confirmation"]))
        (mail,) = await self.mails()
        self.assertIn("asked shop.example to send", mail)
        match = re.search(rf"{PLACE}(/d/[\w-]+)", mail)
        assert match is not None
        return match[1]

    async def state(self) -> str:
        return (await self.ask("GET", "/v1/contacts/ann@far.example"))["lists"][0]["state"]

    async def test_confirmed_by_a_person(self) -> None:
        """Whoever only follows the link changes nothing; the button does."""
        await self.served()
        path = await self.joined()
        for _ in range(2):
            page = await self.api.ask("GET", path)
            self.assertIn(b"Yes, send me The &lt;News&gt;", page.content)
            policy = page.headers["content-security-policy"]
            self.assertIn("form-action 'self' https://shop.example", policy)
        self.assertEqual("pending", await self.state())
        done = await self.api.ask("POST", path, b"", media=FORM)
        self.assertEqual((303, "https://shop.example/thanks"), (done.status, done.headers["location"]))
        self.assertEqual("subscribed", await self.state())
        again = await self.api.ask("POST", path, b"", media=FORM)
        self.assertEqual(200, again.status)
        history = (await self.ask("GET", "/v1/contacts/ann@far.example/history"))["history"]
        self.assertEqual(["subscribed", "pending"], [step["state"] for step in history])
        self.assertEqual("192.0.2.7", history[0]["evidence"]["client"])
        self.assertEqual("form", history[1]["evidence"]["source"])
        actions = [event.action for event in await self.events("ann@far.example")]
        self.assertEqual(["created", "asked", "confirmed"], actions)

    async def test_wrong_links(self) -> None:
        """A link that was changed is none; an old one is not taken for a wish."""
        await self.served()
        path = await self.joined()
        self.assertEqual(404, (await self.api.ask("POST", path[:-2] + "AA", b"", media=FORM)).status)
        self.assertEqual(
            404, (await self.api.ask("POST", path.replace("/d/", "/u/"), b"", media=FORM)).status
        )
        await self.ask("DELETE", "/v1/lists/news/members/ann@far.example", status=204)
        self.assertEqual(410, (await self.api.ask("POST", path, b"", media=FORM)).status)
        self.assertEqual("unsubscribed", await self.state())

    async def test_too_late(self) -> None:
        """After its time the link is no good."""
        await self.served()
        await self.joined()
        server = self.api.server.api
        contact = await server.automating.audience.contacts.find("shop", "ann@far.example")
        from mta.model.ids import encode_id

        number = encode_id(contact.id)
        master = master_key(self.api.server._secret)
        links = MessageLinks(message_key(master, number), "", number, "shop", "ann@far.example")
        old = links.confirm("news", int(reactor.seconds()) - 1)  # type: ignore[attr-defined]
        self.assertEqual(410, (await self.api.ask("POST", old, b"", media=FORM)).status)
        self.assertEqual("pending", await self.state())

    async def test_resent_only_so_often(self) -> None:
        """Nobody is flooded by forms."""
        await self.served(audience={"confirm_pause": 0, "confirm_most": 2})
        await self.joined()
        again = "/v1/lists/news/members/ann@far.example/resend"
        self.assertEqual("sent", (await self.ask("POST", again))["confirmation"])
        self.assertEqual("wait", (await self.ask("POST", again))["confirmation"])
        answer = await self.ask("POST", "/v1/lists/news/members", {"address": "ann@far.example"})
        self.assertEqual(("pending", "wait"), (answer["state"], answer["confirmation"]))
        self.assertEqual(2, len(await self.mails()))
        await self.ask("POST", "/v1/lists/news/members/bob@far.example/resend", status=404)

    async def test_template(self) -> None:
        """The mail may be the tenant's own, in the person's language; and who is to mend it is told."""
        await self.served()
        source = {
            "subject": "{{ list.title }}?",
            "text": "{{ contact.name }}, {{ contact.attributes.city }}: {{ confirm_url }}",
            "translations": {"de": {"subject": "{{ list.title }}, ja?"}},
        }
        await self.ask("PUT", "/v1/templates/confirm", source, status=201)
        body = {"title": "News", "opt_in": "double", "confirmation": {"template": "confirm"}}
        await self.ask("PUT", "/v1/lists/news", body, status=201)
        form = {"address": "ann@far.example", "name": "Ann", "locale": "de", "attributes": {"city": "Wien"}}
        answer = await self.ask("POST", "/v1/lists/news/members", form)
        self.assertEqual("sent", answer["confirmation"])
        (mail,) = await self.mails()
        for words in ("Subject: News, ja?", f"Ann, Wien: {PLACE}/d/", "From: no-reply@shop.example"):
            self.assertIn(words, mail)
        await self.ask("PUT", "/v1/lists/news", {**body, "confirmation": {"template": "none"}})
        answer = await self.ask("POST", "/v1/lists/news/members", {"address": "bob@far.example"})
        self.assertEqual("pending", answer["state"])
        self.assertIn("failed: ", answer["confirmation"])

    async def test_suppressed(self) -> None:
        """Who wants no mail at all is not asked either."""
        await self.served()
        await self.ask("POST", "/v1/suppressions", {"addresses": ["ann@far.example"], "reason": "complaint"})
        await self.ask("PUT", "/v1/lists/news", {"opt_in": "double"}, status=201)
        answer = await self.ask("POST", "/v1/lists/news/members", {"address": "ann@far.example"})
        self.assertEqual(("pending", "suppressed"), (answer["state"], answer["confirmation"]))
        detail = await self.ask("GET", "/v1/contacts/ann@far.example")
        self.assertEqual([{"reason": "complaint", "list": ""}], detail["suppressions"])

    async def test_back_after_leaving(self) -> None:
        """Who has left asks for it again, and it is lifted when they confirm it."""
        await self.served(audience={"confirm_pause": 0})
        path = await self.joined()
        await self.api.ask("POST", path, b"", media=FORM)
        await self.leave("news")
        self.assertEqual("unsubscribed", await self.state())
        answer = await self.ask("POST", "/v1/lists/news/members", {"address": "ann@far.example"})
        self.assertEqual(("pending", "sent"), (answer["state"], answer["confirmation"]))
        # Another mail, though the first one was sent as the first of this person and list, too.
        self.assertEqual(2, len(await self.mails()))
        barred = (await self.ask("GET", "/v1/contacts/ann@far.example"))["suppressions"]
        self.assertEqual([{"reason": "unsubscribe", "list": "news"}], barred)
        await self.api.ask("POST", path, b"", media=FORM)
        detail = await self.ask("GET", "/v1/contacts/ann@far.example")
        self.assertEqual(("subscribed", []), (detail["lists"][0]["state"], detail["suppressions"]))

    async def leave(self, list_name: str, address: str = "ann@far.example") -> None:
        """By the one click of a message that was sent to a list."""
        answer = await self.api.ask(
            "POST", self.link(list_name, address), b"List-Unsubscribe=One-Click", media=FORM
        )
        self.assertEqual(200, answer.status)

    def link(self, list_name: str, address: str = "ann@far.example") -> str:
        number = self.api.server.spool.new_id()
        key = message_key(master_key(self.api.server._secret), number)
        return MessageLinks(key, "", number, "shop", address).unsubscribe(list_name)

    async def test_one_list_and_all(self) -> None:
        """One click leaves the list of the message; the page shows the others, and what may be joined."""
        await self.served()
        for name, public in (("news", False), ("offers", False), ("topics", True), ("staff", False)):
            await self.ask("PUT", f"/v1/lists/{name}", {"title": name.title(), "public": public}, status=201)
        for name in ("news", "offers"):
            await self.ask("POST", f"/v1/lists/{name}/members", {"address": "ann@far.example"})
        await self.leave("news")
        detail = await self.ask("GET", "/v1/contacts/ann@far.example")
        states = {one["list"]: one["state"] for one in detail["lists"]}
        self.assertEqual({"news": "unsubscribed", "offers": "subscribed"}, states)
        path = self.link("news")
        page = (await self.api.ask("GET", path)).content.decode()
        self.assertIn("You do not get <b>News</b>", page)
        self.assertIn("You get <b>Offers</b>", page)
        self.assertIn("You do not get <b>Topics</b>", page)
        self.assertNotIn("Staff", page)
        for form in (
            b"action=resubscribe&scope=list&list=topics",
            b"action=unsubscribe&scope=list&list=offers",
        ):
            self.assertEqual(200, (await self.api.ask("POST", path, form, media=FORM)).status)
        staff = b"action=resubscribe&scope=list&list=staff"
        self.assertEqual(400, (await self.api.ask("POST", path, staff, media=FORM)).status)
        detail = await self.ask("GET", "/v1/contacts/ann@far.example")
        states = {one["list"]: one["state"] for one in detail["lists"]}
        self.assertEqual({"news": "unsubscribed", "offers": "unsubscribed", "topics": "subscribed"}, states)
        # Nothing but the person brings themselves back to a list with single opt-in.
        answer = await self.ask("POST", "/v1/lists/news/members", {"address": "ann@far.example"})
        self.assertEqual("unsubscribed", answer["state"])
        await self.api.ask("POST", path, b"action=unsubscribe&scope=all", media=FORM)
        automating = self.api.server.api.automating
        ann = await automating.audience.contacts.find("shop", "ann@far.example")
        self.assertIn("unsubscribed", (await automating.permission.barred("shop", [ann], "topics"))[ann.id])

    async def test_taken_off(self) -> None:
        """Who is taken off stays off, for messages of their own, too; a mistake is forgotten."""
        await self.served()
        await self.ask("PUT", "/v1/lists/news", {}, status=201)
        member = "/v1/lists/news/members/ann@far.example"
        for name in ("ann", "bob"):
            await self.ask("POST", "/v1/lists/news/members", {"address": f"{name}@far.example"})
        await self.ask("DELETE", member, status=204)
        await self.ask("DELETE", "/v1/lists/news/members/bob@far.example?forget=true", status=204)
        message = {"from": "news@shop.example", "subject": "x", "text": "x", "unsubscribe": "news"}
        for name, state in (("ann", "suppressed"), ("bob", "queued")):
            body = {**message, "to": [f"{name}@far.example"]}
            answer = await self.ask("POST", "/v1/messages", body, status=202)
            self.assertEqual(state, answer["state"], name)
        answer = await self.ask("POST", "/v1/lists/news/members", {"address": "bob@far.example"})
        self.assertEqual("subscribed", answer["state"])
        await self.ask("DELETE", f"{member}?forget=true", status=204)
        await self.ask("DELETE", member, status=404)
        # Forgetting is no way around what somebody has left.
        await self.ask("POST", "/v1/lists/news/members", {"address": "ann@far.example"})
        answer = await self.ask("POST", "/v1/messages", {**message, "to": ["ann@far.example"]}, status=202)
        self.assertEqual("suppressed", answer["state"])
        actions = [event.action for event in await self.events("news")]
        self.assertEqual(
            ["list put", "joined", "joined", "left", "removed", "joined", "removed", "joined"], actions
        )

    async def test_webhook(self) -> None:
        """The application is told of it; nobody else's is."""
        await self.served(webhook={"allow": ["127.0.0.0/8"]})
        other = await self.api.key("default")
        hook = {"url": "http://127.0.0.1:1/", "events": ["contact.*"]}
        mine = await self.ask("POST", "/v1/webhooks", hook, status=201)
        theirs = await self.ask("POST", "/v1/webhooks", hook, status=201, key=other)
        await self.ask("POST", "/v1/contacts", {"address": "ann@far.example"}, status=201)
        place = f"/v1/webhooks/{mine['id']}/deliveries"
        found = await self.until(lambda answer: answer["deliveries"], "GET", place)
        self.assertEqual("contact.changed", found["deliveries"][0]["type"])
        empty = await self.ask("GET", f"/v1/webhooks/{theirs['id']}/deliveries", key=other)
        self.assertEqual([], empty["deliveries"])


class BehaviourTests(ContactCase):
    async def test_what_the_journal_tells(self) -> None:
        """What contacts did becomes facts, once, and segments choose by it."""
        await self.served()
        for name in ("ann", "bob"):
            await self.ask("POST", "/v1/contacts", {"address": f"{name}@far.example"}, status=201)
        spool = self.api.server.spool
        message, other = spool.new_id(), spool.new_id()
        now = reactor.seconds()  # type: ignore[attr-defined]
        about: dict[str, Any] = {"at": now, "message": message}
        link: dict[str, Any] = {**about, "recipient": "ann@far.example", "tenant": "shop"}
        events: list[Event] = [
            Received(
                **about, tenant="shop", campaign="may", recipients=["Ann@far.example", "bob@far.example"]
            ),
            Received(at=now, message=other, recipients=["bob@far.example"]),
            DeliveredTo(at=now, message=other, recipient="bob@far.example"),
            DeliveredTo(**about, recipient="ann@far.example"),
            DeliveredTo(**about, recipient="bob@far.example"),
            Opened(**link, sort="proxy", visitor="gmail"),
            Opened(**{**link, "recipient": "bob@far.example"}, sort="proxy", visitor="apple"),
            Clicked(**link, target="https://shop.example/may"),
            Clicked(**{**link, "recipient": "bob@far.example"}, sort="scanner"),
            Complained(**about, recipient="eve@far.example", notification=other),
        ]
        spool.note(events)
        path = "/v1/contacts/ann@far.example/activity"
        found = await self.until(lambda answer: len(answer["activity"]) == 3, "GET", path)
        self.assertEqual(
            [("clicked", "https://shop.example/may", "may"), ("opened", "", "may"), ("delivered", "", "may")],
            [(one["kind"], one["name"], one["campaign"]) for one in found["activity"]],
        )
        bob = (await self.ask("GET", "/v1/contacts/bob@far.example/activity"))["activity"]
        self.assertEqual(["delivered"], [one["kind"] for one in bob])
        page = await self.ask("GET", f"{path}?limit=2")
        rest = await self.ask("GET", f"{path}?limit=2&cursor={page['next']}")
        self.assertEqual(["delivered"], [one["kind"] for one in rest["activity"]])
        condition = {"behaviour": "clicked", "campaign": "may", "within": "1h"}
        chosen = await self.ask("POST", "/v1/segments/preview", {"condition": condition})
        self.assertEqual(["ann@far.example"], [one["address"] for one in chosen["contacts"]])
