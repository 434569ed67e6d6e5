from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import TemporarilyUnavailable
from mta.model.envelope import Client, Envelope
from mta.model.ids import IdSource
from mta.model.message import Content, FileContent, InlineContent, Message
from mta.tracking import bodies as bodies_module
from mta.tracking.bodies import DATABASE, FILES, Bodies, kept_body
from tests.tracking.journals import NOW
from tests.tracking.same_thread import Moments, SameThread


class BodiesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(bodies_module, "ThreadPool", SameThread)
        self.spool = Path(self.mktemp()).absolute()
        self.shard = self.spool / "3"
        self.shard.mkdir(parents=True)
        self.clock = Moments()
        self.clock.advance(NOW)
        self.ids = IdSource(3)
        self.seconds = {"shop": 60.0, "clinic": 0.0}
        self.bodies = Bodies(self.clock, self.shard, lambda tenant: self.seconds.get(tenant, 0.0))
        self.bodies.start()
        self.addCleanup(self.stop)

    @property
    def pool(self) -> SameThread:
        pool: Any = self.bodies._pool
        return pool  # type: ignore[no-any-return]

    def stop(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.bodies.stop()))

    def message(self, content: Content, tenant: str = "shop") -> Message:
        return Message(
            id=self.ids.next(NOW),
            envelope=Envelope("me@shop.example"),
            client=Client("s"),
            trace=b"Received: from us\r\n",
            content=content,
            addressees=[],
            created=NOW,
            expires=NOW + 86400,
            attributes={"tenant": tenant} if tenant else {},
        )

    def take(self, octets: bytes = b"Subject: x\r\n\r\nHello\r\n", tenant: str = "shop") -> str:
        message = self.message(InlineContent(octets), tenant)
        self.bodies.take(message)
        self.clock.settle()
        return message.id

    def take_file(self, octets: bytes) -> tuple[str, Path]:
        """A message in a file, as the spool keeps large ones."""
        path = self.shard / "content"
        path.write_bytes(octets)
        message = self.message(FileContent(path, len(octets)))
        self.bodies.take(message)
        self.clock.settle()
        return message.id, path

    def kept(self, identifier: str, after: float = 0.0) -> bytes | None:
        return kept_body(self.spool, identifier, NOW + after)

    def test_kept(self) -> None:
        """As it was sent, until its time is over."""
        name = self.take()
        wanted = b"Received: from us\r\nSubject: x\r\n\r\nHello\r\n"
        self.assertEqual(wanted, self.kept(name))
        self.assertEqual(wanted, self.kept(name, 59.9))
        self.assertIsNone(self.kept(name, 60.0))

    def test_not_wanted(self) -> None:
        """A tenant that wants none, and mail of nobody: nothing of it is on disk."""
        for tenant in ("clinic", "unknown", ""):
            self.assertIsNone(self.kept(self.take(tenant=tenant)))
        self.assertEqual([], list(self.shard.iterdir()))

    def test_file(self) -> None:
        """Its file outlives its delivery, and goes at the end of its time."""
        name, path = self.take_file(b"large")
        path.unlink()
        self.assertEqual(b"Received: from us\r\nlarge", self.kept(name))
        second = self.shard / FILES / name
        self.assertEqual(1, second.stat().st_nlink)
        self.clock.advance_by(1.0, 59)
        self.assertTrue(second.exists())
        self.clock.advance_by(1.0, 65)
        self.assertFalse(second.exists())
        self.assertIsNone(self.kept(name))

    def test_file_gone(self) -> None:
        """A message that was delivered before it could be kept is not, and nothing else suffers."""
        path = self.shard / "content"
        message = self.message(FileContent(path, 5))
        self.bodies.take(message)
        self.clock.settle()
        self.assertIsNone(self.kept(message.id))
        self.assertIsNotNone(self.kept(self.take()))
        # One of which only the row is left.
        name, _ = self.take_file(b"large")
        (self.shard / FILES / name).unlink()
        self.assertIsNone(self.kept(name))

    def test_pruned(self) -> None:
        """What is over is gone from the disk, however much it is, and what is not stays."""
        self.pool.hold()
        names = [self.take(os.urandom(10)) for _ in range(1200)]
        self.pool.go_on()
        self.clock.settle()
        self.assertEqual(1200, self.rows())
        self.clock.advance_by(50)
        self.seconds["shop"] = 600.0
        stays = self.take()
        self.clock.advance_by(1.0, 80)
        self.assertEqual(1, self.rows())
        self.assertIsNone(self.kept(names[0]))
        self.assertIsNotNone(self.kept(stays, 100))

    def rows(self) -> int:
        base = sqlite3.connect(f"file:{self.shard / DATABASE}?mode=ro", uri=True)
        try:
            return int(base.execute("SELECT count(*) FROM bodies").fetchone()[0])
        finally:
            base.close()

    def test_slow_disk(self) -> None:
        """What comes while it writes goes into the next transaction; what waits has a bound."""
        self.patch(bodies_module, "_MOST_WAITING", 1000)
        self.pool.hold()
        first = self.take(b"a" * 900)
        second = self.take(b"b" * 900)
        third = self.take(b"c" * 900)
        self.assertIsNone(self.kept(first))
        self.pool.go_on()
        self.clock.settle()
        self.assertIsNotNone(self.kept(first))
        self.assertIsNotNone(self.kept(second))
        self.assertIsNone(self.kept(third))
        self.assertIsNotNone(self.kept(self.take(b"d" * 900)))

    def test_stopped(self) -> None:
        """What waits is written first; afterwards nothing is taken."""
        self.pool.hold()
        names = [self.take(), self.take()]
        stopping = Deferred.fromCoroutine(self.bodies.stop())
        self.assertNoResult(stopping)
        self.pool.go_on()
        self.clock.settle()
        self.successResultOf(stopping)
        self.assertEqual([True, True], [self.kept(name) is not None for name in names])
        self.assertIsNone(self.kept(self.take()))
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_trouble(self) -> None:
        """A database that cannot be written costs copies, not messages; and it goes on when it can."""
        (self.shard / DATABASE).mkdir()
        name = self.take()
        (self.shard / DATABASE).rmdir()
        self.assertIsNone(self.kept(name))
        self.assertIsNotNone(self.kept(self.take()))
        # One that is no database is no reason to say that a message was not kept.
        damaged = self.spool / "4" / DATABASE
        damaged.parent.mkdir()
        damaged.write_bytes(b"no database" * 1000)
        with self.assertRaises(TemporarilyUnavailable):
            self.kept(IdSource(4).next(NOW))

    def test_private(self) -> None:
        """Others on the machine cannot read them."""
        self.take()
        self.take_file(b"large")
        self.assertEqual(0o600, (self.shard / DATABASE).stat().st_mode & 0o777)
        self.assertEqual(0o700, (self.shard / FILES).stat().st_mode & 0o777)

    def test_another_shard(self) -> None:
        """The id of a message tells where it is."""
        name = self.take()
        other = IdSource(4).next(NOW)
        self.assertIsNotNone(self.kept(name))
        self.assertIsNone(self.kept(other))
