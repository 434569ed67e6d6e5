"""Names of folders, and the directories that they lead to."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some
from twisted.trial.unittest import SynchronousTestCase

from mta.mailbox.names import canonical, directory_of, name_of, new_directory_of, parents_of
from mta.mailbox.refusal import Refused


class NameTests(SynchronousTestCase):
    """There and back."""

    def test_pairs(self) -> None:
        for name, directory in (
            ("INBOX", b""),
            ("Sent", b".Sent"),
            ("Projects.Größe", b".Projects.Gr&APYA3w-e"),
            ("Q&A", b".Q&-A"),
            ("INBOX.old", b".INBOX.old"),
            ("日本語", b".&ZeVnLIqe-"),
            ("😀", b".&2D3eAA-"),
        ):
            self.assertEqual(directory, directory_of(name))
            self.assertEqual(directory, new_directory_of(name))
            self.assertEqual(name, name_of(directory))

    def test_inbox(self) -> None:
        """In any case, alone and above others."""
        self.assertEqual(b"", directory_of("inBox"))
        self.assertEqual(b".INBOX.a", directory_of("inbox.a"))
        self.assertEqual(b".inboxes", directory_of("inboxes"))
        self.assertEqual("INBOX.a", canonical("Inbox.a"))

    def test_refused(self) -> None:
        for name in ("", ".a", "a.", "a..b", "a/b", "a\nb", "a\0", "\ud800", "a" * 255, "ä" * 300):
            self.assertRaises(Refused, directory_of, name)
        for name in ("a" * 200, "a\x85", "\u2028", ".".join("a" * 40), "\uf061"):
            self.assertRaises(Refused, new_directory_of, name)

    def test_never_outside(self) -> None:
        """Characters that stand for octets lead nowhere else either."""
        for name in ("\uf02e", "\uf02f", "\uf02e\uf02e\uf02f", "a\uf000", "x.\uf02e\uf02fy"):
            self.assertRaises(Refused, directory_of, name)

    def test_made_by_others(self) -> None:
        """Directories that we would not have made have names that lead to them, and look alike."""
        self.assertEqual("Entw\uf0c3\uf0bcrfe", name_of(".Entwürfe".encode()))
        for directory in (
            b".INBOX",
            b".inbox.a",
            b".a&b",
            b".&AGE-",
            b"..a",
            b".a..b",
            b".a.",
            b".\xff\n",
            b".&8GE-",
        ):
            self.assertEqual(directory, directory_of(name_of(directory)), directory)

    def test_parents(self) -> None:
        self.assertEqual(["a", "a.b"], parents_of("a.b.c"))
        self.assertEqual([], parents_of("a"))

    @given(some.binary(min_size=1, max_size=40))
    def test_any_directory(self, octets: bytes) -> None:
        octets = octets.replace(b"/", b"a").replace(b"\0", b"&")
        if octets.strip(b"."):
            self.assertEqual(b"." + octets, directory_of(name_of(b"." + octets)))

    @given(some.text(max_size=20))
    def test_any_name(self, name: str) -> None:
        try:
            directory = new_directory_of(name)
        except Refused:
            return
        self.assertEqual(canonical(name), name_of(directory))
        self.assertEqual(directory, directory_of(name_of(directory)))
        self.assertNotIn(b"/", directory)
        self.assertTrue(directory.isascii())
