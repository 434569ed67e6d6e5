"""The index follows the files, whoever changes them, and gives no UID twice."""

from __future__ import annotations

import os
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox import acts, listing, uid_list
from mta.mailbox.doomed import doom
from mta.mailbox.file_name import FLAGGED, SEEN, TRASHED, Flags, flags_of, info_of, unique_id
from mta.mailbox.folder import Gone, Message, Missing
from mta.mailbox.index import Index
from mta.mailbox.schema import Damaged, connect
from tests.mailbox.maildirs import Maildir


class Indexed(SynchronousTestCase):
    """A Maildir with its index."""

    def setUp(self) -> None:
        self.place = Path(self.mktemp()).absolute()
        self.maildir = Maildir(self.place / "box")
        self.open()

    def open(self) -> None:
        root = os.fsencode(self.maildir.path)
        self.index = Index(connect(self.place / "index.db", root), root)
        self.addCleanup(self.index.close)

    def lose(self) -> None:
        """The index is lost."""
        self.index.close()
        for path in self.place.glob("index.db*"):
            path.unlink()
        self.open()

    def found(self) -> dict[bytes, Message]:
        folder = self.index.refresh()
        return {message.base: message for message in self.index.messages(folder)}

    def uids(self) -> dict[bytes, int]:
        return {base: message.uid for base, message in self.found().items()}

    def check(self) -> None:
        """Index and files are equal, and the counts are those of the rows."""
        folder = self.index.refresh(thorough=True)
        messages = list(self.index.messages(folder))
        for place, cur in (("new", 0), ("cur", 1)):
            names = sorted(message.name for message in messages if message.cur == cur)
            self.assertEqual(self.maildir.names(place), names)
        self.assertEqual(
            (len(messages), sum(m.size for m in messages), sum(not m.flags & SEEN for m in messages)),
            (folder.messages, folder.octets, folder.unseen),
        )


