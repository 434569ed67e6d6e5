"""Numbers as JSON values, as lines of JSON and as CSV; pure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from mta.analytics import measures as m
from mta.analytics.tallied import PERCENTILES, Point, Row, Tally

#: Media types, by the names of formats.
MEDIA: Mapping[str, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
}
_DELAYS = [f"p{one * 100:g}" for one in PERCENTILES]


def moment(at: float) -> str:
    """A time of whole seconds as RFC 3339 has it, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def numbers(tally: Tally) -> dict[str, Any]:
    """Counts, rates, and seconds from acceptance to delivery."""
    rates = {name: None if rate is None else round(rate, 6) for name, rate in tally.rates().items()}
    delays = dict(zip(_DELAYS, tally.percentiles(), strict=True))
    return {"counts": tally.counts(), "rates": rates, "delay": delays}


def point(one: Point) -> dict[str, Any]:
    """A step of a series."""
    return {"at": moment(one.at), **numbers(one.tally)}


def row(one: Row) -> dict[str, Any]:
    """A value of a dimension."""
    found = {"value": one.value, "other": one.other, **numbers(one.tally)}
    return {**found, "before": None if one.before is None else numbers(one.before)}


def columns(first: Sequence[str]) -> list[str]:
    """Names of columns, behind some of others."""
    delays = [f"delay_{name}" for name in _DELAYS]
    return [*first, *(name for name, _ in m.MEASURES.values()), *m.RATES, *delays]


def flat(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What :func:`point` or :func:`row` made, in one level."""
    found = {name: value for name, value in facts.items() if not isinstance(value, Mapping)}
    found.pop("before", None)
    found.update(facts["counts"])
    found.update(facts["rates"])
    found.update((f"delay_{name}", value) for name, value in facts["delay"].items())
    return found


def written(rows: Iterable[Mapping[str, Any]], form: str, first: Sequence[str]) -> str:
    """A file.

    :param rows: as :func:`point` and :func:`row` make them.
    :param form: ``csv`` or ``ndjson``.
    :param first: the columns before the numbers.
    """
    if form == "ndjson":
        return "".join(json.dumps(one, ensure_ascii=False, separators=(",", ":")) + "\n" for one in rows)
    out = io.StringIO()
    writer = csv.DictWriter(out, columns(first), extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    for one in rows:
        writer.writerow({name: _cell(value) for name, value in flat(one).items()})
    return out.getvalue()


def _cell(value: Any) -> Any:
    # What a spreadsheet would take for a formula is text for it.
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return f"'{value}"
    return value
