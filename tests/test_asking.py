"""Questions are answered one after the other, and for so long at the most."""

from __future__ import annotations

from collections.abc import Generator

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.asking import asked
from mta.bounded import Overdue


class AskedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.closed = False
        self.waiting: list[Deferred[int]] = []

    def sum(self) -> Generator[str, int, int]:
        try:
            first = yield "first"
            return first + (yield "second")
        finally:
            self.closed = True

    def answer(self, question: str) -> Deferred[int]:
        waiting: Deferred[int] = Deferred()
        self.waiting.append(waiting)
        return waiting

    def begin(self) -> Deferred[int]:
        return Deferred.fromCoroutine(asked(self.clock, self.sum(), self.answer, 5.0))

    def test_answers(self) -> None:
        work = self.begin()
        self.waiting[0].callback(1)
        self.clock.advance(4.0)
        self.waiting[1].callback(2)
        self.assertEqual(3, self.successResultOf(work))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_overdue(self) -> None:
        """The time is for all questions, and what is left is put away."""
        work = self.begin()
        self.waiting[0].callback(1)
        self.assertFalse(self.closed)
        self.clock.advance(5.0)
        self.assertIn("5 seconds", str(self.failureResultOf(work, Overdue).value))
        self.assertTrue(self.closed)

    def test_cancelled(self) -> None:
        """By somebody else: that is not ours to explain."""
        work = self.begin()
        work.cancel()
        self.failureResultOf(work, CancelledError)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_failure(self) -> None:
        work = self.begin()
        self.waiting[0].errback(ValueError("a bug"))
        self.failureResultOf(work, ValueError)
        self.assertTrue(self.closed)