class FollowingTests(Indexed):
    """What other programs do."""

    def test_keyword_named_later(self) -> None:
        """Dovecot may put a letter into a name before it says what it means: then the flags are others."""
        self.maildir.put(b"1.a:2,a", place="cur")
        self.maildir.put(b"2.b:2,S", place="cur")
        before = self.found()
        (self.maildir.path / "dovecot-keywords").write_text("0 $Work\n")
        self.maildir.put(b"3.c")
        folder, after = self.index.refresh(), self.found()
        self.assertEqual("$Work", folder.words)
        self.assertGreater(after[b"1.a"].modseq, before[b"1.a"].modseq)
        self.assertEqual(before[b"2.b"].modseq, after[b"2.b"].modseq)
        self.assertGreaterEqual(folder.modseq, after[b"1.a"].modseq)
        self.maildir.put(b"4.d")
        self.assertEqual(after[b"1.a"].modseq, self.found()[b"1.a"].modseq)

    def test_order_within_a_second(self) -> None:
        """Microseconds are a number, however many digits they have."""
        for name in (b"7.M100861Q1N0.h", b"7.M91965Q2N0.h", b"7.M5Q3N0.h", b"6.M999999Q4N0.h"):
            self.maildir.put(name)
        self.assertEqual(
            [b"6.M999999Q4N0.h", b"7.M5Q3N0.h", b"7.M91965Q2N0.h", b"7.M100861Q1N0.h"], list(self.uids())
        )

    def test_order_of_delivery(self) -> None:
        for name in (b"30.c", b"4.b", b"200.a"):
            self.maildir.put(name)
        self.assertEqual({b"4.b": 1, b"30.c": 2, b"200.a": 3}, self.uids())
        self.check()

    def test_moved_and_flagged(self) -> None:
        self.maildir.put(b"1.a")
        before = self.index.refresh()
        self.assertEqual({b"1.a": 1}, self.uids())
        self.maildir.move(b"1.a", b"1.a:2,FS")
        message = self.found()[b"1.a"]
        self.assertEqual((1, 1, FLAGGED | SEEN), (message.uid, message.cur, message.flags))
        self.assertGreater(message.modseq, before.modseq)
        self.check()

    def test_removed(self) -> None:
        self.maildir.put(b"1.a")
        self.maildir.put(b"2.b")
        before = self.index.refresh()
        self.maildir.remove(b"2.b")
        self.assertEqual({b"1.a": 1}, self.uids())
        self.assertEqual([2], self.index.expunged(self.index.refresh(), before.modseq))
        self.maildir.put(b"3.c")
        self.assertEqual({b"1.a": 1, b"3.c": 3}, self.uids())
        self.check()

    def test_same_tick(self) -> None:
        """A change that leaves the time of the directory as it was is found."""
        self.maildir.put(b"1.a", place="cur")
        self.index.refresh()
        facts = os.stat(self.maildir.path / "cur")
        self.maildir.put(b"2.b", place="cur")
        os.utime(self.maildir.path / "cur", ns=(facts.st_atime_ns, facts.st_mtime_ns))
        self.assertEqual({b"1.a": 1, b"2.b": 2}, self.uids())

    def test_unchanged_is_not_read(self) -> None:
        self.maildir.put(b"1.a")
        for place in ("new", "cur"):
            os.utime(self.maildir.path / place, (1, 1))
        folder = self.index.refresh()
        # As if it had been looked at long after the last change.
        folder.new_looked = folder.cur_looked = 4e9
        folder.save(self.index.connection)
        self.index.connection.execute("PRAGMA query_only = ON")
        self.assertEqual(1, self.index.refresh().messages)

    def test_own_changes_are_not_read(self) -> None:
        """Nor is the directory read again soon because it has changed just now."""
        for number in range(5):
            self.maildir.put(b"%d.a" % number, place="cur")
        os.utime(self.maildir.path / "cur", (1, 1))
        self.index.refresh()
        folder = self.index.refresh()
        # As if it had been read long after the last change, and then we had changed something.
        folder.cur_trusted = time.time()
        folder.save(self.index.connection)
        read: list[bytes] = []
        real = listing.read

        def noted(path: bytes) -> listing.Listing:
            read.append(path)
            return real(path)

        self.patch(listing, "read", noted)
        acts.change_flags(self.index, b"", [1, 2], lambda flags: Flags(SEEN))
        acts.expunge(self.index, b"", [2])
        acts.change_flags(self.index, b"", [3], lambda flags: Flags(SEEN))
        self.index.refresh()
        self.assertEqual([], [path for path in read if path.endswith(b"/cur")])
        # What others do is seen, and so is what they did in the same moment, a little later.
        self.maildir.move(b"4.a", b"4.a:2,F", "cur")
        os.utime(self.maildir.path / "cur", (2, 2))
        self.assertEqual(FLAGGED, self.found()[b"4.a"].flags)
        self.assertEqual(1, len([path for path in read if path.endswith(b"/cur")]))
        self.check()

    def test_others_in_the_moment_of_our_own_change(self) -> None:
        """They are noticed when the directory is not trusted any more."""
        for number in range(2):
            self.maildir.put(b"%d.a" % number, place="cur")
        os.utime(self.maildir.path / "cur", (1, 1))
        folder = self.index.refresh()
        # As if it had been read long after the last change, and then we had changed something.
        folder.cur_trusted = time.time()
        folder.save(self.index.connection)
        rename = os.rename
        path = os.fsencode(self.maildir.path) + b"/cur/1.a"

        def both(source: bytes, target: bytes) -> None:
            rename(path, path + b":2,F")
            rename(source, target)

        patch = self.patch(os, "rename", both)
        acts.change_flags(self.index, b"", [1], lambda flags: Flags(SEEN))
        patch.restore()
        self.index.refresh()
        self.index.connection.execute("UPDATE folders SET cur_trusted = cur_trusted - 5")
        self.assertEqual(
            {b"0.a": SEEN, b"1.a": FLAGGED}, {base: one.flags for base, one in self.found().items()}
        )
        self.check()

    def test_not_messages(self) -> None:
        """Links, directories, pipes and hidden files are none."""
        os.symlink("/etc/passwd", self.maildir.path / "new" / "1.link")
        (self.maildir.path / "new" / "2.directory").mkdir()
        os.mkfifo(self.maildir.path / "new" / "3.pipe")
        self.maildir.put(b".hidden")
        self.maildir.put(b"\xff\xfe odd\n:2,ZzS,")
        self.assertEqual([b"\xff\xfe odd\n"], list(self.uids()))

    def test_twins(self) -> None:
        """Two messages under one name are both there in the end."""
        self.maildir.put(b"1.a,S=14", b"Subject: 1\n\n1\n")
        self.uids()
        self.maildir.put(b"1.a,S=14:2,S", b"Subject: 2\n\n2\n", "cur")
        self.found()
        self.assertEqual(2, len(self.found()))
        self.check()

    def test_one_file_with_two_names(self) -> None:
        """As a program leaves it that links before it unlinks."""
        path = self.maildir.put(b"1.a")
        os.link(path, os.fsencode(self.maildir.path) + b"/cur/1.a:2,S")
        self.assertEqual(1, len(self.found()))
        self.maildir.remove(b"1.a")
        self.assertEqual({b"1.a": 1}, self.uids())
        self.check()

    def test_unmounted(self) -> None:
        """When the whole Maildir is gone, nothing is forgotten."""
        self.maildir.put(b"1.a")
        self.uids()
        self.maildir.path.rename(self.place / "elsewhere")
        self.assertRaises(Missing, self.index.refresh)
        (self.place / "elsewhere").rename(self.maildir.path)
        self.assertEqual({b"1.a": 1}, self.uids())

    def test_folder_made_again(self) -> None:
        """A folder that was removed and made again has a higher UIDVALIDITY."""
        for place in ("new", "cur"):
            (self.maildir.path / ".Sent" / place).mkdir(parents=True)
        self.assertEqual([b"", b".Sent"], self.index.directories())
        first = self.index.refresh(b".Sent").validity
        (self.maildir.path / ".Sent").rename(self.place / "gone")
        self.assertRaises(Gone, self.index.refresh, b".Sent")
        for place in ("new", "cur"):
            (self.maildir.path / ".Sent" / place).mkdir(parents=True)
        self.assertGreater(self.index.refresh(b".Sent").validity, first)


