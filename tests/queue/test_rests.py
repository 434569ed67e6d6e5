"""What waits for a site that rests: on disk, unclaimed, without attempts, and back when it is over."""

from __future__ import annotations

from random import Random
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.model.event import DeferredTo, DeliveredTo, FailedTo, Notified
from mta.queue.suspensions import Suspension
from tests.queue.fakes import DOWN, HOME, NEVER, NOW, OK, Bench


class RestTests(SynchronousTestCase):
    def setUp(self) -> None:
        uniform = Random(1).random
        self.bench = Bench(retry=[60, 300], warn_after=0, window_messages=64, uniform=uniform)
        self.bench.manager.start()
        self.spool, self.relay = self.bench.spool, self.bench.relay
        self.relay.default = DOWN

    def backlog(self, count: int = 400, **facts: Any) -> None:
        """More than the window takes."""
        for number in range(count):
            self.bench.send(f"u{number}@far.test", **facts)

    def attempts(self) -> int:
        return sum(one.attempts for message in self.spool.messages.values() for one in message.addressees)

    def test_a_backlog_is_not_claimed_again(self) -> None:
        """An hour of rests costs a few claims, one attempt each, and no line for each message."""
        self.backlog()
        self.bench.run(5)
        told = len(self.spool.of(DeferredTo))
        self.assertLessEqual(told, 410)
        claimed = sum(map(len, self.spool.claims))
        self.bench.run(3600)
        self.assertLess(sum(map(len, self.spool.claims)) - claimed, 100)
        tried = len(self.relay.deliveries)
        self.assertLess(tried, 20)
        self.assertEqual(tried, self.attempts())
        # Those that tried, each time.
        self.assertLess(len(self.spool.of(DeferredTo)) - told, 2 * tried)

    def test_back_at_once(self) -> None:
        """When the one that tries is taken, the others do not wait for their time."""
        self.backlog()
        self.bench.run(5)
        self.relay.default = OK
        self.bench.run(85)
        self.assertEqual({}, self.spool.messages)
        self.assertEqual(1, len(self.spool.call_backs))

    def test_it_says_why(self) -> None:
        self.backlog()
        self.bench.run(5)
        words = {one.last_reply for message in self.spool.messages.values() for one in message.addressees}
        self.assertTrue(
            any(one.startswith("451 4.4.1 Not tried, since nobody answered") for one in words), words
        )
        self.assertEqual(2, len(words), words)

    def test_it_expires(self) -> None:
        """Down for good: everybody is told when the time is over, and of the last trouble."""
        self.backlog(100)
        self.bench.run(self.bench.settings.expire + 10, 20)
        self.assertEqual({}, self.spool.messages)
        failed = self.spool.of(FailedTo)
        self.assertEqual(100, sum(event.recipient.endswith("@far.test") for event in failed))
        self.assertTrue(all(event.expired for event in failed))
        self.assertIn("refused", failed[50].reply)

    def test_the_sender_is_warned(self) -> None:
        bench = Bench(dict(HOME), retry=[60, 300], warn_after=7200, window_messages=64)
        bench.manager.start()
        bench.relay.default = DOWN
        for number in range(100):
            bench.send(f"u{number}@far.test", notify=frozenset({"DELAY"}))
        # Whoever tries at that time is told when it has failed.
        bench.run(7200 + 1200, 20)
        warned = [one for one in bench.spool.of(Notified) if one.action == "delayed"]
        self.assertEqual(100, len(warned))

    def test_another_answer_ends_it_too(self) -> None:
        """A refusal of one recipient is an answer."""
        self.backlog()
        self.bench.run(5)
        self.relay.default = NEVER
        self.bench.run(85)
        self.assertEqual(400, len([one for one in self.spool.of(FailedTo) if "far.test" in one.recipient]))

    def test_while_one_finds_out(self) -> None:
        """The others stay where they are, however long it takes."""
        self.backlog()
        self.bench.run(5)
        self.relay.default = None
        self.bench.run(600)
        self.assertEqual(4, len(self.relay.deliveries))
        claimed = sum(map(len, self.spool.claims))
        self.bench.run(600)
        self.assertLess(sum(map(len, self.spool.claims)) - claimed, 200)
        self.assertEqual(4, len(self.relay.deliveries))

    def test_trouble_of_the_disk(self) -> None:
        """Without the help of the spool each waits by itself; nobody is lost."""

        def broken(*arguments: Any) -> Any:
            raise OSError("no space")

        self.patch(self.spool, "put_off", broken)
        self.backlog(100)
        self.bench.run(5)
        self.assertGreater(len(self.flushLoggedErrors(OSError)), 0)
        self.relay.default = OK
        self.bench.run(3600)
        self.assertEqual({}, self.spool.messages)
        self.assertEqual(100, len(self.spool.of(DeliveredTo)))
        self.flushLoggedErrors(OSError)


class SuspendedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench(retry=[60, 300], warn_after=0, window_messages=64)
        self.bench.manager.start()
        self.spool, self.relay = self.bench.spool, self.bench.relay

    def now(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def suspend(self, **facts: Any) -> None:
        self.now(self.bench.manager.suspend("far.test", "op", "they asked", **facts))
        for number in range(400):
            self.bench.send(f"u{number}@far.test")

    def test_no_attempts(self) -> None:
        self.suspend()
        self.bench.run(7200, 5)
        self.assertEqual([], self.relay.deliveries)
        self.assertEqual(
            {0}, {one.attempts for message in self.spool.messages.values() for one in message.addressees}
        )
        self.assertLessEqual(len(self.spool.of(DeferredTo)), 400)

    def test_resumed(self) -> None:
        """They go within seconds."""
        self.suspend()
        self.bench.run(100)
        self.now(self.bench.manager.resume("far.test", "op"))
        self.bench.run(10)
        self.assertEqual({}, self.spool.messages)

    def test_resumed_elsewhere(self) -> None:
        """Another worker's operator ended it."""
        self.suspend()
        self.bench.run(100)
        self.bench.manager._rests.suspensions.resume("far.test")
        self.bench.run(12)
        self.assertEqual({}, self.spool.messages)

    def test_until(self) -> None:
        """It ends by itself."""
        self.suspend(until=NOW + 500)
        self.bench.run(490)
        self.assertEqual([], self.relay.deliveries)
        self.bench.run(60)
        self.assertEqual({}, self.spool.messages)

    def test_shorter(self) -> None:
        """Said anew with an earlier end, it ends then."""
        self.suspend(until=NOW + 5000)
        self.bench.run(10)
        self.now(self.bench.manager.suspend("far.test", "op", "shorter", until=NOW + 100))
        self.bench.run(80)
        self.assertEqual([], self.relay.deliveries)
        self.bench.run(40)
        self.assertEqual({}, self.spool.messages)

    def test_resumed_after_a_restart(self) -> None:
        """Who was put off by an earlier process goes at once, too; before, nobody does."""
        self.suspend()
        self.bench.run(10)
        self.bench.restart()
        self.bench.run(100)
        self.assertEqual([], self.relay.deliveries)
        self.now(self.bench.manager.resume("far.test", "op"))
        self.bench.run(10)
        self.assertEqual({}, self.spool.messages)

    def test_ended_while_down(self) -> None:
        self.suspend(until=NOW + 20)
        self.bench.run(10)
        done = Deferred.fromCoroutine(self.bench.manager.stop(1))
        self.bench.clock.advance(15)
        self.successResultOf(done)
        self.bench.restart()
        self.bench.run(10)
        self.assertEqual({}, self.spool.messages)

    def test_others_of_the_site(self) -> None:
        """A suspension is of a next hop; what else goes to the same hosts goes on."""
        self.suspend()
        self.bench.send("x@near.test")
        self.bench.run(1)
        (event,) = self.spool.of(DeliveredTo)
        self.assertEqual("x@near.test", event.recipient)

    def test_replaced(self) -> None:
        """A suspension said anew holds for those that wait already."""
        self.suspend(until=NOW + 60)
        self.bench.run(10)
        self.bench.manager._rests.suspensions.suspend(Suspension("far.test", "op", "longer", NOW, NOW + 5000))
        self.bench.run(1000)
        self.assertEqual([], self.relay.deliveries)
