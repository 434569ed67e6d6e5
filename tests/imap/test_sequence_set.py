"""Tests of mta.imap.sequence_set."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from mta.imap.sequence_set import HIGHEST, SequenceSet, compact, covers


class SequenceSetTests(SynchronousTestCase):
    """What clients name."""

    def test_ranges(self) -> None:
        """Ranges may overlap, and be written from either end."""
        self.assertEqual([(1, 1), (5, 12)], SequenceSet.parse(b"9:5,1,8:12").bounds(20))

    def test_last(self) -> None:
        """A star is the last message, also where a range begins behind it (RFC 3501, section 6.4.8)."""
        self.assertEqual([(20, 20)], SequenceSet.parse(b"*").bounds(20))
        self.assertEqual([(20, 559)], SequenceSet.parse(b"559:*").bounds(20))
        self.assertEqual([range(2, 3)], SequenceSet.parse(b"559:*").places([1, 5, 20]))

    def test_empty_folder(self) -> None:
        """Nothing is in an empty folder."""
        self.assertEqual([], SequenceSet.parse(b"*").bounds(0))
        self.assertEqual([], SequenceSet.parse(b"1:*").places([]))

    def test_wrong(self) -> None:
        """What is no set is refused."""
        for text in (b"", b"0", b"1,", b"1:", b":", b"a", b"01", b"-1", b"4294967296", b"1:2:3", b"1 "):
            with self.assertRaises(ValueError, msg=text):
                SequenceSet.parse(text)

    @given(st.sets(st.integers(1, 60)))
    def test_there_and_back(self, numbers: set[int]) -> None:
        """A set that we write is the one that is read."""
        text = compact(sorted(numbers))
        if not numbers:
            self.assertEqual(b"", text)
            return
        found = {n for low, high in SequenceSet.parse(text).bounds(60) for n in range(low, high + 1)}
        self.assertEqual(numbers, found)

    @given(st.sets(st.integers(1, 60)), st.integers(1, 61))
    def test_covers(self, numbers: set[int], number: int) -> None:
        bounds = SequenceSet.parse(compact(sorted(numbers))).bounds(HIGHEST) if numbers else []
        self.assertEqual(number in numbers, covers(bounds, number))