class LossTests(Indexed):
    """The index is lost."""

    def test_everything_stays(self) -> None:
        for name in (b"1.a", b"2.b", b"3.c"):
            self.maildir.put(name)
        before = self.index.refresh()
        uids = self.uids()
        self.maildir.remove(b"3.c")
        self.uids()
        self.lose()
        self.maildir.put(b"0.early")
        after = self.index.refresh()
        self.assertEqual({b"1.a": uids[b"1.a"], b"2.b": uids[b"2.b"], b"0.early": 4}, self.uids())
        self.assertEqual(before.validity, after.validity)
        self.assertGreater(after.modseq, before.modseq)
        self.check()

    def test_validity_of_an_empty_folder(self) -> None:
        before = self.index.refresh().validity
        self.lose()
        self.assertEqual(before, self.index.refresh().validity)

    def test_without_the_list(self) -> None:
        """Then nothing is as it was, and UIDVALIDITY says so."""
        self.maildir.put(b"1.a")
        before = self.index.refresh()
        self.lose()
        (self.maildir.path / "mta-uids").unlink()
        later = Index(self.index.connection, self.index.maildir, lambda: before.validity + 10.0)
        self.assertGreater(later.refresh().validity, before.validity)

    def test_from_dovecot(self) -> None:
        self.maildir.put(b"1.a,S=14,W=17")
        self.maildir.put(b"2.b")
        (self.maildir.path / "dovecot-uidlist").write_text(
            "3 V1275660208 N25022 G3085f01b7f11094c501100008c4a11c1\n"
            "25006 :1.a,S=14,W=17:2,S\n25017 W2481 :2.b\n"
        )
        self.assertEqual({b"1.a,S=14,W=17": 25006, b"2.b": 25017}, self.uids())
        self.assertEqual(1275660208, self.index.refresh().validity)

    def test_list_of_strangers(self) -> None:
        """Whatever stands in it, there is one UID for each message."""
        for text in (
            b"mta-uids 1 5 4294967295\n",
            b"mta-uids 1 0 1\n1 1.a\n",
            b"mta-uids 1 5 3\n2 1.a\n2 2.b\n0 1.a\n99999999999 2.b\n\xff\n",
            b"\0" * 100,
        ):
            self.lose()
            self.maildir.put(b"1.a")
            self.maildir.put(b"2.b")
            (self.maildir.path / "mta-uids").write_bytes(text)
            self.assertEqual(2, len(set(self.uids().values())), text)

    def test_list_that_is_a_link(self) -> None:
        self.index.refresh()
        (self.maildir.path / "mta-uids").unlink()
        (self.place / "target").write_bytes(b"")
        os.symlink(self.place / "target", self.maildir.path / "mta-uids")
        self.lose()
        self.maildir.put(b"1.a")
        self.uids()
        self.assertEqual(b"", (self.place / "target").read_bytes())

    def test_damaged(self) -> None:
        self.index.refresh()
        self.index.close()
        (self.place / "other.db").write_bytes(b"no database" * 1000)
        self.assertRaises(Damaged, connect, self.place / "other.db", b"/x")

    def test_rewritten(self) -> None:
        """The list does not grow for ever."""
        self.patch(uid_list, "lines_in", lambda folder: 10**6)
        self.maildir.put(b"1.a")
        self.uids()
        self.maildir.remove(b"1.a")
        self.maildir.put(b"2.b")
        self.uids()
        text = (self.maildir.path / "mta-uids").read_bytes()
        self.assertEqual([b"2 2.b"], text.splitlines()[1:])


