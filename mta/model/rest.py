"""A rest: a time during which nothing goes a way; pure."""

from __future__ import annotations

from dataclasses import dataclass

#: A way that addressees go: transport and next hop.
Way = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Rest:
    """Until when nothing goes a way, and why.

    :ivar before: what would be due before this has to wait, in seconds since 1970.
    :ivar until: till when, likewise; later than ``before`` where somebody is to go first.
    :ivar words: the reply that those who wait are given.
    """

    before: float
    until: float
    words: str
