from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Administered, Completed, Received
from mta.tracking import keeper as keeper_module
from mta.tracking.keeper import ASLEEP, IDLE, LATER, PATIENCE, SELDOM, SOON
from mta.tracking.reader import TrackingReader
from mta.tracking.tracker import Tracker
from tests.tracking.journals import NOW, Journals
from tests.tracking.same_thread import Moments, SameThread


class TrackerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(keeper_module, "_Pool", SameThread)
        self.clock = Moments()
        self.clock.advance(NOW)
        self.spool = Path(self.mktemp()).absolute()
        self.journals = Journals(self.spool)
        self.reader = TrackingReader(self.spool)

    def tracker(self, shard: int = 0, workers: int = 2, keep: float = 86400.0) -> Tracker:
        made = Tracker(self.clock, self.spool, shard, workers, keep)
        self.successResultOf(Deferred.fromCoroutine(made.start()))
        self.addCleanup(lambda: self.stopped(made))
        return made

    def stopped(self, tracker: Tracker) -> None:
        self.successResultOf(Deferred.fromCoroutine(tracker.stop()))

    def pool(self, tracker: Tracker) -> SameThread:
        pool: Any = tracker._pool
        return pool  # type: ignore[no-any-return]

    def write(self, shard: int = 0, at: float = NOW) -> Received:
        """A message; answers its event."""
        event = Received(
            at=at,
            message=self.journals.id(shard, at),
            sender="me@shop.example",
            recipients=["a@x.example"],
            tenant="shop",
        )
        self.journals.write([event], shard)
        return event

    def knows(self, event: Received) -> bool:
        return self.reader.get("shop", event.message) is not None

    def ask(self, tracker: Tracker) -> Deferred[None]:
        return Deferred.fromCoroutine(tracker.current())

    # --- by itself ---------------------------------------------------------------

    def test_while_nobody_looked(self) -> None:
        event = self.write()
        self.assertFalse(self.knows(event))
        self.tracker()
        self.clock.settle()
        self.assertTrue(self.knows(event))

    def test_told(self) -> None:
        """What happens is known a moment later, and many events make one round."""
        tracker = self.tracker()
        self.clock.settle()
        event = self.write()
        for _ in range(100):
            tracker.events([event])
        self.assertEqual(1, len(self.clock.getDelayedCalls()))
        self.clock.advance_by(SOON - 0.1)
        self.assertFalse(self.knows(event))
        self.clock.advance_by(0.1)
        self.assertTrue(self.knows(event))

    def test_told_meanwhile(self) -> None:
        """News that come after a round has read lead to another one soon."""
        tracker = self.tracker()
        self.pool(tracker).hold_answers()
        self.clock.settle()
        event = self.write()
        tracker.events([event])
        self.assertEqual([], self.clock.getDelayedCalls())
        self.pool(tracker).go_on()
        self.clock.settle()
        self.assertFalse(self.knows(event))
        self.clock.advance_by(SOON)
        self.assertTrue(self.knows(event))

    def test_not_of_messages(self) -> None:
        """What is about no message wakes nobody."""
        self.write()
        tracker = self.tracker()
        self.clock.settle()
        tracker.events([Administered(at=NOW, action="key create", tenant="shop")])
        [call] = self.clock.getDelayedCalls()
        self.assertEqual(NOW + SELDOM, call.getTime())

    def test_what_others_left(self) -> None:
        """The first worker keeps up the shards that nobody owns any more; the others do not."""
        event = self.write(shard=5)
        second = self.tracker(1)
        self.clock.settle()
        self.assertFalse(self.knows(event))
        self.stopped(second)
        self.tracker(0)
        self.clock.settle()
        self.assertTrue(self.knows(event))

    def test_of_another_worker(self) -> None:
        """A shard with an owner is left to it."""
        event = self.write(shard=1)
        self.tracker(0)
        self.clock.settle()
        self.assertFalse(self.knows(event))

    def test_too_old(self) -> None:
        """What is older than it is to be kept goes, also after the time was changed."""
        tracker = self.tracker(keep=3600.0)
        event = self.write(at=NOW - 3000)
        self.clock.settle()
        self.assertTrue(self.knows(event))
        tracker.keep(60.0)
        self.clock.advance_by(SELDOM, 10)
        self.assertFalse(self.knows(event))

    # --- when asked --------------------------------------------------------------

    def test_current(self) -> None:
        """Who asks gets an answer when all shards are known, that of others too, and at once."""
        tracker = self.tracker()
        self.clock.settle()
        events = [self.write(shard=shard) for shard in (0, 1, 5)]
        asked = self.ask(tracker)
        self.assertNoResult(asked)
        self.clock.settle()
        self.successResultOf(asked)
        self.assertEqual([True] * 3, [self.knows(event) for event in events])

    def test_asked_meanwhile(self) -> None:
        """A round that has read already is no answer to who asks then; the next one follows at once."""
        tracker = self.tracker()
        pool = self.pool(tracker)
        pool.hold_answers()
        self.clock.settle()
        event = self.write()
        asked = self.ask(tracker)
        pool.go_on()
        pool.hold()
        self.clock.settle()
        self.assertNoResult(asked)
        pool.go_on()
        self.clock.settle()
        self.successResultOf(asked)
        self.assertTrue(self.knows(event))

    def test_too_slow(self) -> None:
        """Nobody waits for ever, and what comes later surprises nobody."""
        tracker = self.tracker()
        self.pool(tracker).hold()
        self.clock.settle()
        asked = self.ask(tracker)
        self.clock.advance_by(PATIENCE)
        self.failureResultOf(asked, TemporarilyUnavailable)
        self.pool(tracker).go_on()
        self.clock.settle()
        self.clock.settle()
        again = self.ask(tracker)
        self.clock.settle()
        self.successResultOf(again)

    def test_trouble(self) -> None:
        """Who asks is told; it is logged once; and it goes on when the disk is well."""
        directory = self.journals.directory()
        event = self.write()
        broken = directory / "tracking.db"
        broken.mkdir()
        tracker = self.tracker()
        asked = self.ask(tracker)
        self.clock.settle()
        self.failureResultOf(asked, TemporarilyUnavailable)
        self.clock.advance_by(LATER)
        self.clock.advance_by(LATER)
        broken.rmdir()
        self.assertFalse(self.knows(event))
        self.clock.advance_by(LATER)
        self.assertTrue(self.knows(event))

    def test_stopped(self) -> None:
        """Who waits is told, and so is who asks then; a round that is under way ends first."""
        tracker = self.tracker()
        self.pool(tracker).hold()
        self.clock.settle()
        asked = self.ask(tracker)
        stopping = Deferred.fromCoroutine(tracker.stop())
        self.assertNoResult(stopping)
        self.pool(tracker).go_on()
        self.clock.settle()
        self.successResultOf(stopping)
        self.failureResultOf(asked, TemporarilyUnavailable)
        self.failureResultOf(self.ask(tracker), TemporarilyUnavailable)
        self.assertEqual([], self.clock.getDelayedCalls())
        self.assertFalse(self.pool(tracker).running)
        # It is no error to stop twice, or to be told then.
        self.stopped(tracker)
        tracker.events([self.write(), Completed(at=NOW)])
        self.assertEqual([], self.clock.getDelayedCalls())

    # --- asleep ------------------------------------------------------------------

    def other(self) -> Received:
        """A message that is no tenant's; answers its event."""
        event = Received(
            at=NOW, message=self.journals.id(0, NOW), sender="a@x.example", recipients=["b@x.example"]
        )
        self.journals.write([event])
        return event

    def test_sleeps_without_tenants(self) -> None:
        """Mail that is no tenant's makes no index."""
        self.other()
        tracker = self.tracker()
        self.clock.settle()
        tracker.events([self.other()])
        self.assertTrue(tracker.is_asleep)
        [call] = self.clock.getDelayedCalls()
        self.assertEqual(NOW + ASLEEP, call.getTime())
        self.assertFalse((self.journals.directory() / "tracking.db").exists())

    def test_a_tenants_message_wakes(self) -> None:
        self.other()
        tracker = self.tracker()
        self.clock.settle()
        event = self.write()
        tracker.events([self.other(), event])
        self.assertFalse(tracker.is_asleep)
        self.clock.advance_by(SOON)
        self.assertTrue(self.knows(event))

    def test_asked_while_asleep(self) -> None:
        """What it has slept through is there for whoever asks."""
        event = self.write()
        for _ in range(6):
            self.journals.write([self.other() for _ in range(1000)])
        tracker = self.tracker()
        self.clock.settle()
        self.assertTrue(tracker.is_asleep)
        asked = self.ask(tracker)
        self.clock.settle()
        self.successResultOf(asked)
        self.assertTrue(self.knows(event))

    def test_sleeps_again(self) -> None:
        """What is open is closed when nothing has come for a while, and opened with what comes then."""
        self.write()
        tracker = self.tracker()
        self.clock.advance_by(SELDOM, int(IDLE / SELDOM) + 1)
        [call] = self.clock.getDelayedCalls()
        self.assertGreater(call.getTime(), self.clock.seconds() + ASLEEP - SELDOM - 1)
        event = self.write()
        tracker.events([event])
        self.clock.advance_by(SOON)
        self.assertTrue(self.knows(event))
