"""The registry's database: changes in one thread, and a cheap look from the reactor."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mta.interfaces import TemporarilyUnavailable, settle
from mta.registry import database
from mta.registry.cached import Cached
from mta.registry.database import Database, Direct, finished
from mta.registry.schema import SchemaError, Tables, connect, migrate

WORDS = Tables("words", (("CREATE TABLE words (word TEXT PRIMARY KEY)",),))
LATER = Tables(
    "words", (*WORDS.migrations, ("ALTER TABLE words ADD COLUMN tongue TEXT NOT NULL DEFAULT 'en'",))
)


def add(word: str):
    return lambda base: base.execute("INSERT INTO words (word) VALUES (?)", (word,)).rowcount


def words(base: sqlite3.Connection) -> list[str]:
    return [word for (word,) in base.execute("SELECT word FROM words ORDER BY word")]


class DatabaseTests(TestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.database = self.opened()

    def opened(self) -> Database:
        database = Database(self.path, (WORDS,), reactor)
        database.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(database.stop()))
        return database

    async def test_each_change_stands_for_itself(self) -> None:
        """What one change gets wrong takes nothing back of those beside it."""

        def wrong(base: sqlite3.Connection) -> None:
            add("lost")(base)
            raise LookupError("no")

        asked = [
            Deferred.fromCoroutine(self.database.change("words", work))
            for work in (add("one"), wrong, add("one"), add("two"))
        ]
        results = [await done.addErrback(lambda failure: failure.type) for done in asked]
        self.assertEqual([1, LookupError, sqlite3.IntegrityError, 1], results)
        self.assertEqual(["one", "two"], await self.database.read(words))

    async def test_another_process_leaves_it_as_it_is(self) -> None:
        """It is not the last one to close the database: we still hold our locks on it."""
        await self.database.change("words", add("one"))
        log = self.path.with_name(self.path.name + "-wal")
        before = log.stat().st_ino
        program = (
            "import sqlite3, sys; base = sqlite3.connect(sys.argv[1], isolation_level=None);"
            " base.execute('SELECT * FROM words').fetchall(); base.close()"
        )
        subprocess.run([sys.executable, "-c", program, str(self.path)], check=True)  # noqa: ASYNC221
        self.assertTrue(log.exists(), "another process has deleted our log")
        self.assertEqual(before, log.stat().st_ino)
        await self.database.change("words", add("two"))
        self.assertEqual(["one", "two"], await self.database.read(words))

    async def test_another_process_is_noticed(self) -> None:
        """What another connection changes, a worker knows at its next request."""
        cached = Cached(self.database, "words", words)
        self.assertEqual([], await settle(cached.get()))
        self.assertEqual([], cached.get())
        other = Direct(self.path, (WORDS,))
        self.addCleanup(other.close)
        self.patch(database, "_GLANCE", 0.0)
        before = self.database.version("words")
        finished(other.change("else", lambda base: None))
        self.assertEqual(before, self.database.version("words"))
        finished(other.change("words", add("new")))
        self.assertNotEqual(before, self.database.version("words"))
        self.assertEqual(["new"], await settle(cached.get()))
        self.assertEqual(["new"], cached.get())

    async def test_read_once_for_all_who_wait(self) -> None:
        reads = []

        def load(base: sqlite3.Connection) -> list[str]:
            reads.append(1)
            return words(base)

        cached = Cached(self.database, "words", load)
        found = await gatherResults([Deferred.fromCoroutine(settle(cached.get())) for _ in range(5)])
        self.assertEqual([[]] * 5, found)
        self.assertEqual(1, len(reads))

    async def test_stops_after_what_was_asked(self) -> None:
        asked = Deferred.fromCoroutine(self.database.change("words", add("last")))
        await self.database.stop()
        self.assertEqual(1, await asked)
        with self.assertRaises(TemporarilyUnavailable):
            await self.database.change("words", add("late"))

    def test_nobody_else_reads_it(self) -> None:
        self.assertEqual(0o600, stat.S_IMODE(os.stat(self.path).st_mode))


class SchemaTests(SynchronousTestCase):
    def test_migrations(self) -> None:
        """An older database gets what is new; one that is newer is not touched."""
        path = Path(self.mktemp())
        old = Direct(path, (WORDS,))
        finished(old.change("words", add("kept")))
        old.close()
        new = Direct(path, (LATER,))
        self.assertEqual(
            [("kept", "en")], finished(new.read(lambda base: base.execute("SELECT * FROM words").fetchall()))
        )
        new.close()
        with self.assertRaisesRegex(TemporarilyUnavailable, "words have version 2.*newer mta"):
            Direct(path, (WORDS,))
        connection = connect(path)
        self.addCleanup(connection.close)
        self.assertRaises(SchemaError, migrate, connection, (WORDS,))

    def test_no_database(self) -> None:
        path = Path(self.mktemp())
        path.write_bytes(b"this is no database " * 100)
        with self.assertRaisesRegex(TemporarilyUnavailable, "cannot be used: file is not a database"):
            Direct(path, (WORDS,))
