"""Journals of shards, written as the spool writes them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from mta.model.event import Event
from mta.model.ids import IdSource
from mta.queue.schema import DATABASE, open_writer
from mta.queue.transaction import apply, read_totals
from mta.queue.work import notes

#: When it all happens.
NOW = 1_780_000_000.0


class Journals:
    """The directory of all shards.

    :param spool: where.
    """

    def __init__(self, spool: Path) -> None:
        self.spool = spool
        self._ids: dict[int, IdSource] = {}

    def directory(self, shard: int = 0) -> Path:
        """Of one shard."""
        found = self.spool / str(shard)
        found.mkdir(parents=True, exist_ok=True)
        return found

    def id(self, shard: int = 0, at: float = NOW) -> str:
        """A queue id."""
        return self._ids.setdefault(shard, IdSource(shard)).next(at)

    def write(self, events: Iterable[Event], shard: int = 0) -> None:
        """Put events into the journal of a shard, in one transaction."""
        base = open_writer(self.directory(shard) / DATABASE)
        try:
            totals = read_totals(base)
            totals.serial += 1
            base.execute("BEGIN IMMEDIATE")
            apply(base, [notes(events)], totals)
            base.execute("COMMIT")
        finally:
            base.close()
