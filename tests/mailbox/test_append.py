"""Messages that clients bring come all or not at all."""

from __future__ import annotations

import os
from typing import Any

from mta.mailbox.append import Append
from mta.mailbox.arriving import Placed
from mta.mailbox.file_name import FLAGGED, SEEN
from mta.mailbox.folder import Gone
from mta.mailbox.folders import Folders
from mta.mailbox.refusal import Refused
from tests.mailbox.test_index import Indexed

MESSAGE = b"Subject: a\r\n\r\nb\r\n"


class AppendTests(Indexed):
    """Into the inbox, mostly."""

    def append(self, *messages: bytes, directory: bytes = b"", quota: int = 0, **how: Any) -> Placed:
        append = Append(self.index, directory, quota)
        try:
            for message in messages:
                append.begin(len(message), **how)
                append.write(message)
                append.end()
            return append.commit(self.index)
        finally:
            append.abandon()

    def test_one(self) -> None:
        placed = self.append(MESSAGE, flags=SEEN | FLAGGED, words=["$Work"], received=1_000_000_000.9)
        folder = self.index.refresh()
        self.assertEqual(Placed(folder.validity, [1]), placed)
        message = self.index.message(folder, 1)
        self.assertEqual(
            (SEEN | FLAGGED, 1, 1_000_000_000), (message.flags, message.keywords, message.received)
        )
        self.assertEqual(["$Work"], folder.keywords)
        self.assertEqual((len(MESSAGE) - 3, len(MESSAGE)), (message.size, message.virtual))
        path = self.maildir.path / os.fsdecode(message.place)
        self.assertEqual(MESSAGE.replace(b"\r\n", b"\n"), path.read_bytes())
        self.assertEqual(1_000_000_000, path.stat().st_mtime)
        self.assertTrue(message.name.endswith(b",S=%d,W=%d:2,FSa" % (message.size, len(MESSAGE))))
        self.assertEqual([], self.maildir.names("tmp"))
        self.check()

    def test_uid_lost_with_the_index(self) -> None:
        """The folder itself remembers it."""
        self.maildir.put(b"1.a")
        self.uids()
        self.append(MESSAGE)
        before = self.uids()
        self.lose()
        self.assertEqual(before, self.uids())

    def test_several(self) -> None:
        self.maildir.put(b"1.a")
        self.assertEqual([2, 3, 4], self.append(MESSAGE, b"b\n", b"c", directory=b"").uids)
        folder = self.index.refresh(thorough=True)
        sizes = [self.index.message(folder, uid).size for uid in (2, 3, 4)]
        self.assertEqual([len(MESSAGE) - 3, 2, 1], sizes)
        self.assertEqual(
            (None, 3), (self.index.message(folder, 4).virtual, self.index.message(folder, 3).virtual)
        )
        self.assertEqual([], self.index.connection.execute("SELECT * FROM arriving").fetchall())
        self.check()

    def test_line_ends_between_blocks(self) -> None:
        append = Append(self.index, b"")
        append.begin(9)
        for octet in b"a\r\nb\r\rc\n\r":
            append.write(bytes([octet]))
        append.end()
        append.commit(self.index)
        (name,) = self.maildir.names()
        self.assertEqual(b"a\nb\r\rc\n\r", (self.maildir.path / "cur" / os.fsdecode(name)).read_bytes())

    def test_abandoned(self) -> None:
        append = Append(self.index, b"")
        append.begin(2)
        append.write(b"a\n")
        append.end()
        append.begin(2)
        append.write(b"b")
        append.abandon()
        append.abandon()
        self.assertEqual([], self.maildir.names("tmp"))
        self.assertEqual({}, self.uids())

    def test_no_folder(self) -> None:
        self.assertRaises(Gone, Append, self.index, b".a")
        (self.maildir.path / ".b").mkdir()
        self.assertRaises(Gone, Append, self.index, b".b")
        os.symlink(self.maildir.path, self.maildir.path / ".c")
        self.assertRaises(OSError, Append, self.index, b".c")

    def test_folder_that_goes_meanwhile(self) -> None:
        """Renamed, removed, or another one of its name."""
        folders = Folders({})
        for turn in range(3):
            folders.create(self.index, "a")
            append = Append(self.index, b".a")
            append.begin(1)
            append.write(b"a")
            append.end()
            if turn:
                folders.rename(self.index, "a", f"b{turn}")
            else:
                folders.delete(self.index, "a")
            if turn == 2:
                folders.create(self.index, "a")
            self.assertRaises(Gone, append.commit, self.index)
        for place in ("cur", "new", "tmp"):
            for name in (".a", ".b1", ".b2"):
                self.assertEqual([], os.listdir(self.maildir.path / name / place))

    def test_quota(self) -> None:
        self.maildir.put(b"1.a,S=14")
        self.append(b"b\n", quota=20)
        self.assertEqual("20S\n14 1\n2 1\n", (self.maildir.path / "maildirsize").read_text())
        error = self.assertRaises(Refused, self.append, b"12345", quota=20)
        self.assertEqual("OVERQUOTA", error.code)
        self.assertRaises(Refused, self.append, b"12\n", b"3\n", quota=20)
        self.assertEqual(2, len(self.uids()))
        self.assertEqual([], self.maildir.names("tmp"))
        Folders({}).create(self.index, "Trash")
        self.append(b"12345", directory=b".Trash", quota=20)
        # It was counted anew before the first was refused.
        self.assertEqual("20S\n16 2\n", (self.maildir.path / "maildirsize").read_text())

    def test_no_room_for_keywords(self) -> None:
        """The message counts more than what is noted of it."""
        self.append(b"a", words=[f"k{number}" for number in range(30)])
        folder = self.index.refresh()
        self.assertEqual((1 << 26) - 1, self.index.message(folder, 1).keywords)

    def test_disk_that_fails(self) -> None:
        """Then nothing is there, whichever step fails."""
        self.index.disk.durable = False
        move = self.index.disk.move
        calls = 0

        def fail(*arguments: object) -> None:
            raise OSError(28, "no space")

        def fail_at_last(name: bytes, source: int, target: bytes, directory: int) -> bool:
            nonlocal calls
            calls += 1
            if calls % 3:
                return move(name, source, target, directory)
            raise OSError(28, "no space")

        for thing, step, failing in ((os, "fsync", fail), (self.index.disk, "move", fail_at_last)):
            patch = self.patch(thing, step, failing)
            self.assertRaises(OSError, self.append, b"a", b"b", b"c")
            if step == "fsync":
                self.assertRaises(OSError, self.append, b"a")
            patch.restore()
            self.assertEqual({}, self.uids())
            for place in ("cur", "new", "tmp"):
                self.assertEqual([], self.maildir.names(place))
            self.assertEqual([], self.index.connection.execute("SELECT * FROM arriving").fetchall())
