"""Alerts, joined: the journal and the server watched, and somebody told; see :mod:`mta.alert`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from mta.alert.facts import facts
from mta.alert.telling import Teller
from mta.alert.watch import AlertWatch
from mta.certificate import ServerContext
from mta.config.loading import Loaded
from mta.deliver.webhook_post import Poster
from mta.interfaces import TemporarilyUnavailable
from mta.journal.reader import JournalReader
from mta.model.event import Event
from mta.queue.reader import QueueReader


def alerting(
    reactor: Any,
    loaded: Loaded,
    *,
    certificate: ServerContext,
    note: Callable[[Iterable[Event]], None],
    write: Callable[[str, str, str], Awaitable[None]],
    run_in_thread: Callable[..., Awaitable[Any]],
) -> AlertWatch:
    """What the first worker does about ``[[alert]]``, for all of them.

    :param certificate: ours.
    :param note: puts events into the journal.
    :param write: queues a mail: to, subject, text.
    """
    hostname, spool = loaded.settings.hostname, loaded.state / "spool"
    poster = Poster(
        reactor, run_in_thread, connections=1, connect_timeout=10.0, timeout=20.0, idle=1.0, most=512
    )
    teller = Teller(reactor, poster, write, loaded.resolve, hostname, run_in_thread)
    return AlertWatch(
        reactor,
        loaded.settings.alert,
        journals=lambda: JournalReader([shard / "queue.db" for shard in _shards(spool)]),
        facts=lambda: facts(
            loaded.state, reactor.seconds(), certificate.expires, lambda: _waiting(spool, reactor.seconds())
        ),
        note=note,
        tell=teller.tell,
        run_in_thread=run_in_thread,
    )


def _shards(spool: Path) -> list[Path]:
    """The first worker's is the first."""
    return sorted((path for path in spool.iterdir() if path.name.isdigit()), key=lambda path: int(path.name))


def _waiting(spool: Path, now: float) -> Iterator[tuple[int, float]]:
    for shard in _shards(spool):
        try:
            with QueueReader(shard) as reader:
                yield reader.count()["messages"], reader.oldest(now)
        except TemporarilyUnavailable:
            continue
