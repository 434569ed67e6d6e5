"""What became of messages, as their tenant asks for it and sees it live, through a whole server."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from mta.model.event import Bounced, Complained
from mta.tracking import feed as feed_module
from mta.tracking.subscriber import MOST_WAITING
from tests.api.v1.channel import Answer, Channel
from tests.e2e.api import ServedApi

LEAST = {"from": "shop@example.org", "to": ["ann@example.org"], "subject": "Hello there", "text": "It works."}


class Case(TestCase):
    def setUp(self) -> None:
        self.users = Path(self.mktemp()).absolute()
        self.users.write_text("ann@example.org:{PLAIN}x\nben@example.org:{PLAIN}x\n")

    async def served(self, **settings: Any) -> ServedApi:
        identity = [{"kind": "file", "path": str(self.users)}]
        self.api = api = await ServedApi(self, identity=identity, **settings).started()
        self.key = await api.key("default", ["messages:send", "messages:read"])
        return api

    async def get(self, path: str, status: int = 200, key: str = "") -> Any:
        answer: Answer = await self.api.ask("GET", path, key=key or self.key)
        self.assertEqual(status, answer.status, answer)
        return answer.json

    async def sent(self, **changes: Any) -> str:
        answer = await self.api.ask("POST", "/v1/messages", {**LEAST, **changes}, key=self.key)
        self.assertEqual(202, answer.status, answer)
        return str(answer.json["id"])

    async def state(self, identifier: str, wanted: str) -> Any:
        """Wait until all its recipients are in a state."""
        for _ in range(3000):
            found = await self.get(f"/v1/messages/{identifier}")
            if {one["state"] for one in found["recipients"]} == {wanted}:
                return found
            await deferLater(reactor, 0.02)
        raise AssertionError(f"{wanted}: {found}")


class AskingTests(Case):
    async def test_a_message(self) -> None:
        await self.served()
        identifier = await self.sent(tags=["news"], metadata={"order": "17"})
        found = await self.state(identifier, "delivered")
        self.assertEqual(
            ("Hello there", ["news"], {"order": "17"}, "shop@example.org"),
            (found["subject"], found["tags"], found["metadata"], found["sender"]),
        )
        events = (await self.get(f"/v1/messages/{identifier}/events"))["events"]
        self.assertEqual(["received", "delivered", "completed"], [one["type"] for one in events])
        self.assertEqual("ann@example.org", events[1]["recipient"])
        self.assertIn("ann@example.org", events[1]["words"])
        self.assertEqual(
            [identifier], [one["id"] for one in (await self.get("/v1/messages?subject=hello"))["messages"]]
        )
        self.assertEqual({"delivered": 1}, (await self.get("/v1/tags/news"))["states"])
        self.assertEqual({"delivered": 1}, (await self.get("/v1/counts"))["states"])
        history = await self.get("/v1/recipients/ann@example.org")
        self.assertEqual([identifier], [one["message"] for one in history["messages"]])

    async def test_at_once(self) -> None:
        """What was answered with 202 is there at the next request."""
        await self.served()
        for _ in range(5):
            identifier = await self.sent()
            self.assertEqual(identifier, (await self.get(f"/v1/messages/{identifier}"))["id"])

    async def test_what_comes_back(self) -> None:
        await self.served()
        identifier = await self.sent(tags=["t"])
        await self.state(identifier, "delivered")
        about: dict[str, Any] = {"message": identifier, "recipient": "ann@example.org"}
        now = reactor.seconds()  # type: ignore[attr-defined]
        self.api.server.spool.note([Bounced(at=now, reply="no such user", status="5.1.1", **about)])
        found = await self.state(identifier, "bounced")
        self.assertEqual(["bounced"], found["recipients"][0]["reached"])
        self.api.server.spool.note([Complained(at=now, **about)])
        await self.state(identifier, "complained")
        counts = await self.get("/v1/tags/t")
        self.assertEqual(
            ({"complained": 1}, 1, 1),
            (counts["states"], counts["reached"]["delivered"], counts["reached"]["bounced"]),
        )

    async def test_content(self) -> None:
        await self.served()
        identifier = await self.sent(to=["you@elsewhere.example"])
        answer = await self.api.ask("GET", f"/v1/messages/{identifier}/content", key=self.key)
        self.assertEqual((200, "message/rfc822"), (answer.status, answer.headers["content-type"]))
        self.assertIn(b"It works.", answer.content)

    async def test_content_that_is_kept(self) -> None:
        """After delivery too, for those tenants and for so long as the operator says."""
        await self.served(tracking={"bodies": "1h", "bodies_of": {"clinic": 0}}, queue={"inline": 2000})
        await self.api.tenant("clinic", "clinic.example")
        clinic = await self.api.key("clinic")
        for text in ("It is small.", "It is large. " * 1000):
            identifier = await self.sent(text=text)
            await self.state(identifier, "delivered")
            path = f"/v1/messages/{identifier}/content"
            answer = await self.api.ask("GET", path, key=self.key)
            self.assertEqual(200, answer.status, answer)
            self.assertIn(text[:12].encode(), answer.content)
            self.assertIn(b"Received:", answer.content)
            await self.get(path, 404, clinic)
        body = {**LEAST, "from": "a@clinic.example"}
        identifier = (await self.api.ask("POST", "/v1/messages", body, key=clinic)).json["id"]
        for _ in range(3000):
            answer = await self.api.ask("GET", f"/v1/messages/{identifier}/content", key=clinic)
            if answer.status == 404:
                break
            await deferLater(reactor, 0.02)
        self.assertEqual(404, answer.status)

    async def test_wrong_questions(self) -> None:
        await self.served()
        for path in (
            "/v1/messages?state=lost",
            "/v1/messages?cursor=x",
            "/v1/messages?since=yesterday",
            "/v1/messages?colour=red",
            "/v1/events/stream?type=lost",
            "/v1/events/stream?last_event_id=x",
        ):
            await self.get(path, 422)
        await self.get("/v1/messages/zzzzzzzzzzzzz", 404)
        await self.get("/v1/messages/0000000000000/events", 404)
        await self.get("/v1/batches/b/status", 404)

    async def test_index_equals_journal(self) -> None:
        """Made anew, the index is what it was."""
        await self.served()
        for number in range(3):
            await self.state(await self.sent(tags=[str(number)]), "delivered")
        path = self.api.state / "spool" / "0" / "tracking.db"

        def rows() -> list[Any]:
            with closing(sqlite3.connect(path)) as base:
                return base.execute("SELECT * FROM recipients ORDER BY 1").fetchall()

        before = rows()
        self.assertEqual(3, len(before))


class MetricsTests(Case):
    async def test_numbers(self) -> None:
        await self.served(metrics={"networks": ["198.51.100.0/24"]})
        await self.state(await self.sent(), "delivered")
        admin = await self.api.key("default")
        await self.api.tenant("other")
        stranger = await self.api.key("other")
        for key, address, status in (
            ("", "192.0.2.7", 401),
            (stranger, "192.0.2.7", 401),
            (self.key, "192.0.2.7", 401),
            (admin, "192.0.2.7", 200),
            ("", "198.51.100.9", 200),
        ):
            answer = await self.api.ask("GET", "/metrics", key=key, address=address)
            self.assertEqual(status, answer.status, answer)
        wanted = (
            'mta_messages_received_total{role="api",tls="none",worker="0"} 1.0',
            'mta_deliveries_total{outcome="delivered",transport="maildir",worker="0"} 1.0',
            'mta_spool_commit_seconds_count{worker="0"}',
            'mta_queue_messages{worker="0"} 0.0',
            'mta_api_requests_total{method="POST",route="/v1/messages",status="202",worker="0"} 1.0',
            'mta_journal_lag_events{shard="0",worker="0"}',
        )
        for _ in range(3000):
            # Numbers follow the journal, each in its time.
            answer = await self.api.ask("GET", "/metrics", key=admin)
            missing = [line for line in wanted if line not in answer.content.decode()]
            if not missing:
                break
            await deferLater(reactor, 0.02)
        self.assertEqual([], missing)
        self.assertEqual(404, (await self.api.ask("GET", "/metrics/worker", key=admin)).status)


class Watching:
    """A stream in memory."""

    def __init__(self, api: ServedApi, key: str, query: str = "", last: str = "") -> None:
        self.channel = Channel(api.server.api.site)
        headers = {"Last-Event-ID": last} if last else {}
        self.channel.send("GET", f"/v1/events/stream{query}", key=key, headers=headers)

    @property
    def text(self) -> str:
        """Without the pieces of the transfer coding, as far as it matters."""
        return self.channel.transport.value().decode()

    def events(self) -> list[dict[str, Any]]:
        """What was shown."""
        return [json.loads(line[6:]) for line in self.text.splitlines() if line.startswith("data: ")]

    def last(self) -> str:
        """The last id."""
        return [line[4:] for line in self.text.splitlines() if line.startswith("id: ")][-1]

    async def until(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many events."""
        for _ in range(6000):
            if len(self.events()) >= count:
                return self.events()
            await deferLater(reactor, 0.01)
        raise AssertionError(f"not {count}: {self.text}")

    async def begun(self) -> Watching:
        """Wait until it has."""
        for _ in range(6000):
            if "retry: 1000" in self.text:
                return self
            await deferLater(reactor, 0.01)
        raise AssertionError(self.text)

    def close(self) -> None:
        """The client goes."""
        self.channel.protocol.connectionLost(Failure(ConnectionDone()))


