"""The client against answers that are made up: what it sends, tries again, and raises."""

from __future__ import annotations

import ast
import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from twisted.trial.unittest import SynchronousTestCase

import mta_client
from mta_client import (
    AsyncClient,
    Attachment,
    Batch,
    Client,
    Conflict,
    Forbidden,
    Invalid,
    Message,
    NoAnswer,
    NotFound,
    Recipient,
    Refused,
    TooMany,
    Unauthorized,
    Unavailable,
)
from mta_client.events import EventReader

SENT = {
    "id": "i",
    "message_id": "<m>",
    "state": "queued",
    "recipients": [{"id": "i.0", "email": "a", "state": "queued"}],
}
MESSAGE = Message(sender="a@example.org", to=["b@example.net"], text="x")


class ClientCase(SynchronousTestCase):
    def asking(self, *answers: Any, **more: Any) -> Client:
        """A client that gets these; requests and pauses are kept."""
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []
        client = Client(
            "http://mta", "mk_a_b", transport=httpx.MockTransport(self.answering(answers)), **more
        )
        client._sleep = self.slept.append
        self.addCleanup(client.close)
        return client

    def answering(self, answers: Any) -> Callable[[httpx.Request], httpx.Response]:
        left = list(answers)

        def answer(request: httpx.Request) -> httpx.Response:
            request.read()
            self.asked.append(request)
            found = left.pop(0)
            if isinstance(found, Exception):
                raise found
            return found if isinstance(found, httpx.Response) else httpx.Response(200, json=found)

        return answer


class RequestTests(ClientCase):
    def test_send(self) -> None:
        client = self.asking(SENT)
        sent = client.send(
            Message(
                sender="a@example.org",
                to=["b@example.net"],
                html="",
                attachments=[Attachment("a.txt", b"x", cid="c")],
                send_at=datetime(2027, 1, 1, tzinfo=UTC),
                priority=0,
                notify=[],
                more={"track": {"opens": True}},
            )
        )
        self.assertEqual(("i", "<m>", "a"), (sent.id, sent.message_id, sent.recipients[0].email))
        (request,) = self.asked
        self.assertEqual("Bearer mk_a_b", request.headers["authorization"])
        self.assertTrue(request.headers["idempotency-key"])
        self.assertEqual(
            {
                "from": "a@example.org",
                "to": ["b@example.net"],
                "html": "",
                "attachments": [{"name": "a.txt", "content": "eA==", "cid": "c"}],
                "send_at": "2027-01-01T00:00:00+00:00",
                "priority": 0,
                "notify": [],
                "track": {"opens": True},
            },
            json.loads(request.content),
        )

    def test_batch(self) -> None:
        counts = dict.fromkeys(("total", "accepted", "refused", "suppressed", "waiting"), 1)
        error = {"place": 0, "email": "x", "kind": "address", "detail": "no", "errors": []}
        client = self.asking({"id": "b", "state": "accepted", **counts, "errors": [error], "recipients": []})
        people = [Recipient("b@example.net", data={"n": 1})]
        found = client.send_batch(
            Batch(sender="a@example.org", recipients=people, template="t", unsubscribe="")
        )
        self.assertEqual(("b", "address"), (found.id, found.errors[0].kind))
        self.assertEqual(
            {
                "from": "a@example.org",
                "recipients": [{"email": "b@example.net", "data": {"n": 1}}],
                "template": "t",
                "unsubscribe": "",
            },
            json.loads(self.asked[0].content),
        )

    def test_pages(self) -> None:
        one = {"address": "a@b", "reason": "manual", "list": "", "created": None, "evidence": {}}
        client = self.asking({"suppressions": [one], "next": "c"}, {"suppressions": [one], "next": None})
        self.assertEqual(2, len(list(client.suppressions(reason="manual"))))
        self.assertEqual("reason=manual&cursor=c", self.asked[1].url.query.decode())

    def test_path(self) -> None:
        """What a caller gives stays one part of the path."""
        client = self.asking(httpx.Response(204))
        client.unsuppress("a/../b@x")
        self.assertEqual(b"/v1/suppressions/a%2F..%2Fb%40x", self.asked[0].url.raw_path)


