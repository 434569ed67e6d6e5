"""What ``mta top`` shows: asked of all workers, and read out of their journals."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from mta.analytics.reader import StatisticsReader
from mta.cli.context import Context
from mta.cli.control import sockets
from mta.interfaces import TemporarilyUnavailable
from mta.journal.reader import JournalError
from mta.journal.text import event_line

#: Kinds of events of which one sees how many there are in a second, and what they are called.
FLOW = {
    "received": "accepted",
    "rejected": "refused",
    "delivered": "delivered",
    "deferred": "deferred",
    "failed": "bounced",
    "authentication-failed": "wrong passwords",
}
#: Kinds that are shown one by one.
FAILURES = ("failed", "deferred", "bounced", "complained", "rejected", "automated")
_MOST_FAILURES = 50
#: Seconds of which flow is an average besides the last look.
MINUTE = 60.0
_SLOWEST_EVERY = 10.0
_PATIENCE = 3.0


@dataclass(slots=True)
class Figures:
    """One look.

    :ivar workers: their numbers, as ``mta status --json`` has them; of those that answer.
    :ivar silent: shards whose workers do not.
    :ivar flow: by kind: in a second now, and over a minute.
    :ivar sites: destinations, as the queue knows them, with their worker.
    :ivar failures: the newest first: time, kind and words.
    :ivar slowest: domain, deliveries, and half and 95 % of delivery times, of the last hour.
    """

    at: float
    workers: dict[int, dict[str, Any]] = field(default_factory=dict)
    silent: list[int] = field(default_factory=list)
    flow: dict[str, tuple[float, float]] = field(default_factory=dict)
    sites: list[dict[str, Any]] = field(default_factory=list)
    failures: list[tuple[float, str, str]] = field(default_factory=list)
    slowest: list[tuple[str, int, float, float]] = field(default_factory=list)


class Watcher:
    """Looks again and again.

    :param context: of the command.
    :param seconds: gives the time since 1970.
    """

    def __init__(self, context: Context, seconds: Callable[[], float]) -> None:
        self._context = context
        self._seconds = seconds
        self._before: deque[tuple[float, dict[tuple[int, str], float]]] = deque()
        self._failures: deque[tuple[float, str, str]] = deque(maxlen=_MOST_FAILURES)
        self._after: dict[int, int] | None = None
        self._slowest: list[tuple[str, int, float, float]] = []
        self._next_slowest = 0.0

    def look(self) -> Figures:
        """One look.

        :raise CommandError: if the server does not run.
        """
        now = self._seconds()
        found = Figures(now)
        counts: dict[tuple[int, str], float] = {}
        for shard, control in sockets(self._context.state):
            status = _asked(control, "/v1/status")
            if not isinstance(status, dict):
                found.silent.append(shard)
                continue
            found.workers[shard] = status
            found.sites += [{**one, "worker": shard} for one in status["queue"]["destinations"]]
            samples = _asked(control.with_name(f"api-{shard}.sock"), "/metrics/worker")
            counts.update(((shard, kind), count) for kind, count in _events(samples).items())
        found.flow = self._flow(now, counts)
        self._read_failures(now)
        found.failures = list(self._failures)
        if now >= self._next_slowest:
            self._next_slowest = now + _SLOWEST_EVERY
            self._slowest = self._find_slowest(now)
        found.slowest = self._slowest
        return found

    def _flow(self, now: float, counts: dict[tuple[int, str], float]) -> dict[str, tuple[float, float]]:
        before = self._before
        before.append((now, counts))
        while len(before) > 2 and before[1][0] <= now - MINUTE:
            before.popleft()
        found = {}
        for kind in FLOW:
            last = _rate(kind, before[-2] if len(before) > 1 else before[-1], before[-1])
            found[kind] = (last, _rate(kind, before[0], before[-1]))
        return found

    def _read_failures(self, now: float) -> None:
        try:
            journal = self._context.journal()
            if self._after is None:
                self._after = dict(enumerate(journal.ends()))
                records = journal.recent(since=now - 3600, kinds=FAILURES, limit=20)
            else:
                records = []
                for shard in range(len(journal.paths)):
                    found, upto = journal.following(shard, FAILURES, self._after.get(shard, 0))
                    self._after[shard] = upto
                    records += found
                records.reverse()
        except JournalError:
            return
        for record in reversed(records[:_MOST_FAILURES]):
            self._failures.appendleft((record.event.at, record.event.kind, event_line(record.event)))

    def _find_slowest(self, now: float) -> list[tuple[str, int, float, float]]:
        reader = StatisticsReader(self._context.state / "spool")
        try:
            rows = reader.breakdown(None, "domain", now - 3600, now, limit=200).rows
        except TemporarilyUnavailable:
            return self._slowest
        found = []
        for row in rows:
            half, most = row.tally.percentiles([0.5, 0.95])
            if half is not None and most is not None:
                found.append((row.value or "(other)", row.tally.count("delivered"), half, most))
        return sorted(found, key=lambda one: -one[3])[:20]


def _rate(
    kind: str,
    before: tuple[float, Mapping[tuple[int, str], float]],
    now: tuple[float, Mapping[tuple[int, str], float]],
) -> float:
    """How many in a second; a worker that was started again counts from 0."""
    seconds = now[0] - before[0]
    if seconds <= 0:
        return 0.0
    total = 0.0
    for key, count in now[1].items():
        if key[1] == kind:
            earlier = before[1].get(key, 0.0)
            total += count - earlier if count >= earlier else count
    return total / seconds


def _events(samples: Any) -> dict[str, float]:
    """How many events a worker has written, by kind."""
    for sample in samples if isinstance(samples, list) else ():
        if sample.get("name") == "mta_journal_events":
            return {labels[0]: count for labels, count in sample["rows"]}
    return {}


def _asked(socket: Any, path: str) -> Any:
    """What a worker answers; ``None``: nothing."""
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=_PATIENCE) as client:
            answer = client.get(f"http://mta{path}")
            return answer.json() if answer.is_success else None
    except (httpx.HTTPError, ValueError):
        return None
