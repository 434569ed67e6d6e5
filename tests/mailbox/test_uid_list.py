"""What a folder knows of its own UIDs: the file ``mta-uids``."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox import uid_list


class AppendTests(SynchronousTestCase):
    """Lines that are added to what is there."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.folder.mkdir()
        self.path = self.folder / "mta-uids"

    def append(self, *made: tuple[int, bytes]) -> bool:
        return uid_list.append(os.fsencode(self.folder), made)

    def uids(self) -> dict[bytes, int]:
        found = uid_list.load(os.fsencode(self.folder))
        return {} if found is None else found.uids

    def test_appended(self) -> None:
        self.path.write_bytes(b"mta-uids 1 5 8\n7 1.a\n")
        self.assertTrue(self.append((8, b"2.b"), (9, b"3.c")))
        self.assertEqual(b"mta-uids 1 5 8\n7 1.a\n8 2.b\n9 3.c\n", self.path.read_bytes())

    def test_no_file(self) -> None:
        self.assertFalse(self.append((8, b"2.b")))
        self.assertFalse(self.path.exists())

    def test_half_a_line(self) -> None:
        """A crash has left half a line: what is added begins a line of its own."""
        for half in (b"8", b"8 ", b"8 2."):
            self.path.write_bytes(b"mta-uids 1 5 8\n7 1.a\n" + half)
            self.assertTrue(self.append((8, b"2.b")))
            uids = self.uids()
            self.assertEqual({b"1.a": 7, b"2.b": 8}, {base: uids.get(base) for base in (b"1.a", b"2.b")})

    def test_nothing_to_add(self) -> None:
        """What is whole is not touched."""
        self.path.write_bytes(b"mta-uids 1 5 8\n7 1.a\n")
        self.assertTrue(self.append())
        self.assertEqual(b"mta-uids 1 5 8\n7 1.a\n", self.path.read_bytes())

    def test_pipe(self) -> None:
        """A pipe in its place keeps nobody waiting, and is no file to add to."""
        os.mkfifo(self.path)
        answers: list[bool] = []
        waiting = threading.Thread(target=lambda: answers.append(self.append((8, b"2.b"))), daemon=True)
        waiting.start()
        waiting.join(60.0)
        self.assertEqual([False], answers)

    def test_link(self) -> None:
        """Nothing is added at the other end of a link."""
        target = self.folder.with_name("target")
        target.write_bytes(b"mta-uids 1 5 8\n")
        self.path.symlink_to(target)
        self.assertFalse(self.append((8, b"2.b")))
        self.assertEqual(b"mta-uids 1 5 8\n", target.read_bytes())
