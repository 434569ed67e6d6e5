"""Analytics: what became of mail over time, compared with the time before, and by what it differs."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import Field

from mta.analytics.measures import DIMENSIONS
from mta.analytics.reader import StatisticsReader, place
from mta.analytics.table import point, row, written
from mta.analytics.tallied import PERCENTILES, Breakdown, Point, Row, Stage, Tally, change, funnel
from mta.dashboard.page import Answered, Download, Html, Page, Query
from mta.dashboard.plot import Plot, Series, draw
from mta.dashboard.role import Right
from mta.dashboard.visit import Visit
from mta.dashboard.words import percent
from mta.interfaces import TemporarilyUnavailable

PLACE = "/dashboard/analytics"
_HOUR, _DAY = 3600.0, 86400.0
#: By name: seconds, and the step of its plots.
PERIODS: dict[str, tuple[float, Literal["hour", "day"], str]] = {
    "day": (_DAY, "hour", "24 hours"),
    "week": (7 * _DAY, "hour", "7 days"),
    "month": (30 * _DAY, "day", "30 days"),
    "year": (365 * _DAY, "day", "a year"),
}
#: By what staff and tenants look, with what it is called.
BY = {
    "domain": "Recipients' domains",
    "provider": "Mailbox providers",
    "class": "Classes of replies",
    "tag": "Tags",
    "campaign": "Campaigns",
    "variant": "Variants",
    "template": "Templates",
    "source": "Sending addresses",
    "tls": "TLS",
    "tenant": "Tenants",
}
_ROWS = 50
_SHOWN = ("delivered", "deferred", "bounced")
_OF_RATES = ("delivery_rate", "bounce_rate", "complaint_rate", "open_rate", "click_rate", "unsubscribe_rate")


class Look(Query):
    """Which time, and by what."""

    period: Literal["day", "week", "month", "year"] = "week"
    by: str = Field("domain", max_length=30)
    whose: Literal["all", "tenant"] = "all"
    campaign: str = Field("", max_length=200)
    after: str = Field("", max_length=400)
    after_number: float = 0.0


class Save(Look):
    """As what file."""

    format: Literal["csv", "ndjson"] = "csv"
    what: Literal["series", "breakdown"] = "series"


@dataclass(frozen=True, slots=True)
class Figure:
    """A number, beside that of the time before.

    :ivar changed: relatively; ``None``: there is nothing to compare with.
    """

    name: str
    value: str
    hint: str
    tone: str = ""
    changed: float | None = None


@dataclass(frozen=True, slots=True)
class _Found:
    """What one look at the numbers gives.

    :ivar parts: by what they differ; ``None``: of one campaign that is not known.
    """

    now: Tally
    before: Tally
    points: Sequence[Point]
    parts: Breakdown | None
    stages: Sequence[Stage]
    variants: Sequence[Row]


class AnalyticsPages:
    """See the module.

    :param reader: of the numbers; it blocks.
    :param current: waits until what happened is counted.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        reader: StatisticsReader,
        current: Callable[[], Awaitable[None]],
        run_in_thread: Callable[..., Any],
    ) -> None:
        self._reader = reader
        self._current = current
        self._run = run_in_thread

    def pages(self) -> list[Page]:
        """What there is."""
        look = Right.LOOK_OWN
        return [
            Page("GET", PLACE, self.overview, look, "Analytics", query=Look),
            Page("GET", f"{PLACE}/export", self.save, look, "Export numbers", query=Save),
        ]

    async def overview(self, visit: Visit) -> Answered:
        """The page."""
        query: Look = visit.query
        late = ""
        try:
            await self._current()
        except TemporarilyUnavailable as why:
            # What is there is shown.
            late = str(why)
        by = _by(visit, query)
        found: _Found = await self._run(self._found, _whose(visit, query), query, by, visit.now)
        step = PERIODS[query.period][1]
        values = {
            "late": late,
            "by": by,
            "dimensions": [
                (name, words) for name, words in BY.items() if name != "tenant" or not visit.confined
            ],
            "help": DIMENSIONS[by][1],
            "periods": [(name, words) for name, (_, _, words) in PERIODS.items()],
            "empty": found.now.is_empty() and found.before.is_empty(),
            "figures": _figures(found),
            "flow": _plot("What became of recipients", found.points, _SHOWN, step),
            "engagement": _plot("Opens and clicks", found.points, _ENGAGEMENT, step, "lines"),
            "times": list(zip(PERCENTILES, found.now.percentiles(), strict=True)),
            "rows": found.parts.rows if found.parts else [],
            "more": place(found.parts.rows[-1], "") if found.parts and found.parts.more else None,
            "stages": found.stages,
            "variants": found.variants,
            "percent": percent,
        }
        return Html("analytics.html", values)

    async def save(self, visit: Visit) -> Answered:
        """The numbers as a file."""
        query: Save = visit.query
        by = _by(visit, query)

        def work() -> str:
            whose, since = _whose(visit, query), _since(query, visit.now)
            if query.what == "series":
                points = self._reader.series(whose, since, visit.now, PERIODS[query.period][1], *_of(query))
                return written(map(point, points), query.format, ("at",))
            parts = self._reader.breakdown(whose, by, since, visit.now, limit=sys.maxsize)
            return written(map(row, parts.rows), query.format, ("value",))

        text: str = await self._run(work)
        media = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}[query.format]
        return Download(text.encode(), media, f"{query.what}-{query.period}.{query.format}")

    def _found(self, whose: str | None, query: Look, by: str, now: float) -> _Found:
        """Look at the numbers; blocks."""
        reader, since = self._reader, _since(query, now)
        seconds, step, _ = PERIODS[query.period]
        of = _of(query)
        after = (query.after_number, query.after) if query.after else None
        total = reader.total(whose, since, now, *of)
        return _Found(
            total,
            reader.total(whose, since - seconds, since, *of),
            reader.series(whose, since, now, step, *of),
            None if query.campaign else reader.breakdown(whose, by, since, now, limit=_ROWS, after=after),
            funnel(total),
            reader.variants(whose, query.campaign, since, now) if query.campaign else (),
        )


