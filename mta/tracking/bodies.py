"""Messages themselves, for as long as their tenant wants them kept; beside the queue, in which they
stay only until they are delivered.

What is small is written into a database of the shard, in a thread; a content file gets a second name
(a hard link), which costs nothing.  A crash may take the copies of the last moments: the messages are
safe, only that they cannot be looked at after their delivery.
"""

from __future__ import annotations

import os
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.threadpool import ThreadPool

from mta.interfaces import TemporarilyUnavailable
from mta.model.ids import decode_id, encode_id, shard_of
from mta.model.message import FileContent, Message
from mta.private_file import make_private
from mta.tracking.schema import open_for_reading
from mta.write_ahead import use_write_ahead

DATABASE, FILES = "bodies.db", "bodies"
#: Octets that may wait for the disk; beyond, messages are not kept.
_MOST_WAITING = 64 * 1024 * 1024
_PRUNED = 500
_PRUNE_EVERY = 60.0
_SCHEMA = """CREATE TABLE IF NOT EXISTS bodies (
    id INTEGER PRIMARY KEY, until REAL NOT NULL, trace BLOB NOT NULL, data BLOB
);
CREATE INDEX IF NOT EXISTS bodies_until ON bodies (until);"""
#: Number, until when, what stands above it, the octets or ``None`` if they are in a file.
_Row = tuple[int, float, bytes, bytes | None]


class Bodies:
    """See the module.

    :param reactor: the reactor.
    :param directory: of our shard.
    :param keep: seconds for which the messages of a tenant are kept; 0: not.
    """

    log = Logger()

    def __init__(self, reactor: Any, directory: Path, keep: Callable[[str], float]) -> None:
        self._reactor = reactor
        self._directory = directory
        self._keep = keep
        self._pool = ThreadPool(0, 1, "bodies")
        self._waiting: list[_Row] = []
        self._octets = 0
        self._writing: Deferred[Any] | None = None
        self._timer: Any = None
        self._running = False
        #: In the thread, while there is something to write: to open and close it costs more than most rows.
        self._base: sqlite3.Connection | None = None

    def start(self) -> None:
        """Begin."""
        self._running = True
        self._pool.start()
        self._prune_later(1.0)

    async def stop(self) -> None:
        """Write what waits, and end."""
        if not self._running:
            return
        self._running = False
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        while self._writing is not None:
            await self._writing
        self._pool.stop()
        self._close()

    def take(self, message: Message) -> None:
        """A message was accepted."""
        seconds = self._keep(message.attributes.get("tenant", "")) if message.attributes else 0.0
        if seconds <= 0 or not self._running:
            return
        content = message.content
        data: bytes | None = None
        if isinstance(content, FileContent):
            files = self._directory / FILES
            try:
                files.mkdir(mode=0o700, exist_ok=True)
                os.link(content.path, files / message.id)
            except OSError as error:
                self.log.warn("{id} is not kept: {error}", id=message.id, error=str(error))
                return
        elif self._octets + content.size > _MOST_WAITING:
            self.log.warn("{id} is not kept: too many wait for the disk", id=message.id)
            return
        else:
            data = content.read()
        self._octets += len(data or b"")
        self._waiting.append((decode_id(message.id), message.created + seconds, message.trace, data))
        if self._writing is None:
            self._write()

    def _write(self) -> None:
        rows, self._waiting, self._octets = self._waiting, [], 0
        done = deferToThreadPool(self._reactor, self._pool, self._written, rows)
        self._writing = done
        done.addErrback(self._trouble, "Messages are not kept")
        done.addCallback(self._next)

    def _next(self, result: Any) -> None:
        self._writing = None
        if self._waiting:
            self._write()

    def _prune_later(self, seconds: float) -> None:
        if self._running:
            self._timer = self._reactor.callLater(seconds, self._prune_soon)

    def _prune_soon(self) -> None:
        done = deferToThreadPool(self._reactor, self._pool, self._prune, self._reactor.seconds())
        done.addErrback(self._trouble, "Old messages stay")
        done.addCallback(lambda result: self._prune_later(1.0 if result else _PRUNE_EVERY))

    def _trouble(self, failure: Any, what: str) -> None:
        self.log.error("{what}: {why}", what=what, why=failure.getErrorMessage())

    # --- in the thread -----------------------------------------------------------

    def _opened(self) -> sqlite3.Connection:
        if self._base is not None:
            return self._base
        path = self._directory / DATABASE
        make_private(path)
        # Used in the thread alone, but for the end, when that is over.
        base = sqlite3.connect(path, timeout=10.0, isolation_level=None, check_same_thread=False)
        base.execute("PRAGMA auto_vacuum = INCREMENTAL")
        use_write_ahead(base)
        base.execute("PRAGMA synchronous = NORMAL")
        base.executescript(_SCHEMA)
        self._base = base
        return base

    def _close(self) -> None:
        base, self._base = self._base, None
        if base is not None:
            with suppress(sqlite3.Error):
                base.close()

    def _written(self, rows: Sequence[_Row]) -> None:
        packed = [(*row[:3], None if row[3] is None else zlib.compress(row[3], 1)) for row in rows]
        try:
            base = self._opened()
            base.execute("BEGIN IMMEDIATE")
            base.executemany("INSERT OR REPLACE INTO bodies VALUES (?, ?, ?, ?)", packed)
            base.execute("COMMIT")
        except BaseException:
            self._close()
            raise

    def _prune(self, now: float) -> bool:
        if not (self._directory / DATABASE).exists():
            return False
        # Nothing may come for long: it is opened again with the next message.
        self._close()
        with closing(self._opened()) as base:
            self._base = None
            query = "SELECT id, data IS NULL FROM bodies WHERE until < ? ORDER BY until LIMIT ?"
            rows = base.execute(query, (now, _PRUNED)).fetchall()
            for number, in_file in rows:
                if in_file:
                    (self._directory / FILES / encode_id(number)).unlink(missing_ok=True)
            base.execute("BEGIN IMMEDIATE")
            base.executemany("DELETE FROM bodies WHERE id = ?", [(number,) for number, _ in rows])
            base.execute("COMMIT")
            base.executescript("PRAGMA incremental_vacuum(200)")
        return bool(rows)


def kept_body(spool: Path, identifier: str, now: float) -> bytes | None:
    """A message that is kept, in whichever shard; ``None``: it is not, or no more.  Blocks.

    :raise TemporarilyUnavailable: if nobody can tell.
    """
    directory = spool / str(shard_of(identifier))
    if not (directory / DATABASE).exists():
        return None
    try:
        with closing(open_for_reading(directory / DATABASE)) as base:
            query = "SELECT trace, data FROM bodies WHERE id = ? AND until > ?"
            row = base.execute(query, (decode_id(identifier), now)).fetchone()
    except sqlite3.Error as error:
        raise TemporarilyUnavailable(f"{directory / DATABASE} cannot be read: {error}") from error
    if row is None:
        return None
    if row[1] is not None:
        return bytes(row[0]) + zlib.decompress(row[1])
    with suppress(FileNotFoundError):
        return bytes(row[0]) + (directory / FILES / identifier).read_bytes()
    return None
