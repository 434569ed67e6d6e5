"""Batches through a whole server: rendered in real processes, on a real disk."""

from __future__ import annotations

import base64
import random
import re
from copy import copy
from datetime import UTC, datetime
from email import policy
from email.parser import BytesParser
from html import unescape
from time import time
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater

from mta.batch.plan import Plan
from mta.engagement import visitor
from mta.engagement.links import master_key, read_link
from mta.interfaces import TemporarilyUnavailable
from tests.api.v1.channel import Answer
from tests.e2e.test_sending_api import SendingCase

BATCH = {
    "from": {"email": "shop@example.org", "name": "The Shop"},
    "subject": "Hi {{ name }}",
    "text": "Order {{ order }}",
}


#: What a worker that died was waiting for; held here, because nothing ends it.
_NEVER: list[Deferred[Any]] = []


class BatchCase(SendingCase):
    """One server, whose mailboxes are those of the accounts."""

    timeout = 300

    async def served(self, **settings: Any) -> Any:
        self.users.write_text("".join(f"u{n}@example.org:{{PLAIN}}x\n" for n in range(600)))
        api = await super().served(**settings)
        self.key = await api.key("default", ["admin"])
        return api

    async def batch(self, recipients: list[dict[str, Any]], **more: Any) -> Answer:
        headers = more.pop("headers_", {})
        return await self.send({**BATCH, "recipients": recipients, **more}, "/v1/batches", headers=headers)

    async def get(self, path: str) -> Any:
        return (await self.api.ask("GET", path, key=self.key)).json

    def people(self, count: int) -> list[dict[str, Any]]:
        return [{"email": f"u{n}@example.org", "data": {"name": f"U{n}", "order": n}} for n in range(count)]

    def mailbox(self, number: int) -> list[Any]:
        new = self.api.state / "mail" / "example.org" / f"u{number}" / "new"
        files = sorted(new.iterdir()) if new.is_dir() else []
        return [BytesParser(policy=policy.default).parsebytes(file.read_bytes()) for file in files]

    async def told(self, identifier: str, kind: str) -> None:
        """Wait until the journal has such an event of a message."""
        for _ in range(6000):
            if any(event.kind == kind for event in await self.events(identifier)):
                return
            await deferLater(reactor, 0.01)
        self.fail(f"nothing was {kind}")

    def count(self) -> int:
        return sum(1 for _ in (self.api.state / "mail").glob("example.org/*/new/*"))

    async def until(self, condition: Any) -> None:
        for _ in range(6000):
            if condition():
                return
            await deferLater(reactor, 0.01)
        self.fail("it did not come about")


