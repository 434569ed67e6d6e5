"""A request to reload is carried out, however early it comes."""

from __future__ import annotations

import signal

from twisted.trial.unittest import SynchronousTestCase

from mta.hangup import Hangup


class HangupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(signal.signal, signal.SIGHUP, signal.getsignal(signal.SIGHUP))
        self.done: list[int] = []
        self.hangup = Hangup()
        self.hangup.listen()

    def test_later(self) -> None:
        """Each time that it comes."""
        self.hangup.serve(lambda: self.done.append(1))
        self.assertEqual([], self.done)
        for count in (1, 2):
            signal.raise_signal(signal.SIGHUP)
            self.assertEqual(count, len(self.done))

    def test_early(self) -> None:
        """It is remembered, and carried out once."""
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual([], self.done)
        self.hangup.serve(lambda: self.done.append(1))
        self.assertEqual([1], self.done)