_ENGAGEMENT = ("opens", "clicks", "opens_proxy", "opens_scanner", "clicks_scanner")
_WORDS = {
    "opens": "opens by people",
    "clicks": "clicks by people",
    "opens_proxy": "opens by proxies",
    "opens_scanner": "opens by scanners",
    "clicks_scanner": "clicks by scanners",
}
#: Colours of the sheet, which are the same wherever these are shown.
_COLOURS = {"delivered": 2, "deferred": 4, "bounced": 5}


def _whose(visit: Visit, query: Look) -> str | None:
    """Whose mail is counted; ``None``: everybody's, which is for staff only."""
    if visit.confined or query.whose == "tenant":
        return visit.tenant
    return None


def _by(visit: Visit, query: Look) -> str:
    if query.by not in BY or (query.by == "tenant" and _whose(visit, query) is not None):
        return "domain"
    return query.by


def _since(query: Look, now: float) -> float:
    # Numbers are of whole hours: neither time has one of the other's.
    return (now - PERIODS[query.period][0]) // _HOUR * _HOUR + _HOUR


def _of(query: Look) -> tuple[str, str]:
    """The campaign alone that is counted, if one is chosen."""
    return ("campaign", query.campaign) if query.campaign else ("", "")


def _plot(
    title: str,
    points: Sequence[Point],
    names: Sequence[str],
    step: str,
    kind: Literal["lines", "bars"] = "bars",
) -> Plot:
    labels = [_label(one.at, step) for one in points]
    series = [
        Series(_WORDS.get(name, name), [one.tally.count(name) for one in points], _COLOURS.get(name, 0))
        for name in names
    ]
    return draw(title, labels, series, kind=kind, what="From (UTC)" if step == "hour" else "Day (UTC)")


def _label(at: float, step: str) -> str:
    there = datetime.fromtimestamp(at, UTC)
    # Short, for several of them stand beside each other on a phone; what they are of stands above the table.
    return f"{there:%a %Hh}" if step == "hour" else f"{there:%d %b}"


def _figures(found: _Found) -> list[Figure]:
    now, before = found.now, found.before

    def counted(name: str, words: str, hint: str = "", tone: str = "") -> Figure:
        count = now.count(name)
        shown = f"{count:,}".replace(",", "\u202f")
        return Figure(words, shown, hint, tone if count else "", change(count, before.count(name)))

    def rate(name: str, words: str, hint: str, tone: str = "") -> Figure:
        value, earlier = now.rate(name), before.rate(name)
        return Figure(
            words,
            "–" if value is None else percent(value, 1.0),
            hint,
            tone if value else "",
            change(value, earlier),
        )

    return [
        counted("accepted", "Messages taken"),
        counted("delivered", "Delivered", "recipients"),
        rate("delivery_rate", "Delivery rate", "of those that are decided"),
        rate("bounce_rate", "Bounce rate", "of those that are decided", "warn"),
        rate("complaint_rate", "Complaint rate", "of those delivered", "bad"),
        rate("open_rate", "Open rate", "people who opened, each once"),
        rate("click_rate", "Click rate", "people who clicked, each once"),
        rate("unsubscribe_rate", "Left", "of those delivered"),
    ]
