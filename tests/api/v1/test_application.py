"""What is checked before a handler is called, and what a client is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from mta.api.v1.application import Application
from mta.api.v1.cursor import Page, cursor
from mta.api.v1.refusal import KINDS, Refusal, field_refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown, Stream
from mta.api.v1.site import ApiSite
from mta.interfaces import TemporarilyUnavailable
from mta.registry.database import finished
from mta.registry.registry import Registry, direct
from mta.registry.tenants import Tenant
from tests.api.v1.channel import Answer, Channel

NOW = 1_800_000_000.0


class Thing(Model):
    name: str = Field(min_length=2)
    parts: tuple[int, ...] = ()


class ThingShown(Shown):
    name: str
    tenant: str


class Things:
    """Routes that do next to nothing."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.cancelled: list[Any] = []
        self.trouble: Exception | None = None
        self.waiting: Deferred[None] | None = None

    def routes(self) -> list[Route]:
        return [
            Route(
                "POST",
                "/v1/things",
                self.make,
                "templates",
                "Make",
                body=Thing,
                answer=ThingShown,
                status=201,
            ),
            Route("GET", "/v1/things", self.list, "templates", "List", query=Page),
            Route("GET", "/v1/things/{id}", self.get, "templates", "One"),
            Route("POST", "/v1/octets", self.octets, "templates", "Raw", octets=("message/rfc822",)),
            Route("GET", "/open", self.open, None, "Open to all"),
            Route("GET", "/v1/flow", self.flow, "templates", "Bit by bit"),
        ]

    async def make(self, call: Call) -> ThingShown:
        self.calls.append(call)
        if self.trouble is not None:
            raise self.trouble
        if self.waiting is not None:
            await self.waiting
        return ThingShown(name=call.body.name, tenant=call.tenant.name)

    async def list(self, call: Call) -> Response:
        return Response(
            repr(call.query.after(str, int)).encode(), headers={"x-more": "yes"}, media="text/plain"
        )

    async def get(self, call: Call) -> Response:
        return Response(status=204)

    async def octets(self, call: Call) -> Response:
        return Response(call.body)

    async def open(self, call: Call) -> Response:
        return Response(call.address.encode())

    async def flow(self, call: Call) -> Stream:
        self.calls.append(call)

        def run(request: Any) -> Deferred[None]:
            request.write(b"data: 1\n\n")
            self.waiting = Deferred(self.cancelled.append)
            return self.waiting

        return Stream(run)


class ApplicationCase(SynchronousTestCase):
    requests = 100

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        state = Path(self.mktemp())
        state.mkdir()
        database = direct(state)
        self.addCleanup(database.close)
        self.registry = Registry(database)
        self.things = Things()
        self.application = Application(
            self.registry,
            self.things.routes(),
            reactor=self.clock,
            requests=self.requests,
            run_in_thread=lambda function, *args: function(*args),
        )
        self.site = ApiSite(self.application.app.resource(), 2000, 30)
        self.site.reactor = self.clock
        self.key = self.make_key("default", "templates")

    def make_key(self, tenant: str, *scopes: str, expires: float = 0.0) -> str:
        if tenant != "default":
            finished(self.registry.tenants.add(Tenant(tenant)))
        return finished(self.registry.keys.create(tenant, "", scopes, NOW, expires))[1]

    def ask(self, *what: Any, **how: Any) -> Answer:
        return Channel(self.site).ask(*what, **{"key": self.key, **how})

    def refused(self, kind: str, answer: Answer) -> dict[str, Any]:
        known = KINDS[kind]
        self.assertEqual(known.status, answer.status, answer)
        self.assertEqual("application/problem+json", answer.headers["content-type"])
        document: dict[str, Any] = answer.json
        expected = (f"/docs#problem-{kind}", known.title, known.status, known.cause, known.remedy)
        self.assertEqual(
            expected, tuple(document[name] for name in ("type", "title", "status", "cause", "remedy"))
        )
        self.assertIn("request-id", answer.headers)
        return document


