"""Keeps the indexes of messages up with the journals, once there is a message of a tenant."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mta.model.event import Event, Received
from mta.tracking.fold import KINDS
from mta.tracking.index import Index
from mta.tracking.keeper import Keeper


class Tracker(Keeper):
    """Keeps the indexes of messages up.

    :param reactor: the reactor.
    :param spool: the directory of all shards.
    :param shard: ours.
    :param workers: how many there are.
    :param keep: seconds for which messages are kept.
    """

    def __init__(self, reactor: Any, spool: Path, shard: int, workers: int, keep: float) -> None:
        super().__init__(reactor, spool, shard, workers, make=self._made, kinds=KINDS, wakes=_is_a_tenants)
        self._keep = keep

    def keep(self, seconds: float) -> None:
        """Keep messages for another time."""
        self._keep = seconds
        self.change(lambda index: setattr(index, "keep", seconds))

    def is_needed(self, index: Index) -> bool:
        """Whether it has messages, or will have."""
        return index.is_needed()

    def _made(self, directory: Path) -> Index:
        return Index(directory, self._keep, self._reactor.seconds)


def _is_a_tenants(event: Event) -> bool:
    return isinstance(event, Received) and bool(event.tenant)
