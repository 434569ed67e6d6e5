"""What messages say: complete answers, and an index that follows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, execute
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox.full_text import texts
from mta.mailbox.full_text.index import TextIndex
from mta.mailbox.full_text.texts import Question
from mta.mailbox.mailroom import Account, Mailroom
from mta.mailbox.snapshot import Snapshot
from tests.mailbox.maildirs import Maildir


class Direct(Mailroom):
    """Does everything at once."""

    def in_thread(self, work: Any, *arguments: Any) -> Deferred[Any]:
        return execute(work, *arguments)


class TextsTests(SynchronousTestCase):
    """See the module."""

    def setUp(self) -> None:
        place = Path(self.mktemp()).absolute()
        self.maildir = Maildir(place / "box")
        for number in range(1, 8):
            self.maildir.put(b"100%d.a" % number, b"Subject: number %d\n\nword\n" % number)
        self.clock = Clock()
        self.patch(texts, "_ROUND", 3)
        self.patch(texts, "_SMALL_PIECE", 0.0)
        self.room = Direct(self.clock, place / "state")
        self.account: Account = self.now(self.room.open(str(place / "box")))
        self.addCleanup(lambda: self.now(self.room.stop()))

    def now(self, coroutine: Any) -> Any:
        return self.successResultOf(Deferred.fromCoroutine(coroutine))

    def look(self) -> Snapshot:
        found: Snapshot = self.now(self.account.snapshot(b""))
        return found

    def known(self, now: Snapshot) -> list[int]:
        """UIDs of what is in the index, as another process sees it."""
        index = TextIndex(self.room.file_of(self.account.maildir, ".text.db"))
        try:
            return list(index.known(index.folder(b"", now.validity)))
        finally:
            index.close()

    def ask(self, now: Snapshot, within: set[int] | None = None) -> set[int]:
        question = Question(
            lambda index, number: index.saying(number, "word", False, True), lambda text: "word" in text.body
        )
        found: set[int] = self.now(self.account.texts.ask(now, within or set(now.uids), question))
        return found

    def test_follows(self) -> None:
        """In the background, the newest first, with pauses."""
        now = self.look()
        self.assertEqual([7], self.known(now))
        self.clock.advance(texts._PAUSE)
        self.assertEqual([6, 7], self.known(now))
        self.clock.pump([1.0] * 10)
        self.assertEqual([1, 2, 3, 4, 5, 6, 7], self.known(now))
        self.maildir.put(b"2000.b", b"\nword")
        self.maildir.remove(b"1001.a")
        now = self.look()
        self.clock.pump([1.0] * 3)
        self.assertEqual([2, 3, 4, 5, 6, 7, 8], self.known(now))

    def test_half(self) -> None:
        """What is not there yet is read, and is there then."""
        now = self.look()
        self.assertEqual(set(range(1, 8)), self.ask(now))
        self.assertEqual([1, 2, 3, 4, 5, 6, 7], self.known(now))
        self.assertEqual({2, 3}, self.ask(now, {2, 3}))

    def test_renamed(self) -> None:
        """Another program renames a message between two looks."""
        now = self.look()
        self.maildir.move(b"1002.a", b"1002.a:2,S")
        self.maildir.remove(b"1003.a")
        self.assertEqual({1, 2, 4, 5, 6, 7}, self.ask(now))

    def test_damaged(self) -> None:
        """A file that is damaged while it is used is made anew."""
        now = self.look()
        self.clock.pump([1.0] * 10)
        self.clock.advance(texts._IDLE)
        path = self.room.file_of(self.account.maildir, ".text.db")
        path.write_bytes(b"nothing of a database" * 1000)
        self.assertEqual(set(range(1, 8)), self.ask(now))
        self.assertEqual([1, 2, 3, 4, 5, 6, 7], self.known(now))

    def test_unwanted(self) -> None:
        """Answers are complete, the disk is free; when it is wanted again, it is made again."""
        now = self.look()
        self.clock.pump([1.0] * 10)
        path = self.room.file_of(self.account.maildir, ".text.db")
        path.with_name(f"{path.name}.damaged").touch()
        self.room.full_text = False
        self.now(self.room.tidy())
        self.assertIsNone(self.account.texts._index)
        self.assertEqual([], list(path.parent.glob("*.text.db*")))
        self.assertTrue(list(path.parent.glob("*.db")), "the index of the account is another one")
        self.maildir.put(b"2000.b", b"\nword")
        now = self.look()
        self.clock.pump([1.0] * 3)
        self.assertEqual(set(range(1, 9)), self.ask(now))
        self.assertEqual(
            {1, 2, 3, 4, 5, 6, 7, 8}, set(self.now(self.account.texts.keys(now, set(now.uids), "base")))
        )
        self.assertEqual([], list(path.parent.glob("*.text.db*")))
        self.room.full_text = True
        now = self.look()
        self.clock.pump([1.0] * 10)
        self.assertEqual([1, 2, 3, 4, 5, 6, 7, 8], self.known(now))

    def test_unwanted_meanwhile(self) -> None:
        """What is being put into it ends."""
        now = self.look()
        self.room.full_text = False
        self.now(self.room.tidy())
        self.clock.pump([1.0] * 10)
        self.room.full_text = True
        self.assertEqual([], self.known(now))

    def test_nobody_waits(self) -> None:
        """Nothing more is read for a client that has gone."""
        self.room.full_text = False
        self.patch(texts, "_PIECE", 0.0)
        now = self.look()
        read: list[int] = []
        each = self.account.texts.each(
            now, list(now.uids), lambda uid, text: read.append(uid), lambda: len(read) >= 2
        )
        self.now(each)
        self.assertEqual(2, len(read))

    def test_closed_when_idle(self) -> None:
        self.look()
        self.clock.pump([1.0] * 10)
        self.assertIsNotNone(self.account.texts._index)
        self.clock.advance(texts._IDLE)
        self.assertIsNone(self.account.texts._index)

    def test_removed_folder(self) -> None:
        """What is known of folders that are gone is forgotten when the account is opened."""
        path = self.room.file_of(self.account.maildir, ".text.db")
        index = TextIndex(path)
        index.folder(b".Gone", 5)
        index.close()
        self.look()
        index = TextIndex(path)
        self.addCleanup(index.close)
        rows = index.connection.execute("SELECT directory FROM folders").fetchall()
        self.assertEqual([(b"",)], rows)
