"""One worker: a shard of the spool, its queue, its sessions; how they start, reload and stop.

What it works with is made by :mod:`mta.server`; this is only the order of
things.  Starting: the spool, then what may be asked, then the queue, and the
sockets last.  Stopping: the other way round, so that everything that was
acknowledged is on disk before the spool is closed.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.logger import Logger

from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Server


def bind_all(listeners: Sequence[tuple[Any, Any]]) -> None:
    """Bind listeners, each to its factory.

    :raise SystemExit: with the exit status of sysexits, after everything that is in
        the way was printed: twistd would show a traceback.
    """
    troubles = []
    for listener, factory in listeners:
        try:
            listener.bind(factory)
        except ValueError as error:
            troubles.append(str(error))
    for trouble in troubles:
        # twistd turns sys.stderr into log lines.
        print(f"mta: cannot start: {trouble}", file=sys.__stderr__, flush=True)
    if troubles:
        raise SystemExit(os.EX_UNAVAILABLE)


class UnixSocket:
    """A listening UNIX socket in the state directory.

    The shard's lock is held when it is opened, so a socket that is there was
    left by a process that was killed.

    :param reactor: the reactor.
    :param path: where.
    :param factory: what answers.
    :param mode: permissions: they are the guard.
    """

    def __init__(self, reactor: Any, path: Path, factory: Any, mode: int) -> None:
        self._reactor = reactor
        self._path = path
        self._factory = factory
        self._mode = mode
        self._port: Any = None

    def open(self) -> None:
        """Listen.

        :raise OSError: if the directory cannot be written or the path is too long.
        """
        self._path.unlink(missing_ok=True)
        self._port = self._reactor.listenUNIX(str(self._path), self._factory, mode=self._mode, wantPID=False)

    async def close(self) -> None:
        """Accept nobody any more."""
        if self._port is not None:
            port, self._port = self._port, None
            await maybeDeferred(port.stopListening)


class Worker(Service):
    """Runs one shard.

    :param reactor: the reactor.
    :param shard: its number.
    :param spool: the shard's spool.
    :param manager: its queue.
    :param listeners: the network's listening sockets, each with its factory.
    :param sockets: UNIX sockets.
    :param sessions: the factories of mail sessions, to be drained.
    :param plugins: gives the plugins in use.
    :param threads: the pool for what blocks.
    :param renew: reads the configuration anew; answers with what a person should know.
    :param ready: called when everything listens.
    :param failed: called with a text when it cannot start.
    :param grace: seconds for what is in flight when it stops.
    :param ledger: what all workers remember together, or who keeps it.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        *,
        shard: int,
        spool: Any,
        manager: Any,
        listeners: Sequence[tuple[Any, Any]],
        sockets: Sequence[UnixSocket],
        sessions: Sequence[Any],
        plugins: Callable[[], Sequence[Any]],
        threads: Any,
        renew: Callable[[], Awaitable[dict[str, Any]]],
        ready: Callable[[], None],
        failed: Callable[[str], None],
        grace: float = 30.0,
        ledger: Any = None,
    ) -> None:
        self._ledger = ledger
        self._reactor = reactor
        self._shard = shard
        self._spool = spool
        self._manager = manager
        self._listeners = list(listeners)
        self._sockets = list(sockets)
        self._sessions = list(sessions)
        self._plugins = plugins
        self._threads = threads
        self._renew = renew
        self._ready = ready
        self._failed = failed
        self._grace = grace
        self._starting: Deferred[None] | None = None
        self._started = False
        self._reloading = False
        self._again = False

    def privilegedStartService(self) -> None:
        """Bind the network's sockets while we may.

        :raise SystemExit: with what is in the way.
        """
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        bind_all(self._listeners)

    def startService(self) -> None:
        """Start, in order; what cannot start is told to ``failed``."""
        super().startService()  # type: ignore[no-untyped-call]
        self._threads.start()
        self._starting = Deferred.fromCoroutine(self._start())

    async def _start(self) -> None:
        try:
            await self._spool.start()
            if self._ledger is not None:
                await self._ledger.start()
            for plugin in self._plugins():
                await plugin.start()
            self._manager.start()
            for socket in self._sockets:
                socket.open()
        except (TemporarilyUnavailable, OSError, ValueError) as error:
            self._failed(str(error))
            return
        except Exception as error:
            self.log.failure("Worker {shard} cannot start", shard=self._shard)
            self._failed(f"{type(error).__name__}: {error}")
            return
        self._started = True
        self._spool.note([self._event("started", f"worker {self._shard}")])
        for listener, _ in self._listeners:
            listener.open()
            self.log.info(
                "ready: {role} on {address}, worker {shard}",
                role=listener.role,
                address=listener.address,
                shard=self._shard,
            )
        self._ready()

    def stopService(self) -> Deferred[None]:
        """Stop, in order, in a bounded time."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._starting is not None:
            await self._starting
        for listener, _ in self._listeners:
            await listener.close()
        for socket in self._sockets:
            await socket.close()
        if self._started:
            self._spool.note([self._event("stopping", f"worker {self._shard}")])
            await gatherResults(
                [Deferred.fromCoroutine(factory.drain(self._grace)) for factory in self._sessions]
            )
            await self._manager.stop(self._grace)
            for plugin in self._plugins():
                await plugin.stop()
            await self._spool.stop()
        if self._ledger is not None:
            self._ledger.stop()
        self._threads.stop()

    def reload_soon(self) -> None:
        """Reload because of a signal; what comes of it is logged."""
        Deferred.fromCoroutine(self._reload_and_log())

    async def _reload_and_log(self) -> None:
        try:
            await self.reload()
        except Exception as error:
            self.log.error("Nothing was reloaded: {error}", error=str(error))

    async def reload(self) -> dict[str, Any]:
        """Read the configuration, users, aliases and certificates anew.

        :raise ValueError: with what is wrong; everything stays as it was.
        """
        if self._reloading:
            self._again = True
            return {"reloaded": False, "notes": ["a reload is under way; another follows it"]}
        self._reloading = True
        try:
            report = await self._renew()
        finally:
            self._reloading = False
            if self._again:
                self._again = False
                self.reload_soon()
        notes = report.get("notes") or []
        self._spool.note([self._event("reloaded", "; ".join([f"worker {self._shard}", *notes]))])
        for note in notes:
            self.log.warn("reload: {note}", note=note)
        return report

    def _event(self, what: str, detail: str) -> Server:
        return Server(at=self._reactor.seconds(), what=what, detail=f"{detail} (pid {os.getpid()})")
