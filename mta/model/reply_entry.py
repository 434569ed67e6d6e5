"""What the catalogue says of one reply of ours."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Entry:
    """One reply of ours.

    :ivar name: how the program and the journal call it.
    :ivar code: reply code (RFC 5321, 4.2.3).
    :ivar enhanced: enhanced status code (RFC 3463 and its registry); ``""`` none.
    :ivar text: the words; ``{fields}`` are filled in.
    :ivar cause: when we give it, for a person who reads it in a log.
    :ivar remedy: what that person can do.
    """

    name: str
    code: int
    enhanced: str
    text: str
    cause: str
    remedy: str
