"""Folders are listed, made, renamed and removed, whoever else does so, and whoever is killed."""

from __future__ import annotations

import os

from mta.mailbox import place, renaming, subscriptions
from mta.mailbox.folder import Gone
from mta.mailbox.folders import Folders, Listed
from mta.mailbox.index import Index
from mta.mailbox.refusal import Refused
from mta.mailbox.schema import connect
from tests.mailbox.maildirs import Maildir
from tests.mailbox.test_index import Indexed

USUAL = {
    "\\Sent": ("Sent", "Sent Messages"),
    "\\Trash": ("Trash",),
}


class FolderTests(Indexed):
    """One process."""

    def setUp(self) -> None:
        super().setUp()
        self.folders = Folders(USUAL)

    def names(self) -> list[str]:
        return [one.name for one in self.folders.listed(self.index) if one.exists]

    def one(self, name: str) -> Listed:
        (found,) = [one for one in self.folders.listed(self.index) if one.name == name]
        return found

    def refused(self, code: str, call: object, *arguments: object) -> None:
        error = self.assertRaises(Refused, call, *arguments)  # type: ignore[arg-type]
        self.assertEqual(code, error.code)

    def test_listed(self) -> None:
        Maildir(self.maildir.path / ".b")
        Maildir(self.maildir.path / ".a.b.Gr&APY-n")
        (self.maildir.path / ".git").mkdir()
        os.symlink(self.maildir.path / ".b", self.maildir.path / ".link")
        subscriptions.change(self.index.maildir, "b", True)
        subscriptions.change(self.index.maildir, "gone", True)
        self.assertEqual(
            [
                Listed("INBOX", b"", True, False, False),
                Listed("a", b".a", False, True, False),
                Listed("a.b", b".a.b", False, True, False),
                Listed("a.b.Grön", b".a.b.Gr&APY-n", True, False, False),
                Listed("b", b".b", True, False, True),
                Listed("gone", b".gone", False, False, True),
            ],
            self.folders.listed(self.index),
        )

    def test_create(self) -> None:
        first = self.folders.create(self.index, "Größe.a")
        second = self.folders.create(self.index, "b.")
        self.assertGreater(second.validity, first.validity)
        self.assertEqual(["INBOX", "Größe.a", "b"], sorted(self.names(), key=lambda name: name != "INBOX"))
        self.assertTrue((self.maildir.path / ".b" / "maildirfolder").exists())
        self.assertEqual([], self.maildir.names("tmp"))
        self.refused("ALREADYEXISTS", self.folders.create, self.index, "b")
        self.refused("ALREADYEXISTS", self.folders.create, self.index, "inbox")
        self.refused("CANNOT", self.folders.create, self.index, "a..b")
        self.assertEqual(b".b", self.folders.find(self.index, "b"))
        self.refused("NONEXISTENT", self.folders.find, self.index, "c")

    def test_create_what_is_half_made(self) -> None:
        """As a delivery leaves it that is killed."""
        (self.maildir.path / ".a" / "cur").mkdir(parents=True)
        self.refused("NONEXISTENT", self.folders.find, self.index, "a")
        self.folders.create(self.index, "a")
        self.assertEqual(b".a", self.folders.find(self.index, "a"))

    def test_create_where_a_file_is(self) -> None:
        (self.maildir.path / ".a").write_bytes(b"")
        self.assertRaises(OSError, self.folders.create, self.index, "a")
        self.assertEqual([], self.maildir.names("tmp"))

    def test_modes(self) -> None:
        """As the Maildir has them, whatever the mask."""
        os.chmod(self.maildir.path, 0o770)
        self.addCleanup(os.umask, os.umask(0o077))
        self.folders.create(self.index, "a")
        for name in (".a", ".a/cur", ".a/new", ".a/tmp"):
            self.assertEqual(0o770, (self.maildir.path / name).stat().st_mode & 0o777)

    def test_delete(self) -> None:
        (self.maildir.path / "maildirsize").write_text("1000S\n100 3\n")
        old = self.folders.create(self.index, "a")
        self.folders.create(self.index, "a.b")
        box = Maildir.__new__(Maildir)
        box.path = self.maildir.path / ".a"
        box.put(b"1.a,S=14")
        box.put(b"2.b:2,T", place="cur")
        self.index.refresh(b".a")
        self.folders.delete(self.index, "a")
        self.assertEqual((False, True), (self.one("a").exists, self.one("a").children))
        self.assertRaises(Gone, self.index.refresh, b".a")
        self.assertEqual([], self.maildir.names("tmp"))
        self.assertEqual("1000S\n100 3\n-14 -1\n", (self.maildir.path / "maildirsize").read_text())
        self.refused("HASCHILDREN", self.folders.delete, self.index, "a")
        self.refused("NONEXISTENT", self.folders.delete, self.index, "b")
        self.refused("CANNOT", self.folders.delete, self.index, "Inbox")
        self.assertGreater(self.folders.create(self.index, "a").validity, old.validity)

    def test_rename(self) -> None:
        """UIDs stay with the messages."""
        for name in ("a", "a.b", "a.b.c", "ab"):
            self.folders.create(self.index, name)
        box = Maildir.__new__(Maildir)
        box.path = self.maildir.path / ".a.b"
        box.put(b"5.a")
        before = self.index.refresh(b".a.b")
        looked = self.folders.rename(self.index, "a", "x.y")
        self.assertEqual({b".a", b".a.b", b".a.b.c", b".x.y", b".x.y.b", b".x.y.b.c"}, set(looked))
        self.assertEqual(["INBOX", "ab", "x.y", "x.y.b", "x.y.b.c"], self.names())
        after = self.index.refresh(b".x.y.b")
        self.assertEqual(
            (before.id, before.validity, before.modseq), (after.id, after.validity, after.modseq)
        )
        self.assertEqual(1, after.messages)
        self.assertRaises(Gone, self.index.refresh, b".a.b")

    def test_rename_refused(self) -> None:
        for name in ("a", "a.b", "c", "d.b"):
            self.folders.create(self.index, name)
        self.refused("ALREADYEXISTS", self.folders.rename, self.index, "a", "c")
        self.refused("ALREADYEXISTS", self.folders.rename, self.index, "a", "d")
        self.refused("ALREADYEXISTS", self.folders.rename, self.index, "a", "inbox")
        self.refused("CANNOT", self.folders.rename, self.index, "a", "a.c")
        self.refused("CANNOT", self.folders.rename, self.index, "a", "x" * 198)
        self.refused("NONEXISTENT", self.folders.rename, self.index, "e", "f")
        self.folders.rename(self.index, "d", "e")
        self.assertEqual(["INBOX", "a", "a.b", "c", "e.b"], self.names())

    def test_killed_while_renaming(self) -> None:
        """Whoever looks next goes on with it, also by a folder that had another name before."""
        for name in ("a", "a.b", "x"):
            self.folders.create(self.index, name)
        before = self.index.refresh(b".a.b")
        self.folders.delete(self.index, "x")
        renaming.promise(self.index, [(b".a", b".x"), (b".a.b", b".x.b")])
        os.rename(self.maildir.path / ".a", self.maildir.path / ".x")
        self.index.close()
        self.open()
        self.assertEqual(before.validity, self.index.refresh(b".x.b").validity)
        self.assertEqual(["INBOX", "x", "x.b"], self.names())

    def test_killed_while_removing(self) -> None:
        self.folders.create(self.index, "a")
        place.take_out(self.index.maildir, b".a")
        self.assertEqual(["INBOX"], self.names())
        self.assertRaises(Gone, self.index.refresh, b".a")
        self.folders.furnish(self.index)
        self.assertEqual([], self.maildir.names("tmp"))

    def test_uses(self) -> None:
        self.folders.create(self.index, "Sent Messages")
        self.assertEqual(("\\Sent",), self.one("Sent Messages").uses)
        self.folders.create(self.index, "Sent")
        self.assertEqual(("\\Sent",), self.one("Sent").uses)
        self.folders.create(self.index, "Gesendet", ["\\sent", "\\DRAFTS"])
        self.assertEqual(((), ("\\Drafts", "\\Sent")), (self.one("Sent").uses, self.one("Gesendet").uses))
        self.refused("USEATTR", self.folders.create, self.index, "b", ["\\Sent"])
        self.refused("USEATTR", self.folders.create, self.index, "b", ["\\All"])
        self.folders.rename(self.index, "Gesendet", "c")
        self.assertEqual("c", self.folders.of_use(self.index, "\\Sent"))
        self.assertNotIn("b", self.names())

    def test_furnished(self) -> None:
        """Once: what somebody removes does not come back."""
        self.folders.create(self.index, "Sent Messages")
        self.folders.furnish(self.index)
        self.assertEqual(["INBOX", "Sent Messages", "Trash"], self.names())
        self.assertTrue(all(one.subscribed for one in self.folders.listed(self.index)))
        self.folders.delete(self.index, "Trash")
        self.folders.furnish(self.index)
        self.assertEqual(["INBOX", "Sent Messages"], self.names())

    def test_furnished_without_a_maildir(self) -> None:
        root = os.fsencode(self.place / "new" / "box")
        index = Index(connect(self.place / "other.db", root), root)
        self.addCleanup(index.close)
        self.assertEqual(["INBOX"], [one.name for one in self.folders.listed(index)])
        self.folders.furnish(index)
        self.assertEqual(3, len(self.folders.listed(index)))


