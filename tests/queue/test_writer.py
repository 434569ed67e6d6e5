"""What the writer does when the disk does not: nothing is half-kept, nothing lost, and it is well again."""

from __future__ import annotations

import errno
import sqlite3
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import LoopingCall, deferLater
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import SpoolFull, TemporarilyUnavailable, Undecided
from mta.model.event import Server
from mta.queue import schema
from mta.queue import writer as writing
from mta.queue.schema import DATABASE, SchemaError, open_reader, open_writer
from mta.queue.spool import Spool
from mta.queue.transaction import Statement
from mta.queue.writer import trouble_of
from tests.queue.spooling import (
    BROKEN,
    FULL,
    NOW,
    Faults,
    Sink,
    SpoolCase,
    deferred,
    delivered,
    message,
    received,
)

NOTHING = {"messages": 0, "addressees": 0, "held": 0, "octets": 0}


class TroubleTests(SpoolCase):
    """Faults of the disk, by a connection that raises."""

    def setUp(self) -> None:
        super().setUp()
        self.faults = Faults()
        self.patch(writing, "FIRST_RETRY", 0.02)
        self.patch(writing, "LAST_RETRY", 0.05)

    async def faulty(self) -> Spool:
        return await self.open(connect=self.faults.connect)

    async def ill(self, spool: Spool) -> None:
        while spool._writer.trouble is None:
            await deferLater(reactor, 0.001)

    async def well(self, spool: Spool) -> None:
        while spool._writer.trouble is not None:
            await deferLater(reactor, 0.01)

    async def test_full(self) -> None:
        """No space: the client is told, nothing is kept, and later there is space again."""
        for statement in ("BEGIN", "INSERT", "UPDATE", "COMMIT"):
            spool = await self.faulty()
            sink = Sink()
            spool.subscribe(sink)
            self.assertTrue(spool.has_room(1))
            self.faults.fail = {statement: FULL}
            sent = message(spool.new_id())
            await self.assertFailure(spool.admit(sent, (received(sent),)), SpoolFull)
            # The next one need not even be tried: nobody waits for the writer.
            self.failureResultOf(spool.admit(sent, ()), SpoolFull)
            self.assertFalse(spool.has_room(1))
            self.faults.fail = {}
            self.assertEqual(NOTHING, await spool.count())
            await self.well(spool)
            await spool.admit(sent, (received(sent),))
            await deferLater(reactor, 0)  # sinks are told after those who wait
            self.assertEqual(
                ["trouble", "recovered", "received"], [getattr(e, "what", e.kind) for e in sink.all]
            )
            await spool.record(delivered(sent))
            self.assertEqual(NOTHING, await spool.count())
            await spool.stop()

    async def test_broken(self) -> None:
        """An I/O error is not want of space."""
        spool = await self.faulty()
        self.faults.fail = {"INSERT": BROKEN}
        error = await self.assertFailure(spool.admit(message(spool.new_id()), ()), TemporarilyUnavailable)
        self.assertNotIsInstance(error, SpoolFull)
        self.assertIn("disk I/O error", str(error))

    async def test_each_has_its_own_exception(self) -> None:
        """Two who wait do not share a traceback."""
        spool = await self.faulty()
        self.faults.fail = {"COMMIT": FULL}
        waits = [spool.admit(message(spool.new_id()), ()) for _ in range(2)]
        first, second = [await self.assertFailure(wait, SpoolFull) for wait in waits]
        self.assertIsNot(first, second)

    async def test_record_waits(self) -> None:
        """What became of an attempt is kept when the disk is well; so are events."""
        spool = await self.faulty()
        sent = [message(spool.new_id()) for _ in range(3)]
        await gatherResults([spool.admit(each, ()) for each in sent])
        self.faults.fail = {"BEGIN": BROKEN}
        first = spool.record(delivered(sent[0]))
        await self.assertFailure(spool.admit(message(spool.new_id()), ()), TemporarilyUnavailable)
        second = spool.record(deferred(sent[1], NOW + 50))
        spool.note([Server(at=NOW, what="started")])
        # It is tried again, and again in vain.
        tried = self.faults.failed
        while self.faults.failed < tried + 2:
            await deferLater(reactor, 0.01)
        self.assertNoResult(first)
        self.assertNoResult(second)
        # Reading goes on.
        self.assertEqual(3, (await spool.count())["messages"])
        self.faults.fail = {}
        await gatherResults([first, second])
        await self.well(spool)
        self.assertEqual(2, (await spool.count())["messages"])
        found = await spool.get(sent[1].id)
        assert found is not None
        self.assertEqual(NOW + 50, found.addressees[0].due)
        kinds = [kind for (kind,) in self.rows("SELECT kind FROM events ORDER BY id")]
        self.assertEqual(["completed", "deferred", "delivered"], sorted(set(kinds) - {"server"}))
        self.assertEqual(3, kinds.count("server"))
        self.assertGreater(self.faults.opened, 1)

    async def test_database_cannot_be_opened_again(self) -> None:
        """The trouble lasts until it can."""
        spool = await self.faulty()
        sent = message(spool.new_id())
        await spool.admit(sent, ())
        self.faults.fail = {"INSERT": BROKEN}
        self.faults.opening = sqlite3.OperationalError("unable to open database file")
        recorded = spool.record(delivered(sent))
        await self.ill(spool)
        self.faults.fail = {}
        await self.assertFailure(spool.admit(message(spool.new_id()), ()), TemporarilyUnavailable)
        self.assertNoResult(recorded)
        self.faults.opening = None
        await recorded
        self.assertEqual(NOTHING, await spool.count())

    async def test_commit_took_effect(self) -> None:
        """COMMIT fails, and is found to be done: it is kept, once."""
        spool = await self.faulty()
        sink = Sink()
        spool.subscribe(sink)
        self.faults.fail = {"COMMIT": BROKEN}
        self.faults.commit_takes_effect = True
        sent = message(spool.new_id())
        await spool.admit(sent, (received(sent),))
        await spool.record(delivered(sent))
        await deferLater(reactor, 0)
        self.assertEqual(["received", "delivered", "completed"], sink.kinds)
        self.assertEqual(3, self.rows("SELECT count(*) FROM events")[0][0])
        self.assertEqual(NOTHING, await spool.count())

    async def test_commit_took_effect_seen_later(self) -> None:
        """The same, where only another connection can tell; keys belong to the right events."""
        spool = await self.faulty()
        spool.note([Server(at=NOW, what="x")])
        await spool.admit(message(spool.new_id()), ())
        # The writer has done with its housekeeping when it answers what came after.
        await spool.reschedule(NOW)
        self.faults.commit_takes_effect = self.faults.heals = True
        self.faults.fail = {"COMMIT": BROKEN, "SELECT": BROKEN}
        sent = message(spool.new_id())
        await spool.admit(sent, (received(sent),))
        self.assertEqual(2, self.faults.opened)
        await spool.stop()
        self.assertEqual([(2,)] * 3, self.rows("SELECT event FROM event_keys"))

    async def test_recovers_under_load(self) -> None:
        """Work that comes all the time does not keep the writer from trying again."""
        spool = await self.faulty()
        self.faults.fail = {"BEGIN": BROKEN}
        recorded = spool.record(delivered(message(spool.new_id())))
        chore = spool.reschedule(NOW)

        def more() -> None:
            for _ in range(5):
                spool.note([Server(at=NOW, what="x")])

        loop = LoopingCall(more)
        ended = loop.start(0)
        await self.ill(spool)
        self.faults.fail = {}
        await recorded
        await chore
        loop.stop()
        await ended

    async def test_commit_nobody_knows(self) -> None:
        """COMMIT fails, and the database cannot be read: found out when it can.

        The client was told to come again, so its message is not in the queue;
        the outcome is recorded once.
        """
        spool = await self.faulty()
        old = message(spool.new_id())
        await spool.admit(old, ())
        sink = Sink()
        spool.subscribe(sink)
        name = spool.new_id()
        file = spool.create_file(name)
        file.write(b"x" * 70000)
        content = await file.finish()
        self.faults.commit_takes_effect = True
        self.faults.fail = {"COMMIT": BROKEN, "SELECT": BROKEN}
        self.faults.opening = BROKEN
        new = message(name, content=content)
        admitted = spool.admit(new, (received(new),))
        spool.note([Server(at=NOW, what="x")])
        await self.assertFailure(admitted, Undecided)
        recorded = spool.record(delivered(old))
        self.assertTrue(file.path.exists())
        # What comes from now on is not kept, that much is known.
        late = await self.assertFailure(spool.admit(message(spool.new_id()), ()), TemporarilyUnavailable)
        self.assertNotIsInstance(late, Undecided)
        self.faults.fail = {}
        self.faults.opening = None
        await recorded
        await self.well(spool)
        self.assertEqual(NOTHING, await spool.count())
        self.assertEqual([], self.rows("SELECT id FROM messages"))
        kinds = [kind for (kind,) in self.rows("SELECT kind FROM events ORDER BY id")]
        self.assertEqual(1, kinds.count("delivered"))
        self.assertEqual(0, kinds.count("received"))
        self.assertEqual([(1,)], self.rows("SELECT count(*) FROM events WHERE payload LIKE '%\"x\"%'"))
        self.assertEqual(1, sink.kinds.count("delivered"))
        again = message(spool.new_id())
        await spool.admit(again, (received(again),))
        await spool.stop()
        self.assertFalse(file.path.exists())

    async def test_fault_of_the_program_behind_the_commit(self) -> None:
        """Whoever was answered is not answered again, and the others of the batch are."""
        spool = await self.faulty()
        first, second = (spool.admit(message(spool.new_id()), ()) for _ in range(2))
        calls: list[int] = []

        def broken(*_: object) -> None:
            calls.append(1)
            if len(calls) == 1:
                raise ZeroDivisionError

        self.patch(spool._writer._house, "after_batch", broken)
        await gatherResults([first, second])
        await self.ill(spool)
        await self.well(spool)
        await spool.admit(message(spool.new_id()), ())
        self.assertEqual(1, len(self.flushLoggedErrors(ZeroDivisionError)))

    async def test_bad_work_in_trouble(self) -> None:
        """A record that can never be kept does not keep the others from being kept."""
        spool = await self.faulty()
        sent = [message(spool.new_id()) for _ in range(3)]
        await gatherResults([spool.admit(each, ()) for each in sent])
        self.faults.fail = {"BEGIN": BROKEN}
        results = [delivered(each) for each in sent]
        results[1].admit.append(message(sent[2].id))  # an id that is in use
        waits = [spool.record(result) for result in results]
        await self.ill(spool)
        self.faults.fail = {}
        await self.assertFailure(waits[1], TemporarilyUnavailable)
        await gatherResults([waits[0], waits[2]])
        await self.well(spool)
        self.assertEqual(1, (await spool.count())["messages"])

    async def test_stop_in_trouble(self) -> None:
        """The stop tries once more, and then says what was not kept."""
        spool = await self.faulty()
        sent = message(spool.new_id())
        await spool.admit(sent, ())
        self.faults.fail = {"BEGIN": FULL}
        recorded = spool.record(delivered(sent))
        chore = spool.reschedule(NOW - 1)
        await spool.stop()
        await self.assertFailure(recorded, TemporarilyUnavailable)
        await self.assertFailure(chore, TemporarilyUnavailable)
        self.faults.fail = {}
        spool = await self.faulty()
        self.assertIsNotNone(await spool.get(sent.id))

    async def test_trouble_while_idle(self) -> None:
        """A failing chore is trouble like any other, and passes."""
        self.patch(writing, "IDLE", 0.01)
        spool = await self.faulty()
        sent = message(spool.new_id())
        await spool.admit(sent, (received(sent),))
        self.faults.fail = {"INSERT": FULL}
        while spool._writer.trouble is None:
            spool.note([received(sent)])
            await deferLater(reactor, 0.01)
        self.faults.fail = {}
        await self.well(spool)
        self.assertEqual(1, (await spool.count())["messages"])

    async def test_reschedule_in_trouble(self) -> None:
        """It goes on where it was when the disk is well."""
        spool = await self.faulty()
        await spool.admit(message(spool.new_id(), due=NOW + 9), ())
        self.faults.fail = {"UPDATE": BROKEN}
        chore = spool.reschedule(NOW)
        await self.ill(spool)
        self.assertNoResult(chore)
        self.faults.fail = {}
        self.assertEqual(1, await chore)


