"""What tenants sent today, counted in memory and written a second later."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.interfaces import TemporarilyUnavailable
from mta.registry.database import Direct, finished
from mta.registry.registry import direct
from mta.registry.usage import Usage, until_midnight

#: 2027-01-15, an hour before midnight in UTC.
EVENING = 1_800_000_000.0 + 15 * 3600


class UsageTests(SynchronousTestCase):
    def setUp(self) -> None:
        state = Path(self.mktemp())
        state.mkdir()
        self.database = direct(state)
        self.addCleanup(self.database.close)
        self.clock = Clock()
        self.clock.advance(EVENING)

    def worker(self) -> Usage:
        return Usage(self.database, self.clock)

    def test_workers_together(self) -> None:
        one, two = self.worker(), self.worker()
        self.assertEqual(0, finished(one.today("shop")))
        one.add("shop", 5)
        two.add("shop", 2)
        self.assertEqual((5, 2), (finished(one.today("shop")), finished(two.today("shop"))))
        self.clock.advance(1)
        self.assertEqual({5, 7}, {finished(one.today("shop")), finished(two.today("shop"))})
        one.add("shop", -1)
        self.clock.advance(1)
        self.assertEqual(6, finished(one.today("shop")))
        self.assertEqual(6, finished(self.worker().today("shop")))

    def test_a_new_day(self) -> None:
        usage = self.worker()
        usage.add("shop", 5)
        self.clock.advance(1)
        self.assertEqual(3599, until_midnight(self.clock.seconds()))
        self.clock.advance(3599)
        self.assertEqual(0, finished(usage.today("shop")))

    def test_trouble(self) -> None:
        """What cannot be written is counted all the same, and written later."""
        usage = self.worker()
        finished(usage.today("shop"))

        def broken(self: Direct, noun: str, work: object) -> object:
            raise TemporarilyUnavailable("the disk is full")

        patch = self.patch(Direct, "_do", broken)
        usage.add("shop", 5)
        self.clock.advance(1)
        usage.add("shop", 1)
        self.assertEqual(6, finished(usage.today("shop")))
        patch.restore()
        self.clock.advance(10)
        rows = finished(self.database.read(_rows))
        self.assertEqual([("2027-01-15", "shop", 6)], rows)


def _rows(base: sqlite3.Connection) -> list[tuple[str, str, int]]:
    return base.execute("SELECT * FROM usage").fetchall()
