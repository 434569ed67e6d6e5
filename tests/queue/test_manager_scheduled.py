"""Messages that are scheduled for a later time."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.model.event import DeferredTo, DeliveredTo, FailedTo, Notified
from mta.model.message import Message
from mta.model.message_json import state_of
from mta.queue.manager import Manager
from tests.queue.fakes import HOME, LATER, NOW, Bench, table_route

DAY = 86400.0


class ScheduledTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench(dict(HOME), expire=5 * DAY, warn_after=4 * 3600, retry=[3600.0])
        self.bench.manager.start()

    def schedule(self, *addresses: str, days: float = 10) -> Message:
        at = NOW + days * DAY
        addresses = addresses or ("x@far.test",)
        return self.bench.send(*addresses, due=at, expires=at + 5 * DAY, attributes={"release": at})

    def test_in_time(self) -> None:
        """Not before, and at once then."""
        for addresses in (("x@far.test",), ("y@far.test", "z@near.test")):
            self.assertEqual("scheduled", state_of(self.schedule(*addresses)))
        self.bench.run(10 * DAY - 1, 3600)
        self.assertEqual([], self.bench.relay.deliveries)
        self.bench.run(3)
        self.assertEqual(3, len(self.bench.relay.deliveries))
        for event in self.bench.spool.of(DeliveredTo):
            self.assertLess(abs(NOW + 10 * DAY - event.at), 2)
            self.assertLess(event.delay, 2)

    def test_others_meanwhile(self) -> None:
        self.schedule(days=20)
        self.schedule(days=10)
        self.bench.send("now@far.test")
        self.assertEqual(1, len(self.bench.relay.deliveries))
        self.bench.run(10 * DAY + 2, 3600)
        self.assertEqual(2, len(self.bench.relay.deliveries))

    def test_restart(self) -> None:
        """Another process sends it in time."""
        self.schedule()
        bench = self.bench
        self.successResultOf(Deferred.fromCoroutine(bench.manager.stop(0)))
        bench.run(5 * DAY, DAY)
        transports: dict[str, Any] = {"relay": bench.relay, "maildir": bench.local}
        again = Manager(
            bench.clock,
            bench.spool,
            transports,
            bench.settings,
            hostname="mx.home.test",
            route=table_route(bench.routes),
        )
        again.start()
        bench.run(5 * DAY - 10, 3600)
        self.assertEqual([], bench.relay.deliveries)
        bench.run(12)
        self.assertEqual(1, len(bench.relay.deliveries))

    def test_warning_and_expiry(self) -> None:
        """Both count from the time of release."""
        self.bench.relay.default = LATER
        self.schedule()
        self.bench.run(10 * DAY + 3 * 3600, 600)
        self.assertTrue(self.bench.spool.of(DeferredTo))
        self.assertEqual([], self.bench.spool.of(Notified))
        self.bench.run(2 * 3600, 600)
        self.assertEqual(["delayed"], [event.action for event in self.bench.spool.of(Notified)])
        self.bench.run(5 * DAY, 600)
        (failed,) = self.bench.spool.of(FailedTo)
        self.assertTrue(failed.expired)
        self.assertIn("5 days", failed.reply)
        self.assertLess(abs(NOW + 15 * DAY - failed.at), 2)

    def test_retry_releases(self) -> None:
        message = self.schedule()
        act = self.bench.manager.retry([message.id], "op")
        self.assertEqual(1, self.successResultOf(Deferred.fromCoroutine(act)))
        self.bench.run(2)
        (event,) = self.bench.spool.of(DeliveredTo)
        self.assertLess(event.delay, 2)

    def test_end_of_a_hold(self) -> None:
        """It counts for more than the time, and its end does not release before that."""
        message = self.schedule(days=1)
        for act in (
            self.bench.manager.hold([message.id], "op"),
            self.bench.manager.release([message.id], "op"),
        ):
            self.assertEqual(1, self.successResultOf(Deferred.fromCoroutine(act)))
            self.bench.run(3600, 600)
        self.assertEqual([], self.bench.relay.deliveries)
        held = self.schedule(days=1)
        self.successResultOf(Deferred.fromCoroutine(self.bench.manager.hold([held.id], "op")))
        self.bench.run(2 * DAY, 3600)
        self.assertEqual([message.id], [one.message.id for one in self.bench.relay.deliveries])
        self.successResultOf(Deferred.fromCoroutine(self.bench.manager.release([held.id], "op")))
        self.bench.run(2)
        self.assertEqual(2, len(self.bench.relay.deliveries))

    def test_flush_does_not(self) -> None:
        self.schedule()
        self.assertEqual(0, self.successResultOf(Deferred.fromCoroutine(self.bench.manager.flush("op"))))
        self.bench.run(2)
        self.assertEqual([], self.bench.relay.deliveries)
