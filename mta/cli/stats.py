"""Counts, rates and delivery times, over time and by domain, provider, tag and so on.

    mta stats --since 7d                     # what happened, and how that differs from the week before
    mta stats --since 7d --plot              # drawn
    mta stats --by provider --sort bounce_rate
    mta stats --by tag --value news --step day
    mta stats --campaign spring
    mta stats rebuild                        # made anew out of the journal

Works with and without a running server, for all workers together.
"""

from __future__ import annotations

import argparse
import os
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mta.analytics import measures as m
from mta.analytics import table as written
from mta.analytics.numbers import JOURNAL, Keep, Numbers
from mta.analytics.reader import SECONDS, StatisticsReader, Step, step_for
from mta.analytics.tallied import Point, Row, Tally, change, funnel, together
from mta.cli.context import CommandError, Context, moment
from mta.interfaces import TemporarilyUnavailable
from mta.journal.words import duration, local_time, printable

_SUMMARY = ("accepted", "refused", "attempted", "delivered", "deferred", "bounced", "complained", "opened")
#: Rates that are told though they are 0.
_ALWAYS = ("delivery_rate", "bounce_rate", "deferral_rate")
_PLOTTED = ("delivered", "deferred", "bounced")
_TITLES = ("volume", "attempted", "delivered", "deferred", "bounced", "bounced %", "deferred %", "p50", "p95")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """``mta stats``."""
    add = parser.add_argument
    add("action", nargs="?", choices=("show", "rebuild"), default="show", help="rebuild: out of the journal")
    add("--since", default="24h", metavar="WHEN", help="such as 10m, 2h, 7d, 2026-01-31 (24h)")
    add("--until", default="", metavar="WHEN", help="likewise; without it: now")
    add("--by", default="", metavar="WHAT", help=", ".join(m.DIMENSIONS))
    add("--value", default="", metavar="VALUE", help="only this one of them, over time")
    add("--campaign", default="", metavar="NAME", help="how far its recipients came, and its variants")
    add("--tenant", default=None, metavar="NAME", help="only its mail; '' is mail without a tenant")
    add("--step", default="", metavar="STEP", help="minute, hour or day: print each")
    add("--sort", default="", metavar="WHAT", help="a count or a rate, such as bounce_rate")
    add("--limit", "-n", type=int, default=20, metavar="N", help="values at the most (20)")
    add("--plot", nargs="?", const="", default=None, metavar="WHAT,...", help="draw counts or rates")
    add("--csv", action="store_true", help="print CSV, for a spreadsheet")


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is wanted, checked."""

    reader: StatisticsReader
    tenant: str | None
    since: float
    until: float
    step: Step


def run(arguments: argparse.Namespace, context: Context) -> int:
    """Show them, or make them anew."""
    try:
        if arguments.action == "rebuild":
            return _rebuild(context)
        return _show(arguments, context)
    except TemporarilyUnavailable as error:
        raise CommandError(str(error), os.EX_TEMPFAIL) from None
    except ValueError as error:
        raise CommandError(str(error), os.EX_USAGE) from None


def _numbers(context: Context) -> list[Numbers]:
    settings = context.load().settings.analytics
    keep = Keep(settings.minutes, settings.hours, settings.days)
    journals = sorted((context.state / "spool").glob(f"*/{JOURNAL}"))
    return [Numbers(path.parent, keep) for path in journals if path.parent.name.isdigit()]


def _rebuild(context: Context) -> int:
    done: list[dict[str, Any]] = []
    for numbers in _numbers(context):
        try:
            found = numbers.rebuild()
        finally:
            numbers.close()
        done.append(
            {
                "shard": numbers.shard,
                "events": found.events,
                "kept_hours": found.kept,
                "kept_until": written.moment(found.newest) if found.newest else None,
            }
        )
    if context.out.as_json:
        context.out.json(done)
        return os.EX_OK
    for one in done:
        context.out.line(f"shard {one['shard']}: {one['events']} events")
        if one["kept_hours"]:
            context.out.line(
                f"  the journal has forgotten events of {one['kept_hours']} hours, the last of which ended"
                f" at {one['kept_until']}: these stay as they were, and so does all before"
            )
    if not done:
        context.out.line("there is no journal yet")
    return os.EX_OK


def current(context: Context) -> None:
    """Count what has happened by now; whoever may only read sees what a server has counted."""
    for numbers in _numbers(context):
        try:
            numbers.catch_up()
        except TemporarilyUnavailable as trouble:
            context.out.warn(f"the newest events are not counted: {trouble}")
        finally:
            numbers.close()


def _show(arguments: argparse.Namespace, context: Context) -> int:
    now = time.time()
    since = moment(arguments.since, now)
    until = moment(arguments.until, now) if arguments.until else now
    if since >= until:
        raise CommandError("--since is not before --until", os.EX_USAGE)
    if arguments.limit < 1:
        raise CommandError("--limit: at least 1", os.EX_USAGE)
    if arguments.step and arguments.step not in SECONDS:
        raise CommandError(f"--step: one of {', '.join(SECONDS)}", os.EX_USAGE)
    if arguments.value and not arguments.by:
        raise CommandError("--value goes with --by", os.EX_USAGE)
    step: Step = arguments.step or step_for(since, until, bool(arguments.by))
    if not context.load().settings.analytics.enabled:
        context.out.warn("analytics.enabled is false: nothing is counted while the server runs")
    current(context)
    asked = _Asked(StatisticsReader(context.state / "spool"), arguments.tenant, since, until, step)
    show: Callable[..., None]
    if arguments.campaign:
        show = _campaign
    elif arguments.by and not arguments.value:
        show = _breakdown
    else:
        show = _series
    show(arguments, context, asked)
    return os.EX_OK


# --- over time -----------------------------------------------------------------


def _series(arguments: argparse.Namespace, context: Context, asked: _Asked) -> None:
    by, value = arguments.by, arguments.value
    points = asked.reader.series(asked.tenant, asked.since, asked.until, asked.step, by, value)
    if arguments.csv or context.out.as_json:
        _print([written.point(one) for one in points], ("at",), arguments, context)
        return
    out = context.out
    if arguments.plot is not None:
        _draw(arguments, context, points, asked.step)
        return
    if arguments.step:
        rows = [(local_time(one.at)[:16], *_cells(one.tally)) for one in points]
        out.table((asked.step, *_TITLES), rows, right=_TITLES)
        return
    now = together(one.tally for one in points)
    length = asked.until - asked.since
    earlier = asked.reader.series(asked.tenant, asked.since - length, asked.since, asked.step, by, value)
    before = together(one.tally for one in earlier)
    out.line(f"{local_time(asked.since)} to {local_time(asked.until)}, and the {duration(length)} before")
    rows_: list[tuple[Any, ...]] = [
        (name, now.count(name), before.count(name), _changed(now.count(name), before.count(name)))
        for name in (*_SUMMARY, "clicked", "unsubscribed", "suppressed")
        if name in _SUMMARY or now.count(name) or before.count(name)
    ]
    for name in m.RATES:
        one, other = now.rate(name), before.rate(name)
        if one or other or (name in _ALWAYS and one is not None):
            rows_.append((name, _percent(one), _percent(other), _changed(one, other)))
    for quantile in (0.5, 0.9, 0.99):
        ((one,), (other,)) = now.percentiles([quantile]), before.percentiles([quantile])
        if one is not None or other is not None:
            rows_.append(
                (f"delivered in, p{quantile * 100:g}", _time(one), _time(other), _changed(one, other))
            )
    out.table(("", "now", "before", "change"), rows_, right=("now", "before", "change"))


def _draw(arguments: argparse.Namespace, context: Context, points: Sequence[Point], step: Step) -> None:
    from mta.cli.plot import lines

    names = _wanted(arguments.plot)
    at = [local_time(one.at) for one in points]
    labels = [text[:10] if step == "day" else text[5:16] for text in at]
    values = {name: [_drawable(one.tally, name) for one in points] for name in names}
    title = ", ".join(names) + f" by {step}"
    context.out.drawn(lines(labels, values, title, _size(context), _has_colours(context)))


# --- by something ----------------------------------------------------------------


def _breakdown(arguments: argparse.Namespace, context: Context, asked: _Asked) -> None:
    found = asked.reader.breakdown(
        asked.tenant,
        arguments.by,
        asked.since,
        asked.until,
        sort=arguments.sort,
        limit=arguments.limit,
        compare=True,
    )
    if arguments.csv or context.out.as_json:
        _print([written.row(one) for one in found.rows], ("value", "other"), arguments, context)
        return
    if arguments.plot is not None:
        _draw_values(arguments, context, found.rows)
        return
    # Who was refused has come no further.
    own = ("refused",) if arguments.by == "rule" else _TITLES
    titles = (*own, "before", "change")
    rows = []
    for row in found.rows:
        now, before = m.volume(row.tally.numbers), m.volume(row.before.numbers if row.before else {})
        cells = (now,) if arguments.by == "rule" else _cells(row.tally)
        rows.append((_name(row), *cells, before, _changed(now, before)))
    context.out.table((arguments.by, *titles), rows, right=titles)
    if found.more:
        context.out.line(f"({found.total - len(found.rows)} more; --limit)")


def _draw_values(arguments: argparse.Namespace, context: Context, rows: Sequence[Row]) -> None:
    from mta.cli.plot import bars

    for name in _wanted(arguments.plot, ("delivered",)):
        values = [_drawable(row.tally, name) for row in rows]
        names = [printable(_name(row))[:30] for row in rows]
        title = f"{name} by {arguments.by}"
        context.out.drawn(bars(names, values, title, _size(context), _has_colours(context)))


def _campaign(arguments: argparse.Namespace, context: Context, asked: _Asked) -> None:
    name = arguments.campaign
    total = asked.reader.total(asked.tenant, asked.since, asked.until, "campaign", name)
    if total.is_empty():
        raise CommandError(
            f"there is no campaign {printable(name)!r} since {local_time(asked.since)}; "
            "`mta stats --by campaign` lists them",
            os.EX_DATAERR,
        )
    variants = asked.reader.variants(asked.tenant, name, asked.since, asked.until)
    rows = [Row("", total), *variants]
    if arguments.csv or context.out.as_json:
        _print([written.row(one) for one in rows], ("value",), arguments, context)
        return
    stages = [one.name for one in funnel(total)]
    titles = (*(title for name in stages for title in (name, f"{name} %")), "complained", "unsubscribed")
    cells = []
    for row in rows:
        found = funnel(row.tally)
        of = [cell for one in found for cell in (one.count, _percent(one.share))]
        cells.append(
            (row.value or "all", *of, row.tally.count("complained"), row.tally.count("unsubscribed"))
        )
    context.out.table(("variant", *titles), cells, right=titles)


# --- words -----------------------------------------------------------------------


def _print(
    rows: list[dict[str, Any]], first: Sequence[str], arguments: argparse.Namespace, context: Context
) -> None:
    if arguments.csv:
        context.out.content(written.written(rows, "csv", first))
    else:
        context.out.json(rows)


def _cells(tally: Tally) -> tuple[Any, ...]:
    half, most = tally.percentiles([0.5, 0.95])
    counts = tuple(tally.count(name) for name in ("attempted", "delivered", "deferred", "bounced"))
    rates = _percent(tally.rate("bounce_rate")), _percent(tally.rate("deferral_rate"))
    return m.volume(tally.numbers), *counts, *rates, _time(half), _time(most)


def _wanted(text: str, default: Sequence[str] = _PLOTTED) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()] or list(default)
    for name in names:
        if name not in m.NUMBERS and name not in m.RATES:
            raise CommandError(
                f"--plot: there is no {name!r}; there are {', '.join((*m.NUMBERS, *m.RATES))}", os.EX_USAGE
            )
    return names


def _drawable(tally: Tally, name: str) -> float:
    return (tally.rate(name) or 0.0) * 100 if name in m.RATES else float(tally.count(name))


def _size(context: Context) -> tuple[int, int]:
    columns, rows = shutil.get_terminal_size((80, 24))
    return (min(columns, 160), min(max(rows - 4, 12), 24)) if context.out.stream.isatty() else (80, 20)


def _has_colours(context: Context) -> bool:
    return context.out.stream.isatty() and "NO_COLOR" not in os.environ


def _name(row: Row) -> str:
    return "(other)" if row.other else row.value or "(none)"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share * 100:.2f} %"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return (
        f"{seconds * 1000:.0f} ms"
        if seconds < 1
        else f"{seconds:.2g} s"
        if seconds < 10
        else duration(seconds)
    )


def _changed(now: float | None, before: float | None) -> str:
    found = change(now, before)
    return "" if found is None else f"{found * 100:+.0f} %"
