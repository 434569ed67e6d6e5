"""Messages are copied and moved with all that belongs to them, and are never lost or there twice."""

from __future__ import annotations

import errno
import os
from typing import Any

from mta.mailbox.copying import Copying
from mta.mailbox.file_name import FLAGGED, SEEN, TRASHED
from mta.mailbox.folder import Gone, Message
from mta.mailbox.folders import Folders
from mta.mailbox.moving import move
from mta.mailbox.refusal import Refused
from tests.mailbox.maildirs import Maildir
from tests.mailbox.test_index import Indexed


class Twofold(Indexed):
    """An inbox with three messages, and a folder."""

    def setUp(self) -> None:
        super().setUp()
        self.box = Maildir(self.maildir.path / ".a")
        (self.maildir.path / "dovecot-keywords").write_text("0 $Other\n1 work\n")
        (self.box.path / "dovecot-keywords").write_text("0 play\n")
        for number, name in enumerate((b"1.a,S=2,W=3:2,FSb", b"2.b:2,", b"3.c:2,TZ")):
            path = self.maildir.put(name, b"%d\n" % number, "cur")
            os.utime(path, (1_000_000 + number, 1_000_000 + number))
        self.inbox = self.index.refresh()
        self.index.connection.execute("UPDATE messages SET envelope = 'e' WHERE uid = 1")

    def content(self, directory: bytes = b".a") -> list[tuple[bytes, Message]]:
        folder = self.index.refresh(directory, thorough=True)
        found = []
        for message in self.index.messages(folder):
            with open(self.index.path(directory) + b"/" + message.place, "rb") as file:
                found.append((file.read(), message))
        self.assertEqual(folder.messages, len(found))
        names = os.listdir(self.index.path(directory) + b"/cur") + os.listdir(
            self.index.path(directory) + b"/new"
        )
        self.assertEqual(sorted(names), sorted(message.name for _, message in found))
        self.assertEqual([], os.listdir(self.index.path(directory) + b"/tmp"))
        return found

    def without_links(self) -> None:
        def refuse(*arguments: Any, **named: Any) -> None:
            raise OSError(errno.EXDEV, "another file system")

        self.patch(os, "link", refuse)


class CopyTests(Twofold):
    """COPY."""

    def copy(self, *uids: int, target: bytes = b".a", quota: int = 0) -> list[tuple[int, int]]:
        copying = Copying(self.index, b"", target, quota)
        try:
            copying.take(self.index, uids)
            copied = copying.commit(self.index)
        finally:
            copying.abandon()
        known = self.index.known(target)
        assert known is not None
        self.assertEqual(known.validity, copied.validity)
        return copied.pairs

    def check_copies(self) -> None:
        self.assertEqual([(3, 1), (1, 2), (2, 3)], self.copy(3, 1, 2))
        found = self.content()
        self.assertEqual([b"2\n", b"0\n", b"1\n"], [octets for octets, _ in found])
        self.assertEqual([TRASHED, FLAGGED | SEEN, 0], [message.flags for _, message in found])
        # ``b`` was work; here it is the second after play.
        self.assertEqual([0, 0b10, 0], [message.keywords for _, message in found])
        self.assertTrue(found[0][1].info.endswith(b"Z"))
        self.assertIn(b",S=2,W=3", found[1][1].base)
        self.assertEqual("0 play\n1 work\n", (self.box.path / "dovecot-keywords").read_text())
        for number, (_, message) in zip((2, 0, 1), found, strict=True):
            self.assertEqual(1_000_000 + number, (self.box.path / os.fsdecode(message.place)).stat().st_mtime)
            self.assertNotIn(message.base, self.uids())
        ((envelope,),) = self.index.connection.execute(
            "SELECT envelope FROM messages WHERE folder <> ? AND uid = 2", (self.inbox.id,)
        )
        self.assertEqual("e", envelope)
        self.assertEqual(3, len(self.content(b"")))

    def test_by_links(self) -> None:
        self.check_copies()
        ((_, message),) = [pair for pair in self.content() if pair[1].uid == 2]
        self.assertEqual(2, (self.box.path / os.fsdecode(message.place)).stat().st_nlink)

    def test_without_links(self) -> None:
        self.without_links()
        self.check_copies()

    def test_into_itself(self) -> None:
        self.assertEqual([(1, 4), (2, 5)], self.copy(1, 2, target=b""))
        self.assertEqual(5, len(self.content(b"")))

    def test_one_is_gone(self) -> None:
        """Then none is copied."""
        self.maildir.remove(b"2.b:2,", "cur")
        error = self.assertRaises(Refused, self.copy, 1, 2, 3)
        self.assertEqual("EXPUNGEISSUED", error.code)
        self.assertEqual([], self.content())

    def test_one_is_renamed(self) -> None:
        self.maildir.move(b"2.b:2,", b"2.b:2,S", "cur")
        self.assertEqual([(2, 1)], self.copy(2))
        self.assertEqual([SEEN], [message.flags for _, message in self.content()])

    def test_quota(self) -> None:
        # What is marked as deleted does not count.
        self.copy(1, 3, quota=6)
        self.assertEqual("6S\n4 2\n2 1\n", (self.maildir.path / "maildirsize").read_text())
        self.assertRaises(Refused, self.copy, 1, quota=6)
        self.assertEqual(2, len(self.content()))

    def test_no_folder(self) -> None:
        self.assertRaises(Gone, self.copy, 1, target=b".b")


