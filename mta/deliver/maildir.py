"""Kind ``maildir``: delivery into Maildirs.

Deliveries queue up in memory while a thread writes those before them; the thread then takes
all that have come meanwhile as its next batch.  So one message alone waits for nothing, and
many share what the disk takes time for.  :mod:`~mta.deliver.maildir_store` writes a batch.

One thread does that best as long as the disk answers; another joins it when a batch takes
long: for a large message, or a file system that hangs.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from pydantic import Field
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.plugin import IPlugin
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from mta.config.settings import Mode, Table
from mta.deliver.disk import Disk
from mta.deliver.maildir_batch import trouble
from mta.deliver.maildir_job import Job
from mta.deliver.maildir_places import MaildirPlaces
from mta.deliver.maildir_store import MaildirStore
from mta.interfaces import Delivery, IKind, IService, ITransport, PluginContext
from mta.model.outcome import Delivered, Outcome

#: What a thread takes at once: files, and octets (a larger message comes alone).
BATCH_FILES = 64
BATCH_OCTETS = 4 << 20
#: Deliveries to one Maildir at once; many, because they share the syncs.
CONCURRENCY = 100
#: Seconds that what waits leaves to the threads at work before one more joins them.
PATIENCE = 0.05
_SWEPT_EVERY = 86400.0
_SWEPT_KEPT = 10_000


class MaildirSettings(Table):
    """Settings of ``kind = "maildir"``.

    ``fsync = false`` is for mail that may be lost with the power.  ``detail_folder``: deliver
    ``user+detail`` into the folder ``detail`` if there is one (``true``), or make it
    (``"create"``).
    """

    file_mode: Mode = 0o600
    directory_mode: Mode = 0o700
    threads: int = Field(4, ge=1, le=64)
    fsync: bool = True
    detail_folder: bool | Literal["create"] = False


class _Waiting:
    """A delivery under way: its jobs, how many of them are not done, and who waits."""

    __slots__ = ("done", "jobs", "left")

    def __init__(self, jobs: list[Job], done: Deferred[Sequence[Outcome]]) -> None:
        self.jobs = jobs
        self.left = len(jobs)
        self.done = done


@implementer(ITransport, IService)
class MaildirTransport:
    """See the module.

    :param reactor: gives time, timers and ``callFromThread``.
    :param store: writes.
    :param threads: how many batches may be written at once.
    :param delivered: told of the folders, by their paths, into which something came.
    """

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        store: MaildirStore,
        threads: int = 4,
        delivered: Callable[[Iterable[bytes]], None] = lambda folders: None,
    ) -> None:
        self._delivered = delivered
        self._reactor = reactor
        self._store = store
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting: deque[_Waiting] = deque()
        self._working = 0
        self._taken = 0.0
        self._hiring: Any = None
        self._at_once = False
        self._pool: Any = None
        self._idle: Deferred[None] | None = None
        self._swept: dict[bytes, float] = {}

    def concurrency(self, next_hop: str) -> int:
        """See :class:`~mta.interfaces.ITransport`."""
        return CONCURRENCY

    def start(self) -> None:
        """Start the threads; :meth:`deliver` does so too."""
        if self._pool is None:
            pool = ThreadPool(0, self._threads, "maildir")
            # Whoever forgets stop() must not hang at the end: a crash loses nothing either.
            pool.threadFactory = _daemon  # type: ignore[assignment]
            pool.start()
            self._pool = pool

    async def stop(self) -> None:
        """Finish what is under way, and end the threads."""
        while self._working or self._waiting:
            self._idle = Deferred()
            await self._idle
        if self._hiring is not None:
            self._hiring.cancel()
            self._hiring = None
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.stop()

    def deliver(self, delivery: Delivery) -> Deferred[Sequence[Outcome]]:
        """Put the message into the Maildir of each addressee."""
        done: Deferred[Sequence[Outcome]] = Deferred()
        message, sender, repeat = delivery.message, delivery.sender, delivery.repeat
        jobs = [Job(message, addressee, sender, repeat) for addressee in delivery.addressees]
        if not jobs:
            done.callback(())
            return done
        with self._lock:
            self._waiting.append(_Waiting(jobs, done))
            free = not self._working
        if free and not self._at_once:
            # At the end of this turn of the reactor, so that all of the turn is one batch.
            self._at_once = True
            self._hire_in(0.0)
        elif self._hiring is None:
            self._hire_in(PATIENCE)
        return done

    def _hire_in(self, seconds: float) -> None:
        if self._hiring is not None:
            self._hiring.cancel()
        self._hiring = self._reactor.callLater(seconds, self._hire)

    def _hire(self) -> None:
        """Put a thread to work on what waits, if none has lately taken any of it."""
        self._hiring = None
        self._at_once = False
        with self._lock:
            if not self._waiting:
                return
            left = self._taken + PATIENCE - self._reactor.seconds() if self._working else 0.0
            hired = left <= 0 and self._working < self._threads
            if hired:
                self._working += 1
                self._taken = self._reactor.seconds()
            full = self._working >= self._threads
        if hired:
            if self._pool is None:
                self.start()
            self._pool.callInThread(self._work)
        if not full:
            self._hire_in(left if left > 0 else PATIENCE)

    # --- in a thread ---------------------------------------------------------

    def _work(self) -> None:
        while batch := self._take():
            jobs = [job for waiting in batch for job in waiting.jobs]
            try:
                self._store.deliver(jobs)
            except BaseException:
                self._reactor.callFromThread(self._failed, batch, Failure())
            else:
                self._reactor.callFromThread(self._finished, batch)
            self._sweep(jobs)

    def _take(self) -> list[_Waiting]:
        """What the next batch is; without any, this thread is free."""
        batch: list[_Waiting] = []
        files = octets = 0
        with self._lock:
            waiting = self._waiting
            while waiting:
                jobs = waiting[0].jobs
                files += len(jobs)
                octets += jobs[0].message.size * len(jobs)
                if batch and (files > BATCH_FILES or octets > BATCH_OCTETS):
                    break
                batch.append(waiting.popleft())
            self._taken = self._reactor.seconds()
            if not batch:
                self._working -= 1
                if not self._working:
                    self._reactor.callFromThread(self._rest)
        return batch

    def _sweep(self, jobs: list[Job]) -> None:
        """Now and then, after the answer, clear a Maildir's tmp."""
        now = self._reactor.seconds()
        for path in {job.path for job in jobs if job.path}:
            if now - self._swept.get(path, -_SWEPT_EVERY) >= _SWEPT_EVERY:
                if len(self._swept) >= _SWEPT_KEPT:
                    self._swept.clear()
                self._swept[path] = now
                self._store.sweep(path)

    # --- in the reactor ------------------------------------------------------

    def _finished(self, batch: list[_Waiting]) -> None:
        self._delivered(
            {job.path for waiting in batch for job in waiting.jobs if isinstance(job.outcome, Delivered)}
        )
        for waiting in batch:
            waiting.done.callback([job.outcome for job in waiting.jobs if job.outcome is not None])

    def _failed(self, batch: list[_Waiting], failure: Failure) -> None:
        self._log.failure("Delivery into Maildirs failed", failure)
        error = failure.value if isinstance(failure.value, Exception) else RuntimeError()
        for waiting in batch:
            waiting.done.callback(
                [job.outcome or trouble(job.addressee.address, error) for job in waiting.jobs]
            )

    def _rest(self) -> None:
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.callback(None)


def _daemon(*args: Any, **options: Any) -> threading.Thread:
    return threading.Thread(*args, daemon=True, **options)


@implementer(IPlugin, IKind)
class MaildirKind:
    """Makes :class:`MaildirTransport`."""

    seam = ITransport
    kind = "maildir"
    settings = MaildirSettings

    def build(self, settings: MaildirSettings, context: PluginContext) -> MaildirTransport:
        """See :class:`~mta.interfaces.IKind`."""
        disk = Disk(durable=settings.fsync)
        places = MaildirPlaces(
            context.hostname,
            disk,
            file_mode=settings.file_mode,
            directory_mode=settings.directory_mode,
            detail_folder=bool(settings.detail_folder),
            create_folder=settings.detail_folder == "create",
        )
        store = MaildirStore(places, disk, context.sorter)
        return MaildirTransport(context.reactor, store, settings.threads, context.delivered)


MAILDIR = MaildirKind()
