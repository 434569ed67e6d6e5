"""The shards of the spool, one a worker: how many there are, and one's part of what all may have."""

from __future__ import annotations

from twisted.logger import Logger

from mta.config.loading import Loaded
from mta.interfaces import TemporarilyUnavailable
from mta.queue.reader import QueueReader

_log = Logger()


def workers_needed(loaded: Loaded) -> int:
    """How many workers to start: as many as are wanted, and more while further shards hold mail.

    Whoever lowers ``workers`` would otherwise leave acknowledged messages in a
    shard that nobody owns.
    """
    wanted = loaded.settings.workers
    assert isinstance(wanted, int)
    needed = wanted
    for path in (loaded.state / "spool").iterdir():
        if not path.name.isdigit() or int(path.name) < wanted:
            continue
        try:
            with QueueReader(path) as reader:
                messages = reader.count()["messages"]
        except TemporarilyUnavailable as trouble:
            _log.error("Nobody owns shard {shard}: {trouble}", shard=path.name, trouble=trouble)
            continue
        if messages:
            needed = max(needed, int(path.name) + 1)
            _log.warn(
                "Shard {shard} holds {messages} messages, so there are more than workers = {wanted} "
                "until a start finds it empty",
                shard=path.name,
                messages=messages,
                wanted=wanted,
            )
    return needed


def part_of(all_of_it: int, workers: int | str) -> int:
    """One worker's part of what all may have; 0 stays no limit."""
    return all_of_it and max(1, all_of_it // max(1, int(workers)))
