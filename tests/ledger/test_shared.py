"""What workers remember together: bounded, never in the way, and whole after a crash."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from pathlib import Path
from threading import Event
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mta.interfaces import TemporarilyUnavailable
from mta.ledger.book import FOREVER, Book, open_book, read_entries, sweep
from mta.ledger.shared import SharedLedger


def count(book: Any) -> int:
    number = (book.get("bucket", "x") or 0) + 1
    book.put("bucket", "x", number, 3600.0)
    return int(number)


class BookTests(SynchronousTestCase):
    """Entries and their ends."""

    def setUp(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)
        self.connection = open_book(self.place / "shared.db")
        self.addCleanup(self.connection.close)

    def test_end(self) -> None:
        Book(self.connection, 100.0).put("grey", "a", {"n": 1}, 10.0)
        self.assertEqual({"n": 1}, Book(self.connection, 109.0).get("grey", "a"))
        self.assertIsNone(Book(self.connection, 110.0).get("grey", "a"))
        self.assertEqual([], list(Book(self.connection, 110.0).entries("grey")))

    def test_delete(self) -> None:
        book = Book(self.connection, 100.0)
        book.put("ban", "a", 1)
        self.assertTrue(book.delete("ban", "a"))
        self.assertFalse(book.delete("ban", "a"))
        self.assertEqual({"ban"}, book.changed)

    def test_any_key(self) -> None:
        """Whatever a stranger sends can be a key."""
        book = Book(self.connection, 100.0)
        for key in ("\udcff@x", "a" * 100_000, "\0", "é"):
            book.put("grey", key, 1, 10.0)
            self.assertEqual(1, book.get("grey", key))

    def test_bounded(self) -> None:
        """What is over goes, and then what is over soonest; what a person said stays."""
        book = Book(self.connection, 100.0)
        book.put("ban", "by-hand", 1)
        for number in range(20):
            book.put("grey", f"{number:02}", 1, 10.0 + number)
        self.assertEqual(5, sweep(self.connection, 114.0, 100))
        self.assertEqual(10, sweep(self.connection, 114.0, 6))
        self.assertEqual(["15", "16", "17", "18", "19"], [k for k, _, _ in book.entries("grey")][-5:])
        self.assertEqual([("by-hand", 1, FOREVER)], list(book.entries("ban")))

    def test_read_beside(self) -> None:
        Book(self.connection, 100.0).put("ban", "192.0.2.1", {"why": "x"}, 50.0)
        self.assertEqual(
            [("192.0.2.1", {"why": "x"}, 150.0)], read_entries(self.place / "shared.db", "ban", 100.0)
        )
        self.assertRaises(FileNotFoundError, read_entries, self.place / "none.db", "ban", 100.0)


class LedgerTests(TestCase):
    """The thread around it."""

    def setUp(self) -> None:
        self.place = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.place)
        self.path = self.place / "shared.db"

    def ledger(self, **options: Any) -> SharedLedger:
        made = SharedLedger(self.path, reactor, **options)
        self.addCleanup(made.stop)
        return made

    def test_nothing_asked_nothing_made(self) -> None:
        ledger = self.ledger()
        ledger.start()
        ledger.stop()
        self.assertEqual([], list(self.place.iterdir()))

    async def test_common_and_kept(self) -> None:
        """Two workers count in one; a third, later, goes on."""
        one, two = self.ledger(), self.ledger()
        self.assertEqual([1, 2, 3], [await one.ask(count), await two.ask(count), await one.ask(count)])
        one.stop()
        two.stop()
        self.assertEqual(4, await self.ledger().ask(count))

    async def test_at_once(self) -> None:
        """Many at once are each counted once."""
        one, two = self.ledger(), self.ledger()
        asked = [ledger.ask(count) for _ in range(300) for ledger in (one, two)]
        self.assertEqual(list(range(1, 601)), sorted([await answer for answer in asked]))

    async def test_a_fault_in_one(self) -> None:
        def wrong(book: Any) -> None:
            book.put("bucket", "x", 99, 10.0)
            raise ValueError("no")

        ledger = self.ledger()
        first, second = ledger.ask(wrong), ledger.ask(count)
        with self.assertRaises(TemporarilyUnavailable):
            await first
        self.assertEqual(1, await second)
        self.assertEqual(1, len(self.flushLoggedErrors(ValueError)))

    async def test_view(self) -> None:
        """What one worker writes, another has in memory soon."""
        one, two = self.ledger(), self.ledger()
        view, other = one.view("ban"), two.view("ban")
        two.start()
        seen: Deferred[None] = Deferred()
        other.told = lambda: seen.callback(None)
        await one.ask(lambda book: book.put("ban", "192.0.2.1", 1, 60.0))
        await seen
        self.assertEqual((1, 1), (view.get("192.0.2.1"), other.get("192.0.2.1")))
        again = self.ledger()
        third = again.view("ban")
        await again.start()
        self.assertEqual(1, third.get("192.0.2.1"))

    async def test_damaged(self) -> None:
        """A damaged database is put aside; what is asked is answered from an empty one."""
        first = self.ledger()
        await first.ask(count)
        first.stop()
        self.path.write_bytes(b"not a database, " * 1000)
        ledger = self.ledger()
        self.assertEqual(1, await ledger.ask(count))
        self.assertEqual(1, len(list(self.place.glob("shared.db.damaged-*"))))

    async def test_damaged_under_way(self) -> None:
        """Of two workers that find it damaged, one puts it aside, and both go on with the same."""
        one, two = self.ledger(), self.ledger()
        await one.ask(count)
        await two.ask(count)
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("DROP TABLE entries")
        connection.close()
        found = [await one.ask(count), await two.ask(count), await one.ask(count)]
        self.assertEqual([1, 2, 3], found)
        self.assertEqual(1, len(list(self.place.glob("shared.db.damaged-*[0-9]"))))

    async def test_unusable(self) -> None:
        """Where nothing can be written, whoever asks is told at once."""
        self.path.mkdir()
        ledger = self.ledger()
        with self.assertRaises(TemporarilyUnavailable):
            await ledger.ask(count)
        with self.assertRaises(TemporarilyUnavailable):
            await ledger.ask(count)

    async def test_too_slow(self) -> None:
        """Whoever locks the database keeps nobody waiting for long, and nothing is done later."""
        ledger = self.ledger(timeout=0.1)

        async def asked() -> int:
            # A machine that is busy may take longer by itself.
            while True:
                try:
                    return await ledger.ask(count)
                except TemporarilyUnavailable:
                    continue

        self.assertEqual(1, await asked())
        connection = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(connection.close)
        connection.execute("BEGIN IMMEDIATE")
        with self.assertRaises(TemporarilyUnavailable):
            await ledger.ask(count)
        connection.execute("ROLLBACK")
        self.assertEqual(2, await asked())

    async def test_patience(self) -> None:
        """Who says that he waits longer is answered, while others were told that it takes too long."""
        ledger = self.ledger(timeout=0.1)
        gate = Event()

        def slow(book: Book) -> int:
            gate.wait(60)
            return count(book)

        patient = ledger.ask(slow, 60.0)
        with self.assertRaises(TemporarilyUnavailable):
            await ledger.ask(count)
        gate.set()
        self.assertEqual(1, await patient)

    async def test_too_many(self) -> None:
        ledger = self.ledger(waiting=2)
        asked = [ledger.ask(count) for _ in range(3)]
        with self.assertRaises(TemporarilyUnavailable):
            await asked[2]
        self.assertEqual([1, 2], [await asked[0], await asked[1]])
