"""Whom an account has answered."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.model.bucket import Bucket
from mta.rules.memory import _MIGRATIONS, NAME, Memory, broken

DAY = 86400.0


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.place = Path(self.mktemp())
        self.place.mkdir()
        self.memory = self.open()

    def open(self) -> Memory:
        memory = Memory(self.place / NAME)
        self.addCleanup(memory.close)
        return memory

    def claim(
        self, whom: str, message: str, now: float = 0.0, most: int = 100, account: str = "a@b.c"
    ) -> bool:
        return self.memory.claim(account, whom, message, now, now + 7 * DAY, most, DAY)

    def test_once(self) -> None:
        """Once for each sender, unless it is the same message, which a crash has brought again."""
        self.assertTrue(self.claim("sam", "m1"))
        self.assertTrue(self.claim("sam", "m1"))
        self.assertFalse(self.claim("sam", "m2", DAY))
        self.assertTrue(self.claim("ben", "m3", DAY))
        self.assertTrue(self.claim("sam", "m4", DAY, account="other@b.c"))
        # Another process, or this one after a restart.
        self.memory.close()
        self.memory = self.open()
        self.assertFalse(self.claim("sam", "m5", 2 * DAY))
        self.assertTrue(self.claim("sam", "m6", 7 * DAY + 1))

    def test_flood(self) -> None:
        """Forged senders get so many answers a day, and no more."""
        taken = [self.claim(f"s{number}", f"m{number}", 10.0, 5) for number in range(10)]
        self.assertEqual(5, sum(taken))
        self.assertTrue(self.claim("s9", "m10", DAY + 20.0, 5))

    def test_forwarding(self) -> None:
        """As much as the rate allows, in all workers and over restarts; each copy counts once."""
        bucket, other = Bucket.of((2, 3600.0)), self.open()

        def forward(
            memory: Memory, message: str, now: float = 0.0, whom: str = "x", account: str = "a"
        ) -> bool:
            return memory.forward(account, whom, message, now, bucket)

        self.assertTrue(forward(self.memory, "m1"))
        self.assertTrue(forward(other, "m1"))
        self.assertTrue(forward(other, "m1", whom="y"))
        self.assertFalse(forward(self.memory, "m2"))
        self.assertTrue(forward(self.memory, "m2", account="b"))
        self.memory.close()
        self.assertFalse(forward(self.memory, "m2", 1000.0))
        self.assertTrue(forward(other, "m2", 1801.0))
        self.assertFalse(forward(self.memory, "m3", 1802.0))
        # It was let through; a crash may bring it again.
        self.assertTrue(forward(self.memory, "m1", 1803.0))

    def test_older(self) -> None:
        """A database of the version before goes on."""
        with closing(sqlite3.connect(self.place / NAME)) as base:
            for statement in filter(str.strip, _MIGRATIONS[0].split(";")):
                base.execute(statement)
            base.execute("INSERT INTO broken VALUES (?, ?)", (b"/m/a", "a@b.c"))
            base.execute("PRAGMA user_version = 1")
            base.commit()
        self.assertTrue(self.memory.forward("a", "x", "m1", 0.0, Bucket.of((1, 60.0))))
        self.assertEqual([(b"/m/a", "a@b.c")], broken(self.place))

    def test_broken(self) -> None:
        self.assertEqual([], broken(self.place))
        self.memory.break_(b"/m/a", "a@b.c")
        self.memory.break_(b"/m/a", "a@b.c")
        self.assertEqual([(b"/m/a", "a@b.c")], broken(self.place))
        self.assertEqual(0o600, stat.S_IMODE((self.place / NAME).stat().st_mode))
