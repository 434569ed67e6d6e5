"""Two workers with one index, which is damaged or lost."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox.opening import OpenIndex
from mta.mailbox.schema import Damaged
from tests.mailbox.maildirs import Maildir


class OpeningTests(SynchronousTestCase):
    """Two that are open at once, as in two processes: their locks are of two descriptors."""

    def setUp(self) -> None:
        self.place = Path(self.mktemp()).absolute()
        self.maildir = Maildir(self.place / "box")
        self.path = self.place / "state" / "index.db"
        self.one, self.other = (OpenIndex(self.path, os.fsencode(self.maildir.path)) for _ in range(2))
        self.addCleanup(self.one.release)
        self.addCleanup(self.other.release)

    def uids(self, which: OpenIndex) -> dict[bytes, int]:
        with which.use() as index:
            folder = index.refresh(thorough=True)
            return {message.base: message.uid for message in index.messages(folder)}

    def aside(self) -> list[str]:
        return sorted(path.name for path in self.path.parent.glob("*.damaged"))

    def test_both_abandon_it(self) -> None:
        """The new one of the first is not put aside by the second, and both use it."""
        self.maildir.put(b"1.a")
        self.assertEqual(self.uids(self.one), self.uids(self.other))
        self.assertTrue(self.one.abandon())
        self.maildir.put(b"2.b")
        self.uids(self.one)
        self.assertFalse(self.other.abandon())
        self.maildir.put(b"3.c")
        expected = {b"1.a": 1, b"2.b": 2, b"3.c": 3}
        self.assertEqual([expected] * 2, [self.uids(self.other), self.uids(self.one)])
        self.assertEqual(["index.db.damaged"], self.aside())
        with self.one.use() as mine, self.other.use() as theirs:
            files = [
                index.connection.execute("PRAGMA database_list").fetchone()[2] for index in (mine, theirs)
            ]
            self.assertEqual([str(self.path)] * 2, files)
            mine.connection.execute("UPDATE account SET furnished = 1")
            self.assertEqual((1,), theirs.connection.execute("SELECT furnished FROM account").fetchone())

    def test_neither_could_open_it(self) -> None:
        self.path.parent.mkdir()
        self.path.write_bytes(b"no database" * 1000)
        for which in (self.one, self.other):
            with self.assertRaises(Damaged), which.use():
                pass
        self.assertTrue(self.one.abandon())
        self.uids(self.one)
        self.assertFalse(self.other.abandon())
        self.assertEqual({}, self.uids(self.other))
        self.assertEqual(["index.db.damaged"], self.aside())

    def test_who_did_not_notice(self) -> None:
        """Goes on with the new one all the same: what is in the old one would be lost."""
        self.uids(self.one)
        self.uids(self.other)
        self.one.abandon()
        self.maildir.put(b"1.a")
        self.assertEqual({b"1.a": 1}, self.uids(self.other))
        self.maildir.remove(b"1.a")
        self.maildir.put(b"2.b")
        self.assertEqual({b"2.b": 2}, self.uids(self.one))

    def test_removed(self) -> None:
        """Whoever removes the database has it made anew."""
        self.maildir.put(b"1.a")
        self.uids(self.one)
        for path in self.path.parent.glob("index.db*"):
            path.unlink()
        self.assertEqual({b"1.a": 1}, self.uids(self.one))
        self.assertTrue(self.path.exists())

    def test_not_while_it_is_used(self) -> None:
        """Whoever puts it aside waits for those that work with it."""
        self.uids(self.other)
        done = threading.Event()

        def abandon() -> None:
            self.other.abandon()
            done.set()

        thread = threading.Thread(target=abandon)
        with self.one.use():
            thread.start()
            self.assertFalse(done.wait(0.05))
            self.assertEqual([], self.aside())
        thread.join(60)
        self.assertEqual(["index.db.damaged"], self.aside())
