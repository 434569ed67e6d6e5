"""A process that is killed at any moment loses nothing, doubles nothing, and leaves index and files equal."""

from __future__ import annotations

import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox import acts, subscriptions
from mta.mailbox.append import Append
from mta.mailbox.copying import Copying
from mta.mailbox.file_name import FLAGGED, SEEN, Flags
from mta.mailbox.folders import Folders
from mta.mailbox.index import Index
from mta.mailbox.moving import move
from mta.mailbox.schema import connect
from tests.mailbox.killing import Act, killed, numbers, refused
from tests.mailbox.maildirs import Maildir

#: What there is in the inbox before; the folder ``a`` has two more.
INBOX = {b"0\n", b"1\n", b"2\n", b"3\n"}
OTHER = {b"8\n", b"9\n"}

Content = dict[str, Counter[bytes]]
Known = dict[tuple[int, int], bytes]


class Killed(SynchronousTestCase):
    """One act after the other, killed before each call, and then once more while it is put right."""

    def setUp(self) -> None:
        self.place = Path(self.mktemp()).absolute()
        self.turn = 0

    def begin(self) -> Index:
        """A Maildir and its index, as they were."""
        self.turn += 1
        self.home = self.place / str(self.turn)
        box = Maildir(self.home / "box")
        for number in range(4):
            box.put(b"%d.a,S=2:2,S" % number, b"%d\n" % number, "cur")
        other = Maildir(box.path / ".a")
        for number in (8, 9):
            other.put(b"%d.a" % number, b"%d\n" % number)
        (other.path / "mta-use").write_text("\\Sent\n")
        (box.path / "dovecot-keywords").write_text("0 work\n")
        (box.path / "maildirsize").write_text("1000S\n12 6\n")
        self.maildir = os.fsencode(box.path)
        index = self.open()
        index.refresh(b"")
        index.refresh(b".a")
        return index

    def open(self) -> Index:
        index = Index(connect(self.home / "index.db", self.maildir), self.maildir)
        index.connection.execute("PRAGMA synchronous = OFF")
        return index

    def look(self, index: Index, known: Known) -> Content:
        """What there is; index and files are equal, and no UID has come to mean another message."""
        found: Content = {}
        for one in Folders({}).listed(index):
            if not one.exists:
                continue
            folder = index.refresh(one.directory, thorough=True)
            messages = list(index.messages(folder))
            path = Path(os.fsdecode(index.path(one.directory)))
            for place, cur in (("new", 0), ("cur", 1)):
                self.assertEqual(
                    sorted(os.listdir(os.fsencode(path / place))),
                    sorted(message.name for message in messages if message.cur == cur),
                )
            self.assertEqual(len(messages), folder.messages)
            self.assertEqual(sum(message.size for message in messages), folder.octets)
            self.assertEqual(sum(not message.flags & SEEN for message in messages), folder.unseen)
            contents = found[one.name] = Counter()
            for message in messages:
                content = (path / os.fsdecode(message.place)).read_bytes()
                contents[content] += 1
                self.assertEqual(content, known.setdefault((folder.validity, message.uid), content))
                self.assertLess(message.uid, folder.next_uid)
        for table in ("doomed", "arriving", "renaming"):
            self.assertEqual([], index.connection.execute(f"SELECT * FROM {table}").fetchall())
        return found

    def every(
        self, act: Act, check: Callable[[Content], None], other_disk: bool = False, after: int = 5
    ) -> None:
        """Kill an act before each of its calls.

        :param check: of what there is then.
        :param after: at least so many calls there must be.
        """
        for at in numbers(self.id()):
            known: Known = {}
            index = self.begin()
            self.look(index, known)
            index.close()
            going = killed(at, self.home / "index.db", self.maildir, act, other_disk)
            if going:
                # Whoever puts it right is killed too.
                killed(at * 7 % 23 + 1, self.home / "index.db", self.maildir, _put_right)
            index = self.open()
            found = self.look(index, known)
            check(found)
            self.assertEqual(found, self.look(index, known))
            index.close()
            shutil.rmtree(self.home)
            if not going:
                self.assertGreater(at, after)
                return

    def failing(self, act: Act, check: Callable[[bool, Content], None], other_disk: bool = False) -> None:
        """Have each call of an act fail, once.

        :param check: of what there is then; it is told whether somebody heard that it could not be done.
        """
        for at in numbers(self.id()):
            known: Known = {}
            index = self.begin()
            self.look(index, known)
            index.close()
            no = refused(at, self.home / "index.db", self.maildir, act, other_disk)
            index = self.open()
            found = self.look(index, known)
            check(bool(no), found)
            left = [*(self.home / "box" / "tmp").iterdir(), *(self.home / "box").glob(".*/tmp/*")]
            self.assertEqual([], left, at)
            index.close()
            shutil.rmtree(self.home)
            if no is None:
                return

    def told(self, before: Content, after: Content) -> Callable[[bool, Content], None]:
        """Checks that what could not be done is not done, and what was done is."""
        return lambda no, found: self.assertEqual(before if no else after, found)

    def either(self, *wanted: Content) -> Callable[[Content], None]:
        """Checks that one of these is there, and that each of them was once."""
        seen: list[Content] = []

        def check(found: Content) -> None:
            self.assertIn(found, wanted)
            if found not in seen:
                seen.append(found)

        self.addCleanup(lambda: self.assertEqual(len(wanted), len(seen)))
        return check

    def there(self, inbox: Sequence[bytes] | set[bytes], **others: Sequence[bytes] | set[bytes]) -> Content:
        content = {"INBOX": Counter(inbox), "a": Counter(OTHER)}
        return content | {name.replace("_", "."): Counter(one) for name, one in others.items()}

    # --- what is done ----------------------------------------------------------

    def test_append(self) -> None:
        def act(index: Index) -> None:
            bring(index, b"", [b"x\n"])

        before, after = self.there(INBOX), self.there({*INBOX, b"x\n"})
        self.every(act, self.either(before, after))
        self.failing(act, self.told(before, after))

    def test_append_several(self) -> None:
        """All or none."""

        def act(index: Index) -> None:
            bring(index, b".a", [b"x\n", b"y\n", b"z\n"])

        whole = {*OTHER, b"x\n", b"y\n", b"z\n"}
        self.every(act, self.either(self.there(INBOX), self.there(INBOX, a=whole)))
        self.failing(act, self.told(self.there(INBOX), self.there(INBOX, a=whole)))

    def test_copy(self) -> None:
        """All or none."""

        def act(index: Index) -> None:
            copying = Copying(index, b"", b".a")
            try:
                copying.take(index, [1, 2, 4])
                copying.commit(index)
            finally:
                copying.abandon()

        whole = {*OTHER, b"0\n", b"1\n", b"3\n"}
        for other_disk in (False, True):
            check = self.either(self.there(INBOX), self.there(INBOX, a=whole))
            self.every(act, check, other_disk)
            self.failing(act, self.told(self.there(INBOX), self.there(INBOX, a=whole)), other_disk)

    def check_move(self, found: Content) -> None:
        """Each message is in one folder, once."""
        self.assertEqual(Counter({*INBOX, *OTHER}), found["INBOX"] + found["a"])
        self.assertLessEqual({b"2\n"}, set(found["INBOX"]))
        self.assertLessEqual(OTHER, set(found["a"]))

    def test_move(self) -> None:
        def act(index: Index) -> None:
            move(index, b"", [1, 2, 4], b".a")

        self.every(act, self.check_move)
        self.failing(act, lambda no, found: self.check_move(found))

    def test_move_between_disks(self) -> None:
        def act(index: Index) -> None:
            move(index, b"", [1, 2, 4], b".a")

        self.every(act, self.check_move, other_disk=True)
        self.failing(act, lambda no, found: self.check_move(found), other_disk=True)

    def test_expunge(self) -> None:
        """All or none."""

        def act(index: Index) -> None:
            _, left = acts.expunge(index, b"", [1, 3])
            if left:
                raise OSError(errno.EIO, "some cannot be removed")

        def check(no: bool, found: Content) -> None:
            """What is promised is done later where it cannot be now; a file that cannot be removed stays."""
            self.assertLessEqual(set(after["INBOX"]), set(found["INBOX"]))
            if not no:
                self.assertEqual(after, found)

        before, after = self.there(INBOX), self.there({b"1\n", b"3\n"})
        self.every(act, self.either(before, after))
        self.failing(act, check)

    def test_flags(self) -> None:
        def act(index: Index) -> None:
            bits = acts.keyword_bits(index, b".a", ["play"]) or 0
            acts.change_flags(index, b".a", [1, 2], lambda flags: Flags(flags.system | FLAGGED, bits))

        self.every(act, self.either(self.there(INBOX)))

    def test_create(self) -> None:
        def act(index: Index) -> None:
            Folders({}).create(index, "b.c", ["\\Junk"])

        self.every(act, self.either(self.there(INBOX), self.there(INBOX, b_c=[])))

    def test_delete(self) -> None:
        def act(index: Index) -> None:
            Folders({}).delete(index, "a")

        gone = self.there(INBOX)
        del gone["a"]
        self.every(act, self.either(self.there(INBOX), gone))

    def test_rename(self) -> None:
        """With what is below it: all or none."""

        def act(index: Index) -> None:
            Folders({}).rename(index, "a", "b")

        def begin() -> Index:
            index = real()
            Maildir(self.home / "box" / ".a.x")
            return index

        real = self.begin
        self.patch(self, "begin", begin)
        before = self.there(INBOX, a_x=[])
        after = self.there(INBOX, b=OTHER, b_x=[])
        del after["a"]
        self.every(act, self.either(before, after))
        self.failing(act, lambda no, found: self.assertIn(found, (before, after) if no else (after,)))

    def test_rename_of_the_inbox(self) -> None:
        def act(index: Index) -> None:
            Folders({}).rename(index, "INBOX", "b")

        def check(found: Content) -> None:
            self.assertEqual(Counter(INBOX), found["INBOX"] + found.get("b", Counter()))

        self.every(act, check)

    def test_subscribe(self) -> None:
        def act(index: Index) -> None:
            subscriptions.change(index.maildir, "b", True)

        def check(found: Content) -> None:
            self.assertIn(subscriptions.load(self.maildir), (["INBOX"], ["INBOX", "b"]))

        def begin() -> Index:
            index = real()
            subscriptions.change(index.maildir, "INBOX", True)
            return index

        real = self.begin
        self.patch(self, "begin", begin)
        self.every(act, check)

    def test_furnish(self) -> None:
        """Whoever logs in next goes on with it."""

        def act(index: Index) -> None:
            Folders({"\\Sent": ("Sent",), "\\Trash": ("Trash",)}).furnish(index)

        def check(found: Content) -> None:
            index = self.open()
            act(index)
            self.assertEqual(
                {"INBOX", "a", "Trash"}, {one.name for one in Folders({}).listed(index) if one.exists}
            )
            self.assertEqual(["INBOX", "a", "Trash"], subscriptions.load(self.maildir))
            index.close()

        def look(index: Index, known: Known) -> Content:
            found = real(index, known)
            return {name: one for name, one in found.items() if name != "Trash"}

        real = self.look
        self.patch(self, "look", look)
        self.every(act, check)


def bring(index: Index, directory: bytes, contents: Sequence[bytes]) -> None:
    """APPEND."""
    append = Append(index, directory)
    try:
        for content in contents:
            append.begin(2, FLAGGED, ["new"])
            append.write(content)
            append.end()
        append.commit(index)
    finally:
        append.abandon()


def _put_right(index: Index) -> None:
    for one in Folders({}).listed(index):
        if one.exists:
            index.refresh(one.directory)
