"""The database as a worker has it."""

from __future__ import annotations

from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from mta.audience.audience import DATABASE, audience, database
from mta.audience.contact import Contact
from mta.audience.contacts import find
from mta.interfaces import TemporarilyUnavailable


class OpenedLateTests(TestCase):
    def setUp(self) -> None:
        self.state = Path(self.mktemp())
        self.state.mkdir()

    async def test_not_before_its_use(self) -> None:
        """Who has no contacts has no file; and a file that is there is opened at the start."""
        opened = database(self.state, reactor)
        mine = audience(opened, deferToThread)
        opened.start()
        self.assertFalse(mine.used)
        self.assertFalse((self.state / DATABASE).exists())
        made, _ = await mine.contacts.put("shop", Contact("ann@example.org"), 5.0)
        self.assertTrue(mine.used)
        await opened.stop()
        again = database(self.state, reactor)
        self.assertTrue(again.used)
        again.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(again.stop()))
        self.assertEqual(made, await audience(again, deferToThread).contacts.find("shop", "ann@example.org"))

    async def test_used_by_another_worker(self) -> None:
        """What one worker has made, another sees without a restart."""
        opened = [database(self.state, reactor) for _ in range(2)]
        workers = [audience(one, deferToThread) for one in opened]
        for one in opened:
            one.start()
            self.addCleanup(lambda one=one: Deferred.fromCoroutine(one.stop()))
        await workers[0].contacts.put("shop", Contact("ann@example.org"), 5.0)
        self.assertTrue(workers[1].used)
        self.assertIsNotNone(await workers[1].contacts.find("shop", "ann@example.org"))

    async def test_look(self) -> None:
        """Looks see what is written, and cannot write."""
        opened = database(self.state, reactor)
        mine = audience(opened, deferToThread)
        self.addCleanup(lambda: Deferred.fromCoroutine(opened.stop()))
        self.assertIsNone(await mine.look(lambda base: find(base, "shop", "ann@example.org")))
        await mine.contacts.put("shop", Contact("ann@example.org"), 5.0)
        self.assertIsNotNone(await mine.look(lambda base: find(base, "shop", "ann@example.org")))
        with self.assertRaises(TemporarilyUnavailable):
            await mine.look(lambda base: base.execute("DELETE FROM contacts"))

    async def test_stopped(self) -> None:
        """Who comes after the end is told so, and opens nothing."""
        opened = database(self.state, reactor)
        await opened.stop()
        with self.assertRaises(TemporarilyUnavailable):
            await audience(opened, deferToThread).contacts.count("shop")
