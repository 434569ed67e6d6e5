"""Who waits for mail is told of it: by the delivery, by the kernel, or by a look."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from mta.mailbox.mailroom import Mailroom
from mta.mailbox.watching import Watcher
from tests.mailbox.maildirs import Maildir


class KernelTests(TestCase):
    """With the real kernel."""

    timeout = 120  # type: ignore[assignment]

    def setUp(self) -> None:
        place = Path(self.mktemp()).absolute()
        self.maildir = Maildir(place / "box")
        self.room = Mailroom(reactor, place / "state", poll=3600.0)
        self.index = self.room.file_of(os.fsencode(self.maildir.path), ".db")
        self.index.parent.mkdir(parents=True)
        self.index.write_bytes(b"no database" * 1000)

    def damaged(self) -> list[Path]:
        return list(self.index.parent.glob("*.damaged"))

    async def test_another_process_delivers(self) -> None:
        """Long before the next look; a damaged index does not keep anybody from the mail."""
        room, maildir = self.room, self.maildir
        try:
            account = await room.open(str(maildir.path))
            self.assertEqual(1, len(self.damaged()))
            self.flushLoggedErrors()
            told: Deferred[None] = Deferred()
            end = account.watch(b"", lambda: None if told.called else told.callback(None))
            maildir.put(b"1.a")
            await told
            folder = await account.run(lambda index: index.refresh())
            self.assertEqual(1, folder.messages)
            end()
            account.close()
        finally:
            await room.stop()


class LookTests(SynchronousTestCase):
    """Without the kernel."""

    def setUp(self) -> None:
        self.maildir = Maildir(Path(self.mktemp()).absolute())
        self.clock = Clock()
        self.told: list[int] = []

        def directly(work: Any, *arguments: Any) -> Deferred[Any]:
            return execute(work, *arguments)

        self.watcher = Watcher(self.clock, directly, 5.0)
        self.patch(self.watcher, "_kernel", lambda folder, path: None)
        self.addCleanup(self.watcher.stop)

    def test_look(self) -> None:
        end = self.watcher.watch(os.fsencode(self.maildir.path), lambda: self.told.append(1))
        self.clock.advance(5)
        self.maildir.put(b"1.a")
        self.clock.advance(5)
        self.clock.advance(5)
        self.assertEqual([1], self.told)
        end()
        self.maildir.put(b"2.b")
        self.clock.pump([5, 5])
        self.assertEqual([1], self.told)
        self.assertEqual([], self.clock.getDelayedCalls())

    def test_delivery(self) -> None:
        """In the same worker there is nothing to wait for."""
        self.watcher.watch(os.fsencode(self.maildir.path), lambda: self.told.append(1))
        self.watcher.wake([os.fsencode(self.maildir.path), b"/other"])
        self.assertEqual([1], self.told)
