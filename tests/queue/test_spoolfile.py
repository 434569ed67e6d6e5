"""Content files: durable before they are named, slow disks, faults, and what a crash leaves behind."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import ISpoolFile, SpoolFull, TemporarilyUnavailable
from mta.model.message import FileContent
from mta.queue.spool import Spool
from mta.queue.spoolfile import BLOCK, MOST_WAITING, Disk, SpoolFile
from tests.queue.spooling import NOW, SpoolCase, delivered, message


class MemoryDisk(Disk):
    """Remembers what was asked, and fails when told to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.data = b""
        self.fail: dict[str, int] = {}

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.fail:
            raise OSError(self.fail[what], os.strerror(self.fail[what]))

    def create(self, path: Path) -> int:
        self._ask("create")
        return os.open(os.devnull, os.O_WRONLY)

    def write(self, file: int, data: bytes) -> None:
        if data:
            self._ask("write")
        self.data += data

    def sync(self, file: int, directory: Path) -> None:
        self._ask("sync")

    def remove(self, path: Path) -> None:
        self._ask("remove")


class Producer:
    """Remembers whether it may produce."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pauseProducing(self) -> None:
        self.calls.append("pause")

    def resumeProducing(self) -> None:
        self.calls.append("resume")


class ManualTests(SynchronousTestCase):
    """One file, its thread run by hand."""

    def setUp(self) -> None:
        self.disk = MemoryDisk()
        self.threads: list[Callable[[], None]] = []
        self.file = SpoolFile(Path("content/x"), self.disk, self.threads.append, lambda f, *args: f(*args))

    def work(self) -> None:
        while self.threads:
            self.threads.pop(0)()

    def test_order(self) -> None:
        """Everything is written in order, then made durable, then answered."""
        self.assertTrue(ISpoolFile.providedBy(self.file))
        self.file.write(b"a" * 10)
        self.assertEqual([], self.threads)
        self.file.write(b"b" * BLOCK)
        self.file.write(b"c")
        self.assertEqual(1, len(self.threads))
        done = self.file.finish()
        self.assertNoResult(done)
        self.work()
        self.assertEqual(b"a" * 10 + b"b" * BLOCK + b"c", self.disk.data)
        self.assertEqual(["create", "write", "sync"], self.disk.asked)
        self.assertEqual(FileContent(Path("content/x"), BLOCK + 11), self.successResultOf(done))
        self.file.write(b"too late")
        self.failureResultOf(self.file.finish(), TemporarilyUnavailable)
        self.assertEqual([], self.threads)

    def test_watched(self) -> None:
        """Something sees all of it, in order, in the thread; not what could not be written."""
        seen: list[bytes] = []
        self.file.watch(seen.append)
        self.file.write(b"a" * 10)
        self.file.write(b"b" * BLOCK)
        self.assertEqual([], seen)
        self.work()
        self.file.write(b"c")
        self.file.finish()
        self.work()
        self.assertEqual(self.disk.data, b"".join(seen))
        self.assertEqual(BLOCK + 11, len(self.disk.data))

    def test_empty(self) -> None:
        """A file of nothing is a file."""
        done = self.file.finish()
        self.work()
        self.assertEqual(0, self.successResultOf(done).size)
        self.assertEqual(["create", "sync"], self.disk.asked)

    def test_back_pressure(self) -> None:
        """While more than 1 MiB waits, the producer is paused."""
        producer = Producer()
        self.file.register(producer)
        self.file.write(b"x" * MOST_WAITING)
        self.assertEqual([], producer.calls)
        self.file.write(b"x")
        self.file.write(b"x")
        self.assertEqual(["pause"], producer.calls)
        self.work()
        self.assertEqual(["pause", "resume"], producer.calls)
        self.file.write(b"x" * (MOST_WAITING + 1))
        self.assertEqual(["pause", "resume", "pause"], producer.calls)
        late = Producer()
        self.file.register(late)
        self.assertEqual(["pause"], late.calls)

    def test_faults(self) -> None:
        """Every fault is told at the end, as what it is, and leaves no file."""
        for what in ("create", "write", "sync"):
            for code, kind in ((errno.ENOSPC, SpoolFull), (errno.EDQUOT, SpoolFull), (errno.EIO, None)):
                self.setUp()
                self.disk.fail = {what: code}
                producer = Producer()
                self.file.register(producer)
                self.file.write(b"x" * BLOCK * 5)
                self.work()
                self.file.write(b"x" * BLOCK * 5)
                self.work()
                self.assertEqual(["pause", "resume"] * 2, producer.calls)
                done = self.file.finish()
                self.work()
                failure: Failure = self.failureResultOf(done, TemporarilyUnavailable)
                self.assertEqual(kind is SpoolFull, failure.check(SpoolFull) is not None, (what, code))
                self.assertEqual("remove", self.disk.asked[-1])
                self.assertEqual(1, self.disk.asked.count("create"))

    def test_abort(self) -> None:
        """What is not wanted goes, whenever that is said."""
        self.file.write(b"x" * BLOCK)
        self.work()
        self.file.write(b"x" * BLOCK)
        self.file.abort()
        self.file.abort()
        self.work()
        self.assertEqual(["create", "write", "remove"], self.disk.asked)
        self.file.write(b"x" * BLOCK)
        self.assertEqual([], self.threads)
        self.failureResultOf(self.file.finish(), TemporarilyUnavailable)

    def test_abort_while_finishing(self) -> None:
        """Who waits for the end is told."""
        self.file.write(b"x")
        done = self.file.finish()
        self.file.abort()
        self.work()
        self.failureResultOf(done, TemporarilyUnavailable)
        self.assertEqual("remove", self.disk.asked[-1])

    def test_abort_after_finish(self) -> None:
        """As when the database does not take the row."""
        done = self.file.finish()
        self.work()
        self.successResultOf(done)
        self.file.abort()
        self.work()
        self.assertEqual(["create", "sync", "remove"], self.disk.asked)


class FileTests(SpoolCase):
    """With a spool, threads and a real disk."""

    def names(self) -> set[str]:
        return {path.name for path in (self.directory / "content").iterdir()}

    async def without(self, name: str) -> None:
        while name in self.names():
            await deferLater(reactor, 0.01)

    async def test_whole_way(self) -> None:
        """Written, named by a row, found again after a restart, removed when nobody waits."""
        spool = await self.open()
        file = spool.create_file(spool.new_id())
        blocks = [bytes([number]) * 100_000 for number in range(30)]
        for block in blocks:
            file.write(block)
        content = await file.finish()
        self.assertEqual((b"".join(blocks), 3_000_000), (content.read(), content.size))
        self.assertEqual(0o600, file.path.stat().st_mode & 0o777)
        sent = message(file.path.name, content=content)
        await spool.admit(sent, ())
        await spool.stop()
        spool = await self.open()
        (found,) = await spool.claim(NOW, 1, 0, set())
        self.assertEqual(content, found.content)
        await spool.record(delivered(found))
        await self.without(file.path.name)

    async def test_abort(self) -> None:
        """Removed from the disk."""
        spool = await self.open()
        file = spool.create_file(spool.new_id())
        file.write(b"x" * 300_000)
        while not self.names():
            await deferLater(reactor, 0.01)
        file.abort()
        await self.without(file.path.name)

    async def test_abort_after_stop(self) -> None:
        """A session that ends after the spool leaves nothing."""
        spool = await self.open()
        file = spool.create_file(spool.new_id())
        file.write(b"x")
        await file.finish()
        await spool.stop()
        file.abort()
        self.assertEqual(set(), self.names())

    async def test_real_faults(self) -> None:
        """A directory that is gone, and a file that stands there already."""
        spool = await self.open()
        left = spool.create_file(spool.new_id())
        left.path.write_bytes(b"left by a crash")
        left.write(b"new")
        self.assertEqual(b"new", (await left.finish()).read())
        left.abort()
        await self.without(left.path.name)
        (self.directory / "content").rmdir()
        file = spool.create_file(spool.new_id())
        file.write(b"x" * 300_000)
        error = await self.assertFailure(file.finish(), TemporarilyUnavailable)
        self.assertNotIsInstance(error, SpoolFull)

    async def test_directories_are_durable(self) -> None:
        """A power cut after the first start takes no directory away with what is in it."""
        synced: set[int] = set()
        sync = os.fsync

        def fsync(file: int) -> None:
            synced.add(os.fstat(file).st_ino)
            sync(file)

        self.patch(os, "fsync", fsync)
        await self.open()
        named = (self.directory, self.directory.parent, self.directory.parent.parent)
        self.assertEqual(set(), {path.stat().st_ino for path in named} - synced)

    async def test_orphans(self) -> None:
        """Files without a row go at the start; those of messages, of this run, and of others stay."""
        spool = await self.open()
        file = spool.create_file(spool.new_id())
        content = await file.finish()
        await spool.admit(message(file.path.name, content=content), ())
        orphan = spool.create_file(spool.new_id())
        await orphan.finish()
        await spool.stop()
        (self.directory / "content" / "README").write_bytes(b"a person's")
        spool = Spool(self.directory, reactor)
        self.spools.append(spool)
        await spool.start()
        mine = spool.create_file(spool.new_id())
        await mine.finish()
        await self.without(orphan.path.name)
        self.assertEqual({file.path.name, mine.path.name, "README"}, self.names())