class TroubleTests(ClientCase):
    def test_again(self) -> None:
        """With the same key, after the time that the server asks for."""
        busy = httpx.Response(503, headers={"retry-after": "7"}, json={})
        client = self.asking(httpx.ReadError("gone"), busy, SENT)
        self.assertEqual("i", client.send(MESSAGE).id)
        self.assertEqual(1, len({request.headers["idempotency-key"] for request in self.asked}))
        self.assertEqual(7.0, self.slept[1])

    def test_no_more(self) -> None:
        client = self.asking(*[httpx.ConnectError("no")] * 3, retries=2)
        with self.assertRaises(NoAnswer):
            client.send(MESSAGE)
        client = self.asking(httpx.Response(429, headers={"retry-after": "3600"}, json={}))
        with self.assertRaises(TooMany):
            client.send(MESSAGE)

    def test_not_safe(self) -> None:
        """Nobody knows whether it was done, so the caller decides."""
        client = self.asking(httpx.ReadError("gone"))
        with self.assertRaises(NoAnswer):
            client.cancel("i")

    def test_errors(self) -> None:
        problem = {
            "type": "/docs#problem-x",
            "title": "T",
            "detail": "D",
            "remedy": "R",
            "errors": [{"pointer": "#/to"}],
        }
        table = [
            (400, Invalid),
            (401, Unauthorized),
            (403, Forbidden),
            (404, NotFound),
            (409, Conflict),
            (422, Invalid),
            (500, Unavailable),
        ]
        for status, kind in table:
            client = self.asking(httpx.Response(status, json=problem, headers={"request-id": "r"}), retries=0)
            with self.assertRaises(kind) as caught:
                client.send(MESSAGE)
            error = caught.exception
            self.assertEqual(
                (status, "x", "R", "r"), (error.status, error.kind, error.remedy, error.request_id)
            )  # type: ignore[attr-defined]
            self.assertEqual("T: D", str(error))
        client = self.asking(httpx.Response(422, json={"type": "/docs#problem-refused"}))
        with self.assertRaises(Refused):
            client.send(MESSAGE)
        client = self.asking(httpx.Response(502, text="<html>"), retries=0)
        with self.assertRaises(Unavailable):
            client.send(MESSAGE)


class FollowingTests(ClientCase):
    def test_reader(self) -> None:
        """An event that is cut off does not count as read."""
        reader = EventReader()
        lines = [
            "retry: 20",
            "id: 1",
            "",
            ": beat",
            "id: 2",
            "event: delivered",
            'data: {"message":',
            'data: "m"}',
            "",
            "id: 3",
            "data: {",
        ]
        found = [event for line in lines for event in reader.line(line)]
        self.assertEqual([("delivered", "m", "2")], [(one.type, one.message, one.last_id) for one in found])
        self.assertEqual(("2", 0.02), (reader.last_id, reader.retry))

    def test_goes_on(self) -> None:
        first = httpx.Response(200, text='id: 1\nevent: received\ndata: {"message": "m"}\n\nid: 2\ndata: {')
        second = httpx.Response(200, text='id: 3\nevent: delivered\ndata: {"message": "m"}\n\n')
        gone = httpx.Response(401, json={})
        client = self.asking(first, httpx.ConnectError("no"), second, gone)
        found = []
        with self.assertRaises(Unauthorized):
            for event in client.follow(messages=["m"], types=["received", "delivered"]):
                found.append(event.type)
        self.assertEqual(["received", "delivered"], found)
        self.assertEqual([None, "1", "1", "3"], [one.headers.get("last-event-id") for one in self.asked])
        self.assertEqual(b"message=m&type=received&type=delivered", self.asked[0].url.query)


class AsyncTests(ClientCase):
    def test_the_same(self) -> None:
        """Sending, trying again, following."""
        self.asked, slept = [], []
        stream = httpx.Response(200, text='id: 1\nevent: delivered\ndata: {"message": "i"}\n\n')
        answers = [httpx.ReadError("gone"), SENT, {"templates": [], "next": None}, stream]

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        async def main() -> Any:
            transport = httpx.MockTransport(self.answering(answers))
            async with AsyncClient("http://mta", "k", transport=transport) as client:
                client._sleep = sleep
                sent = await client.send(MESSAGE)
                self.assertEqual([], [one async for one in client.templates()])
                return sent, await anext(client.follow(messages=[sent.id]))

        sent, event = asyncio.run(main())
        self.assertEqual(("i", "delivered", 1), (sent.id, event.type, len(slept)))

    def test_nothing_is_missing(self) -> None:
        """What one has, the other has."""
        names = [{name for name in dir(kind) if not name.startswith("_")} for kind in (Client, AsyncClient)]
        self.assertEqual(*names)


class PackageTests(SynchronousTestCase):
    def test_needs_nothing_of_the_server(self) -> None:
        place = Path(mta_client.__file__).parent
        self.assertTrue((place / "py.typed").exists())
        for path in place.glob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names += [one.name for one in node.names] if isinstance(node, ast.Import) else []
                for name in names:
                    self.assertNotIn(name.partition(".")[0], ("mta", "twisted", "pydantic"), path.name)
