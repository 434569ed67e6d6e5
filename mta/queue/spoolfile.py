"""Content on its way to a file of its own.

The reactor's thread hands blocks over; a thread of the pool writes them, all
that wait at once.  While more than 1 MiB waits, the producer is paused.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from zope.interface import implementer

from mta.interfaces import ISpoolFile, SpoolFull, TemporarilyUnavailable
from mta.model.message import Content, FileContent
from mta.queue.shard import NO_SPACE

#: Octets that wait in memory before a thread is asked to write them.
BLOCK = 256 * 1024
#: Octets that may wait before the producer is paused, and at which it goes on.
MOST_WAITING = 1024 * 1024
FEW_WAITING = 512 * 1024


class Disk:
    """What a spool file asks of the file system; every method blocks and may raise ``OSError``."""

    def create(self, path: Path) -> int:
        """A new file, open for writing.

        Ids are never used twice, so a file that is there already was left by a
        crash before anybody was told of it.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)
        except FileExistsError:
            path.unlink()
            return os.open(path, flags, 0o600)

    def write(self, file: int, data: bytes) -> None:
        """Append all of it."""
        view = memoryview(data)
        while view:
            view = view[os.write(file, view) :]

    def sync(self, file: int, directory: Path) -> None:
        """The file, and its name, are on disk afterwards."""
        os.fsync(file)
        entry = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(entry)
        finally:
            os.close(entry)

    def remove(self, path: Path) -> None:
        """Take the file away, if it is there."""
        path.unlink(missing_ok=True)


@implementer(ISpoolFile)
class SpoolFile:
    """One file.

    :param path: where it will be.
    :param disk: the file system.
    :param in_thread: runs a callable in a thread of the pool.
    :param in_reactor: runs a callable in the reactor's thread, from another one.
    """

    __slots__ = (
        "_blocks",
        "_closed",
        "_deferred",
        "_disk",
        "_error",
        "_file",
        "_finished",
        "_in_reactor",
        "_in_thread",
        "_lock",
        "_paused",
        "_producer",
        "_see",
        "_size",
        "_waiting",
        "_working",
        "path",
    )

    def __init__(
        self,
        path: Path,
        disk: Disk,
        in_thread: Callable[[Callable[[], None]], object],
        in_reactor: Callable[..., object],
    ) -> None:
        self.path = path
        self._disk = disk
        self._in_thread = in_thread
        self._in_reactor = in_reactor
        # Guards what both threads change: _blocks, _waiting, _working.
        self._lock = Lock()
        self._blocks: list[bytes] = []
        self._waiting = 0
        self._working = False
        self._size = 0
        # Set by the reactor's thread, once: no more blocks come.
        self._finished = False
        self._closed = False
        self._deferred: Deferred[Content] | None = None
        self._producer: Any = None
        self._paused = False
        self._see: Callable[[bytes], None] | None = None
        # Of the pool's thread:
        self._file: int | None = None
        self._error: OSError | None = None

    # --- in the reactor's thread ---------------------------------------------

    def write(self, block: bytes) -> None:
        """Append; never blocks."""
        if self._finished or self._closed:
            return
        self._size += len(block)
        with self._lock:
            self._blocks.append(block)
            self._waiting += len(block)
            waiting = self._waiting
            start = waiting >= BLOCK and not self._working
            if start:
                self._working = True
        if start:
            self._in_thread(self._work)
        if waiting > MOST_WAITING:
            self._pause()

    def watch(self, see: Callable[[bytes], None]) -> None:
        """Have something see every block, in the thread that writes."""
        self._see = see

    def register(self, producer: Any) -> None:
        """Pause this one while too much waits for the disk."""
        self._producer = producer
        self._paused = False
        if self._waiting > MOST_WAITING:
            self._pause()

    def finish(self) -> Deferred[Content]:
        """Write the rest, make it durable, and answer with the content."""
        if self._finished or self._closed:
            return fail(TemporarilyUnavailable(f"{self.path} is closed"))
        self._finished = True
        self._producer = None
        self._deferred = Deferred()
        self._start()
        return self._deferred

    def abort(self) -> None:
        """Remove it; a ``finish`` under way fails."""
        if self._closed:
            return
        self._closed = True
        self._producer = None
        self._start()

    def _start(self) -> None:
        with self._lock:
            if self._working:
                return  # it looks again before it ends
            self._working = True
        self._in_thread(self._work)

    def _pause(self) -> None:
        if self._producer is not None and not self._paused:
            self._paused = True
            self._producer.pauseProducing()
            # The thread may have looked at _paused a moment too early.
            if self._waiting <= FEW_WAITING:
                self._resume()

    def _resume(self) -> None:
        if self._producer is not None and self._paused and self._waiting <= MOST_WAITING:
            self._paused = False
            self._producer.resumeProducing()

    def _answer(self, answer: Content | Failure) -> None:
        deferred, self._deferred = self._deferred, None
        if deferred is None:
            return
        if isinstance(answer, Failure):
            deferred.errback(answer)
        else:
            deferred.callback(answer)

    # --- in a thread of the pool, one at a time ------------------------------

    def _work(self) -> None:
        while True:
            with self._lock:
                finished, closed = self._finished, self._closed
                blocks, self._blocks = self._blocks, []
                if not blocks or closed:
                    # Nothing left: whoever brings more starts another thread,
                    # unless this is the end.
                    self._waiting = 0
                    if not (finished or closed):
                        self._working = False
                        return
                    break
                octets = self._waiting
            self._write(blocks)
            with self._lock:
                self._waiting -= octets
                low = self._waiting <= FEW_WAITING
            if low and self._paused:
                self._in_reactor(self._resume)
        if closed:
            self._remove()
            if finished:
                self._in_reactor(self._answer, Failure(TemporarilyUnavailable(f"{self.path} was given up")))
            return
        self._complete()

    def _write(self, blocks: list[bytes]) -> None:
        if self._error is not None:
            return  # the rest of the message is swallowed, and finish tells why
        try:
            if self._file is None:
                self._file = self._disk.create(self.path)
            data = blocks[0] if len(blocks) == 1 else b"".join(blocks)
            self._disk.write(self._file, data)
            if self._see is not None:
                self._see(data)
        except OSError as error:
            self._error = error
            # Give the space back at once: others may need it.
            self._remove()

    def _complete(self) -> None:
        answer: Content | Failure
        self._write([b""])
        if self._error is None and self._file is not None:
            try:
                self._disk.sync(self._file, self.path.parent)
                file, self._file = self._file, None
                os.close(file)
            except OSError as error:
                self._error = error
        if self._error is None:
            answer = FileContent(self.path, self._size)
        else:
            self._remove()
            answer = Failure(_trouble_of(self._error, self.path))
        with self._lock:
            self._working = False
            closed = self._closed
        if closed:
            self._remove()
        self._in_reactor(self._answer, answer)

    def _remove(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            with suppress(OSError):
                os.close(file)
        with suppress(OSError):
            self._disk.remove(self.path)


def _trouble_of(error: OSError, path: Path) -> TemporarilyUnavailable:
    if error.errno in NO_SPACE:
        return SpoolFull(f"there is no space left for {path}: {error.strerror}")
    return TemporarilyUnavailable(f"{path} cannot be written: {error.strerror or error}")
