"""The overview: what is going on now, what is wrong, and what to do about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mta.analytics.reader import StatisticsReader
from mta.analytics.tallied import Point, Tally
from mta.dashboard.line import Line, line_of
from mta.dashboard.page import Answered, Html, Page
from mta.dashboard.plot import Plot, Series, draw
from mta.dashboard.rendering import link
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.dashboard.waiting import Look
from mta.dashboard.workers import Workers
from mta.journal.reader import JournalReader

#: Minutes of the plot, and how many of them make one of its bars.
_MINUTES, _EACH = 60, 2
#: What is counted: measure, name, colour.
_SHOWN = (
    ("delivered", "Delivered", 2),
    ("deferred", "Deferred", 3),
    ("bounced", "Failed", 4),
)
#: Lines of the newest events; destinations that are named.
_LINES, _NAMED = 10, 5
#: From how many decided recipients on a rate tells something, and which rate is too much.
_ENOUGH, _MUCH = 50, 0.05
#: Failed sign-ins of an hour that are worth a look.
_FAILED = 20
_MONTH = 30 * 86400.0


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong now.

    :ivar todo: what to do.
    :ivar path: where to do it; ``words`` says so.
    """

    tone: str
    title: str
    text: str
    todo: str
    path: str
    words: str


class OverviewPages:
    """See the module.

    :param look: what waits, and how the lines stand.
    :param workers: all of them.
    :param numbers: of all mail and of tenants.
    :param seconds: gives the time since 1970.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    :param suspended: how many accounts are suspended now.
    """

    def __init__(
        self,
        look: Callable[[], Awaitable[Look]],
        workers: Workers,
        numbers: StatisticsReader,
        seconds: Callable[[], float],
        run_in_thread: Callable[..., Any],
        suspended: Callable[[], int],
    ) -> None:
        self._look = look
        self._workers = workers
        self._numbers = numbers
        self._seconds = seconds
        self._run = run_in_thread
        self._suspended = suspended

    def pages(self) -> list[Page]:
        """What there is."""
        return [Page("GET", "/dashboard/", self.overview, Right.LOOK_OWN, "Overview")]

    async def overview(self, visit: Visit) -> Answered:
        """The page."""
        whose = visit.tenant if visit.confined else None
        points, day, ever, lines = await self._run(self._read, whose)
        values: dict[str, Any] = {
            "plot": _plot(points),
            "day": day.counts(),
            "rates": day.rates(),
            "lines": lines,
            "fresh": not ever,
        }
        if visit.confined:
            return Html("overview_tenant.html", values)
        look = await self._look()
        alerts = [one for one in await self._workers.alerts() if one.get("raised")]
        hour = [point.tally for point in points]
        problems = _problems(look, alerts, self._suspended(), await self._failed())
        bounced = sum(one.count("bounced") for one in hour)
        decided = bounced + sum(one.count("delivered") for one in hour)
        if decided >= _ENOUGH and bounced / decided > _MUCH:
            problems.append(
                Problem(
                    "warn",
                    f"{bounced / decided:.0%} of the last hour failed",
                    f"{bounced} of {decided} recipients did not get their mail.",
                    "See which replies came, and whether they are of one list or of one provider.",
                    "/dashboard/messages?view=trouble",
                    "What failed",
                )
            )
        return Html("overview.html", {**values, "look": look, "problems": problems})

    async def _failed(self) -> int:
        """Sign-ins that failed in the last hour."""
        total = 0
        for status in (await self._workers.status()).values():
            if status is not None:
                total += status["security"]["auth_failures"]["last_hour"]
        return total

    def _read(self, whose: str | None) -> tuple[list[Point], Tally, bool, list[Line]]:
        """The last hour, the last day, whether there was mail in a month, the newest events; in a thread."""
        now = self._seconds()
        points = self._numbers.series(whose, now - 60.0 * _MINUTES, now, "minute")
        day = self._numbers.total(whose, now - 86400.0, now)
        ever = not (day.is_empty() and self._numbers.total(whose, now - _MONTH, now).is_empty())
        if whose is not None:
            return points, day, ever, []
        records, _ = JournalReader(self._workers.journals()).before({}, (), _LINES)
        lines = [line for record in records if (line := line_of(record.event)) is not None]
        return points, day, ever, lines


def _plot(points: Sequence[Point]) -> Plot:
    """The last hour."""
    labels, values = [], {name: [0.0] for name, _, _ in _SHOWN}
    for name in values:
        values[name] = []
    for start in range(0, len(points), _EACH):
        some = points[start : start + _EACH]
        there = datetime.fromtimestamp(some[0].at, UTC).astimezone()
        labels.append(f"{there:%H:%M}")
        for name, found in values.items():
            found.append(float(sum(point.tally.count(name) for point in some)))
    series = [Series(words, values[name], colour) for name, words, colour in _SHOWN]
    return draw("The last hour", labels, series, kind="bars", what="From")


def _problems(look: Look, alerts: Sequence[dict[str, Any]], suspended: int, failed: int) -> list[Problem]:
    """What is wrong, the worst first."""
    found = [
        Problem(
            "bad",
            f"Worker {shard} does not answer",
            "What it has waits on disk; it is started again by itself.",
            "If this stays so, the server's log tells why it ends.",
            "/dashboard/log?kind=server",
            "The log",
        )
        for shard in look.silent
    ]
    found += [
        Problem(
            "bad",
            f"Alert: {one['rule']}",
            f"Found: {one['found']}.  It is raised by {one['raised_by']}."
            if one.get("found")
            else "It is raised.",
            "See the evidence, and what was told to whom.",
            "/dashboard/alerts",
            "The alerts",
        )
        for one in alerts
    ]
    troubled = [line for line in look.destinations if line.messages and (line.trouble or line.attempts)]
    found += [
        Problem(
            "warn",
            f"{_wait(line.messages)} for {line.next_hop}",
            line.trouble or "Attempts were not successful so far; they are made again by themselves.",
            line.advice or "Open a message to see what was said, why, and what to do.",
            link("/dashboard/queue/messages", transport=line.transport, next_hop=line.next_hop),
            "The messages",
        )
        for line in troubled[:_NAMED]
    ]
    found += [
        Problem(
            "warn",
            f"Nothing goes to {one['pattern']}",
            " ".join(filter(None, (f"Suspended by {one.get('by') or 'somebody'}.", one.get("reason")))),
            "Resume it as soon as the reason is gone.",
            "/dashboard/queue",
            "The queue",
        )
        for one in look.suspensions
    ]
    held = look.counts.get("held", 0)
    if held:
        found.append(
            Problem(
                "warn",
                f"{held} held",
                "Somebody has to decide: nothing happens to them by themselves.",
                "Look at them; release what is wanted.",
                "/dashboard/held",
                "What is held",
            )
        )
    if suspended:
        found.append(
            Problem(
                "warn",
                f"{suspended} suspended {'account' if suspended == 1 else 'accounts'}",
                "They sent as if their password were stolen, or a person said so.",
                "Have the password changed, then resume.",
                "/dashboard/accounts/suspended",
                "The accounts",
            )
        )
    if failed >= _FAILED:
        found.append(
            Problem(
                "warn",
                f"{failed} sign-ins failed in the last hour",
                "Somebody guesses passwords, or a device has an old one.",
                "See whose they are, and from where.",
                "/dashboard/accounts?view=failed",
                "The sign-ins",
            )
        )
    return found


def _wait(number: int) -> str:
    return "1 message waits" if number == 1 else f"{number} messages wait"
