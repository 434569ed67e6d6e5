"""Sets of message numbers or UIDs, as commands name them: ``1,5:9,20:*`` (RFC 3501, section 9)."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: The highest number that a message can have.
HIGHEST = 2**32 - 1
_NUMBER = re.compile(rb"[1-9][0-9]{0,9}\Z")


@dataclass(frozen=True, slots=True)
class SequenceSet:
    """Ranges as they were written; ``None`` stands for ``*``, the last there is.

    :ivar ranges: first and last of each, in either order.
    """

    ranges: tuple[tuple[int | None, int | None], ...]

    @classmethod
    def parse(cls, text: bytes) -> SequenceSet:
        """Read it.

        :raise ValueError: if it is none.
        """
        ranges = []
        for part in text.split(b","):
            first, colon, last = part.partition(b":")
            start = _number(first)
            ranges.append((start, _number(last) if colon else start))
        return cls(tuple(ranges))

    @classmethod
    def of(cls, numbers: Iterable[int]) -> SequenceSet:
        """The set of numbers that rise."""
        ranges: list[tuple[int, int]] = []
        for number in numbers:
            if ranges and ranges[-1][1] == number - 1:
                ranges[-1] = (ranges[-1][0], number)
            else:
                ranges.append((number, number))
        return cls(tuple(ranges))

    def bounds(self, last: int) -> list[tuple[int, int]]:
        """The ranges in order and apart from each other.

        :param last: what ``*`` stands for; 0 if there is nothing.
        """
        found: list[tuple[int, int]] = []
        for low, high in sorted(sorted((a or last, b or last)) for a, b in self.ranges):
            if found and low <= found[-1][1] + 1:
                found[-1] = (found[-1][0], max(high, found[-1][1]))
            elif high:
                found.append((max(low, 1), high))
        return found

    def places(self, uids: Sequence[int]) -> list[range]:
        """Where in a list in rising order the UIDs are that belong to the set."""
        last = uids[-1] if uids else 0
        found = []
        for low, high in self.bounds(last):
            one = range(bisect_left(uids, low), bisect_right(uids, high))
            if one:
                found.append(one)
        return found


def covers(bounds: Sequence[tuple[int, int]], number: int) -> bool:
    """Whether ranges have a number in them: however many a client has written.

    :param bounds: in rising order and apart, see :meth:`SequenceSet.bounds`.
    """
    place = bisect_right(bounds, (number, HIGHEST)) - 1
    return place >= 0 and number <= bounds[place][1]


def _number(text: bytes) -> int | None:
    if text == b"*":
        return None
    if not _NUMBER.match(text) or int(text) > HIGHEST:
        raise ValueError(f"{text[:20]!r} is no number of a message")
    return int(text)


def compact(numbers: Iterable[int]) -> bytes:
    """Numbers in rising order as a set: ``1,5:9``; nothing for none."""
    return compact_ranges((number, number) for number in numbers)


def compact_ranges(ranges: Iterable[tuple[int, int]]) -> bytes:
    """The same of ranges: first and last of each."""
    parts: list[bytes] = []
    low = high = 0
    for first, last in ranges:
        if first == high + 1 and low:
            high = last
            continue
        if low:
            parts.append(_range(low, high))
        low, high = first, last
    if low:
        parts.append(_range(low, high))
    return b",".join(parts)


def _range(low: int, high: int) -> bytes:
    return b"%d" % low if low == high else b"%d:%d" % (low, high)
