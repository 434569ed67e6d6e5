"""From admission to the end: attempts, retries, failures, and what is recorded of them."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from mta.config.settings import Queue
from mta.interfaces import IQueue, Route
from mta.model.event import Completed, DeferredTo, DeliveredTo, FailedTo, Notified
from mta.model.message import InlineContent
from mta.model.outcome import Delivered, Postponed, RemoteReply
from mta.queue.attempts import FORGOTTEN
from tests.queue.fakes import CONTENT, DOWN, HOME, LATER, NEVER, NOW, OK, Bench, Scripted


class DeliveryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench(dict(HOME))
        self.bench.manager.start()

    def test_provides_the_queue(self) -> None:
        self.assertTrue(verifyObject(IQueue, self.bench.manager))

    def test_delivered_at_once(self) -> None:
        message = self.bench.send("x@far.test")
        self.assertEqual({}, self.bench.spool.messages)
        delivered, completed = self.bench.spool.journal
        self.assertIsInstance(completed, Completed)
        assert isinstance(delivered, DeliveredTo)
        self.assertEqual(
            (message.id, "x@far.test", 1, 250),
            (delivered.message, delivered.recipient, delivered.attempt, delivered.code),
        )
        self.assertEqual("mx.far.test [192.0.2.1]", delivered.host)
        self.assertEqual(0, self.bench.manager.status()["window"]["messages"])
        self.assertEqual(0, self.bench.manager.status()["window"]["octets"])

    def test_the_body_is_not_read_again(self) -> None:
        self.bench.send("x@far.test")
        self.assertEqual([[]], self.bench.spool.claims)

    def test_what_was_there_before_the_start(self) -> None:
        bench = Bench()
        bench.spool.put(bench.message("x@far.test"))
        bench.manager.start()
        self.assertEqual({}, bench.spool.messages)
        self.assertTrue(bench.relay.deliveries[0].repeat)

    def test_what_had_no_room_was_not_tried(self) -> None:
        """It is read from the disk for its first attempt, which nobody can have made before."""
        bench = Bench(window_messages=10)
        bench.manager.start()
        bench.relay.default = None
        for _ in range(15):
            bench.send("x@far.test")
        bench.relay.default = OK
        while bench.relay.waiting:
            bench.relay.end()
        bench.run(5)
        self.assertTrue(any(bench.spool.claims))
        self.assertEqual([False] * 15, [one.repeat for one in bench.relay.deliveries])

    def test_repeat(self) -> None:
        self.bench.relay.default = LATER
        self.bench.send("x@far.test")
        self.bench.run(61)
        self.assertEqual([False, True], [one.repeat for one in self.bench.relay.deliveries])

    def test_before_the_start_nothing_is_lost(self) -> None:
        bench = Bench()
        bench.send("x@far.test")
        self.assertEqual([], bench.relay.deliveries)
        bench.manager.start()
        self.assertEqual({}, bench.spool.messages)

    def test_one_delivery_for_each_way(self) -> None:
        self.bench.send("x@far.test", "y@far.test", "z@other.test")
        self.assertEqual(
            [["x@far.test", "y@far.test"], ["z@other.test"]], [seen[1] for seen in self.bench.relay.seen]
        )
        self.assertEqual({}, self.bench.spool.messages)
        self.assertEqual(3, len(self.bench.spool.of(DeliveredTo)))
        self.assertEqual(1, len(self.bench.spool.of(Completed)))

    def test_a_lists_copy_has_its_own_sender(self) -> None:
        message = self.bench.message("x@far.test", "y@far.test")
        message.addressees[1].options["sender"] = "owner@home.test"
        self.bench.spool.put(message)
        self.bench.manager.admitted(message)
        self.assertEqual(
            ["a@home.test", "owner@home.test"], [delivery.sender for delivery in self.bench.relay.deliveries]
        )

    def test_a_hundred_recipients_at_once(self) -> None:
        self.bench.send(*(f"u{number}@far.test" for number in range(250)))
        self.assertEqual([100, 100, 50], [len(one.addressees) for one in self.bench.relay.deliveries])
        self.assertEqual({}, self.bench.spool.messages)

    def test_awaitable_that_is_no_deferred(self) -> None:
        async def answer(delivery: Any) -> Any:
            return [OK]

        self.bench.relay.deliver = answer  # type: ignore[method-assign]
        self.bench.send("x@far.test")
        self.assertEqual({}, self.bench.spool.messages)

    def test_held_ones_wait(self) -> None:
        self.bench.send("x@far.test", state="held")
        self.bench.run(86400, 600)
        self.assertEqual([], self.bench.relay.deliveries)
        self.assertEqual(1, len(self.bench.spool.messages))

    def test_held_ones_stay_when_the_others_have_it(self) -> None:
        message = self.bench.message("x@far.test", "y@far.test")
        message.addressees[1].state = "held"
        self.bench.spool.put(message)
        self.bench.manager.admitted(message)
        (left,) = self.bench.spool.messages.values()
        self.assertEqual(["y@far.test"], [one.address for one in left.addressees])

    def test_admitted_twice_is_delivered_once(self) -> None:
        self.bench.relay.default = None
        message = self.bench.send("x@far.test")
        self.bench.manager.admitted(message)
        self.assertEqual(1, len(self.bench.relay.deliveries))


class TroubleTests(SynchronousTestCase):
    """Transports that do what they should not."""

    def setUp(self) -> None:
        self.bench = Bench()
        self.bench.manager.start()

    def only(self) -> Any:
        (message,) = self.bench.spool.messages.values()
        return message.addressees[0]

    def test_raises(self) -> None:
        def deliver(delivery: Any) -> Any:
            raise ZeroDivisionError

        self.bench.relay.deliver = deliver  # type: ignore[method-assign]
        self.bench.send("x@far.test")
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertIn("Trouble on our side in relay", self.only().last_reply)
        self.assertEqual(NOW + 60, self.only().due)

    def test_does_not_answer(self) -> None:
        """A transport that forgets a message does not keep it, nor those behind it, for ever."""
        self.bench.relay = Scripted(None, concurrency=1)
        self.bench.manager.replace(self.bench.settings, {"relay": self.bench.relay})
        self.bench.send("x@far.test")
        second = self.bench.send("y@far.test")
        self.bench.run(FORGOTTEN - 60, 60)
        self.assertEqual(1, len(self.bench.relay.seen))
        self.bench.relay.default = OK
        self.bench.run(1200, 60)
        self.assertEqual(1, len(self.flushLoggedErrors(TimeoutError)))
        self.assertEqual(1, self.bench.relay.cancelled)
        self.assertIn((second.id, ["y@far.test"]), self.bench.relay.seen)
        self.assertEqual({}, self.bench.spool.messages)

    def test_fails(self) -> None:
        self.bench.relay.deliver = lambda delivery: fail(ZeroDivisionError())  # type: ignore[method-assign]
        self.bench.send("x@far.test")
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual("queued", self.only().state)

    def test_concurrency_raises(self) -> None:
        def concurrency(next_hop: str) -> int:
            raise ZeroDivisionError

        self.bench.relay.concurrency = concurrency  # type: ignore[method-assign]
        self.bench.send("x@far.test")
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))
        self.assertEqual({}, self.bench.spool.messages)

    def test_admitted_never_raises(self) -> None:
        message = self.bench.message("x@far.test")
        self.bench.spool.put(message)
        message.addressees[0].options = None  # type: ignore[assignment]
        self.bench.manager.admitted(message)
        self.assertEqual(1, len(self.flushLoggedErrors(AttributeError)))
        self.bench.manager.admitted(self.bench.message())

    def test_wrong_number_of_outcomes(self) -> None:
        for answer in ([], [OK, OK], None, "x", [None], 5):
            bench = Bench()
            bench.manager.start()

            async def deliver(delivery: Any, answer: Any = answer) -> Any:
                return answer

            bench.relay.deliver = deliver  # type: ignore[method-assign]
            bench.send("x@far.test")
            self.assertEqual(1, len(self.flushLoggedErrors(TypeError)))
            self.assertEqual(451, bench.spool.of(DeferredTo)[0].code)

    def test_unknown_transport(self) -> None:
        message = self.bench.message("x@far.test")
        message.addressees[0].transport = "gone"
        self.bench.spool.put(message)
        self.bench.manager.admitted(message)
        self.assertEqual(
            "The transport gone is not configured here", self.bench.spool.of(DeferredTo)[0].reply
        )
        # When it is there again, a retry finds it.
        gone = Scripted()
        self.bench.manager.replace(self.bench.settings, {"gone": gone})
        self.bench.run(61)
        self.assertEqual(1, len(gone.deliveries))

    def test_a_record_that_fails_is_tried_again(self) -> None:
        self.bench.spool.broken = OSError("disk")
        self.bench.send("x@far.test")
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))
        self.bench.spool.broken = None
        self.bench.run(10)
        self.assertEqual({}, self.bench.spool.messages)
        self.assertTrue(self.bench.relay.deliveries[1].repeat)

    def test_a_claim_that_fails_is_tried_again(self) -> None:
        bench = Bench()
        bench.spool.put(bench.message("x@far.test"))
        claim, bench.spool.claim = bench.spool.claim, lambda *a: fail(OSError("disk"))  # type: ignore[method-assign,assignment]
        bench.manager.start()
        self.assertEqual(1, len(self.flushLoggedErrors(OSError)))
        bench.spool.claim = claim  # type: ignore[method-assign]
        bench.run(10)
        self.assertEqual({}, bench.spool.messages)


class RetryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench(dict(HOME), retry=[60, 300], expire=1000, warn_after=0)
        self.bench.manager.start()
        self.bench.relay.default = LATER

    def times(self) -> list[float]:
        return [event.at - NOW for event in self.bench.spool.of(DeferredTo)]

    def test_by_the_schedule(self) -> None:
        self.bench.send("x@far.test")
        self.bench.run(700)
        self.assertEqual([0, 60, 360, 660], self.times())
        (message,) = self.bench.spool.messages.values()
        addressee = message.addressees[0]
        self.assertEqual(4, addressee.attempts)
        self.assertEqual("mx.far.test [192.0.2.1] said: 451 4.2.0 come again", addressee.last_reply)
        self.assertEqual(NOW + 960, self.bench.spool.of(DeferredTo)[-1].next_attempt)

    def test_only_who_was_put_off(self) -> None:
        self.bench.relay.answers["y@far.test"] = OK
        self.bench.send("x@far.test", "y@far.test")
        self.bench.run(61)
        self.assertEqual(
            [["x@far.test", "y@far.test"], ["x@far.test"]], [seen[1] for seen in self.bench.relay.seen]
        )

    def test_expires_after_a_last_attempt(self) -> None:
        self.bench.send("x@far.test")
        self.bench.run(1100)
        self.assertEqual([0, 60, 360, 660, 960], self.times())
        (failed,) = self.bench.spool.of(FailedTo)
        self.assertEqual(1000, failed.at - NOW)
        self.assertTrue(failed.expired)
        self.assertEqual("4.4.7", failed.enhanced)
        self.assertIn("come again", failed.reply)
        self.assertEqual({}, self.bench.spool.messages)
        self.assertEqual("a@home.test", self.bench.local.deliveries[0].addressees[0].address)

    def test_expired_while_we_were_down(self) -> None:
        bench = Bench(expire=1000)
        bench.spool.put(bench.message("x@far.test"))
        bench.clock.advance(5000)
        bench.manager.start()
        self.assertEqual(1, len(bench.relay.deliveries))
        self.assertEqual({}, bench.spool.messages)

    def test_one_timer(self) -> None:
        for number in range(50):
            self.bench.send(f"u{number}@far{number}.test")
        self.assertEqual(1, len(self.bench.clock.getDelayedCalls()))

    def test_no_timer_without_work(self) -> None:
        self.bench.relay.default = OK
        self.bench.send("x@far.test")
        self.bench.run(5)
        self.assertEqual([], self.bench.clock.getDelayedCalls())

    def test_new_settings(self) -> None:
        self.bench.manager.replace(Queue(retry=[10], jitter=0, warn_after=0), {"relay": self.bench.relay})
        self.bench.send("x@far.test")
        self.bench.run(35)
        self.assertEqual([0, 10, 20, 30], self.times())

    def test_settled_while_something_long_is_under_way(self) -> None:
        """A delivery that takes minutes hides nothing that is due meanwhile."""
        self.bench.relay.answers["slow@other.test"] = None
        self.bench.send("slow@other.test")
        self.bench.send("x@far.test")
        self.bench.run(400)
        self.assertEqual([0, 60, 360], self.times())


class FailureTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench(dict(HOME), warn_after=14400)
        self.bench.manager.start()

    def test_failed(self) -> None:
        self.bench.relay.default = NEVER
        message = self.bench.send("x@far.test")
        self.assertEqual({}, self.bench.spool.messages)
        kinds = [type(event).__name__ for event in self.bench.spool.journal]
        self.assertEqual(["FailedTo", "Notified", "Received", "Completed", "DeliveredTo", "Completed"], kinds)
        (notified,) = self.bench.spool.of(Notified)
        self.assertEqual(
            (message.id, "failed", ["x@far.test"], "a@home.test"),
            (notified.message, notified.action, notified.recipients, notified.to),
        )
        (delivery,) = self.bench.local.deliveries
        self.assertEqual(notified.notification, delivery.message.id)
        self.assertEqual("", delivery.sender)
        assert isinstance(delivery.message.content, InlineContent)
        self.assertIn(b"no such user", delivery.message.content.data)
        self.assertEqual(NOW + 86400, delivery.message.expires)

    def test_told_together(self) -> None:
        self.bench.relay.answers = {"x@far.test": NEVER, "y@other.test": NEVER, "slow@third.test": None}
        self.bench.send("x@far.test", "y@other.test", "slow@third.test", "z@far.test")
        self.assertEqual([], self.bench.local.deliveries)
        # What was delivered does not wait to be recorded.
        self.assertEqual(["z@far.test"], [event.recipient for event in self.bench.spool.of(DeliveredTo)])
        self.bench.relay.end(OK)
        self.assertEqual(["x@far.test", "y@other.test"], self.bench.spool.of(Notified)[0].recipients)
        self.assertEqual(1, len(self.bench.local.deliveries))
        self.assertEqual({}, self.bench.spool.messages)

    def test_those_who_wait_are_not_concerned(self) -> None:
        self.bench.relay.answers = {"x@far.test": NEVER, "y@far.test": LATER}
        self.bench.send("x@far.test", "y@far.test")
        (message,) = self.bench.spool.messages.values()
        self.assertEqual(["y@far.test"], [one.address for one in message.addressees])
        self.bench.relay.answers = {}
        self.bench.run(61)
        self.assertEqual({}, self.bench.spool.messages)
        self.assertEqual(1, len(self.bench.spool.of(Notified)))

    def test_a_list_owner_is_told_of_its_copies(self) -> None:
        self.bench.routes["owner@home.test"] = [Route("owner@home.test", "maildir", "/m/owner")]
        self.bench.relay.default = NEVER
        message = self.bench.message("x@far.test", "y@far.test", notify=frozenset({"NEVER"}))
        message.addressees[1].options["sender"] = "owner@home.test"
        self.bench.spool.put(message)
        self.bench.manager.admitted(message)
        # NEVER was said by the author about the list, not about its members (RFC 3461, 5.2.7).
        self.assertEqual(["owner@home.test"], [one.to for one in self.bench.spool.of(Notified)])

    def test_warned_once(self) -> None:
        self.bench.relay.default = LATER
        self.bench.send("x@far.test")
        self.bench.run(14399, 60)
        self.assertEqual([], self.bench.spool.of(Notified))
        self.bench.run(1)
        self.bench.run(80000, 60)
        (notified,) = self.bench.spool.of(Notified)
        self.assertEqual("delayed", notified.action)
        self.assertEqual(14400, notified.at - NOW)
        (message,) = self.bench.spool.messages.values()
        self.assertTrue(message.addressees[0].warned)
        text = self.bench.local.deliveries[0].message.content.read()
        self.assertIn(b"Will-Retry-Until: ", text)
        self.assertIn(b"4 hours", text)

    def test_a_message_is_named_by_its_content(self) -> None:
        self.bench.relay.default = NEVER
        self.bench.send("x@far.test")
        self.assertIn(CONTENT, self.bench.local.deliveries[0].message.content.read())


class DestinationDownTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench(retry=[60, 300], warn_after=0)
        self.bench.manager.start()
        self.bench.relay.default = DOWN

    def test_after_three_failures_it_rests(self) -> None:
        for number in range(10):
            self.bench.send(f"u{number}@far.test")
        self.assertEqual(3, len(self.bench.relay.deliveries))
        self.assertEqual(10, len(self.bench.spool.of(DeferredTo)))
        self.assertTrue(
            self.bench.spool.of(DeferredTo)[-1].reply.startswith("Not tried, since nobody answered")
        )
        (status,) = self.bench.manager.status()["destinations"]
        self.assertEqual(NOW + 60, status["rests_until"])

    def test_others_are_not_concerned(self) -> None:
        self.bench.relay.answers["x@other.test"] = OK
        for number in range(10):
            self.bench.send(f"u{number}@far.test")
        self.bench.send("x@other.test")
        self.assertEqual(["x@other.test"], [event.recipient for event in self.bench.spool.of(DeliveredTo)])

    def test_one_tries_then_all_follow(self) -> None:
        for number in range(10):
            self.bench.send(f"u{number}@far.test")
        self.bench.relay.default = None
        self.bench.run(100)
        self.assertEqual(4, len(self.bench.relay.deliveries))
        self.bench.relay.default = OK
        self.bench.relay.end(OK)
        self.bench.run(10)
        self.assertEqual({}, self.bench.spool.messages)

    def test_the_probe_fails(self) -> None:
        for number in range(10):
            self.bench.send(f"u{number}@far.test")
        self.bench.run(110)
        self.assertEqual(4, len(self.bench.relay.deliveries))
        (status,) = self.bench.manager.status()["destinations"]
        self.assertEqual(1, status["in_flight_limit"])

    def test_a_greeting_that_refuses(self) -> None:
        """Who refuses the connection has said nothing of the message, whatever the code."""
        host = "mx.far.test [192.0.2.1]"
        self.bench.relay.default = Postponed(RemoteReply(450, "4.3.0", "go away", host, "connect"))
        for number in range(10):
            self.bench.send(f"u{number}@far.test")
        self.assertEqual(3, len(self.bench.relay.deliveries))

    def test_one_recipients_trouble_is_not_the_destinations(self) -> None:
        self.bench.relay.default = LATER
        for number in range(10):
            self.bench.send(f"u{number}@far.test")
        self.assertEqual(10, len(self.bench.relay.deliveries))

    def test_flush_tries_at_once(self) -> None:
        for number in range(10):
            self.bench.send(f"u{number}@far.test")
        self.bench.relay.default = OK
        self.assertEqual(10, self.successResultOf(Deferred.fromCoroutine(self.bench.manager.flush("op"))))
        self.bench.run(1)
        self.assertEqual({}, self.bench.spool.messages)


class SuccessTests(SynchronousTestCase):
    """NOTIFY=SUCCESS (RFC 3461, 4.1 and 5.2)."""

    def setUp(self) -> None:
        self.bench = Bench(dict(HOME))
        self.bench.manager.start()

    def notification(self, outcome: Any, transport: str = "relay", **facts: Any) -> bytes | None:
        self.bench.relay.default = outcome
        message = self.bench.message("x@far.test", notify=frozenset({"SUCCESS"}), **facts)
        message.addressees[0].transport = transport
        self.bench.spool.put(message)
        self.bench.manager.admitted(message)
        self.assertEqual({}, self.bench.spool.messages)
        found = [one.message for one in self.bench.local.deliveries if one.sender == ""]
        return found[0].content.read() if found else None

    def test_relayed(self) -> None:
        text = self.notification(OK)
        assert text is not None
        self.assertIn(b"Action: relayed\r\n", text)
        self.assertIn(b"was passed on to another server", text)
        self.assertNotIn(b"was delivered", text)
        self.assertIn(b"Status: 2.0.0\r\n", text)

    def test_the_next_hop_reports(self) -> None:
        self.assertIsNone(
            self.notification(Delivered(RemoteReply(250, "2.0.0", "ok", "mx.far.test"), dsn=True))
        )

    def test_in_the_mailbox(self) -> None:
        self.bench.local.default = Delivered(RemoteReply(250, "2.0.0", "Delivered to /m/x"))
        text = self.notification(OK, "maildir")
        assert text is not None
        self.assertIn(b"Action: delivered\r\n", text)

    def test_a_final_transport(self) -> None:
        self.bench.relay.final = True  # type: ignore[attr-defined]
        text = self.notification(OK)
        assert text is not None
        self.assertIn(b"Action: delivered\r\n", text)

    def test_headers_only(self) -> None:
        text = self.notification(OK)
        assert text is not None
        self.assertIn(b"text/rfc822-headers", text)
        self.assertNotIn(b"Hello", text)

    def test_null_sender(self) -> None:
        self.assertIsNone(self.notification(OK, sender=""))

    def test_failure_is_not_told(self) -> None:
        self.assertIsNone(self.notification(NEVER))
        self.assertEqual(1, len(self.bench.spool.of(FailedTo)))
