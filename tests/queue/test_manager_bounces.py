"""Who is told when a notification fails itself, and when nobody knows the way to the sender."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import Route, RouteError, TemporarilyUnavailable
from mta.model.catalogue import REPLIES
from mta.model.envelope import Envelope, Recipient
from mta.model.event import Discarded, FailedTo, Notified, Received
from mta.model.message import FileContent, InlineContent
from tests.queue.fakes import CONTENT, LATER, NEVER, Bench

SENDER = [Route("a@home.test", "maildir", "/m/a")]
POSTMASTER = [Route("pm@home.test", "maildir", "/m/pm")]
NO_WAY = RouteError(REPLIES.reply("mailbox-unknown", address="a@home.test", ref=""))


class DoubleBounceTests(SynchronousTestCase):
    def bench(self, routes: dict[str, Any], **settings: Any) -> Bench:
        bench = Bench(routes, **settings)
        bench.manager.start()
        bench.relay.default = NEVER
        return bench

    def told(self, bench: Bench) -> list[str]:
        return [event.to for event in bench.spool.of(Notified)]

    def test_null_sender_goes_to_the_postmaster(self) -> None:
        bench = self.bench({"postmaster": POSTMASTER})
        bench.send("x@far.test", sender="")
        self.assertEqual(["postmaster"], self.told(bench))
        (delivery,) = bench.local.deliveries
        self.assertEqual(("", "pm@home.test"), (delivery.sender, delivery.addressees[0].address))
        self.assertIn(b"as the postmaster", delivery.message.content.read())
        self.assertEqual({}, bench.spool.messages)

    def test_other_reverse_path(self) -> None:
        """Copies with a reverse-path each go one by one; the sender is told of them as ever."""
        bench = self.bench({"a@home.test": SENDER})
        message = bench.message("x@far.test", "y@far.test", "z@far.test", sender="a@home.test")
        for addressee, path in zip(message.addressees, ("b-1@home.test", "b-2@home.test"), strict=False):
            addressee.options = {"return_path": path}
        bench.spool.put(message)
        bench.manager.admitted(message)
        self.assertEqual(
            [("b-1@home.test", "x@far.test"), ("b-2@home.test", "y@far.test"), ("a@home.test", "z@far.test")],
            [(delivery.sender, delivery.addressees[0].address) for delivery in bench.relay.deliveries],
        )
        self.assertEqual(["a@home.test"], self.told(bench))

    def test_one_with_another_reverse_path(self) -> None:
        """The short way of a message with one addressee."""
        bench = self.bench({"a@home.test": SENDER})
        message = bench.message("x@far.test", sender="a@home.test")
        message.addressees[0].options = {"return_path": "b-1@home.test"}
        bench.spool.put(message)
        bench.manager.admitted(message)
        self.assertEqual(["b-1@home.test"], [delivery.sender for delivery in bench.relay.deliveries])
        self.assertEqual(["a@home.test"], self.told(bench))

    def test_signed(self) -> None:
        """A notification has our signature on top; one that cannot be made keeps it from nobody."""
        seen: list[bytes] = []

        async def sign(data: bytes, now: float) -> bytes:
            seen.append(data)
            if len(seen) > 1:
                raise ValueError("no key")
            return b"DKIM-Signature: x\r\n"

        bench = self.bench({"a@home.test": SENDER})
        bench.sign = sign
        for trace in (b"DKIM-Signature: x\r\n", b""):
            bench.send("x@far.test", sender="a@home.test")
            message = bench.local.deliveries[-1].message
            self.assertEqual(trace, message.trace)
            self.assertEqual(seen[-1], message.content.read())
            self.assertEqual(message.size, bench.spool.of(Received)[-1].size)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))

    def test_by_the_setting(self) -> None:
        bench = self.bench({"pm@home.test": POSTMASTER}, postmaster="pm@home.test")
        bench.send("x@far.test", sender="")
        self.assertEqual(["pm@home.test"], self.told(bench))

    def test_discarded_by_the_setting(self) -> None:
        bench = self.bench({"postmaster": POSTMASTER}, double_bounce="discard")
        message = bench.send("x@far.test", sender="")
        (event,) = bench.spool.of(Discarded)
        self.assertEqual((message.id, ["x@far.test"]), (event.message, event.recipients))
        self.assertEqual({}, bench.spool.messages)

    def test_no_postmaster(self) -> None:
        bench = self.bench({})
        bench.send("x@far.test", sender="")
        self.assertIn("nor can the postmaster be told", bench.spool.of(Discarded)[0].reason)
        self.assertEqual({}, bench.spool.messages)

    def test_never_loops(self) -> None:
        """Sender and postmaster refuse: a failure, a bounce, a report, and the end."""
        bench = self.bench({"a@home.test": SENDER, "postmaster": POSTMASTER})
        bench.local.default = NEVER
        bench.send("x@far.test")
        self.assertEqual(["a@home.test", "postmaster"], self.told(bench))
        self.assertEqual(3, len(bench.spool.of(FailedTo)))
        self.assertEqual(1, len(bench.spool.of(Discarded)))
        self.assertEqual({}, bench.spool.messages)

    def test_sender_without_a_way(self) -> None:
        bench = self.bench({"a@home.test": NO_WAY, "postmaster": POSTMASTER})
        bench.send("x@far.test")
        self.assertEqual(["postmaster"], self.told(bench))

    def test_nobody_is_warned_of_a_delay_of_a_bounce(self) -> None:
        bench = self.bench({"postmaster": POSTMASTER}, warn_after=60)
        bench.relay.default = LATER
        bench.send("x@far.test", sender="")
        bench.run(3600, 10)
        self.assertEqual([], self.told(bench))

    def test_directory_is_down(self) -> None:
        """The failure is recorded and told at once, and the way is asked for later."""
        bench = self.bench({"a@home.test": TemporarilyUnavailable("ldap")})
        bench.send("x@far.test")
        self.assertEqual(1, len(bench.spool.of(FailedTo)))
        (message,) = bench.spool.messages.values()
        self.assertEqual("", message.envelope.reverse_path)
        self.assertEqual([], bench.local.deliveries)
        bench.routes["a@home.test"] = SENDER
        bench.run(61)
        self.assertEqual({}, bench.spool.messages)
        (delivery,) = bench.local.deliveries
        self.assertEqual(
            ("a@home.test", "/m/a"), (delivery.addressees[0].address, delivery.addressees[0].next_hop)
        )

    def test_directory_comes_back_and_knows_a_list(self) -> None:
        """Its owner is not told of a bounce that fails: the reverse-path stays null."""
        bench = self.bench({"a@home.test": TemporarilyUnavailable("ldap")})
        bench.send("x@far.test")
        bench.routes["a@home.test"] = [Route("b@home.test", "maildir", "/m/b", sender="owner@home.test")]
        bench.run(61)
        self.assertEqual([""], [delivery.sender for delivery in bench.local.deliveries])

    def test_directory_comes_back_and_knows_nobody(self) -> None:
        bench = self.bench({"a@home.test": TemporarilyUnavailable("ldap"), "postmaster": POSTMASTER})
        bench.send("x@far.test")
        bench.routes["a@home.test"] = NO_WAY
        bench.run(61)
        self.assertEqual({}, bench.spool.messages)
        self.assertEqual(["a@home.test", "postmaster"], self.told(bench))

    def test_a_router_with_a_fault(self) -> None:
        bench = self.bench({"a@home.test": ZeroDivisionError()})
        bench.send("x@far.test")
        self.assertTrue(self.flushLoggedErrors(ZeroDivisionError))
        self.assertEqual(1, len(bench.spool.messages))

    def test_a_notification_that_cannot_be_made(self) -> None:
        """A fault of ours: nobody ends untold, and it is not tried without a pause."""
        bench = self.bench({"a@home.test": SENDER})

        async def tell(*arguments: Any) -> Any:
            raise ZeroDivisionError

        notifier = bench.manager._notifier
        notifier.tell = tell  # type: ignore[method-assign]
        bench.send("x@far.test")
        bench.run(59)
        self.assertEqual(1, len(bench.relay.deliveries))
        self.assertEqual([], bench.spool.of(FailedTo))
        del notifier.tell
        bench.run(2)
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual(1, len(bench.local.deliveries))
        self.assertEqual({}, bench.spool.messages)

    def test_the_router_answers_later(self) -> None:
        bench = self.bench({"a@home.test": succeed(SENDER)})
        bench.send("x@far.test")
        self.assertEqual(1, len(bench.local.deliveries))

    def test_the_notification_can_be_traced(self) -> None:
        bench = self.bench({"a@home.test": SENDER})
        message = bench.send("x@far.test")
        (event,) = bench.spool.of(Received)
        self.assertEqual(
            ("", ["a@home.test"], message.id), (event.sender, event.recipients, event.tags["about"])
        )

    def test_it_is_as_urgent_as_what_it_is_about(self) -> None:
        """RFC 6710, 4.6."""
        bench = self.bench({"a@home.test": SENDER})
        bench.send("x@far.test", attributes={"priority": -4})
        self.assertEqual(-4, bench.local.deliveries[0].message.attributes["priority"])


class ReturnedTests(SynchronousTestCase):
    """How much of the message comes back."""

    def returned(self, ret: str, data: bytes, body: Any = "7BIT", file: bool = False) -> bytes:
        bench = Bench({"a@home.test": SENDER})
        bench.manager.start()
        bench.relay.default = NEVER
        content: Any = InlineContent(data)
        if file:
            path = Path(self.mktemp())
            path.write_bytes(data)
            content = FileContent(path, len(data))
        envelope = Envelope("a@home.test", [Recipient("x@far.test")], ret=ret, body=body)
        bench.send("x@far.test", envelope=envelope, content=content)
        delivery = bench.local.deliveries[0]
        text: bytes = delivery.message.content.read()
        self.assertEqual("7BIT" if text.isascii() else "8BITMIME", delivery.message.envelope.body)
        return text

    def test_full(self) -> None:
        text = self.returned("FULL", CONTENT + b"x" * 70 + b"\r\n" * 1500)
        self.assertIn(b"message/rfc822", text)
        self.assertIn(b"x" * 70, text)

    def test_headers(self) -> None:
        text = self.returned("HDRS", CONTENT)
        self.assertIn(b"text/rfc822-headers", text)
        self.assertIn(b"Subject: Lunch\r\n", text)
        self.assertNotIn(b"Hello", text)

    def test_too_large(self) -> None:
        for file in (False, True):
            text = self.returned("FULL", CONTENT + b"x" * (1 << 20), file=file)
            self.assertIn(b"text/rfc822-headers", text)
            self.assertLess(len(text), 10_000)

    def test_unasked(self) -> None:
        self.assertIn(b"message/rfc822", self.returned("", CONTENT))
        self.assertIn(b"text/rfc822-headers", self.returned("", CONTENT + b"x" * 70_000))

    def test_from_a_file(self) -> None:
        self.assertIn(b"Hello", self.returned("FULL", CONTENT, file=True))

    def test_binary(self) -> None:
        self.assertNotIn(b"Hello", self.returned("FULL", CONTENT, body="BINARYMIME"))
        self.assertNotIn(b"Hello", self.returned("FULL", CONTENT + b"\0"))

    def test_long_lines(self) -> None:
        self.assertIn(b"Hello", self.returned("FULL", CONTENT + b"x" * 998))
        self.assertNotIn(b"Hello", self.returned("FULL", CONTENT + b"x" * 999))

    def test_eight_bit(self) -> None:
        self.assertIn("grün".encode(), self.returned("FULL", CONTENT + "grün".encode()))

    def test_a_file_that_is_gone(self) -> None:
        bench = Bench({"a@home.test": SENDER})
        bench.manager.start()
        bench.relay.default = NEVER
        bench.send("x@far.test", content=FileContent(Path(self.mktemp()), 10))
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))
        self.assertEqual(1, len(bench.local.deliveries))
        self.assertEqual({}, bench.spool.messages)
