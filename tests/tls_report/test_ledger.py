"""Sessions of several workers' journals, each counted once."""

from __future__ import annotations

import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from mta.daily_report.ledger import Task, day_of, midnight
from mta.interfaces import TemporarilyUnavailable
from mta.journal.reader import JournalReader
from mta.model.event import Completed, TlsSession
from mta.tls_report.ledger import TlsLedger
from tests.journal.shard import NOON, Shard, ids

DAY = "2026-01-15"


def session(at: float = NOON, domain: str = "far.test", **facts: Any) -> TlsSession:
    return TlsSession(
        **{"at": at, "domain": domain, "policy": "no-policy-found", "host": "mx.far.test", **facts}
    )


class LedgerCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.place = Path(self.mktemp())
        self.shards = [Shard(self.place / "spool" / str(number)) for number in range(2)]
        for shard in self.shards:
            self.addCleanup(shard.close)
        self.journal = JournalReader([shard.path for shard in self.shards])
        self.ledger = TlsLedger(self.place / "tls-reports.db")

    def counts(self, day: str = "") -> dict[tuple[str, str, str], int]:
        return {(day, domain, result): n for day, domain, _, result, n in self.ledger.totals(day)}


class CountingTests(LedgerCase):
    def test_once(self) -> None:
        """Whatever stands between, however often it is asked, in whichever process."""
        for shard in self.shards:
            shard.write([session(), Completed(at=NOON, message=ids(1)[0]), session(result="dane-required")])
        self.assertEqual(4, self.ledger.count(self.journal))
        self.assertEqual(0, self.ledger.count(self.journal))
        self.shards[1].write([session()])
        self.assertEqual(1, TlsLedger(self.place / "tls-reports.db").count(self.journal))
        self.assertEqual(
            {(DAY, "far.test", "success"): 3, (DAY, "far.test", "dane-required"): 2}, self.counts()
        )

    def test_days(self) -> None:
        """By the day in UTC."""
        begins = midnight(DAY)
        self.shards[0].write(
            [session(at) for at in (begins - 0.001, begins, begins + 86399.999, begins + 86400)]
        )
        self.ledger.count(self.journal)
        found = {day: count for (day, _, _), count in self.counts().items()}
        self.assertEqual({"2026-01-14": 1, DAY: 2, "2026-01-16": 1}, found)

    def test_details(self) -> None:
        """Failures are told apart by where and why; sessions that went well are not."""
        wrong = {"result": "certificate-expired", "sending": "192.0.2.1", "receiving": "192.0.2.9"}
        self.shards[0].write(
            [
                session(receiving="192.0.2.8", policy="tlsa", strings=["3 1 1 b", "3 1 1 a"]),
                session(receiving="192.0.2.7", policy="tlsa", strings=["3 1 1 a", "3 1 1 b"]),
                session(**wrong, policy="sts", strings=["version: STSv1", "mode: testing"], patterns=["*.x"]),
                session(**wrong, policy="sts", strings=["version: STSv1", "mode: testing"], patterns=["*.x"]),
                session(**wrong, policy="sts", strings=["version: STSv1", "mode: testing"], reason="old"),
            ]
        )
        self.ledger.count(self.journal)
        found = {
            (one.policy, one.strings, one.patterns, one.reason): one
            for one in self.ledger.sessions(DAY, "far.test")
        }
        self.assertEqual(3, len(found))
        # The DNS gives records in any order; a policy has the order of its lines.
        self.assertEqual(2, found["tlsa", ("3 1 1 a", "3 1 1 b"), (), ""].count)
        expired = found["sts", ("version: STSv1", "mode: testing"), ("*.x",), ""]
        self.assertEqual((2, "192.0.2.9"), (expired.count, expired.receiving))

    def test_many(self) -> None:
        """More than are looked at in one transaction."""
        self.patch(JournalReader.following, "__defaults__", (3,))
        self.shards[0].write([session() for _ in range(10)], first=50)
        self.assertEqual(10, self.ledger.count(self.journal))
        self.assertEqual(10, self.counts()[DAY, "far.test", "success"])

    def test_together(self) -> None:
        """Several that count at the same time count each session once."""
        self.patch(JournalReader.following, "__defaults__", (7,))
        for shard in self.shards:
            shard.write([session() for _ in range(50)])
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda _: self.ledger.count(self.journal), range(8)))
        self.assertEqual(100, sum(found))
        self.assertEqual({(DAY, "far.test", "success"): 100}, self.counts())

    def test_broken_off(self) -> None:
        """What was counted without the note of how far is not counted."""
        self.shards[0].write([session()])
        with self.assertRaises(ZeroDivisionError), self.ledger.changing() as base:
            base.execute("INSERT INTO counted VALUES ('0', 1)")
            raise ZeroDivisionError
        self.assertEqual(1, self.ledger.count(self.journal))

    def test_new_database(self) -> None:
        """A shard that was made anew begins at 1 again, and is counted from there."""
        self.shards[0].write([session() for _ in range(5)])
        self.ledger.count(self.journal)
        self.shards[0].close()
        shutil.rmtree(self.place / "spool" / "0")
        again = Shard(self.place / "spool" / "0")
        self.addCleanup(again.close)
        again.write([session(domain="new.test")])
        self.assertEqual(1, self.ledger.count(self.journal))
        self.assertEqual(1, self.counts()[DAY, "new.test", "success"])

    def test_pruned(self) -> None:
        """Events that are gone leave a gap, not a mistake."""
        self.shards[0].write([session() for _ in range(5)])
        self.ledger.count(self.journal)
        self.shards[0].base.execute("DELETE FROM events")
        self.assertEqual(0, self.ledger.count(self.journal))
        self.shards[0].write([session()])
        self.assertEqual(1, self.ledger.count(self.journal))

    def test_looking(self) -> None:
        """Who only looks makes no file, and finds nothing."""
        self.assertEqual([], self.ledger.totals())
        self.assertEqual([], self.ledger.tasks())
        self.assertFalse((self.place / "tls-reports.db").exists())

    def test_damaged(self) -> None:
        (self.place / "tls-reports.db").write_bytes(b"no database, but long enough to be looked at" * 100)
        error = self.assertRaises(TemporarilyUnavailable, self.ledger.count, self.journal)
        self.assertIn("tls-reports.db cannot be used: file is not a database", str(error))

    def test_mode(self) -> None:
        """To whom we write is nobody else's business."""
        self.ledger.count(self.journal)
        self.assertEqual(0o600, (self.place / "tls-reports.db").stat().st_mode & 0o777)


