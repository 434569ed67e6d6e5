"""Tests of mta.write_ahead."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.write_ahead import use_write_ahead


class WriteAheadTests(SynchronousTestCase):
    """Somebody else is in the file while its log is turned on."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(self.other.close)
        self.base = sqlite3.connect(self.path, isolation_level=None, timeout=0.0)
        self.addCleanup(self.base.close)

    def mode(self) -> str:
        """How the file keeps its journal."""
        (mode,) = self.base.execute("PRAGMA journal_mode").fetchone()
        return str(mode)

    def test_in_the_way(self) -> None:
        """It is tried again until the other is through."""
        self.other.execute("BEGIN IMMEDIATE")
        pauses: list[float] = []

        def sleep(pause: float) -> None:
            pauses.append(pause)
            if len(pauses) == 3:
                self.other.execute("COMMIT")

        use_write_ahead(self.base, sleep=sleep)
        self.assertEqual("wal", self.mode())
        self.assertEqual([0.002, 0.004, 0.008], pauses)

    def test_for_too_long(self) -> None:
        """Patience has an end."""
        self.other.execute("BEGIN IMMEDIATE")
        now = [0.0]

        def sleep(pause: float) -> None:
            now[0] += pause

        with self.assertRaisesRegex(sqlite3.OperationalError, "locked"):
            use_write_ahead(self.base, 1.0, lambda: now[0], sleep)
        self.assertGreaterEqual(now[0], 1.0)

    def test_no_database(self) -> None:
        """What will never be is not waited for."""
        self.path.write_bytes(b"x" * 4096)
        with self.assertRaises(sqlite3.DatabaseError):
            use_write_ahead(self.base, sleep=lambda pause: self.fail("waited"))

    def test_many(self) -> None:
        """Many open new files at once."""

        def open_one(path: Path) -> None:
            with closing(sqlite3.connect(path, isolation_level=None)) as base:
                use_write_ahead(base)

        with ThreadPoolExecutor(8) as threads:
            for number in range(20):
                list(threads.map(open_one, [self.path.with_name(f"{self.path.name}-{number}")] * 8))