class KeyTests(ApplicationCase):
    def test_good(self) -> None:
        answer = self.ask("POST", "/v1/things", {"name": "ab"})
        self.assertEqual((201, {"name": "ab", "tenant": "default"}), (answer.status, answer.json))
        (call,) = self.things.calls
        self.assertEqual(("192.0.2.7", "default", NOW), (call.address, call.tenant.name, call.now))
        self.assertRegex(call.who, r"key \w{12} of default")

    def test_none(self) -> None:
        answer = self.ask("POST", "/v1/things", {"name": "ab"}, key="")
        self.refused("no-key", answer)
        self.assertIn("Bearer", answer.headers["www-authenticate"])
        self.refused("no-key", self.ask("GET", "/v1/things", key="", headers={"Authorization": "Basic YTpi"}))

    def test_wrong(self) -> None:
        expired = self.make_key("default", "templates", expires=NOW)
        for key in (expired, self.key[:-1] + ("a" if self.key[-1] != "a" else "b"), "mk_x", "\xff" * 9):
            self.refused("wrong-key", self.ask("POST", "/v1/things", {"name": "ab"}, key=key))
        self.assertEqual([], self.things.calls)

    def test_gone_tenant(self) -> None:
        key = self.make_key("shop", "templates")
        self.assertEqual(201, self.ask("POST", "/v1/things", {"name": "ab"}, key=key).status)
        finished(self.registry.tenants.remove("shop"))
        self.refused("wrong-key", self.ask("POST", "/v1/things", {"name": "ab"}, key=key))

    def test_scope(self) -> None:
        document = self.refused("scope", self.ask("GET", "/v1/things", key=self.make_key("default", "keys")))
        self.assertIn("has not the scope templates", document["detail"])
        self.assertEqual(200, self.ask("GET", "/v1/things", key=self.make_key("default", "admin")).status)

    def test_strangers_are_counted_by_address(self) -> None:
        for _ in range(60):
            self.refused("wrong-key", self.ask("GET", "/v1/things", key="mk_x"))
        answer = self.ask("GET", "/v1/things", key="mk_x")
        self.refused("too-many", answer)
        self.assertEqual("1", answer.headers["retry-after"])
        # Whoever has a key from the same address is not kept out.
        self.assertEqual(200, self.ask("GET", "/v1/things").status)
        self.clock.advance(60)
        self.refused("wrong-key", self.ask("GET", "/v1/things", key="mk_x"))


class RateTests(ApplicationCase):
    requests = 3

    def test_each_tenant_has_its_own(self) -> None:
        other = self.make_key("shop", "templates")
        left = [self.ask("GET", "/v1/things").headers["ratelimit"] for _ in range(3)]
        self.assertEqual(['"requests";r=2;t=1', '"requests";r=1;t=1', '"requests";r=0;t=1'], left)
        answer = self.ask("GET", "/v1/things")
        self.refused("too-many", answer)
        self.assertEqual(
            ("1", '"requests";q=3;w=1'), (answer.headers["retry-after"], answer.headers["ratelimit-policy"])
        )
        self.assertEqual(200, self.ask("GET", "/v1/things", key=other).status)
        self.clock.advance(0.4)
        self.assertEqual(200, self.ask("GET", "/v1/things").status)


