"""Flags as clients write them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from mta.imap.flags import BadFlag, defined, named, permanent, told
from mta.mailbox.file_name import PASSED, SEEN, TRASHED


class FlagsTests(SynchronousTestCase):
    """See the module."""

    def test_named(self) -> None:
        found = named([b"\\SEEN", b"\\Deleted", b"$Junk", b"$junk", b"Work"])
        self.assertEqual((SEEN | TRASHED, ("$Junk", "Work")), (found.system, found.keywords))
        for word in (b"\\Recent", b"\\Flag", b"a b", b"a(b", b"", b"x" * 201, b"\xc3\xa4"):
            self.assertRaises(BadFlag, named, [word])

    def test_told(self) -> None:
        words = "$Junk\n\nwork\nbad(one"
        self.assertEqual(b"(\\Recent \\Seen $Junk)", told(SEEN, 1, words, True))
        self.assertEqual(b"(work)", told(0, 0b1110, words))
        self.assertEqual(b"()", told(PASSED, 1 << 20, words), "what has no name is not told")

    def test_of_folders(self) -> None:
        self.assertTrue(defined("$Junk").endswith(b"\\Draft $Junk)"))
        self.assertTrue(permanent("$Junk").endswith(b"$Junk \\*)"))
        full = "\n".join(f"k{number}" for number in range(26))
        self.assertNotIn(b"\\*", permanent(full))
        self.assertIn(b"\\*", permanent(full.replace("k3\n", "\n")))