class TextTests(SynchronousTestCase):
    """What people are told."""

    def test_trouble_of(self) -> None:
        path = Path("queue.db")
        full: list[Exception] = [FULL, OSError(errno.ENOSPC, "No space"), OSError(errno.EDQUOT, "Quota")]
        for error in full:
            self.assertIsInstance(trouble_of(error, path), SpoolFull)
        others: list[Exception] = [
            BROKEN,
            OSError(errno.EIO, "I/O"),
            sqlite3.OperationalError("readonly database"),
        ]
        for error in others:
            self.assertNotIsInstance(trouble_of(error, path), SpoolFull)
            self.assertIn("queue.db", str(trouble_of(error, path)))
        self.assertIn("is damaged", str(trouble_of(sqlite3.DatabaseError("image is malformed"), path)))


class SchemaTests(SynchronousTestCase):
    """Versions."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()

    def test_migration(self) -> None:
        """An older database is brought up to date, and keeps what is in it."""
        connection = open_writer(self.path)
        connection.execute("INSERT INTO events VALUES (1, 0, 'server', NULL, NULL, '{}')")
        connection.close()
        self.patch(schema, "MIGRATIONS", (*schema.MIGRATIONS, ("ALTER TABLE events ADD COLUMN extra TEXT",)))
        connection = open_writer(self.path)
        self.addCleanup(connection.close)
        self.assertEqual((len(schema.MIGRATIONS),), connection.execute("PRAGMA user_version").fetchone())
        self.assertEqual([(1, None)], connection.execute("SELECT id, extra FROM events").fetchall())

    def test_failing_migration(self) -> None:
        """A step that fails leaves the version before it."""
        open_writer(self.path).close()
        steps = ("CREATE TABLE more (x)", "nonsense")
        with_bad = (*schema.MIGRATIONS, steps)
        good = len(schema.MIGRATIONS)
        self.patch(schema, "MIGRATIONS", with_bad)
        self.assertRaises(sqlite3.Error, open_writer, self.path)
        connection = sqlite3.connect(self.path)
        self.addCleanup(connection.close)
        self.assertEqual((good,), connection.execute("PRAGMA user_version").fetchone())
        self.assertEqual(
            [], connection.execute("SELECT name FROM sqlite_master WHERE name = 'more'").fetchall()
        )

    def test_newer(self) -> None:
        """Neither a writer nor a reader touches a newer one."""
        connection = open_writer(self.path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        self.assertRaises(SchemaError, open_writer, self.path)
        self.assertRaises(SchemaError, open_reader, self.path)

    def test_durability(self) -> None:
        """What the promise rests on."""
        connection = open_writer(self.path)
        self.addCleanup(connection.close)
        found = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "secure_delete", "auto_vacuum")
        }
        self.assertEqual(
            {"journal_mode": "wal", "synchronous": 2, "secure_delete": 0, "auto_vacuum": 2}, found
        )

    def test_reader_does_not_write(self) -> None:
        """A reader can't, whatever it is told."""
        open_writer(self.path).close()
        connection = open_reader(self.path)
        self.addCleanup(connection.close)
        self.assertRaises(sqlite3.OperationalError, connection.execute, "DELETE FROM events")
        self.assertRaises(sqlite3.OperationalError, open_reader, self.path.with_name("nothing"))
        self.assertFalse(self.path.with_name("nothing").exists())


