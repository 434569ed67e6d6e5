"""The connections that several pools have together: whatever TLS, login or door, a site counts them all.

Each pool opens while there is room.  One that finds none asks for it: another that has a
connection to spare gives one up, an idle one at once, a busy one when its message has ended and
that pool has more than its part.  A pool that has a single one keeps it for ``TURN`` messages
before another pool may have its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

#: Messages that go over the last connection of a pool before another one may have its place.
TURN = 10


class Member(Protocol):
    """A pool, as the others see it."""

    @property
    def held(self) -> int:
        """How many connections it has, those that are being opened or closed included."""

    @property
    def leaving(self) -> int:
        """How many of them are being closed."""

    def spare(self) -> bool:
        """Give up an idle connection; ``False`` if there is none."""

    def grow(self) -> None:
        """There may be room."""


class Share:
    """The room of one site, or of one source at it.

    :param limit: says how many there may be at the moment.
    """

    __slots__ = ("_limit", "_members", "_waking", "_wanting")

    def __init__(self, limit: Callable[[], int]) -> None:
        self._limit = limit
        self._members: list[Member] = []
        self._wanting: dict[Member, None] = {}
        self._waking = False

    @property
    def is_empty(self) -> bool:
        """Whether no pool counts here."""
        return not self._members

    @property
    def limit(self) -> int:
        """How many there may be."""
        return max(1, self._limit())

    @property
    def room(self) -> int:
        """How many more there may be."""
        return max(0, self.limit - sum(one.held for one in self._members))

    def join(self, member: Member) -> None:
        """A pool that counts from now on."""
        self._members.append(member)

    def leave(self, member: Member) -> None:
        """A pool that is forgotten."""
        self._members.remove(member)
        self._wanting.pop(member, None)

    def want(self, member: Member, count: int) -> None:
        """A pool finds no room for messages that wait; it is told to grow when there is some.

        :param count: connections that it would open.
        """
        self._wanting.setdefault(member)
        coming = sum(one.leaving for one in self._members)
        for other in self._members:
            while coming < count and other is not member and other.spare():
                # It is being closed, and tells when it is.
                coming += 1

    def content(self, member: Member) -> None:
        """Nothing waits in a pool any more."""
        self._wanting.pop(member, None)

    def is_wanted(self, member: Member) -> bool:
        """Whether another pool waits for room."""
        return len(self._wanting) > (member in self._wanting)

    def must_yield(self, member: Member, messages: int) -> bool:
        """Whether a connection that has more messages to carry must make room for another pool.

        :param messages: how many were begun on it.
        """
        if not messages or not self.is_wanted(member):
            return False
        limit = self.limit
        busy = sum(1 for one in self._members if one.held or one in self._wanting)
        part = max(1, limit // busy)
        if member.held - member.leaving <= part and not (limit < busy and messages >= TURN):
            return False
        # Whoever yields stands behind all who wait.
        self._wanting.pop(member, None)
        return True

    def released(self) -> None:
        """A connection is gone: whoever has waited longest may grow."""
        if self._waking:
            return
        self._waking = True
        try:
            for member in list(self._wanting):
                if not self.room:
                    break
                self._wanting.pop(member, None)
                member.grow()
        finally:
            self._waking = False
