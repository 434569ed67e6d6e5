"""Destinations that a person suspended: in the file that workers share, and in the manager."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import TemporarilyUnavailable
from mta.model.event import DeferredTo, Operated
from mta.queue.suspensions import Suspension, Suspensions
from tests.queue.fakes import Bench


class SuspensionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000.0)
        directory = Path(self.mktemp())
        directory.mkdir()
        self.path = directory / "suspensions.json"

    def open(self) -> Suspensions:
        return Suspensions(self.path, self.clock.seconds)

    def test_patterns(self) -> None:
        found = self.open()
        for pattern, expected in (
            ("far.test", True),
            ("*.test", True),
            ("relay:far.test", True),
            ("lmtp:far.test", False),
            ("lmtp:*", False),
            ("test", False),
        ):
            found.suspend(Suspension(pattern, "op", "", 1000.0))
            self.assertIs(expected, found.find("relay", "FAR.test") is not None, pattern)
            self.assertEqual(1, found.resume(pattern))
        self.assertEqual(0, found.resume("*"))

    def test_shared_and_kept(self) -> None:
        """Another worker sees it within a second, and so does the next process."""
        one, other = self.open(), self.open()
        self.assertIsNone(other.find("relay", "far.test"))
        one.suspend(Suspension("far.test", "op", "they asked", 1000.0))
        self.clock.advance(1.0)
        found = other.find("relay", "far.test")
        assert found is not None
        self.assertEqual(("op", "they asked"), (found.by, found.reason))
        self.assertIsNotNone(self.open().find("relay", "far.test"))
        self.assertEqual(1, other.resume("far.test"))
        self.clock.advance(1.0)
        self.assertIsNone(one.find("relay", "far.test"))
        self.assertEqual(0o600, self.path.stat().st_mode & 0o777)

    def test_until(self) -> None:
        found = self.open()
        found.suspend(Suspension("far.test", "op", "", 1000.0, 1010.0))
        self.assertIsNotNone(found.find("relay", "far.test"))
        self.assertEqual(1, len(found.status()))
        self.clock.advance(10.0)
        self.assertIsNone(found.find("relay", "far.test"))
        self.assertEqual([], found.status())

    def test_damaged(self) -> None:
        """It is not written over, and what was known holds."""
        found = self.open()
        found.suspend(Suspension("far.test", "op", "", 1000.0))
        self.path.write_text("[{")
        self.clock.advance(2.0)
        self.assertIsNotNone(found.find("relay", "far.test"))
        self.assertRaises(OSError, found.resume, "far.test")
        self.assertEqual("[{", self.path.read_text())


class SuspendTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.bench = Bench()
        self.bench.manager.start()
        self.manager = self.bench.manager

    def now(self, coroutine: Any) -> int:
        count: int = self.successResultOf(Deferred.fromCoroutine(coroutine))
        return count

    def test_suspend_and_resume(self) -> None:
        """Nothing goes there, but elsewhere; the journal says who and why."""
        self.assertEqual(1, self.now(self.manager.suspend("FAR.test", "op", "they asked")))
        self.bench.send("x@far.test")
        self.bench.send("x@near.test")
        self.bench.run(7200, 60)
        (delivery,) = self.bench.relay.deliveries
        self.assertEqual("near.test", delivery.addressees[0].next_hop)
        self.assertIn("suspended this destination: they asked", self.bench.spool.of(DeferredTo)[0].reply)
        (one,) = self.manager.status()["suspensions"]
        self.assertEqual(("far.test", "op", "they asked"), (one["pattern"], one["by"], one["reason"]))
        self.assertEqual(1, self.now(self.manager.resume("far.test", "op", "done")))
        self.assertEqual(0, self.now(self.manager.resume("far.test", "op", "done")))
        self.bench.run(86400, 60)
        self.assertEqual(2, len(self.bench.relay.deliveries))
        acts = [(event.action, event.by, event.target) for event in self.bench.spool.of(Operated)]
        self.assertEqual([("suspend", "op", "far.test"), ("resume", "op", "far.test")], acts)

    def test_not_kept(self) -> None:
        """The operator is told when it cannot be written."""

        def fail(suspension: Suspension) -> None:
            raise OSError("the disk is full")

        self.patch(self.manager._rests.suspensions, "suspend", fail)
        failed = Deferred.fromCoroutine(self.manager.suspend("far.test", "op"))
        self.failureResultOf(failed, TemporarilyUnavailable)
        self.assertEqual([], self.bench.spool.of(Operated))