class InputTests(ApplicationCase):
    def test_fields_are_named(self) -> None:
        document = self.refused(
            "invalid", self.ask("POST", "/v1/things", {"name": "a", "parts": [1, "x"], "more": 1})
        )
        self.assertEqual(["#/name", "#/parts/1", "#/more"], [one["pointer"] for one in document["errors"]])
        self.assertIn("/name: String should have at least 2 characters", document["detail"])

    def test_malformed(self) -> None:
        for body in (b"{", b"\xff", b"[" * 1500):
            self.refused("malformed", self.ask("POST", "/v1/things", body))
        self.refused("invalid", self.ask("POST", "/v1/things", b""))
        self.refused("invalid", self.ask("POST", "/v1/things", b"[]"))

    def test_media_types(self) -> None:
        self.refused("media-type", self.ask("POST", "/v1/things", {"name": "ab"}, media="text/xml"))
        self.assertEqual(
            201,
            self.ask("POST", "/v1/things", {"name": "ab"}, media="application/json; charset=utf-8").status,
        )
        answer = self.ask("POST", "/v1/octets", b"From: a\r\n\r\n", media="message/rfc822")
        self.assertEqual((200, b"From: a\r\n\r\n"), (answer.status, answer.content))
        self.refused("media-type", self.ask("POST", "/v1/octets", {}))

    def test_query(self) -> None:
        place = cursor("a", 3)
        self.assertEqual(b"['a', 3]", self.ask("GET", f"/v1/things?cursor={place}").content)
        for wrong in (
            "x",
            cursor("a"),
            cursor(3, "a"),
            cursor(["a"], 3),
            cursor("a", 2**63),
            "%C3%A4",
            "é".encode().hex(),
        ):
            document = self.refused("invalid", self.ask("GET", f"/v1/things?cursor={wrong}"))
            self.assertEqual("cursor", document["errors"][0]["parameter"])
        for wrong in ("limit=0", "limit=x", "colour=red"):
            document = self.refused("invalid", self.ask("GET", f"/v1/things?{wrong}"))
            self.assertEqual(wrong.partition("=")[0], document["errors"][0]["parameter"])

    def test_size(self) -> None:
        channel = Channel(self.site)
        channel.send("POST", "/v1/things", {"name": "x" * 2000}, key=self.key)
        answer = channel.answer()
        self.assertEqual(413, answer.status)
        self.assertTrue(channel.transport.disconnecting)
        chunked = Channel(self.site)
        chunked.protocol.dataReceived(
            f"POST /v1/things HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer {self.key}\r\n"
            "Transfer-Encoding: chunked\r\n\r\n".encode()
        )
        for _ in range(3):
            chunked.protocol.dataReceived(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        self.assertEqual(413, chunked.answer().status)
        chunked.protocol.dataReceived(b"0\r\n\r\n")
        self.assertEqual([], self.things.calls)

    def test_a_body_that_takes_too_long(self) -> None:
        channel = Channel(self.site)
        channel.protocol.dataReceived(b"POST /v1/things HTTP/1.1\r\nHost: m\r\nContent-Length: 100\r\n\r\n")
        for _ in range(40):
            channel.protocol.dataReceived(b"x")
            self.clock.advance(1)
        self.assertTrue(channel.transport.disconnected)


class AnswerTests(ApplicationCase):
    def test_nothing_here(self) -> None:
        self.refused("not-found", self.ask("GET", "/v2/things"))
        answer = self.ask("DELETE", "/v1/things")
        self.refused("method", answer)
        self.assertEqual("GET, POST", answer.headers["allow"])
        self.assertIn("ratelimit", answer.headers)

    def test_refusals_of_handlers(self) -> None:
        self.things.trouble = field_refusal("/name", "it is taken", "conflict")
        document = self.refused("conflict", self.ask("POST", "/v1/things", {"name": "ab"}))
        self.assertEqual([{"pointer": "#/name", "detail": "it is taken"}], document["errors"])
        self.things.trouble = TemporarilyUnavailable("/var/secret/place cannot be used")
        answer = self.ask("POST", "/v1/things", {"name": "ab"})
        self.refused("unavailable", answer)
        self.assertNotIn(b"secret", answer.content)
        self.assertEqual("10", answer.headers["retry-after"])
        self.things.trouble = Refusal("not-found")
        self.refused("not-found", self.ask("POST", "/v1/things", {"name": "ab"}))

    def test_a_mistake_of_ours(self) -> None:
        self.things.trouble = ZeroDivisionError("secret")
        answer = self.ask("POST", "/v1/things", {"name": "ab"})
        document = self.refused("internal", answer)
        self.assertEqual(f"request {answer.headers['request-id']}", document["detail"])
        self.assertNotIn(b"secret", answer.content)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_no_body(self) -> None:
        answer = self.ask("GET", "/v1/things/7")
        self.assertEqual((204, b""), (answer.status, answer.content))

    def test_stream_ends_when_the_client_goes(self) -> None:
        channel = Channel(self.site)
        channel.send("GET", "/v1/flow", key=self.key)
        self.assertIn(b"data: 1", channel.transport.value())
        self.assertEqual([], self.things.cancelled)
        channel.protocol.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(1, len(self.things.cancelled))

    def test_drain(self) -> None:
        self.things.waiting = Deferred()
        channel = Channel(self.site)
        channel.send("POST", "/v1/things", {"name": "ab"}, key=self.key)
        drained = Deferred.fromCoroutine(self.application.drain(30))
        self.assertNoResult(drained)
        self.things.waiting.callback(None)
        self.successResultOf(drained)
        self.assertEqual(201, channel.answer().status)

    def test_proxies(self) -> None:
        from ipaddress import ip_network

        headers = {"X-Forwarded-For": "198.51.100.1, 203.0.113.9"}
        self.assertEqual(b"192.0.2.7", self.ask("GET", "/open", headers=headers).content)
        self.application.use(0, [ip_network("192.0.2.0/24")])
        self.assertEqual(b"203.0.113.9", self.ask("GET", "/open", headers=headers).content)
        self.assertEqual(b"192.0.2.7", self.ask("GET", "/open", headers={"X-Forwarded-For": "what"}).content)