class AcceptanceTests(BatchCase):
    """What is accepted, and what is told."""

    async def test_each_gets_his_own(self) -> None:
        await self.served()
        answer = await self.batch(
            self.people(450), tags=["order"], metadata={"shop": "1"}, campaign="c", headers={"X-Run": "7"}
        )
        self.assertEqual(202, answer.status, answer)
        taken = answer.json
        self.assertEqual(
            ("accepted", 450, 450, 0, 0, []),
            tuple(taken[name] for name in ("state", "total", "accepted", "refused", "waiting", "errors")),
        )
        (message,) = await self.arrived("u449@example.org")
        self.assertEqual(
            ("Hi U449", "u449@example.org", "The Shop <shop@example.org>", "7"),
            tuple(message[name] for name in ("subject", "to", "from", "x-run")),
        )
        self.assertEqual("Order 449\n", message.get_content().replace("\r\n", "\n"))
        identifier = taken["recipients"][449]["id"].partition(".")[0]
        received = (await self.events(identifier))[0]
        self.assertEqual(
            (taken["id"], ["order"], {"shop": "1"}, "c", "default"),
            (received.batch, received.tagged, received.metadata, received.campaign, received.tenant),
        )
        shown = await self.get(f"/v1/batches/{taken['id']}")
        self.assertEqual(450, shown["accepted"])
        page = await self.get(f"/v1/batches/{taken['id']}/recipients?limit=449")
        rest = await self.get(f"/v1/batches/{taken['id']}/recipients?cursor={page['next']}")
        self.assertEqual(taken["recipients"], page["recipients"] + rest["recipients"])
        self.assertEqual([taken["id"]], [one["id"] for one in (await self.get("/v1/batches"))["batches"]])

    async def test_files(self) -> None:
        """Those of the batch go with every copy, those of a recipient with his alone; large ones, too."""
        await self.served()
        large = random.Random(7).randbytes(300_000)
        people = self.people(2)
        people[1]["attachments"] = [{"name": "bill.pdf", "content": base64.b64encode(large).decode()}]
        logo = {"name": "logo.png", "content": base64.b64encode(b"png").decode(), "cid": "logo"}
        terms = {"name": "terms.txt", "content": base64.b64encode(b"Be kind.").decode()}
        answer = await self.batch(people, html='<img src="cid:logo">', attachments=[logo, terms])
        self.assertEqual((202, 2), (answer.status, answer.json["accepted"]), answer)
        for number, wanted in (
            (0, {"terms.txt": "Be kind."}),
            (1, {"terms.txt": "Be kind.", "bill.pdf": large}),
        ):
            (message,) = await self.arrived(f"u{number}@example.org")
            found = {part.get_filename(): part.get_content() for part in message.iter_attachments()}
            self.assertEqual(wanted, found)
            self.assertEqual(["<logo>"], [cid for part in message.walk() if (cid := part["content-id"])])
        content = base64.b64encode(bytes(60_000)).decode()
        self.patch(self.api.server.api.batching._batches, "_largest", lambda: 80_000)
        answer = await self.batch(people, attachments=[{"name": "a", "content": content}])
        self.assertEqual((422, "#/attachments"), (answer.status, answer.json["errors"][0]["pointer"]))

    async def test_errors_of_some(self) -> None:
        """A bad address, a missing variable, an unknown mailbox: told, and the others get theirs."""
        await self.served()
        people = self.people(5)
        people[1]["email"] = "no address"
        people[2]["data"] = {"name": "x"}
        people[3]["email"] = "nobody@example.org"
        taken = (await self.batch(people)).json
        self.assertEqual((5, 2, 3), (taken["total"], taken["accepted"], taken["refused"]))
        self.assertEqual(
            [(1, "address"), (2, "template"), (3, "refused")],
            [(one["place"], one["kind"]) for one in taken["errors"]],
        )
        (problem,) = taken["errors"][1]["errors"]
        self.assertEqual(
            ("missing", "order", "text", 1, 10),
            tuple(problem[name] for name in ("kind", "variable", "part", "line", "column")),
        )
        self.assertIn("550 5.1.1", taken["errors"][2]["detail"])
        self.assertEqual(
            ["queued", "refused", "refused", "refused", "queued"],
            [one["state"] for one in taken["recipients"]],
        )
        await self.arrived("u0@example.org")
        await self.arrived("u4@example.org")

    async def test_all_or_nothing(self) -> None:
        await self.served()
        people = self.people(3)
        people[1]["data"] = {}
        answer = await self.batch(people, all_or_nothing=True)
        self.assertEqual(422, answer.status)
        self.assertEqual("#/recipients/1", answer.json["errors"][0]["pointer"])
        self.assertEqual([], (await self.get("/v1/batches"))["batches"])
        self.assertEqual(3, (await self.batch(self.people(3), all_or_nothing=True)).json["accepted"])
        await self.arrived("u0@example.org")

    async def test_dry_run(self) -> None:
        await self.served()
        people = self.people(2)
        people[1]["data"] = {}
        answer = await self.batch(people, dry_run=True)
        self.assertEqual(
            (200, True, ["accepted", "refused"]),
            (
                answer.status,
                answer.json["dry_run"],
                [one["state"] for one in answer.json["recipients"]],
            ),
        )
        self.assertEqual([], (await self.get("/v1/batches"))["batches"])

    async def test_template_with_data_of_the_batch(self) -> None:
        await self.served()
        body = {
            "subject": "S",
            "html": "<p>{{ firm }} {{ name }}</p>",
            "translations": {"de": {"subject": "D"}},
        }
        await self.api.ask("PUT", "/v1/templates/w", body, key=self.key)
        people = [{"email": "u1@example.org", "locale": "de-AT", "data": {"name": "<A>"}}]
        request = {"from": "shop@example.org", "template": "w", "data": {"firm": "F"}, "recipients": people}
        answer = await self.send(request, "/v1/batches")
        self.assertEqual(1, answer.json["accepted"], answer)
        (message,) = await self.arrived("u1@example.org")
        self.assertEqual("D", message["subject"])
        plain, html = message.iter_parts()
        self.assertIn("F <A>", plain.get_content())
        self.assertIn("F &lt;A&gt;", html.get_content())

    async def test_refused_as_a_whole(self) -> None:
        await self.served()
        for status, pointer, more in (
            (403, "#/from", {"from": "shop@elsewhere.example"}),
            (422, "#/text", {"text": "{{ x|nosuch }}"}),
            (422, "#/headers", {"headers": {"Bcc": "x@y.example"}}),
            (422, "#/unsubscribe", {"unsubscribe": ""}),
            (422, "#/send_at", {"send_at": "2099-01-01T00:00:00Z"}),
            (422, "#", {"template": "w"}),
        ):
            answer = await self.batch(self.people(1), **more)
            self.assertEqual((status, pointer), (answer.status, answer.json["errors"][0]["pointer"]), more)
        request = {"from": "shop@example.org", "template": "w", "recipients": self.people(1)}
        answer = await self.send(request, "/v1/batches")
        self.assertEqual("#/template", answer.json["errors"][0]["pointer"])

    async def test_links(self) -> None:
        """Signed for each recipient; opens and clicks only where the tenant wants them."""
        await self.served(api={"url": "https://mail.example.org", "requests_per_second": 0})
        html = "<body><a href='https://shop.example/'>x</a></body>"
        await self.batch(self.people(1), html=html, unsubscribe="news")
        (message,) = await self.arrived("u0@example.org")
        self.assertNotIn("mail.example.org", str(message.get_body(("html",))))
        self.assertEqual("List-Unsubscribe=One-Click", message["list-unsubscribe-post"])
        token = message["list-unsubscribe"].strip("<>").rpartition("/")[2]
        link = read_link(master_key(self.api.server._secret), "unsubscribe", token)
        self.assertEqual(("u0@example.org", "news", "default"), (link.recipient, link.more, link.tenant))
        await self.api.ask("PUT", "/v1/engagement", {"clicks": True, "opens": True}, key=self.key)
        await self.batch(self.people(2)[1:], html=html)
        (message,) = await self.arrived("u1@example.org")
        content = message.get_body(("html",)).get_content()
        self.assertIn("https://mail.example.org/c/", content)
        self.assertIn("https://mail.example.org/o/", content)

    async def test_unsubscribing_with_one_click(self) -> None:
        """From the header field of a message to the next batch, which leaves the recipient out."""
        await self.served(api={"url": "https://mail.example.org", "requests_per_second": 0})
        await self.batch(self.people(2), unsubscribe="news")
        (message,) = await self.arrived("u0@example.org")
        link = message["list-unsubscribe"].strip("<>").removeprefix("https://mail.example.org")
        await self.arrived("u1@example.org")
        media = "application/x-www-form-urlencoded"
        page = await self.api.ask("GET", link)
        self.assertIn(b"Unsubscribe from news", page.content)
        self.assertEqual(2, (await self.batch(self.people(2), unsubscribe="news")).json["accepted"])
        done = await self.api.ask("POST", link, b"List-Unsubscribe=One-Click", media=media)
        self.assertEqual(200, done.status)
        taken = (await self.batch(self.people(2), unsubscribe="news")).json
        self.assertEqual(
            (["suppressed", "queued"], 1, "suppressed"),
            (
                [one["state"] for one in taken["recipients"]],
                taken["suppressed"],
                taken["errors"][0]["kind"],
            ),
        )
        other = (await self.batch(self.people(2), unsubscribe="offers")).json
        self.assertEqual(2, other["accepted"])
        listed = (await self.get("/v1/suppressions"))["suppressions"]
        self.assertEqual(
            [("u0@example.org", "unsubscribe", "news")],
            [(one["address"], one["reason"], one["list"]) for one in listed],
        )
        back = await self.api.ask("POST", link, b"action=resubscribe&scope=list", media=media)
        self.assertIn(b"Unsubscribe from news", back.content)
        self.assertEqual(2, (await self.batch(self.people(2), unsubscribe="news")).json["accepted"])

    async def test_followed(self) -> None:
        """Opens and clicks are in the journal, with who it was."""
        # However long it takes until the link is followed here: it is soon after the delivery.
        self.patch(visitor, "HASTE", 600.0)
        await self.served(api={"url": "https://mail.example.org", "requests_per_second": 0})
        html = "<body><a href='https://shop.example/?a=1&amp;b=2'>x</a></body>"
        taken = await self.batch(self.people(1), html=html, track={"clicks": True, "opens": True})
        (message,) = await self.arrived("u0@example.org")
        content = message.get_body(("html",)).get_content()
        links = [
            unescape(one) for one in re.findall(r'(?:href|src)="https://mail.example.org([^"]+)"', content)
        ]
        identifier = taken.json["recipients"][0]["id"].partition(".")[0]
        await self.told(identifier, "delivered")
        agent = {"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/120"}
        click = await self.api.ask("GET", links[0], headers=agent)
        self.assertEqual((302, "https://shop.example/?a=1&b=2"), (click.status, click.headers["location"]))
        picture = await self.api.ask("GET", links[1], headers={"User-Agent": "x GoogleImageProxy"})
        self.assertEqual(b"GIF89a", picture.content[:6])
        await self.told(identifier, "opened")
        events = [one for one in await self.events(identifier) if one.kind in ("opened", "clicked")]
        # Just delivered: nobody is as fast as that.
        self.assertEqual(
            [("clicked", "scanner", "within seconds of delivery"), ("opened", "proxy", "gmail")],
            [(one.kind, one.sort, one.visitor) for one in events],
        )

    async def test_later(self) -> None:
        await self.served()
        taken = (
            await self.batch(self.people(1), send_at=datetime.fromtimestamp(time() + 3600, UTC).isoformat())
        ).json
        self.assertEqual("scheduled", taken["recipients"][0]["state"])


