"""A request to reload is carried out, however early it comes."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.hangup import Hangup, kept_back

ROOT = Path(__file__).resolve().parent.parent


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

    def test_kept_back(self) -> None:
        """Of a process that was started so, until it listens."""
        program = (
            "import os, signal; from mta.hangup import Hangup; os.kill(os.getpid(), signal.SIGHUP);"
            "hangup = Hangup(); hangup.listen(); hangup.serve(lambda: print('reload'))"
        )
        with kept_back():
            child = subprocess.Popen(
                [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
            )
        self.assertNotIn(signal.SIGHUP, signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        said, _ = child.communicate()
        self.assertEqual((0, "reload\n"), (child.returncode, said))

    def test_early(self) -> None:
        """It is remembered, and carried out once."""
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual([], self.done)
        self.hangup.serve(lambda: self.done.append(1))
        self.assertEqual([1], self.done)