class StatementTests(SynchronousTestCase):
    """Rows many at a time."""

    def test_every_count(self) -> None:
        """No row is left out or written twice, whatever their number."""
        connection = sqlite3.connect(":memory:")
        self.addCleanup(connection.close)
        connection.execute("CREATE TABLE t (a, b)")
        insert = Statement("INSERT INTO t (a, b) VALUES ", 2)
        delete = Statement("DELETE FROM t WHERE a IN (", 1, ")")
        for count in (0, 1, 2, 3, 5, 31, 64, 65, 127, 300):
            rows: list[tuple[Any, ...]] = [(number, "x") for number in range(count)]
            self.assertEqual(count, insert.run(connection, rows))
            self.assertEqual(rows, connection.execute("SELECT * FROM t ORDER BY a").fetchall())
            self.assertEqual(count, delete.run(connection, [(number,) for number in range(count)]))

    def test_plans(self) -> None:
        """No statement of a batch goes through a whole table."""
        from mta.queue import claims, transaction

        path = Path(self.mktemp()).absolute()
        connection = open_writer(path)
        self.addCleanup(connection.close)
        statements = [
            text
            for value in vars(transaction).values()
            if isinstance(value, Statement)
            for _, text in value._texts[:1]
        ]
        self.assertGreater(len(statements), 8)
        statements += transaction.LARGEST_IDS
        statements += [claims._DUE_PAGE, claims._MESSAGE, claims._ADDRESSEES]
        for text in statements:
            numbered = max((number for number in range(1, 9) if f"?{number}" in text), default=0)
            values = [0] * (numbered or text.count("?"))
            plan = [row[3] for row in connection.execute("EXPLAIN QUERY PLAN " + text, values)]
            for table in ("messages", "addressees", "events", "event_keys"):
                # A bare SEARCH is how a maximum without an index looks.
                self.assertNotIn(f"SEARCH {table}", [] if text.endswith("(id) FROM messages") else plan, text)
                self.assertFalse([step for step in plan if step.startswith(f"SCAN {table}")], (text, plan))

    def test_database_name(self) -> None:
        """Others find the database by this name."""
        self.assertEqual("queue.db", DATABASE)
