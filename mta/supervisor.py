"""Several workers on one set of sockets.

The supervisor binds every socket, lets twistd drop privileges, and starts the
workers, which inherit the sockets and own one spool shard each.  It accepts
nobody itself, so a worker that dies takes only its own sessions with it; it is
started again, at once the first time and more slowly if it keeps dying, and
finds its shard as it left it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.protocol import Factory, ProcessProtocol
from twisted.logger import Logger
from zope.interface import implementer

from mta.hangup import kept_back
from mta.listener import Listener
from mta.worker import bind_all

#: Seconds before a worker that died is started again: the first is for one
#: that lived a while, the last repeats.
RESTART = (0.0, 1.0, 2.0, 5.0, 10.0, 30.0)
#: A worker that lived so many seconds was well; the next restart is at once.
WELL = 60.0


class WorkerProcess(ProcessProtocol):
    """One worker, seen from its supervisor.

    :param number: which shard it owns.
    :param line: called with each line that it writes to its log.
    :param ended: called with this object when the process is gone.
    """

    def __init__(
        self, number: int, line: Callable[[str], None], ended: Callable[[WorkerProcess], None]
    ) -> None:
        self.number = number
        self.exit = ""
        self.gone: Deferred[None] = Deferred()
        self._line = line
        self._ended = ended
        self._rest = b""

    def outReceived(self, data: bytes) -> None:
        """Its log goes into ours, whole lines only."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._line(line.decode("utf-8", "replace"))

    errReceived = outReceived

    def processEnded(self, reason: Any) -> None:
        """It is gone."""
        self.exit = str(reason.value)
        self._ended(self)
        self.gone.callback(None)

    def signal(self, name: str) -> None:
        """Send a signal; nothing if it is gone already."""
        try:
            if self.transport is not None:
                self.transport.signalProcess(name)
        except ProcessExitedAlready:
            pass


@implementer(IReadDescriptor)
class Leash(Service):
    """In a worker: stops it when its supervisor is gone, which nobody else would do.

    The supervisor holds the other end of the worker's standard input, and never writes.

    :param reactor: the reactor.
    :param descriptor: standard input.
    """

    log = Logger()

    def __init__(self, reactor: Any, descriptor: int = 0) -> None:
        self._reactor = reactor
        self._descriptor = descriptor

    def startService(self) -> None:
        """Watch."""
        super().startService()  # type: ignore[no-untyped-call]
        self._reactor.addReader(self)

    def stopService(self) -> None:
        """Watch no more."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._reactor.removeReader(self)

    def fileno(self) -> int:
        """What is watched."""
        return self._descriptor

    def logPrefix(self) -> str:
        """For the log."""
        return "leash"

    def doRead(self) -> None:
        """Something was written, or the other end is gone."""
        if not os.read(self._descriptor, 512):
            self.connectionLost(None)

    def connectionLost(self, reason: Any) -> None:
        """The supervisor is gone."""
        self._reactor.removeReader(self)
        self.log.error("The supervisor is gone, so this worker stops")
        self._reactor.stop()


class Supervisor(Service):
    """Binds, starts and restarts.

    :param reactor: the reactor.
    :param workers: how many.
    :param listeners: all of them, not bound yet.
    :param arguments: the twistd options of ``mta`` that every worker is given.
    :param relay_log: write what workers log into our log, which is a file; without, they
        write to our standard output themselves.
    :param grace: seconds that workers have to stop: more than a worker grants to its
        sessions and to its deliveries, one after the other.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        workers: int,
        listeners: Sequence[Listener],
        arguments: Sequence[str],
        relay_log: bool = True,
        grace: float = 80.0,
    ) -> None:
        self._reactor = reactor
        self._count = workers
        self._listeners = list(listeners)
        self._arguments = list(arguments)
        self._relay_log = relay_log
        self._grace = grace
        self._alive: dict[int, WorkerProcess] = {}
        self._started: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._stopping = False

    def privilegedStartService(self) -> None:
        """Bind all sockets while we may."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        bind_all([(listener, Factory()) for listener in self._listeners])

    def startService(self) -> None:
        """Start the workers."""
        super().startService()  # type: ignore[no-untyped-call]
        signal.signal(signal.SIGHUP, lambda number, frame: self._reactor.callFromThread(self.reload))
        for number in range(self._count):
            self._spawn(number)

    def reload(self) -> None:
        """Have every worker read its configuration anew."""
        for worker in self._alive.values():
            worker.signal("HUP")

    async def _gone(self) -> None:
        waiting = [worker.gone for worker in self._alive.values()]
        if waiting:
            await DeferredList(waiting)

    def stopService(self) -> Deferred[None]:
        """Stop the workers, and kill those that take too long."""
        super().stopService()  # type: ignore[no-untyped-call]
        self._stopping = True
        for worker in self._alive.values():
            worker.signal("TERM")
        late = self._reactor.callLater(self._grace, self._kill)
        done = Deferred.fromCoroutine(self._gone())

        def finished(result: None) -> None:
            if late.active():
                late.cancel()

        return done.addCallback(finished)

    def _kill(self) -> None:
        for worker in self._alive.values():
            self.log.warn("Worker {number} did not stop in time and is killed", number=worker.number)
            worker.signal("KILL")

    def _spawn(self, number: int) -> None:
        if self._stopping:
            return
        inherited = [(item.role, item.description, item.descriptor) for item in self._listeners]
        child: dict[int, Any] = {0: "w", 1: "r", 2: "r"} if self._relay_log else {0: "w", 1: 1, 2: 2}
        child.update({descriptor: descriptor for _, _, descriptor in inherited})
        program = "from twisted.scripts.twistd import run; run()"
        command = [sys.executable, "-c", program, "--nodaemon", "--pidfile=", "mta", *self._arguments]
        command += ["--worker", str(number), "--inherit", json.dumps(inherited)]
        worker = WorkerProcess(number, self._line, self._ended)
        try:
            # A reload that is asked for before it listens waits for that, instead of ending it.
            with kept_back():
                self._reactor.spawnProcess(
                    worker, sys.executable, command, env=dict(os.environ), childFDs=child
                )
        except OSError as error:
            # No memory, or too many processes: its shard must not stay without an owner.
            pause = RESTART[-1]
            self.log.error(
                "Worker {number} cannot be started ({why}); it is tried again in {pause:.0f} s",
                number=number,
                why=error.strerror or str(error),
                pause=pause,
            )
            self._reactor.callLater(pause, self._spawn, number)
            return
        self._alive[number] = worker
        self._started[number] = self._reactor.seconds()
        self.log.info("Worker {number} started", number=number)

    def _line(self, line: str) -> None:
        # It has its time and level already; our observers write it as it is.
        self.log.info("{raw_line}", raw_line=line)

    def _ended(self, worker: WorkerProcess) -> None:
        number = worker.number
        self._alive.pop(number, None)
        if self._stopping:
            return
        lived = self._reactor.seconds() - self._started[number]
        failures = 0 if lived > WELL else self._failures.get(number, 0)
        pause = RESTART[min(failures, len(RESTART) - 1)]
        self._failures[number] = failures + 1
        self.log.error(
            "Worker {number} died after {lived:.0f} s ({exit}); it is started again in {pause:.0f} s. "
            "What it had accepted is in its spool.",
            number=number,
            lived=lived,
            exit=worker.exit,
            pause=pause,
        )
        self._reactor.callLater(pause, self._spawn, number)