class StreamTests(Case):
    async def watching(self, query: str = "", last: str = "", key: str = "") -> Watching:
        found = await Watching(self.api, key or self.key, query, last).begun()
        self.addCleanup(found.close)
        return found

    async def test_live(self) -> None:
        await self.served()
        watching = await self.watching()
        identifier = await self.sent(tags=["news"])
        events = await watching.until(3)
        self.assertEqual(["received", "delivered", "completed"], [one["type"] for one in events])
        self.assertEqual({identifier}, {one["message"] for one in events})
        self.assertEqual(["news"], events[1]["tags"])

    async def test_filters(self) -> None:
        await self.served()
        watching = await self.watching("?tag=vip&type=delivered&type=deferred")
        await self.sent(tags=["news"])
        wanted = await self.sent(tags=["vip"])
        (event,) = await watching.until(1)
        self.assertEqual((wanted, "delivered"), (event["message"], event["type"]))
        one = await self.watching(f"?message={wanted}", "0.0")
        self.assertEqual({wanted}, {event["message"] for event in await one.until(3)})

    async def test_another_tenant(self) -> None:
        await self.served()
        await self.api.tenant("stranger", "stranger.example")
        stranger = await self.watching(key=await self.api.key("stranger"), last="0.0")
        watching = await self.watching()
        await self.sent()
        await watching.until(3)
        self.assertEqual([], stranger.events())

    async def test_goes_on(self) -> None:
        """From any id: nothing is missing, and nothing comes twice."""
        await self.served()
        watching = await self.watching()
        for _ in range(4):
            await self.sent()
        whole = [one["id"] for one in await watching.until(12)]
        self.assertEqual(len(whole), len(set(whole)))
        ids = [line[4:] for line in watching.text.splitlines() if line.startswith("id: ")]
        for number, last in enumerate(ids):
            again = await self.watching(last=last)
            rest = whole[number:]
            self.assertEqual(rest, [one["id"] for one in await again.until(len(rest))])
            again.close()

    async def test_slow_reader(self) -> None:
        """One who does not read is cut off, keeps no memory, and goes on with the last id."""
        self.patch(feed_module, "PATIENCE", 0.1)
        await self.served()
        watching = await self.watching()
        watching.channel.transport.producer.pauseProducing()
        last = watching.last()
        feed = self.api.server.api.following.feed
        for _ in range(4000):
            if not feed.count:
                break
            identifier = await self.sent(metadata={str(number): "x" * 900 for number in range(40)})
        self.assertEqual(0, feed.count)
        self.assertLess(len(watching.channel.transport.value()), MOST_WAITING)
        again = await self.watching(last=last)
        for _ in range(6000):
            if any(one["message"] == identifier for one in again.events()):
                break
            await deferLater(reactor, 0.01)
        else:
            raise AssertionError(f"{identifier} does not come: {again.text[-1000:]}")
        ids = [one["id"] for one in again.events()]
        self.assertEqual(len(ids), len(set(ids)))

    async def test_behind(self) -> None:
        """One who reads again in time gets all of it, each once, and none of it has waited in memory."""
        await self.served()
        watching = await self.watching()
        producer = watching.channel.transport.producer
        producer.pauseProducing()
        (subscriber,) = self.api.server.api.following.feed._subscribers
        count = 0
        while not subscriber.behind:
            await self.sent(metadata={str(number): "x" * 900 for number in range(40)})
            count += 3
        for _ in range(5):
            await self.sent()
            count += 3
        self.assertLess(subscriber._octets, MOST_WAITING)
        producer.resumeProducing()
        ids = [one["id"] for one in await watching.until(count)]
        self.assertEqual(len(set(ids)), len(ids))
        self.assertEqual(sorted(ids, key=lambda one: int(one[2:])), ids)

    async def test_heartbeat(self) -> None:
        await self.served(tracking={"heartbeat": 0.3})
        watching = await self.watching()
        for _ in range(3000):
            if ": heartbeat" in watching.text:
                return
            await deferLater(reactor, 0.02)
        self.fail(watching.text)

    async def test_too_many(self) -> None:
        await self.served(tracking={"streams": 1})
        await self.watching()
        await self.get("/v1/events/stream", 429)