class OnceTests(BatchCase):
    """Nothing twice, nothing forgotten."""

    def start_anew(self, batcher: Any, take: Any) -> None:
        """As another process has it: nothing in memory, and the one that died goes on with nothing."""
        batcher._acceptance = copy(batcher._acceptance)
        batcher._acceptance._until = 0.0
        batcher._acceptance._take = take
        batcher._waiting.clear()

    async def test_the_same_key(self) -> None:
        await self.served()
        headers = {"Idempotency-Key": "a"}
        first = await self.batch(self.people(3), headers_=headers)
        second = await self.batch(self.people(3), headers_=headers)
        self.assertEqual((202, first.json), (second.status, second.json))
        await self.arrived("u2@example.org")

    async def test_gone_on_with_after_a_crash(self) -> None:
        """A worker that dies after some of the messages: the next start takes the others, once."""
        await self.served()
        batcher = self.api.server.api.batching.batcher
        people = self.people(500)
        taken: list[str] = []
        take = batcher._acceptance._take

        def dying(plan: Plan, envelope: Any, recipient: Any, content: bytes, *rest: Any) -> Any:
            if len(taken) >= 230:
                _NEVER.append(Deferred())
                return _NEVER[-1]
            taken.append(recipient.address)
            return take(plan, envelope, recipient, content, *rest)

        batcher._acceptance._take = dying
        headers = {"Idempotency-Key": "b"}
        self.api.ask_soon(
            "POST", "/v1/batches", {**BATCH, "recipients": people}, key=self.key, headers=headers
        )
        await self.until(lambda: len(taken) >= 230 and self.count() >= 230)
        (before,) = (await self.get("/v1/batches"))["batches"]
        self.assertEqual(("accepting", 500), (before["state"], before["waiting"]))
        # What the process had in memory is gone; the disk has the rest.
        self.start_anew(batcher, take)
        self.api.server.api._idempotency._owner = "0:another"
        await self.api.server.api._idempotency.adopt()
        # An id that was promised to one of them goes to nobody else, whatever the clock says.
        ids = self.api.server.spool._ids
        promised, ids._last = ids._last, 0
        await batcher.promised()
        self.assertEqual(promised, ids._last)
        await batcher.resume()
        shown = await self.get(f"/v1/batches/{before['id']}")
        self.assertEqual(("accepted", 500, 0), (shown["state"], shown["accepted"], shown["waiting"]))
        await self.until(lambda: self.count() >= 500)
        self.assertEqual([1] * 500, [len(self.mailbox(n)) for n in range(500)])
        again = await self.batch(people, headers_=headers)
        self.assertEqual((202, before["id"], 500), (again.status, again.json["id"], again.json["accepted"]))
        self.assertEqual([1] * 500, [len(self.mailbox(n)) for n in range(500)])

    async def test_asked_for_while_another_worker_is_at_it(self) -> None:
        """A worker that dies leaves it to its next start; who asks meanwhile gets the answer of that."""
        await self.served()
        batcher = self.api.server.api.batching.batcher
        take = batcher._acceptance._take

        def dead(*what: Any) -> Any:
            _NEVER.append(Deferred())
            return _NEVER[-1]

        before = len(_NEVER)
        batcher._acceptance._take = dead
        headers, people = {"Idempotency-Key": "c"}, self.people(3)
        request = {**BATCH, "recipients": people}
        self.api.ask_soon("POST", "/v1/batches", request, key=self.key, headers=headers)
        await self.until(lambda: len(_NEVER) >= before + 3)
        self.start_anew(batcher, take)
        self.api.server.api._idempotency._owner = "0:another"
        await self.api.server.api._idempotency.adopt()
        asked = Deferred.fromCoroutine(self.batch(people, headers_=headers))
        await deferLater(reactor, 0.3)
        self.assertFalse(asked.called, "it waits for the worker")
        await batcher.resume()
        again = await asked
        told = (again.status, again.json["state"], again.json["accepted"])
        self.assertEqual((202, "accepted", 3), told)
        self.assertEqual(["queued"] * 3, [one["state"] for one in again.json["recipients"]])

    async def test_disk_in_trouble(self) -> None:
        """What cannot be taken now is taken later, and the client is told that it waits."""
        await self.served()
        batcher = self.api.server.api.batching.batcher
        take = batcher._acceptance._take

        async def troubled(plan: Plan, envelope: Any, recipient: Any, *rest: Any) -> Any:
            if recipient.address.startswith("u1@"):
                raise TemporarilyUnavailable("the disk is full")
            return await take(plan, envelope, recipient, *rest)

        batcher._acceptance._take = troubled
        taken = (await self.batch(self.people(3))).json
        self.assertEqual(("accepting", 2, 1), (taken["state"], taken["accepted"], taken["waiting"]))
        people = (await self.get(f"/v1/batches/{taken['id']}/recipients"))["recipients"]
        self.assertEqual(taken["recipients"], people)
        batcher._acceptance._take = take
        (call,) = batcher._later
        call.reset(0)
        await self.arrived("u1@example.org")
        await batcher.ended(taken["id"])
        shown = await self.get(f"/v1/batches/{taken['id']}")
        self.assertEqual(("accepted", 3), (shown["state"], shown["accepted"]))

    async def test_another_tenants(self) -> None:
        await self.served()
        taken = (await self.batch(self.people(1))).json
        await self.api.tenant("shop")
        stranger = await self.api.key("shop", ["admin"])
        for path in (f"/v1/batches/{taken['id']}", f"/v1/batches/{taken['id']}/recipients"):
            self.assertEqual(404, (await self.api.ask("GET", path, key=stranger)).status)
        self.assertEqual([], (await self.api.ask("GET", "/v1/batches", key=stranger)).json["batches"])


