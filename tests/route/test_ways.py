"""Where mail for elsewhere goes: by recipient, by sender, and to the primaries of others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import Route, RouteError
from mta.model.outcome import RemoteReply
from mta.route.address_map import Layers
from mta.route.backup import BackupRouter, backup_key, backup_value
from mta.route.departure import Departures, sender_key, sender_way
from mta.route.file_problem import FileError, Wrong
from mta.route.maps import parse_map
from mta.route.outbound import OutboundRouter
from mta.route.way import Known, parse_way

KNOWN = {
    "relay": Known("relay", "smart.test:587"),
    "office": Known("relay", "office.test:587"),
    "store": Known("lmtp"),
    "tickets": Known("pipe"),
    "maildir": Known("maildir"),
    "error": Known("error"),
}


def ways(text: str) -> Any:
    found = parse_map(text, "transport", lambda key, value: parse_way(value, KNOWN))
    return Layers([lambda: found])


class WayTests(SynchronousTestCase):
    """The right side."""

    def test_ways(self) -> None:
        for text, transport, next_hop in (
            ("relay:[mx.test]:2525", "relay", "[mx.test]:2525"),
            ("smtp:mx.test", "relay", "mx.test"),
            (":[192.0.2.1]", "relay", "[192.0.2.1]"),
            ("smtp:[mx.test]:submission", "relay", "[mx.test]:587"),
            ("relay:", "relay", ""),
            ("office:", "office", "office.test:587"),
            ("office:[other.test]:25", "office", "[other.test]:25"),
            ("store:unix:/run/lmtp", "store", "unix:/run/lmtp"),
            ("store:inet:127.0.0.1:24", "store", "127.0.0.1:24"),
            ("tickets:", "tickets", ""),
        ):
            way = parse_way(text, KNOWN)
            self.assertEqual(("go", transport, next_hop), (way.kind, way.transport, way.next_hop), text)
        self.assertEqual("usual", parse_way(":", KNOWN).kind)

    def test_refusals(self) -> None:
        for text, reply in (
            ("error:5.1.1 No such person", (550, "5.1.1", "No such person")),
            ("error:gone", (550, "5.1.2", "gone")),
            ("error:4.3.2 Not today", (450, "4.3.2", "Not today")),
            ("retry:", (450, "4.3.0", "mail for this address is not taken here")),
        ):
            self.assertEqual(reply, parse_way(text, KNOWN).reply)

    def test_wrong(self) -> None:
        for text in (
            "", "relay", "nosuch:x", "discard:", "local:", "maildir:/x", "relay:a b", "relay:[x]:0",
            "relay:x:http", "error:nicht möglich", "retry:5.0.0 x",
        ):  # fmt: skip
            self.assertRaises(Wrong, parse_way, text, KNOWN)

    def test_place(self) -> None:
        error = self.assertRaises(
            FileError,
            parse_map,
            "a.test relay:\n\nb.test nosuch:x\n",
            "transport",
            lambda k, t: parse_way(t, KNOWN),
        )
        self.assertIn("transport:3: there is no transport 'nosuch'", str(error))


class OutboundTests(SynchronousTestCase):
    """``[[route]]``."""

    def setUp(self) -> None:
        self.router = OutboundRouter(
            "smart.test",
            ways(
                "a.test relay:[mx.a.test]:26\n.a.test relay:b.test\nx@a.test relay:\n"
                "/^list-.*@/ tickets:\nusual.test :\nno.test error:5.1.2 Not by us\n* store:unix:/rest\n"
            ),
        )

    def test_found(self) -> None:
        for address, transport, next_hop, options in (
            ("u@a.test", "relay", "[mx.a.test]:26", {"configured": True}),
            ("u@s.a.test", "relay", "b.test", {"configured": True}),
            ("x+y@a.test", "relay", "a.test", {"configured": False}),
            ("list-a@a.test", "tickets", "", {}),
            ("u@usual.test", "relay", "smart.test", {}),
            ("u@else.test", "store", "unix:/rest", {}),
        ):
            found: Sequence[Route] | None = self.router.route(address)
            self.assertEqual([Route(address, transport, next_hop, options)], list(found or ()))
        error = self.assertRaises(RouteError, self.router.route, "u@no.test")
        self.assertEqual("route-refused", error.reply.name)
        self.assertIn("Not by us", error.reply.text)

    def test_told(self) -> None:
        steps, _ = self.successResultOf(Deferred.fromCoroutine(self.router.trace("u@s.a.test")))
        self.assertEqual(["u@s.a.test goes by relay to b.test: transport:2 says so of a.test"], steps)
        steps, error = self.successResultOf(Deferred.fromCoroutine(self.router.trace("u@no.test")))
        self.assertIn("is refused", steps[0])
        self.assertIsInstance(error, RouteError)
        steps, _ = self.successResultOf(Deferred.fromCoroutine(self.router.trace("u@usual.test")))
        self.assertIn("smarthost", steps[0])


class DepartureTests(SynchronousTestCase):
    """``[[sender_relay]]``."""

    def departures(self, text: str) -> Departures:
        found = parse_map(text, "senders", lambda key, value: sender_way(value, KNOWN), sender_key)
        return Departures(Layers([lambda: found]))

    def hop(self, text: str, sender: str, **more: str) -> str:
        [route] = self.departures(text).leave([Route("u@far.test", "relay", "far.test")], sender, **more)
        return f"{route.transport} {route.next_hop} {route.options.get('login', '-')}"

    def test_order(self) -> None:
        text = (
            "ann@here.test [a.test]:587\n/^bot-/ [b.test]:587\naccount:Ann [c.test]\ntenant:shop [d.test]\n"
            "here.test office:\n* e.test\n<> [f.test]\n"
        )
        for sender, more, wanted in (
            ("Ann+x@here.test", {}, "relay [a.test]:587 ann+x@here.test"),
            ("bot-1@x.test", {"account": "ann"}, "relay [b.test]:587 bot-1@x.test"),
            ("eve@here.test", {"account": "Ann", "tenant": "shop"}, "relay [c.test] eve@here.test"),
            ("eve@here.test", {"tenant": "shop"}, "relay [d.test] eve@here.test"),
            ("eve@here.test", {}, "office office.test:587 eve@here.test"),
            ("eve@else.test", {}, "relay e.test eve@else.test"),
            ("", {}, "relay [f.test] -"),
        ):
            self.assertEqual(wanted, self.hop(text, sender, **more), sender)

    def test_only_what_leaves_the_usual_way(self) -> None:
        departures = self.departures("* [a.test]:587\n")
        routes = [
            Route("u@a.test", "maildir", "/x"),
            Route("u@a.test", "relay", "[b.test]", {"configured": True}),
            Route("u@a.test", "relay", "a.test", {"configured": False}),
        ]
        self.assertEqual(routes, list(departures.leave(routes, "ann@here.test")))

    def test_owner(self) -> None:
        """A list's copies leave as its owner's."""
        departures = self.departures("owner-l@here.test [a.test]:587\n")
        [route] = departures.leave(
            [Route("u@x.test", "relay", "x.test", {}, "owner-l@here.test")], "eve@y.test"
        )
        self.assertEqual(("[a.test]:587", "owner-l@here.test"), (route.next_hop, route.sender))

    def test_usual(self) -> None:
        self.assertEqual("relay far.test -", self.hop("ann@x.test :\n* [a.test]\n", "ann@x.test"))
        self.assertEqual("relay far.test -", self.hop("ann@x.test relay:\n", "ann@x.test"))

    def test_told(self) -> None:
        steps: list[str] = []
        self.departures("here.test [a.test]:587").leave(
            [Route("u@far.test", "relay", "far.test")], "ann@here.test", steps=steps
        )
        self.assertEqual(
            [
                "<u@far.test> goes by relay to [a.test]:587: senders:1 says so of here.test "
                "(sender <ann@here.test>)"
            ],
            steps,
        )

    def test_notifications(self) -> None:
        departures = self.departures("<> [a.test]:587\n")
        way = Route("u@far.test", "relay", "far.test")
        for answer in ((way,), succeed((way,))):
            found: Any = departures.notifications(lambda address, answer=answer: answer)("u@far.test")  # type: ignore[misc]
            if not isinstance(found, list):
                found = self.successResultOf(Deferred.fromCoroutine(found))
            self.assertEqual("[a.test]:587", found[0].next_hop)

    def test_own_mail(self) -> None:
        """What we write ourselves under a name goes where mail of that name goes."""
        departures = self.departures("<> [a.test]:587\nreports@example.org [b.test]:587\n")
        way = Route("u@far.test", "relay", "far.test")
        found: Any = departures.notifications(lambda address: (way,), "reports@example.org")("u@far.test")
        self.assertEqual("[b.test]:587", found[0].next_hop)

    def test_wrong(self) -> None:
        for text in ("error:no", "discard:", "[a", "maildir:"):
            self.assertRaises(Wrong, sender_way, text, KNOWN)


class BackupTests(SynchronousTestCase):
    """``[backup_mx]``."""

    def router(self, verify: Any = None, text: str = "") -> BackupRouter:
        found = parse_map("b.test\n.c.test anything\n", "relay-domains", backup_value, backup_key)
        return BackupRouter(Layers([lambda: found]), OutboundRouter("smart.test", ways(text)), verify)

    def test_route(self) -> None:
        router = self.router()
        self.assertTrue(router.is_local("b.test"))
        self.assertTrue(router.is_local("x.c.test"))
        self.assertFalse(router.is_local("c.test"))
        self.assertIsNone(router.route("u@c.test"))
        self.assertIsNone(router.route("postmaster"))
        # To its own mail servers, never to the smarthost; and no trouble there returns a message.
        self.assertEqual(
            [Route("u@b.test", "relay", "b.test", {"configured": True})], list(router.route("u@b.test"))
        )  # type: ignore[arg-type]

    def test_route_of_the_map(self) -> None:
        [route] = self.router(text="* relay:[all.test]").route("u@b.test")  # type: ignore[misc,union-attr]
        self.assertEqual("b.test", route.next_hop)
        [route] = self.router(text="b.test relay:[primary.test]:26").route("u@b.test")  # type: ignore[misc,union-attr]
        self.assertEqual("[primary.test]:26", route.next_hop)

    def test_no_open_relay(self) -> None:
        for text in ("*", "a@b.test", "/b.test/"):
            self.assertRaises(Wrong, backup_key, text)

    def test_verified(self) -> None:
        refusal = RemoteReply(550, "5.1.1", "Keiner für dich", "mx.b.test", "RCPT TO")
        for answer in (None, succeed(None)):
            found = self.router(lambda address, hop, answer=answer: answer).route("u@b.test")
            self.assertEqual(1, len(self._now(found)))
        router = self.router(lambda address, hop: succeed(refusal))
        found = router.route("u@b.test")
        failure = self.failureResultOf(Deferred.fromCoroutine(found), RouteError)  # type: ignore[arg-type]
        self.assertEqual((550, "primary-refuses"), (failure.value.reply.code, failure.value.reply.name))
        self.assertIn(
            "mx.b.test does not take it and says: 550 5.1.1 Keiner f?r dich", failure.value.reply.text
        )
        steps, _ = self.successResultOf(Deferred.fromCoroutine(router.trace("u@b.test")))
        self.assertIn("relay-domains:1 makes us a backup MX", steps[0])

    def _now(self, answer: Any) -> Any:
        return answer if isinstance(answer, tuple) else self.successResultOf(Deferred.fromCoroutine(answer))
