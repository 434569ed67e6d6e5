"""Work is waited for, for so long at the most."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.bounded import Overdue, bounded


class BoundedTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.answer: Deferred[int] = Deferred()

    def begin(self) -> Deferred[int]:
        async def work() -> int:
            try:
                return await self.answer
            except CancelledError:
                # As an HTTP agent does.
                raise ValueError("aborted") from None

        return Deferred.fromCoroutine(bounded(self.clock, work(), 5.0))

    def test_answer(self) -> None:
        waiting = self.begin()
        self.clock.advance(4.0)
        self.answer.callback(3)
        self.assertEqual(3, self.successResultOf(waiting))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_overdue(self) -> None:
        """Whatever the work makes of its end."""
        waiting = self.begin()
        self.clock.advance(5.0)
        self.assertEqual("no answer in 5 seconds", str(self.failureResultOf(waiting, Overdue).value))

    def test_failure(self) -> None:
        waiting = self.begin()
        self.answer.errback(KeyError("x"))
        self.failureResultOf(waiting, KeyError)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_cancelled(self) -> None:
        """By somebody else: that is not for us to explain."""
        waiting = self.begin()
        waiting.cancel()
        self.failureResultOf(waiting, ValueError)
        self.assertEqual([], self.clock.getDelayedCalls())