class MessageTests(BatchCase):
    """The same for a single message."""

    async def test_template_and_links(self) -> None:
        await self.served(api={"url": "https://mail.example.org", "requests_per_second": 0})
        html = "<body>{{ name }} <a href='https://shop.example/'>x</a></body>"
        template = {"subject": "Hi {{ name }}", "html": html, "text": "Hello {{ name }}"}
        await self.api.ask("PUT", "/v1/templates/w", template, key=self.key)
        request: dict[str, Any] = {
            "from": "shop@example.org",
            "to": ["u0@example.org"],
            "template": "w",
            "data": {"name": "<A>"},
            "unsubscribe": "news",
            "track": {"clicks": True},
        }
        answer = await self.send(request)
        self.assertEqual(202, answer.status, answer)
        (message,) = await self.arrived("u0@example.org")
        self.assertEqual(
            ("Hi <A>", "List-Unsubscribe=One-Click"),
            (
                message["subject"],
                message["list-unsubscribe-post"],
            ),
        )
        plain, content = message.iter_parts()
        self.assertEqual("Hello <A>", plain.get_content().strip())
        self.assertIn("&lt;A&gt;", content.get_content())
        self.assertIn("https://mail.example.org/c/", content.get_content())
        for status, pointer, more in (
            (422, "#/subject", {"data": {}}),
            (422, "#/template", {"template": "x"}),
            (422, "#/unsubscribe", {"to": ["u0@example.org", "u1@example.org"]}),
            (422, "#", {"text": "x"}),
        ):
            refused = await self.send({**request, **more})
            self.assertEqual((status, pointer), (refused.status, refused.json["errors"][-1]["pointer"]), more)
        link = message["list-unsubscribe"].strip("<>").removeprefix("https://mail.example.org")
        media = "application/x-www-form-urlencoded"
        await self.api.ask("POST", link, b"List-Unsubscribe=One-Click", media=media)
        self.assertEqual("suppressed", (await self.send(request)).json["state"])

    async def test_test_message(self) -> None:
        await self.served()
        template = {"subject": "Hi {{ name }}", "text": "x"}
        await self.api.ask("PUT", "/v1/templates/w", {**template, "activate": False}, key=self.key)
        body = {"from": "shop@example.org", "to": ["u0@example.org"]}
        answer = await self.send(body, "/v1/templates/w/test")
        self.assertEqual(202, answer.status, answer)
        (message,) = await self.arrived("u0@example.org")
        self.assertEqual("Hi Ann Example", message["subject"])
