"""The window: bounded, filled in order of due time, and fair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.config.settings import Queue
from mta.model.envelope import Client
from mta.model.event import DeferredTo, DeliveredTo, FailedTo, Notified
from mta.model.message import InlineContent, Message
from tests.queue.fakes import CONTENT, HOME, LATER, OK, Bench, Scripted


class BoundTests(SynchronousTestCase):
    def test_messages(self) -> None:
        bench = Bench(window_messages=10)
        bench.manager.start()
        bench.relay.default = None
        for number in range(30):
            bench.send(f"u{number}@far{number}.test")
        self.assertEqual(10, bench.manager.status()["window"]["messages"])
        self.assertEqual(10, len(bench.relay.deliveries))
        while bench.relay.waiting:
            bench.relay.end()
            bench.run(2)
        self.assertEqual({}, bench.spool.messages)
        self.assertEqual(30, len(bench.relay.deliveries))

    def test_octets(self) -> None:
        bench = Bench(window_octets=100_000)
        bench.manager.start()
        bench.relay.default = None
        for number in range(10):
            bench.send(f"u{number}@far{number}.test", content=InlineContent(CONTENT + b"x" * 30_000))
        self.assertEqual(3, bench.manager.status()["window"]["messages"])
        self.assertLessEqual(bench.manager.status()["window"]["octets"], 100_000)
        while bench.relay.waiting:
            bench.relay.end()
            bench.run(2)
        self.assertEqual({}, bench.spool.messages)

    def test_one_that_is_larger_than_the_window(self) -> None:
        bench = Bench(window_octets=10_000)
        bench.manager.start()
        bench.send("x@far.test", content=InlineContent(CONTENT + b"x" * 30_000))
        self.assertEqual({}, bench.spool.messages)

    def test_by_due_time(self) -> None:
        bench = Bench(window_messages=10)
        for number in range(40):
            bench.spool.put(bench.message("x@far.test", due=bench.clock.seconds() - number))
        bench.manager.start()
        bench.run(30)
        self.assertEqual(40, len(bench.relay.deliveries))
        dues = [delivery.addressees[0].due for delivery in bench.relay.deliveries]
        self.assertEqual(sorted(dues), dues)

    def test_a_large_backlog_is_read_in_pages(self) -> None:
        bench = Bench(window_messages=2000)
        for number in range(1200):
            bench.spool.put(bench.message(f"x@far{number}.test"))
        bench.manager.start()
        bench.run(5)
        self.assertEqual({}, bench.spool.messages)
        self.assertLessEqual(max(map(len, bench.spool.claims)), 500)

    def test_deliveries_begin_a_few_in_a_turn(self) -> None:
        bench = Bench()
        for number in range(300):
            bench.spool.put(bench.message(f"x@far{number}.test"))
        bench.manager.start()
        self.assertEqual(50, len(bench.relay.deliveries))
        bench.clock.advance(0)
        self.assertEqual(300, len(bench.relay.deliveries))

    def test_deep_lines_do_not_recurse(self) -> None:
        bench = Bench()
        bench.manager.start()
        bench.relay.default = None
        for _ in range(1900):
            bench.send("x@far.test")
        bench.relay.default = OK
        for _ in range(5):
            bench.relay.end()
        bench.run(30)
        self.assertEqual({}, bench.spool.messages)

    def test_a_smaller_window(self) -> None:
        bench = Bench()
        bench.manager.start()
        bench.manager.replace(Queue(window_messages=10), {"relay": bench.relay})
        bench.relay.default = None
        for number in range(30):
            bench.send(f"u{number}@far{number}.test")
        self.assertEqual(10, bench.manager.status()["window"]["messages"])


class ConcurrencyTests(SynchronousTestCase):
    def test_of_a_destination(self) -> None:
        bench = Bench()
        bench.manager.start()
        bench.relay.default = None
        for _ in range(12):
            bench.send("x@far.test")
            bench.send("y@other.test")
        self.assertEqual(10, len(bench.relay.waiting))
        (first, second) = bench.manager.status()["destinations"]
        self.assertEqual(
            (7, 5, 7, 5), (first["waiting"], first["in_flight"], second["waiting"], second["in_flight"])
        )
        bench.relay.end()
        self.assertEqual(10, len(bench.relay.waiting))

    def test_new_transports_have_their_own(self) -> None:
        bench = Bench()
        bench.manager.start()
        bench.relay.default = None
        for _ in range(12):
            bench.send("x@far.test")
        wide = Scripted(concurrency=20)
        bench.manager.replace(bench.settings, {"relay": wide})
        self.assertEqual((5, 7), (len(bench.relay.deliveries), len(wide.deliveries)))

    def test_a_campaign_keeps_nobody_from_the_window(self) -> None:
        """Whoever has nothing waiting is next, however much another has on the disk."""
        bench = Bench(window_messages=20)
        bench.manager.start()
        bench.relay.default = None
        for number in range(200):
            bench.send(f"u{number}@far.test", client=Client("s1", account="mass"))
        person = bench.send("x@far.test", client=Client("s2", account="ann"))
        other = bench.send("x@other.test", client=Client("s2", account="ann"))
        self.assertIn(other.id, [one.message.id for one in bench.relay.deliveries])
        bench.relay.end()
        bench.relay.end()
        self.assertIn(person.id, [one.message.id for one in bench.relay.deliveries])
        # And nothing is lost by that.
        bench.relay.default = OK
        while bench.relay.waiting:
            bench.relay.end()
        bench.run(300)
        self.assertEqual({}, bench.spool.messages)
        self.assertEqual(202, len({one.message.id for one in bench.relay.deliveries}))

    def test_in_turn(self) -> None:
        bench = Bench()
        for domain in ("a", "b", "c"):
            for _ in range(4):
                bench.spool.put(bench.message(f"x@{domain}.test"))
        bench.manager.start()
        self.assertEqual(
            ["a", "b", "c"] * 4, [one.addressees[0].next_hop[0] for one in bench.relay.deliveries]
        )


class FairnessTests(SynchronousTestCase):
    """A destination that is slow keeps nobody waiting."""

    def bench(self, **settings: Any) -> Bench:
        bench = Bench(dict(HOME), window_messages=100, **settings)
        bench.relay.answers = {"slow@far.test": None, "slow@third.test": None}
        return bench

    def delivered(self, bench: Bench) -> int:
        return sum(event.recipient == "x@other.test" for event in bench.spool.of(DeliveredTo))

    def test_half_the_window(self) -> None:
        bench = self.bench()
        bench.manager.start()
        for _ in range(1000):
            bench.send("slow@far.test")
        self.assertLessEqual(bench.manager.status()["window"]["messages"], 60)
        for _ in range(20):
            bench.send("x@other.test")
        self.assertEqual(20, self.delivered(bench))

    def test_two_slow_ones(self) -> None:
        bench = self.bench()
        bench.manager.start()
        for _ in range(1000):
            bench.send("slow@far.test")
            bench.send("slow@third.test")
        for _ in range(20):
            bench.send("x@other.test")
        self.assertEqual(20, self.delivered(bench))

    def test_behind_a_backlog_on_disk(self) -> None:
        bench = self.bench()
        for _ in range(1000):
            bench.spool.put(bench.message("slow@far.test"))
        for _ in range(20):
            bench.spool.put(bench.message("x@other.test"))
        bench.manager.start()
        bench.run(30)
        self.assertEqual(20, self.delivered(bench))
        self.assertEqual(1000, len(bench.spool.messages))

    def test_what_is_put_off_has_its_turn(self) -> None:
        bench = self.bench()
        for _ in range(300):
            bench.spool.put(bench.message("slow@far.test"))
        bench.manager.start()
        for _ in range(4000):
            while bench.relay.waiting:
                bench.relay.end()
            bench.run(5, 5)
            if not bench.spool.messages:
                break
        self.assertEqual({}, bench.spool.messages)
        self.assertEqual(300, len(bench.spool.of(DeliveredTo)))
        # To be put off is no attempt.
        self.assertEqual({1}, {event.attempt for event in bench.spool.of(DeliveredTo)})

    def test_once_fast_now_slow(self) -> None:
        """It may fill the window while it is fast; then it gives room back."""
        bench = self.bench()
        bench.manager.start()
        for _ in range(20):
            bench.send("x@far.test")
        for _ in range(200):
            bench.send("slow@far.test")
        self.assertEqual(100, bench.manager.status()["window"]["messages"])
        bench.run(12)
        for _ in range(20):
            bench.send("x@other.test")
            bench.run(0.1)
        bench.run(5)
        self.assertEqual(20, self.delivered(bench))

    def test_expires_without_a_turn(self) -> None:
        bench = self.bench(expire=3600, warn_after=1800)
        bench.manager.start()
        for _ in range(200):
            bench.send("slow@far.test")
        bench.run(3700, 10)
        failed = bench.spool.of(FailedTo)
        self.assertTrue(failed)
        self.assertTrue(all(event.expired for event in failed))
        self.assertIn("turn", failed[0].reply)
        self.assertIn("delayed", {event.action for event in bench.spool.of(Notified)})
        self.assertEqual(0, bench.relay.cancelled)

    def test_a_fast_one_may_fill_the_window(self) -> None:
        bench = self.bench()
        for _ in range(1000):
            bench.spool.put(bench.message("x@far.test"))
        bench.manager.start()
        bench.run(5)
        self.assertEqual({}, bench.spool.messages)


class FirstBatchTests(SynchronousTestCase):
    """Very many for one mailbox at once, of whose pace nothing is known yet."""

    def went(self, pauses: Sequence[float], arrive: int, together: int = 100) -> tuple[float, int]:
        """How long all of them take, and how often one is put off.

        :param pauses: seconds of the rounds, the last of all others; a round's end together, as commits do.
        :param arrive: how many come in a hundredth of a second.
        :param together: how many make a round.
        """
        bench = Bench(window_messages=2000)
        bench.relay = Scripted(None, concurrency=together)
        bench.manager.replace(bench.settings, {"relay": bench.relay})
        bench.manager.start()
        begun = bench.clock.seconds()
        left, rounds, since = 999, 0, begun
        while (left or bench.spool.messages) and bench.clock.seconds() < begun + 600:
            for _ in range(min(left, arrive)):
                bench.send("u@far.test")
            left -= min(left, arrive)
            bench.clock.advance(0.01)
            now = bench.clock.seconds()
            if now - since >= pauses[min(rounds, len(pauses) - 1)]:
                rounds, since = rounds + 1, now
                for _ in range(len(bench.relay.waiting)):
                    bench.relay.end()
        return bench.clock.seconds() - begun, len(bench.spool.of(DeferredTo))

    def test_nobody_is_put_off(self) -> None:
        """All would be gone within seconds, however the first rounds went."""
        for pauses in ([0.1], [0.3], [0.1, 1.0, 0.1], [0.05, 0.05, 2.0, 0.05]):
            for arrive in (40, 10, 4):
                took, put_off = self.went(pauses, arrive)
                self.assertEqual(0, put_off, (pauses, arrive))
                self.assertLess(took, 4.5, (pauses, arrive))

    def test_a_slow_beginning(self) -> None:
        """Who is put off while it looks slow waits for no longer than it turns out to be."""
        took, put_off = self.went([2.0, 0.05], 4)
        self.assertLess(put_off, 50)
        self.assertLess(took, 10.0)


class RaceTests(SynchronousTestCase):
    """What a claim has read may be old when it answers."""

    def stale(self, between: Any) -> tuple[Bench, list[Any]]:
        bench = Bench()
        answers: list[tuple[Deferred[list[Message]], list[Message]]] = []
        claim = bench.spool.claim

        def slow(*arguments: Any) -> Deferred[list[Message]]:
            found: list[Message] = []
            claim(*arguments).addCallback(found.extend)
            answer: Deferred[list[Message]] = Deferred()
            answers.append((answer, found))
            return answer

        bench.spool.claim = slow  # type: ignore[method-assign]
        between(bench)
        return bench, answers

    def test_delivered_meanwhile(self) -> None:
        def between(bench: Bench) -> None:
            message = bench.message("x@far.test")
            bench.spool.put(message)
            bench.manager.start()
            bench.manager.admitted(message)

        bench, answers = self.stale(between)
        self.assertEqual({}, bench.spool.messages)
        answer, found = answers.pop()
        self.assertEqual(1, len(found))
        answer.callback(found)
        self.assertEqual(1, len(bench.relay.deliveries))

    def test_under_way_meanwhile(self) -> None:
        def between(bench: Bench) -> None:
            bench.relay.default = None
            message = bench.message("x@far.test")
            bench.spool.put(message)
            bench.manager.start()
            bench.manager.admitted(message)

        bench, answers = self.stale(between)
        answer, found = answers.pop()
        answer.callback(found)
        self.assertEqual(1, len(bench.relay.deliveries))

    def test_held_meanwhile(self) -> None:
        def between(bench: Bench) -> None:
            message = bench.message("x@far.test")
            bench.spool.put(message)
            bench.manager.start()
            held = Deferred.fromCoroutine(bench.manager.hold([message.id], "op"))
            self.assertEqual(1, self.successResultOf(held))

        bench, answers = self.stale(between)
        answer, found = answers.pop()
        answer.callback(found)
        bench.run(5)
        self.assertEqual([], bench.relay.deliveries)


class StopTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench()
        self.bench.manager.start()

    def stop(self, grace: float = 10) -> Deferred[None]:
        return Deferred.fromCoroutine(self.bench.manager.stop(grace))

    def test_idle(self) -> None:
        self.bench.relay.default = LATER
        self.bench.send("x@far.test")
        self.successResultOf(self.stop())
        self.assertEqual([], self.bench.clock.getDelayedCalls())

    def test_waits_for_what_is_under_way(self) -> None:
        self.bench.relay.default = None
        self.bench.send("x@far.test")
        stopped = self.stop()
        self.assertNoResult(stopped)
        self.bench.relay.end(OK)
        self.bench.clock.advance(0.1)
        self.successResultOf(stopped)
        self.assertEqual({}, self.bench.spool.messages)
        self.assertEqual([], self.bench.clock.getDelayedCalls())

    def test_waits_for_records(self) -> None:
        self.bench.spool.latency = 2.0
        self.bench.send("x@far.test")
        stopped = self.stop()
        self.bench.run(1.9, 0.1)
        self.assertNoResult(stopped)
        self.bench.run(0.2, 0.1)
        self.successResultOf(stopped)

    def test_begins_nothing(self) -> None:
        self.bench.relay.default = None
        for _ in range(8):
            self.bench.send("x@far.test")
        stopped = self.stop()
        self.bench.send("y@other.test")
        for _ in range(5):
            self.bench.relay.end()
        self.bench.clock.advance(0.1)
        self.successResultOf(stopped)
        self.assertEqual(5, len(self.bench.relay.deliveries))
        self.assertEqual(4, len(self.bench.spool.messages))

    def test_abandons_after_the_grace(self) -> None:
        self.bench.relay.default = None
        for _ in range(3):
            self.bench.send("x@far.test")
        stopped = self.stop()
        self.bench.clock.advance(10)
        self.successResultOf(stopped)
        self.assertEqual(3, self.bench.relay.cancelled)
        # Nothing is recorded of them: they are in the spool as they were.
        self.assertEqual([], self.bench.spool.of(DeferredTo))
        self.assertEqual(3, len(self.bench.spool.messages))
        self.assertEqual([], self.bench.clock.getDelayedCalls())

    def test_a_failure_that_waits_for_the_end_of_the_round(self) -> None:
        from tests.queue.fakes import NEVER

        self.bench.relay.answers = {"x@far.test": NEVER, "y@other.test": None}
        self.bench.send("x@far.test", "y@other.test")
        stopped = self.stop()
        self.bench.clock.advance(10)
        self.successResultOf(stopped)
        (message,) = self.bench.spool.messages.values()
        self.assertEqual(2, len(message.addressees))

    def test_a_spool_that_does_not_answer(self) -> None:
        self.bench.spool.stuck = True
        self.bench.send("x@far.test")
        stopped = self.stop()
        self.bench.clock.advance(10)
        self.successResultOf(stopped)
