"""Joins what a worker is measured by: what it counts, how much there is now, and who may see it."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from mta import __version__
from mta.api.v1.metrics import MetricsRoutes
from mta.api.v1.route import Route
from mta.config.loading import Loaded
from mta.config.settings import Settings
from mta.environment import Environment
from mta.following import Following
from mta.interfaces import IEventSink, TemporarilyUnavailable
from mta.metrics.counts import Histogram, gauge
from mta.metrics.watch import COMMITS, Watch
from mta.metrics.workers import samples
from mta.registry.keys import Keys


class Measuring:
    """See the module.

    :param loaded: the configuration.
    :param environment: threads and so on.
    :param shard: which worker this is.
    :param spool: its :class:`~mta.queue.spool.Spool`.
    :param keys: of the operator.
    :param following: the index, whose lag is measured.
    :param status: numbers about this worker.
    """

    def __init__(
        self,
        loaded: Loaded,
        environment: Environment,
        shard: int,
        spool: Any,
        keys: Keys,
        following: Following,
        status: Callable[[], dict[str, Any]],
    ) -> None:
        self.watch = Watch()
        self._commits = Histogram("mta_spool_commit_seconds", "Commits of the spool", COMMITS)
        spool.time_commits(self._commits.observe)
        self._spool = spool
        self._following = following
        self._status = status
        self._run = environment.run_in_thread
        run = loaded.state / "run"
        self._routes = MetricsRoutes(
            keys,
            loaded.settings.metrics.networks,
            own=self.samples,
            others=lambda: samples(run, shard),
            worker=str(shard),
            run_in_thread=environment.run_in_thread,
        )

    @property
    def sinks(self) -> Sequence[IEventSink]:
        """What is to be told of events."""
        return [self.watch]

    def routes(self) -> list[Route]:
        """What can be asked."""
        return self._routes.routes()

    def use(self, settings: Settings) -> None:
        """Go by another configuration."""
        self._routes.networks = settings.metrics.networks

    async def samples(self) -> list[dict[str, Any]]:
        """Everything of this worker, JSON values."""
        found = [one.sample() for one in (*self.watch.all(), self._commits)]
        queue: dict[str, int] = {}
        lags: dict[int, int] = {}
        with suppress(TemporarilyUnavailable):
            queue = await self._spool.count()
        # One that cannot be told says nothing about the other.
        with suppress(TemporarilyUnavailable):
            lags = await self._run(self._following.lags)
        return [*found, *self._now(queue, lags)]

    def _now(self, queue: dict[str, int], lags: dict[int, int]) -> list[dict[str, Any]]:
        status = self._status()
        window, access = status["queue"]["window"], status["access"]
        held = queue.get("held", 0)
        waiting = queue.get("addressees", 0) - held
        used = resource.getrusage(resource.RUSAGE_SELF)
        return [
            gauge("mta_info", "The program", {(__version__,): 1}, ["version"]),
            gauge("mta_queue_messages", "Messages in the queue", {(): queue.get("messages", 0)}),
            gauge(
                "mta_queue_recipients",
                "Recipients in the queue",
                {("queued",): waiting, ("held",): held},
                ["state"],
            ),
            gauge("mta_queue_octets", "Octets of messages in the queue", {(): queue.get("octets", 0)}),
            gauge("mta_window_messages", "Messages in memory", {(): window["messages"]}),
            gauge("mta_window_octets", "Octets of messages in memory", {(): window["octets"]}),
            gauge("mta_deliveries_in_flight", "Attempts under way", {(): status["queue"]["in_flight"]}),
            gauge(
                "mta_smtp_sessions",
                "Sessions of clients",
                {(role,): count for role, count in status["sessions"].items()},
                ["role"],
            ),
            gauge("mta_banned_networks", "Networks that are not let in", {(): access["banned"]}),
            gauge("mta_suspended_accounts", "Accounts that may not send", {(): access["suspended"]}),
            gauge(
                "mta_journal_lag_events",
                "Events of the journal that its index does not know yet",
                {(str(shard),): lag for shard, lag in lags.items()},
                ["shard"],
            ),
            gauge("mta_event_streams", "Live streams of events", {(): self._following.feed.count}),
            gauge("mta_cpu_seconds", "CPU time", {(): used.ru_utime + used.ru_stime}),
            gauge("mta_resident_octets", "Memory", {(): _resident()}),
        ]


def _resident() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