class MoveTests(Twofold):
    """MOVE."""

    def test_moved(self) -> None:
        before = self.index.refresh()
        moved = move(self.index, b"", [3, 1, 7], b".a")
        self.assertEqual(([(1, 2), (3, 1)], []), (moved.pairs, moved.left))
        found = self.content()
        self.assertEqual([b"2\n", b"0\n"], [octets for octets, _ in found])
        self.assertEqual([b"3.c", b"1.a,S=2,W=3"], [message.base for _, message in found])
        self.assertEqual([0, 0b10], [message.keywords for _, message in found])
        self.assertEqual({b"2.b": 2}, self.uids())
        self.assertEqual([1, 3], self.index.expunged(self.index.refresh(), before.modseq))
        self.check()

    def test_back(self) -> None:
        """A UID is not given again."""
        move(self.index, b"", [1, 2, 3], b".a")
        move(self.index, b".a", [1], b"")
        self.assertEqual({b"1.a,S=2,W=3": 4}, self.uids())

    def test_into_itself(self) -> None:
        moved = move(self.index, b"", [1, 3], b"")
        self.assertEqual([(1, 4), (3, 5)], moved.pairs)
        self.assertEqual([b"1\n", b"0\n", b"2\n"], [octets for octets, _ in self.content(b"")])
        self.check()

    def test_name_that_is_taken(self) -> None:
        """By a message, known or not: neither is lost."""
        self.box.put(b"1.a,S=2,W=3:2,S", b"8\n", "cur")
        self.index.refresh(b".a")
        self.box.put(b"2.b:2,", b"9\n", "cur")
        move(self.index, b"", [1, 2], b".a")
        self.content()
        self.assertEqual({b"0\n", b"1\n", b"8\n", b"9\n"}, {octets for octets, _ in self.content()})
        self.assertEqual(4, len(self.content()))

    def test_one_is_renamed_and_one_is_gone(self) -> None:
        self.maildir.move(b"1.a,S=2,W=3:2,FSb", b"1.a,S=2,W=3:2,F", "cur")
        self.maildir.remove(b"2.b:2,", "cur")
        moved = move(self.index, b"", [1, 2, 3], b".a")
        self.assertEqual({1, 3}, {uid for uid, _ in moved.pairs})
        self.assertEqual(FLAGGED, self.content()[-1][1].flags)
        self.check()

    def test_between_file_systems(self) -> None:
        """Here are none, so it is the disk that says so."""
        self.without_links()

        def refuse(*arguments: Any) -> bool:
            raise OSError(errno.EXDEV, "another file system")

        self.patch(self.index.disk, "rename", refuse)
        (self.maildir.path / "maildirsize").write_text("100S\n4 2\n")
        moved = move(self.index, b"", [1, 2], b".a")
        self.assertEqual([(1, 1), (2, 2)], moved.pairs)
        self.assertEqual([b"0\n", b"1\n"], [octets for octets, _ in self.content()])
        self.assertEqual({b"3.c": 3}, self.uids())
        self.assertEqual([], self.index.connection.execute("SELECT * FROM doomed").fetchall())
        lines = (self.maildir.path / "maildirsize").read_text().split()[1:]
        self.assertEqual((4, 2), (sum(map(int, lines[::2])), sum(map(int, lines[1::2]))))

    def test_cannot_be(self) -> None:
        def refuse(*arguments: Any) -> bool:
            raise OSError(errno.EACCES, "not ours")

        self.patch(self.index.disk, "rename", refuse)
        self.assertRaises(OSError, move, self.index, b"", [1, 2], b".a")
        self.assertEqual(3, len(self.content(b"")))

    def test_some_cannot_be(self) -> None:
        rename = self.index.disk.rename

        def refuse(name: bytes, *arguments: Any) -> bool:
            if name.startswith(b"2"):
                raise OSError(errno.EACCES, "not ours")
            return rename(name, *arguments)

        self.patch(self.index.disk, "rename", refuse)
        moved = move(self.index, b"", [1, 2, 3], b".a")
        self.assertEqual(([(1, 1), (3, 2)], [2]), (moved.pairs, moved.left))
        self.assertEqual({b"2.b": 2}, self.uids())

    def test_trash(self) -> None:
        """What is in it does not count, and needs room to come out."""
        Folders({}).create(self.index, "Trash")
        (self.maildir.path / "maildirsize").write_text("5S\n4 2\n")
        move(self.index, b"", [1, 3], b".Trash", 5)
        self.assertEqual("5S\n4 2\n-2 -1\n", (self.maildir.path / "maildirsize").read_text())
        self.maildir.put(b"4.d", b"long\n")
        (self.maildir.path / "maildirsize").unlink()
        self.assertRaises(Refused, move, self.index, b".Trash", [1], b"", 5)
        move(self.index, b".Trash", [1, 2], b"", 9)
        self.assertEqual(4, self.index.refresh().messages)

    def test_inbox_renamed(self) -> None:
        folders = Folders({})
        folders.rename(self.index, "INBOX", "old")
        self.assertEqual({}, self.uids())
        self.assertEqual(3, len(self.content(b".old")))
