"""Events that a command puts into the journal while no server runs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from mta.interfaces import TemporarilyUnavailable
from mta.model.event import Event
from mta.queue.schema import DATABASE, SchemaError, open_writer
from mta.queue.shard import Shard
from mta.queue.transaction import apply, read_totals
from mta.queue.work import Work


@contextmanager
def noting(directory: Path) -> Iterator[list[Event]]:
    """A list of events, which are on disk when the block is left, unless it raises.

    Meanwhile the shard is this process's, so that what is done in the block cannot fall together with
    the start of a server.

    :param directory: of the shard; made if it is not there.
    :raise TemporarilyUnavailable: if a server has it, or it cannot be written.
    """
    shard = Shard(directory, 0)
    shard.acquire()
    events: list[Event] = []
    try:
        with closing(open_writer(directory / DATABASE)) as base:
            base.execute("BEGIN IMMEDIATE")
            yield events
            work = Work(True, None)
            work.add_events(events)
            totals = read_totals(base)
            totals.serial += 1
            apply(base, [work], totals)
            base.execute("COMMIT")
    except (sqlite3.Error, OSError, SchemaError) as error:
        raise TemporarilyUnavailable(f"the journal in {directory} cannot be written: {error}") from error
    finally:
        shard.release()
