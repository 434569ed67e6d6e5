"""``/v1/statistics``: counts, rates and delivery times of a tenant's mail, by time and by what one likes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from pydantic import Field

from mta.analytics import measures as m
from mta.analytics.reader import StatisticsReader, Step, place, step_for
from mta.analytics.table import MEDIA, moment, numbers, point, row, written
from mta.analytics.tallied import Breakdown, Point, Row, Tally, funnel, together
from mta.api.v1.cursor import Page, cursor
from mta.api.v1.moment import Moment
from mta.api.v1.refusal import Refusal
from mta.api.v1.route import Call, Model, Response, Route, Shown
from mta.registry.keys import ADMIN
from mta.registry.tenants import DEFAULT

DAY = 86400.0
#: Seconds of which a day may be the last one.
_LAST = 253402300799.0
Dimension = Literal[
    "tenant",
    "tag",
    "domain",
    "provider",
    "campaign",
    "source",
    "class",
    "reply",
    "tls",
    "template",
    "variant",
    "rule",
    "provider-class",
]
Format = Literal["json", "csv", "ndjson"]


class Span(Model):
    """Of what time, whose, and how it is written."""

    since: Moment | None = Field(None, description="without it: a day before the end")
    until: Moment | None = Field(None, description="without it: now")
    tenant: str = Field(
        "", max_length=100, description="for the operator only: another tenant's, or `*` for all mail"
    )
    format: Format | None = Field(None, description="without it: as the header field `Accept` says")


class Steps(Span):
    """Which series."""

    step: Step | None = Field(None, description="without it: what suits the time")
    by: Dimension | None = Field(None, description="only of one value of this dimension; not by minute")
    value: str = Field("", max_length=200, description="the value")
    compare: bool = Field(False, description="the sums of the time before, of the same length, too")


class Values(Page):
    """Which breakdown."""

    by: Dimension = Field(description="dimension")
    since: Moment | None = Field(None, description="without it: a day before the end")
    until: Moment | None = Field(None, description="without it: now")
    tenant: str = Field(
        "", max_length=100, description="for the operator only: another tenant's, or `*` for all mail"
    )
    format: Format | None = Field(None, description="without it: as the header field `Accept` says")
    sort: str = Field("", max_length=50, description="a count or a rate, the largest first; without: volume")
    beginning: str = Field("", max_length=200, description="only values that begin so")
    compare: bool = Field(False, description="numbers of the time before, of the same length, too")


class CampaignSpan(Span):
    """Which campaign."""

    campaign: str = Field(min_length=1, max_length=200, description="its name")


class NumbersShown(Shown):
    """Counts, rates and delivery times."""

    counts: dict[str, int] = Field(
        description="; ".join(f"`{name}`: {what}" for name, what in m.MEASURES.values())
    )
    rates: dict[str, float | None] = Field(
        description="; ".join(f"`{name}`: {what}" for name, (_, _, what) in m.RATES.items())
    )
    delay: dict[str, float | None] = Field(
        description="percentiles of seconds from acceptance to delivery, at most 5 % from what they were"
    )


class PointShown(NumbersShown):
    """One step."""

    at: str = Field(description="when it begins")


class SeriesShown(Shown):
    """Numbers over time."""

    since: str
    until: str
    step: Step
    total: NumbersShown
    before: NumbersShown | None
    points: list[PointShown]


class ValueShown(NumbersShown):
    """One value of a dimension."""

    value: str
    other: bool = Field(description="all that there was no room for; it has no `value`")
    before: NumbersShown | None


class BreakdownShown(Shown):
    """Numbers by the values of a dimension."""

    since: str
    until: str
    by: Dimension
    values: list[ValueShown]
    total: int = Field(description="how many values there are")
    next: str | None = Field(description="give it as `cursor` for the next page; null: there is none")


class StageShown(Shown):
    """One step of a funnel."""

    name: str
    count: int
    share: float | None = Field(description="of those that were tried")


class VariantShown(NumbersShown):
    """A variant of a campaign."""

    variant: str
    funnel: list[StageShown]


class FunnelShown(NumbersShown):
    """How far the recipients of a campaign came."""

    campaign: str
    funnel: list[StageShown]
    variants: list[VariantShown]


class StatisticsRoutes:
    """Answers for numbers.

    :param reader: of the numbers.
    :param current: waits until they have what has happened by now.
    :param run_in_thread: ``(callable, *args) -> Deferred``.
    """

    def __init__(
        self,
        reader: StatisticsReader,
        current: Callable[[], Awaitable[None]],
        run_in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._reader = reader
        self._current = current
        self._run = run_in_thread

    def routes(self) -> list[Route]:
        """What it answers."""

        def get(path: str, handler: Any, summary: str, description: str, query: Any, answer: Any) -> Route:
            return Route(
                "GET",
                path,
                handler,
                "statistics",
                summary,
                description=description,
                query=query,
                answer=answer,
                media="text/csv, application/x-ndjson",
                refusals=("not-found",),
            )

        return [
            get(
                "/v1/statistics",
                self.series,
                "Numbers over time",
                "Steps are those of UTC. By minute there are the last two days, by hour 35 days, by day two"
                " years, or what the server is set to.",
                Steps,
                SeriesShown,
            ),
            get(
                "/v1/statistics/breakdown",
                self.breakdown,
                "Numbers by domain, provider, tag and so on",
                "In whole hours of UTC.",
                Values,
                BreakdownShown,
            ),
            get(
                "/v1/statistics/campaign",
                self.campaign,
                "How far the recipients of a campaign came",
                "With its variants, if it has any. Without `since` it is of the last 90 days.",
                CampaignSpan,
                FunnelShown,
            ),
        ]

    async def series(self, call: Call) -> SeriesShown | Response:
        """Over time."""
        query: Steps = call.query
        since, until = _span(query, call.now)
        step = query.step or step_for(since, until, bool(query.by))
        tenant, by = _whose(call, query.tenant), query.by or ""
        form = _format(call, query.format)
        points: list[Point] = await self._asked(
            self._reader.series, tenant, since, until, step, by, query.value
        )
        if form != "json":
            return _file([point(one) for one in points], form, ("at",))
        # By minute the ends may be within an hour.
        total = together(one.tally for one in points)
        before = None
        if query.compare:
            earlier = await self._asked(
                self._reader.series, tenant, 2 * since - until, since, step, by, query.value
            )
            before = NumbersShown(**numbers(together(one.tally for one in earlier)))
        return SeriesShown(
            since=moment(since),
            until=moment(until),
            step=step,
            total=NumbersShown(**numbers(total)),
            before=before,
            points=[PointShown(**point(one)) for one in points],
        )

    async def breakdown(self, call: Call) -> BreakdownShown | Response:
        """By values."""
        query: Values = call.query
        since, until = _span(query, call.now)
        tenant = _whose(call, query.tenant)
        after = query.after(float, str)

        def ask() -> Breakdown:
            return self._reader.breakdown(
                tenant,
                query.by,
                since,
                until,
                sort=query.sort,
                limit=query.limit,
                after=(after[0], after[1]) if after else None,
                compare=query.compare,
                beginning=query.beginning,
            )

        form = _format(call, query.format)
        found: Breakdown = await self._asked(ask)
        more = cursor(*place(found.rows[-1], query.sort)) if found.more else None
        if form != "json":
            headers = {"link": f'<?cursor={more}>; rel="next"'} if more else {}
            return _file([row(one) for one in found.rows], form, ("value", "other"), headers)
        return BreakdownShown(
            since=moment(since),
            until=moment(until),
            by=query.by,
            values=[ValueShown(**row(one)) for one in found.rows],
            total=found.total,
            next=more,
        )

    async def campaign(self, call: Call) -> FunnelShown | Response:
        """Of one campaign."""
        query: CampaignSpan = call.query
        since, until = _span(query, call.now, 90 * DAY)
        tenant, name = _whose(call, query.tenant), query.campaign
        total: Tally = await self._asked(self._reader.total, tenant, since, until, "campaign", name)
        if total.is_empty():
            raise Refusal("not-found", f"there is no campaign {name!r:.80} in this time")
        variants: list[Row] = await self._asked(self._reader.variants, tenant, name, since, until)
        form = _format(call, query.format)
        if form != "json":
            return _file([row(Row("", total)), *(row(one) for one in variants)], form, ("value",))
        return FunnelShown(
            campaign=name,
            funnel=_stages(total),
            variants=[
                VariantShown(variant=one.value, funnel=_stages(one.tally), **numbers(one.tally))
                for one in variants
            ],
            **numbers(total),
        )

    async def _asked(self, question: Callable[..., Any], *values: Any) -> Any:
        try:
            await self._current()
            return await self._run(question, *values)
        except ValueError as error:
            raise Refusal("invalid", str(error)) from None


def _span(query: Any, now: float, length: float = DAY) -> tuple[float, float]:
    until = query.until.timestamp() if query.until else min(now, _LAST)
    since = query.since.timestamp() if query.since else max(0.0, until - length)
    if since >= until:
        error = {"parameter": "since", "in": "query", "detail": "it is not before `until`"}
        raise Refusal("invalid", "since: it is not before `until`", [error])
    return since, until


def _whose(call: Call, tenant: str) -> str | None:
    """Whose mail; ``None``: all.

    :raise Refusal: if it is another's, and who asks is not the operator.
    """
    if not tenant or tenant == call.tenant.name:
        return call.tenant.name
    key = call.key
    # The operator has a key of this tenant, or comes over the guarded socket and has none.
    if key is None or (key.id and not (key.tenant == DEFAULT and ADMIN in key.scopes)):
        raise Refusal("scope", "only the operator sees what is not of the own tenant")
    return None if tenant == "*" else tenant


def _format(call: Call, wanted: str | None) -> str:
    """What is asked for by name, or in the header field Accept (RFC 9110, 12.5.1)."""
    if wanted:
        return wanted
    best, form = 0.0, "json"
    for item in call.header("accept").lower().split(","):
        media, *parameters = (part.strip() for part in item.split(";"))
        weight = 1.0
        for one in parameters:
            if one.startswith("q="):
                try:
                    weight = float(one[2:])
                except ValueError:
                    weight = 0.0
        known = {"text/csv": "csv", "application/x-ndjson": "ndjson", "application/json": "json"}
        if media in known and weight > best:
            best, form = weight, known[media]
    return form


def _file(
    rows: Sequence[dict[str, Any]], form: str, first: Sequence[str], headers: dict[str, str] | None = None
) -> Response:
    named = {"content-disposition": f'attachment; filename="statistics.{form}"'}
    return Response(
        written(rows, form, first).encode(), headers={**named, **(headers or {})}, media=MEDIA[form]
    )


def _stages(tally: Tally) -> list[StageShown]:
    return [StageShown(name=one.name, count=one.count, share=one.share) for one in funnel(tally)]