class TaskTests(LedgerCase):
    def test_older(self) -> None:
        """A database that was made before reports had variants."""
        base = sqlite3.connect(self.place / "tls-reports.db")
        with closing(base), base:
            base.execute(
                "CREATE TABLE tasks (day TEXT NOT NULL, domain TEXT NOT NULL, target TEXT NOT NULL,"
                " state TEXT NOT NULL, due REAL NOT NULL, until REAL NOT NULL, attempts INTEGER NOT NULL,"
                " message TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (day, domain, target))"
            )
            base.execute("INSERT INTO tasks VALUES (?, 'far.test', '', 'ask', 1, 2, 0, '', '')", (DAY,))
        [task] = self.ledger.due(5.0, 10)
        self.assertEqual(Task(DAY, "far.test", "", "ask", 1.0, 2.0), task)
        self.ledger.keep([Task(DAY, "far.test", "mailto:a@far.test", "send", 1.0, 2.0)], task)
        self.assertEqual(["mailto:a@far.test"], [one.target for one in self.ledger.tasks()])

    def test_plan(self) -> None:
        """Once for a day and domain."""
        self.assertEqual(2, self.ledger.plan(DAY, [("a.test", 5.0), ("b.test", 3.0)], 99.0))
        self.assertEqual(1, self.ledger.plan(DAY, [("a.test", 1.0), ("c.test", 9.0)], 99.0))
        self.assertEqual(["b.test", "a.test"], [task.domain for task in self.ledger.due(5.0, 10)])
        self.assertEqual(3.0, self.ledger.next_due())

    def test_found(self) -> None:
        """What a domain wants takes the place of the question."""
        self.ledger.plan(DAY, [("a.test", 5.0)], 99.0)
        [question] = self.ledger.due(5.0, 10)
        found = [Task(DAY, "a.test", f"mailto:{name}@a.test", "send", 5.0, 99.0) for name in "xy"]
        self.ledger.keep(found, question)
        self.assertEqual(found, self.ledger.tasks(DAY, "a.test"))
        self.ledger.plan(DAY, [("a.test", 5.0)], 99.0)
        self.assertEqual(2, len(self.ledger.tasks()))

    def test_unplanned(self) -> None:
        """A day of which a part was asked for is still planned as a whole."""
        self.shards[0].write([session(NOON), session(NOON - 86400), session(NOON - 5 * 86400)])
        self.ledger.count(self.journal)
        self.ledger.plan(DAY, [("a.test", 1.0)], 99.0, whole=False)
        since = day_of(NOON - 3 * 86400)
        self.assertEqual(["2026-01-14", DAY], self.ledger.unplanned(since, "2026-01-16"))
        self.ledger.plan(DAY, [("a.test", 1.0)], 99.0)
        self.assertEqual(["2026-01-14"], self.ledger.unplanned(since, "2026-01-16"))

    def test_forget(self) -> None:
        self.shards[0].write([session(NOON), session(NOON - 86400)])
        self.ledger.count(self.journal)
        for day in (DAY, "2026-01-14"):
            self.ledger.plan(day, [("far.test", 1.0)], 99.0)
        self.ledger.forget(DAY)
        self.assertEqual([DAY], [task.day for task in self.ledger.tasks()])
        self.assertEqual([DAY], [day for day, *_ in self.ledger.totals()])