class SubscriptionTests(Indexed):
    """The file that Dovecot has too."""

    def test_change(self) -> None:
        maildir = self.index.maildir
        for name in ("INBOX", "Größe.a", "inbox", "b"):
            subscriptions.change(maildir, name, True)
        subscriptions.change(maildir, "b", False)
        subscriptions.change(maildir, "c", False)
        self.assertEqual("INBOX\nGr&APYA3w-e.a\n", (self.maildir.path / "subscriptions").read_text())
        self.assertEqual(["INBOX", "Größe.a"], subscriptions.load(maildir))
        self.assertFalse((self.maildir.path / "subscriptions.lock").exists())
        self.assertRaises(Refused, subscriptions.change, maildir, "a/b", True)

    def test_second_version(self) -> None:
        file = self.maildir.path / "subscriptions"
        file.write_bytes(b"V\t2\n\na\tb\nINBOX\n")
        self.assertEqual(["a.b", "INBOX"], subscriptions.load(self.index.maildir))
        subscriptions.change(self.index.maildir, "c.d", True)
        subscriptions.change(self.index.maildir, "a.b", False)
        self.assertEqual(b"V\t2\n\nINBOX\nc\td\n", file.read_bytes())

    def test_strangers(self) -> None:
        self.assertEqual(["a", "\uf0ff"], subscriptions.parse(b"a\na\n\n..\n\xff\na/b\n"))
        self.assertEqual(["\uf001", "a.b"], subscriptions.parse(b"V\t2\n\n\x01\n\x00\n\x01t/\na\tb\n"))

    def test_lock_of_the_killed(self) -> None:
        lock = self.maildir.path / "subscriptions.lock"
        lock.write_bytes(b"")
        os.utime(lock, (1, 1))
        subscriptions.change(self.index.maildir, "a", True)
        self.assertEqual(["a"], subscriptions.load(self.index.maildir))

    def test_lock_of_the_living(self) -> None:
        self.patch(subscriptions, "_PATIENCE", 0.0)
        (self.maildir.path / "subscriptions.lock").write_bytes(b"")
        self.assertRaises(OSError, subscriptions.change, self.index.maildir, "a", True)
        self.assertEqual([], subscriptions.load(self.index.maildir))
