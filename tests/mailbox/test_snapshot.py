"""What has changed in a folder between two looks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox import acts
from mta.mailbox.file_name import SEEN, Flags
from mta.mailbox.index import Index
from mta.mailbox.schema import connect
from mta.mailbox.snapshot import Snapshot, changed, gone, take
from tests.mailbox.maildirs import Maildir


class Interrupted:
    """An index at which another worker does something behind a look at the files."""

    def __init__(self, index: Index, meanwhile: Callable[[], None]) -> None:
        self._index, self._meanwhile = index, meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def refresh(self, *arguments: Any) -> Any:
        found = self._index.refresh(*arguments)
        self._meanwhile()
        return found


class SnapshotTests(SynchronousTestCase):
    """See the module."""

    def setUp(self) -> None:
        self.place = Path(self.mktemp()).absolute()
        self.maildir = Maildir(self.place / "box")
        self.index = self.opened()
        self.shared: WeakValueDictionary[bytes, Snapshot] = WeakValueDictionary()
        for number in range(5):
            self.maildir.put(b"1000.%d" % number)

    def opened(self) -> Index:
        """As each worker opens it."""
        path = str(self.place / "box").encode()
        index = Index(connect(self.place / "state" / "index.db", path), path)
        self.addCleanup(index.close)
        return index

    def take(self) -> Snapshot:
        return take(self.index, b"", self.shared)

    def test_shared(self) -> None:
        first = self.take()
        self.assertIs(first, self.take())
        self.maildir.put(b"2000.x")
        second = self.take()
        self.assertEqual([1, 2, 3, 4, 5], list(first.uids))
        self.assertEqual([1, 2, 3, 4, 5, 6], list(second.uids))
        del first, second
        self.assertEqual({}, dict(self.shared), "nobody holds what nobody looks at")

    def test_beside_another_worker(self) -> None:
        """What another adds and removes while the list is read comes with the next, once."""
        other = self.opened()
        new = 3000

        def meanwhile() -> None:
            nonlocal new
            new += 1
            self.maildir.put(b"%d.x" % new)
            other.refresh(b"")

        index: Any = Interrupted(self.index, meanwhile)
        whole = take(index, b"", self.shared)
        self.assertEqual(([1, 2, 3, 4, 5], 6), (list(whole.uids), whole.next_uid))
        acts.expunge(other, b"", [2])
        mended = take(index, b"", self.shared)
        self.assertEqual(([1, 3, 4, 5, 6], 7), (list(mended.uids), mended.next_uid))
        self.assertEqual([1, 3, 4, 5, 6, 7], list(self.take().uids))

    def test_gone(self) -> None:
        before = self.take()
        acts.expunge(self.index, b"", [2, 5])
        self.maildir.put(b"2000.x")
        now = self.take()
        self.assertEqual([1, 3, 4, 6], list(now.uids))
        self.assertEqual([4, 1], gone(before, now))
        self.assertEqual([], gone(now, now))

    def test_many_gone(self) -> None:
        """The list is the same whether it is read whole or mended."""
        before = self.take()
        acts.expunge(self.index, b"", [1, 3])
        mended = self.take()
        self.shared.clear()
        self.assertEqual(list(self.take().uids), list(mended.uids))
        self.assertEqual([2, 0], gone(before, mended))

    def test_changed(self) -> None:
        """In pieces, each message once, and no new ones."""
        before = self.take()
        acts.change_flags(self.index, b"", [4], lambda flags: Flags(SEEN))
        acts.change_flags(self.index, b"", [1, 2], lambda flags: Flags(SEEN))
        self.maildir.put(b"2000.x")
        now = self.take()
        found, after = [], (before.modseq, 0xFFFFFFFF)
        while some := changed(self.index, before, now, after, 1):
            found.append(some[0].uid)
            after = (some[0].modseq, some[0].uid)
        self.assertEqual([4, 1, 2], found)
        self.assertEqual([], changed(self.index, now, now, (now.modseq, 0xFFFFFFFF), 9))

    def test_place(self) -> None:
        acts.expunge(self.index, b"", [2])
        now = self.take()
        self.assertEqual([0, -1, 1, -1], [now.place(uid) for uid in (1, 2, 3, 9)])
