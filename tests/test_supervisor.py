"""Workers are started, and started again."""

from __future__ import annotations

import errno
import os
import signal
from typing import Any

from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from mta.supervisor import RESTART, Supervisor


class Processes(Clock):
    """A reactor that starts nothing.

    :ivar started: the number of each worker.
    :ivar trouble: raised instead.
    """

    def __init__(self) -> None:
        super().__init__()
        self.started: list[str] = []
        self.protocols: list[Any] = []
        self.trouble: OSError | None = None

    def spawnProcess(self, protocol: Any, program: str, command: list[str], **options: Any) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.started.append(command[command.index("--worker") + 1])
        self.protocols.append(protocol)


class SupervisorTests(SynchronousTestCase):
    """With a reactor that starts nothing."""

    def setUp(self) -> None:
        before = signal.getsignal(signal.SIGHUP)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        self.reactor = Processes()
        self.supervisor = Supervisor(self.reactor, 2, [], [])

    def die(self, index: int) -> None:
        self.reactor.protocols[index].processEnded(Failure(ProcessDone(None)))

    def test_restarted(self) -> None:
        """At once the first time, later more slowly."""
        self.supervisor.startService()
        self.die(1)
        self.reactor.advance(RESTART[0])
        self.assertEqual(["0", "1", "1"], self.reactor.started)
        self.die(2)
        self.reactor.advance(RESTART[1] / 2)
        self.assertEqual(3, len(self.reactor.started))
        self.reactor.advance(RESTART[1] / 2)
        self.assertEqual("1", self.reactor.started[3])

    def test_no_process_to_be_had(self) -> None:
        """A worker that cannot be started now is started later, and keeps nobody from stopping."""
        self.supervisor.startService()
        self.reactor.trouble = OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        self.die(0)
        self.reactor.advance(RESTART[0])
        self.reactor.trouble = None
        self.reactor.advance(RESTART[-1])
        self.assertEqual(["0", "1", "0"], self.reactor.started)
        self.reactor.trouble = OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        self.die(1)
        self.reactor.advance(RESTART[0])
        stopped = self.supervisor.stopService()
        self.die(2)
        self.successResultOf(stopped)
