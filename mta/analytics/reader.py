"""Answers questions out of the numbers of all shards.  Synchronous and read-only.

Whose: a tenant's name, ``""`` for mail without a tenant, or ``None`` for all mail, which is for the
operator.  Times are in seconds since 1970, and steps those of UTC.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, TypeAlias, TypeVar

from mta.analytics import measures as m
from mta.analytics.rollup import DAY, EVERYBODY, HOUR, MINUTE, OTHER, SUMMED, WIDTHS
from mta.analytics.schema import DATABASE, open_for_reading
from mta.analytics.tallied import Breakdown, Point, Row, Tally, together
from mta.interfaces import TemporarilyUnavailable

T = TypeVar("T")
Step: TypeAlias = Literal["minute", "hour", "day"]
SECONDS: dict[str, int] = {"minute": 60, "hour": 3600, "day": 86400}
#: Steps of a series at the most.
MOST_STEPS = 3000
_FROM = (
    "FROM counts c WHERE c.tenant = ? AND c.dimension = ? AND c.width = ? AND c.bucket >= ? AND c.bucket < ?"
)


class StatisticsReader:
    """See the module.

    :param spool: the directory of all shards.
    """

    def __init__(self, spool: Path) -> None:
        self._spool = spool

    # --- questions -------------------------------------------------------------

    def series(
        self, tenant: str | None, since: float, until: float, step: Step, by: str = "", value: str = ""
    ) -> list[Point]:
        """Numbers of each step, those without any included.

        :param by: a name of :data:`~mta.analytics.measures.DIMENSIONS`; ``""``: of all mail.
        :param value: of that dimension.
        :raise ValueError: if there is no such dimension, none by minute, or there are too many steps.
        :raise TemporarilyUnavailable: if the numbers cannot be read.
        """
        width = SECONDS[step]
        first, last = _first(since, width), _last(until, width)
        if last - first > MOST_STEPS:
            raise ValueError(f"these are {last - first} steps, and at most {MOST_STEPS} are told at once")
        if step == "minute" and by:
            raise ValueError("by minute there are numbers of all mail only")
        dimension, found = _dimension(by), {n: Counter[int]() for n in range(first, last)}
        for place, _, measure, number in self._rows(
            tenant, dimension, first, last, step, value if by else None
        ):
            found[place][measure] += number
        return [Point(float(n * width), Tally(dict(numbers))) for n, numbers in found.items()]

    def lines(
        self, tenant: str | None, by: str, since: float, until: float, step: Step, most: int = 5
    ) -> list[tuple[Row, list[Point]]]:
        """The series of the largest values of a dimension, the largest first.

        :raise ValueError: as :meth:`series` does.
        :raise TemporarilyUnavailable: if the numbers cannot be read.
        """
        rows = self.breakdown(tenant, by, since, until, limit=most).rows
        return [
            (row, self.series(tenant, since, until, step, by, OTHER if row.other else row.value))
            for row in rows
        ]

    def total(self, tenant: str | None, since: float, until: float, by: str = "", value: str = "") -> Tally:
        """Numbers of all of the time, in whole hours.

        :raise ValueError: if there is no such dimension.
        :raise TemporarilyUnavailable: if the numbers cannot be read.
        """
        found = self._values(tenant, _dimension(by), since, until, value if by else None)
        return together(Tally(numbers) for numbers in found.values())

    def breakdown(
        self,
        tenant: str | None,
        by: str,
        since: float,
        until: float,
        *,
        sort: str = "",
        limit: int = 100,
        after: tuple[float, str] | None = None,
        compare: bool = False,
        beginning: str = "",
    ) -> Breakdown:
        """Numbers of each value of a dimension.

        :param sort: a measure or a rate, the largest first; ``""``: by how much happened.
        :param after: :func:`place` of the row behind which to begin.
        :param compare: give the numbers of the time before, of the same length, too.
        :param beginning: only values that begin so.
        :raise ValueError: if there is no such dimension, measure or rate.
        :raise TemporarilyUnavailable: if the numbers cannot be read.
        """
        dimension = _dimension(by)
        if sort and sort not in m.NUMBERS and sort not in m.RATES:
            raise ValueError(f"there is no measure or rate {sort!r}")
        found = self._values(tenant, dimension, since, until)
        rows = [
            Row("" if value == OTHER else value, Tally(dict(numbers)), value == OTHER)
            for value, numbers in found.items()
            if value.startswith(beginning)
        ]
        rows = [row for row in rows if not row.tally.is_empty()]
        rows.sort(key=lambda row: _order(place(row, sort)))
        total = len(rows)
        if after is not None:
            rows = [row for row in rows if _order(place(row, sort)) > _order(after)]
        chosen = rows[:limit]
        if compare and chosen:
            begin = _last(until, 3600) - _first(since, 3600)
            earlier = self._values(tenant, dimension, since - begin * 3600, since)
            chosen = [
                Row(
                    row.value,
                    row.tally,
                    row.other,
                    Tally(dict(earlier.get(OTHER if row.other else row.value, {}))),
                )
                for row in chosen
            ]
        return Breakdown(chosen, len(rows) > limit, total)

    def variants(self, tenant: str | None, campaign: str, since: float, until: float) -> list[Row]:
        """The variants of a campaign, by name.

        :raise TemporarilyUnavailable: if the numbers cannot be read.
        """
        rows = self.breakdown(tenant, "variant", since, until, beginning=f"{campaign}/", limit=1000).rows
        found = [Row(row.value.removeprefix(f"{campaign}/"), row.tally) for row in rows]
        return sorted(found, key=lambda row: row.value)

    def since(self) -> float:
        """From when on there are numbers; 0: there are none.

        :raise TemporarilyUnavailable: if they cannot be read.
        """
        return min(self._ask(_begin), default=0.0)

    # --- parts -----------------------------------------------------------------

    def _values(
        self, tenant: str | None, dimension: int, since: float, until: float, value: str | None = None
    ) -> dict[str, Counter[int]]:
        found: dict[str, Counter[int]] = {}
        first, last = _first(since, 3600), _last(until, 3600)
        for _, name, measure, number in self._rows(
            tenant, dimension, first, last, "hour", value, summed=True
        ):
            numbers = found.get(name)
            if numbers is None:
                numbers = found[name] = Counter()
            numbers[measure] += number
        return found

    def _rows(
        self,
        tenant: str | None,
        dimension: int,
        first: int,
        last: int,
        step: Step,
        value: str | None,
        summed: bool = False,
    ) -> Iterator[tuple[int, str, int, int]]:
        """Step, value, measure and number, as often as there are shards and resolutions."""

        def ask(base: sqlite3.Connection) -> list[tuple[int, str, int, int]]:
            found = []
            ranges = _resolutions(base, step, first, last, summed)
            for owner in _owners(base, tenant, dimension):
                for width, begin, end, divisor in ranges:
                    among = (owner, dimension, width, begin, end)
                    found += _asked(base, among, 0 if summed else divisor, value)
            return found

        yield from self._ask(ask)

    def _ask(self, question: Callable[[sqlite3.Connection], list[T]]) -> list[T]:
        """What all shards answer."""
        found = []
        for path in sorted(self._spool.glob(f"*/{DATABASE}")):
            try:
                with closing(open_for_reading(path)) as base:
                    base.execute("BEGIN")
                    found += question(base)
            except sqlite3.Error as error:
                if "no such table" not in str(error):  # It is just being made.
                    raise TemporarilyUnavailable(f"{path} cannot be read: {error}") from error
        return found


def step_for(since: float, until: float, by: bool = False) -> Step:
    """What suits a time: at most some hundred steps."""
    length = until - since
    if length <= 3 * 3600 and not by:
        return "minute"
    return "hour" if length <= 14 * 86400 else "day"


def place(row: Row, sort: str = "") -> tuple[float, str]:
    """Where a row stands in its order: a number, and its value."""
    number = row.tally.value(sort) if sort else float(m.volume(row.tally.numbers))
    return number, OTHER if row.other else row.value


def _order(place: tuple[float, str]) -> tuple[float, str]:
    return -place[0], place[1]


def _dimension(by: str) -> int:
    if not by:
        return m.TOTAL
    if by not in m.DIMENSIONS:
        raise ValueError(f"there is no dimension {by!r}; there are {', '.join(m.DIMENSIONS)}")
    return m.DIMENSIONS[by][0]


def _first(since: float, width: int) -> int:
    return int(since // width)


def _last(until: float, width: int) -> int:
    return int(-(-until // width))


def _resolutions(
    base: sqlite3.Connection, step: Step, first: int, last: int, summed: bool
) -> list[tuple[int, int, int, int]]:
    """Which rows make up steps: resolution, first and last bucket, and buckets in a step."""
    if step == "minute":
        return [(MINUTE, first, last, 1)]
    if step == "day":
        return [(DAY, first, last, 1), *_ranges(base, first * 24, last * 24)]
    # Days whose hours are gone stand in their first hour.
    days = (DAY, -(-first // 24), last // 24, -24)
    return [days, *(_ranges(base, first, last) if summed else [(HOUR, first, last, 1)])]


def _ranges(base: sqlite3.Connection, first: int, last: int) -> list[tuple[int, int, int, int]]:
    """Hours, and days that are summed up where there are such, in as few pieces as can be."""
    days = base.execute(
        "SELECT day FROM summed WHERE day >= ? AND day < ? ORDER BY day", (-(-first // 24), last // 24)
    ).fetchall()
    found: list[tuple[int, int, int, int]] = []
    place = first
    for (day,) in days:
        if place < day * 24:
            found.append((HOUR, place, day * 24, 24))
        if found and found[-1][0] == SUMMED and found[-1][2] == day:
            found[-1] = (SUMMED, found[-1][1], day + 1, 1)
        else:
            found.append((SUMMED, day, day + 1, 1))
        place = day * 24 + 24
    if place < last:
        found.append((HOUR, place, last, 24))
    return found


def _begin(base: sqlite3.Connection) -> list[float]:
    """When the numbers begin, of each resolution."""
    found = []
    for owner in _owners(base, None, m.TOTAL):
        for width in (DAY, HOUR):
            (bucket,) = base.execute(
                "SELECT min(bucket) FROM counts WHERE tenant = ? AND dimension = 0 AND width = ?",
                (owner, width),
            ).fetchone()
            if bucket is not None:
                found.append(bucket * float(WIDTHS[width]))
    return found


def _asked(
    base: sqlite3.Connection, place: Sequence[int], divisor: int, value: str | None
) -> list[tuple[int, str, int, int]]:
    if divisor == 0:
        steps = "0"
    elif divisor < 0:
        steps = f"c.bucket * {-divisor}"
    else:
        steps = f"c.bucket / {divisor}"
    only, more = (
        ("", ()) if value is None else (" AND c.value = (SELECT id FROM names WHERE name = ?)", (value,))
    )
    return base.execute(
        f"SELECT g.step, n.name, g.measure, g.number FROM (SELECT {steps} AS step, c.value AS value,"  # noqa: S608
        f" c.measure AS measure, sum(c.number) AS number {_FROM}{only} GROUP BY 1, 2, 3) g"
        " JOIN names n ON n.id = g.value",
        (*place, *more),
    ).fetchall()


def _owners(base: sqlite3.Connection, tenant: str | None, dimension: int) -> list[int]:
    names = [tenant] if tenant is not None else [EVERYBODY] if dimension == m.TENANT else ["", EVERYBODY]
    found = []
    for name in names:
        row = base.execute("SELECT id FROM names WHERE name = ?", (name,)).fetchone()
        if row is not None:
            found.append(int(row[0]))
    return found
