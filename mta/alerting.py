"""Alerts, joined: the journal and the server watched, and somebody told; see :mod:`mta.alert`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from mta.alert.facts import facts
from mta.alert.rule import wanted
from mta.alert.telling import Teller
from mta.alert.watch import AlertWatch
from mta.analytics.judging import Finding, judge
from mta.analytics.reader import StatisticsReader
from mta.certificate import ServerContext
from mta.config.loading import Loaded
from mta.config.settings import Alert
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
    counted: Callable[[], Awaitable[None]],
) -> AlertWatch:
    """What the first worker does about ``[[alert]]``, for all of them.

    :param certificate: ours.
    :param note: puts events into the journal.
    :param write: queues a mail: to, subject, text.
    :param counted: waits until the numbers have what has happened by now.
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
        numbers=Judging(reactor, StatisticsReader(spool), counted, run_in_thread).judged,
    )


class Judging:
    """Judges numbers for rules.

    :param reactor: time.
    :param reader: of the numbers.
    :param counted: waits until they have what has happened by now.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        reader: StatisticsReader,
        counted: Callable[[], Awaitable[None]],
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._reactor = reactor
        self._reader = reader
        self._counted = counted
        self._run = run_in_thread
        self._troubled = False

    async def judged(self, settings: Sequence[Alert]) -> dict[str, Finding]:
        """What was found, by the names of rules; nothing, if the numbers cannot be read now."""
        now = self._reactor.seconds()
        try:
            await self._counted()
            found: dict[str, Finding] = await self._run(self._all, settings, now)
        except TemporarilyUnavailable as trouble:
            if not self._troubled:
                self.log.warn("Numbers are not judged now: {why}", why=str(trouble))
            self._troubled = True
            return {}
        self._troubled = False
        return found

    def _all(self, settings: Sequence[Alert], now: float) -> dict[str, Finding]:
        return {one.name: judge(self._reader, wanted(one), now) for one in settings}


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
