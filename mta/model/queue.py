"""What a queue can be told to do by whoever looks after it."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Mapping, Sequence
from typing import Any

from zope.interface import Interface


class IQueue(Interface):
    """What an operator may do with one shard's queue; ``mta.queue`` provides it.

    Each act is an ``Operated`` event.  Ids not in the queue are passed over; ``by`` did it.
    """

    def hold(ids: Sequence[str], by: str, reason: str = "") -> Awaitable[int]:
        """Keep from being delivered until released; answers how many were."""

    def release(ids: Sequence[str], by: str, reason: str = "") -> Awaitable[int]:
        """End a hold; due at once, or at the time for which it is scheduled."""

    def retry(ids: Sequence[str], by: str, reason: str = "") -> Awaitable[int]:
        """Due at once."""

    def reschedule(ids: Sequence[str], by: str, at: float, reason: str = "") -> Awaitable[int]:
        """Give another time; it lives from then for as long as it would have lived.

        :param at: in seconds since 1970.
        :raise ValueError: if it has passed.
        """

    def sites(ways: Collection[tuple[str, str]]) -> Awaitable[Mapping[tuple[str, str], Sequence[str]]]:
        """Names of the hosts behind next hops.

        :param ways: transports and next hops.
        :return: by way; empty where none is known, or the next hop is a host itself.
        """

    def move(ids: Sequence[str], by: str, transport: str, next_hop: str, reason: str = "") -> Awaitable[int]:
        """Send another way, at once if it is not held; ``""`` leaves the transport as it is.

        :raise ValueError: if there is no such transport.
        """

    def bounce(ids: Sequence[str], by: str, reason: str) -> Awaitable[int]:
        """Fail for good; the sender is told."""

    def suspend(pattern: str, by: str, reason: str = "", until: float = 0.0) -> Awaitable[int]:
        """Let nothing go to destinations, in all workers, until this time or :meth:`resume`.

        :param pattern: a next hop, or ``transport:next_hop``; ``*`` stands for anything.
        :raise TemporarilyUnavailable: if it cannot be kept.
        """

    def resume(pattern: str, by: str, reason: str = "") -> Awaitable[int]:
        """End the suspension with this pattern; answers how many there were."""

    def flush(by: str) -> Awaitable[int]:
        """Everything that waits for a retry is due at once."""

    def remove(ids: Sequence[str], by: str, reason: str = "", notify: bool = False) -> Awaitable[int]:
        """Take out of the queue; with ``notify`` the sender is told."""

    def status() -> dict[str, Any]:
        """Numbers about the window in memory, JSON values."""