class ActTests(Indexed):
    """What sessions do."""

    def seen(self, flags: Flags) -> Flags:
        return Flags(flags.system | SEEN, flags.keywords, flags.other)

    def test_flags(self) -> None:
        self.maildir.put(b"1.a")
        self.uids()
        _, changed, _ = acts.change_flags(self.index, b"", [1, 7], self.seen)
        self.assertEqual([b"1.a:2,S"], [message.name for message in changed])
        self.assertEqual([b"1.a:2,S"], self.maildir.names())
        self.check()

    def test_flags_of_a_message_that_moves(self) -> None:
        """Another program gives it a flag at the same moment: both are there."""
        self.maildir.put(b"1.a")
        self.uids()
        refresh = self.index.refresh

        def late(directory: bytes = b"", thorough: bool = False) -> object:
            folder = refresh(directory, thorough)
            if self.maildir.names("new"):
                self.maildir.move(b"1.a", b"1.a:2,F")
            return folder

        self.patch(self.index, "refresh", late)
        acts.change_flags(self.index, b"", [1], self.seen)
        self.assertEqual([b"1.a:2,FS"], self.maildir.names())

    def test_unchanged_since(self) -> None:
        self.maildir.put(b"1.a")
        folder = self.index.refresh()
        acts.change_flags(self.index, b"", [1], self.seen)
        _, changed, left = acts.change_flags(self.index, b"", [1], self.seen, folder.modseq)
        self.assertEqual(([], [1]), (changed, left))

    def test_flags_that_are_there(self) -> None:
        """Then nothing has changed."""
        self.maildir.put(b"1.a:2,S", place="cur")
        before = self.index.refresh()
        after, changed, _ = acts.change_flags(self.index, b"", [1], self.seen)
        self.assertEqual((before.modseq, 1), (after.modseq, len(changed)))

    def test_keywords(self) -> None:
        self.assertEqual(0b11, acts.keyword_bits(self.index, b"", ["$Junk", "work"]))
        self.assertEqual(0b10, acts.keyword_bits(self.index, b"", ["Work"]))
        self.assertEqual("0 $Junk\n1 work\n", (self.maildir.path / "dovecot-keywords").read_text())
        self.assertIsNone(acts.keyword_bits(self.index, b"", [f"k{number}" for number in range(30)]))

    def test_expunge(self) -> None:
        (self.maildir.path / "maildirsize").write_text("1000S\n28 2\n")
        self.maildir.put(b"1.a")
        self.maildir.put(b"2.b")
        self.uids()
        self.assertEqual((2, 28), self.index.usage())
        acts.expunge(self.index, b"", [1])
        self.assertEqual({b"2.b": 2}, self.uids())
        self.assertEqual("1000S\n28 2\n-14 -1\n", (self.maildir.path / "maildirsize").read_text())
        self.assertEqual((1, 14), self.index.usage())
        self.check()

    def test_usage(self) -> None:
        """What is marked as deleted does not count, nor does what is in the trash."""
        for name in (b"1.a:2,S", b"2.b:2,ST", b"3.c:2,"):
            self.maildir.put(name, place="cur")
        self.uids()
        self.assertEqual((2, 28), self.index.usage())
        for place in ("cur", "new", "tmp"):
            (self.maildir.path / ".Trash" / place).mkdir(parents=True)
        (self.maildir.path / ".Trash" / "cur" / "4.d:2,").write_bytes(b"x")
        self.assertEqual(1, self.index.refresh(b".Trash").messages)
        self.assertEqual((2, 28), self.index.usage())
        acts.change_flags(self.index, b"", [3], lambda flags: Flags(flags.system | TRASHED))
        self.assertEqual((1, 14), self.index.usage())
        acts.change_flags(self.index, b"", [2], lambda flags: Flags(flags.system & ~TRASHED))
        self.assertEqual((2, 28), self.index.usage())

    def test_version_before(self) -> None:
        """An index of a version before goes on as it is."""
        self.maildir.put(b"1.a:2,T", place="cur")
        known = self.index.refresh()
        self.index.connection.execute("DROP INDEX trashed")
        for column in ("preview", "saved"):
            self.index.connection.execute(f"ALTER TABLE messages DROP COLUMN {column}")
        self.index.connection.execute("PRAGMA user_version = 3")
        self.index.close()
        self.open()
        self.assertEqual(known, self.index.known(b""))
        self.assertEqual((0, 0), self.index.usage())

    def test_usage_reads_no_messages(self) -> None:
        """With a hundred thousand messages it would read all their envelopes."""
        asked: list[str] = []
        self.index.connection.set_trace_callback(asked.append)
        self.index.usage()
        self.index.connection.set_trace_callback(None)
        self.assertTrue(asked)
        for question in asked:
            plan = self.index.connection.execute(f"EXPLAIN QUERY PLAN {question}").fetchall()
            for *_, step in plan:
                self.assertNotRegex(step, r"(SCAN|SEARCH) m\b(?!.*INDEX trashed)")

    def test_killed_while_expunging(self) -> None:
        """What was promised is done by whoever opens the folder next."""
        for name in (b"1.a", b"2.b", b"3.c"):
            self.maildir.put(name)
        folder = self.index.refresh()
        doom(self.index, folder, [1, 3])
        self.maildir.remove(b"1.a")
        self.index.close()
        self.open()
        self.assertEqual({b"2.b": 2}, self.uids())
        self.check()

    def test_expunge_of_what_was_flagged(self) -> None:
        self.maildir.put(b"1.a")
        self.uids()
        folder = self.index.refresh()
        doom(self.index, folder, [1])
        self.maildir.move(b"1.a", b"1.a:2,F")
        self.assertEqual({}, self.uids())
        self.assertEqual([], self.maildir.names())

    def test_lines(self) -> None:
        self.maildir.put(b"1.a", b"a\nb\r\nc")
        folder = self.index.refresh()
        self.assertEqual(0, acts.count_lines(self.index, folder))
        self.assertEqual(9, self.index.message(folder, 1).virtual)

    def test_open_what_was_moved(self) -> None:
        self.maildir.put(b"1.a")
        self.uids()
        self.maildir.move(b"1.a", b"1.a:2,S")
        file, message = acts.open_message(self.index, b"", 1)
        self.addCleanup(os.close, file)
        self.assertEqual(b"1.a:2,S", message.name)
        self.maildir.remove(b"1.a:2,S", "cur")
        self.assertRaises(Gone, acts.open_message, self.index, b"", 1)

    def test_two_processes(self) -> None:
        """What one connection does, the other sees."""
        other = Index(connect(self.place / "index.db", self.index.maildir), self.index.maildir)
        self.addCleanup(other.close)
        self.maildir.put(b"1.a")
        self.assertEqual(1, other.refresh().messages)
        self.maildir.put(b"2.b")
        self.assertEqual({b"1.a": 1, b"2.b": 2}, self.uids())
        acts.expunge(other, b"", [1])
        self.assertEqual({b"2.b": 2}, self.uids())


class NameTests(SynchronousTestCase):
    """File names."""

    def test_flags(self) -> None:
        flags = flags_of(b":2,SFa9")
        self.assertEqual(Flags(SEEN | FLAGGED, 1, b"9"), flags)
        self.assertEqual(b":2,FSa9", info_of(flags))
        self.assertEqual(Flags(), flags_of(b":1,x"))

    def test_unique_ids(self) -> None:
        self.assertEqual(b"1.M2Q3N0.host", unique_id(b"1.M2Q3N0.host,S=1,W=2"))
        for odd in (b"", b" ", b"\xff", b"a" * 71, b",S=4"):
            self.assertRegex(unique_id(odd), rb"\A[0-9a-f]{40}\Z")
