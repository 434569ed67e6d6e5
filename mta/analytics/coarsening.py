"""Numbers become coarser, and are dropped, with time; in the transaction under way.

Hours of a day become a day when they are old enough.  From then on the day takes no more events, live or
rebuilt: those of a clock that was wrong are left out alike.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from mta.analytics import measures as m
from mta.analytics.fold import REMEMBERED
from mta.analytics.rollup import DAY, HOUR, MINUTE, MOST_OF_DAY, SUMMED

_EPOCH = 1_704_067_200
#: Rows that are dropped at once.
_SOME = 20_000
_ROWS = "tenant = ? AND dimension = ? AND width = ?"


def begin(base: sqlite3.Connection) -> int:
    """The first day whose hours are still hours."""
    row = base.execute("SELECT value FROM meta WHERE name = 'days'").fetchone()
    return int(row[0]) if row else 0


def advance(base: sqlite3.Connection, before: float) -> bool:
    """Let hours of whole days before a time take no more events; answers whether these are more days now."""
    day = int(before // 86400)
    if day <= begin(base):
        return False
    base.execute("INSERT OR REPLACE INTO meta VALUES ('days', ?)", (day,))
    base.execute("DELETE FROM spans WHERE hour < ?", (day * 24,))
    base.execute("DELETE FROM frozen WHERE hour < ?", (day * 24,))
    base.execute("DELETE FROM summed WHERE day < ?", (day,))
    return True


def coarsen(base: sqlite3.Connection, tenant: int, minutes: float, days: float) -> None:
    """Make the hours of a tenant into days, as far as they may be.

    :param minutes: before when those by minute are dropped.
    :param days: before when those by day are.
    """
    base.execute(
        f"DELETE FROM counts WHERE {_ROWS} AND bucket < ?",  # noqa: S608
        (tenant, m.TOTAL, MINUTE, int(minutes // 60)),
    )
    hours = begin(base) * 24
    for dimension in (m.TOTAL, *m.NAMES):
        place = (tenant, dimension)
        found = base.execute(
            "SELECT bucket / 24, value, measure, sum(number) FROM counts"  # noqa: S608
            f" WHERE {_ROWS} AND bucket < ? GROUP BY 1, 2, 3",
            (*place, HOUR, hours),
        ).fetchall()
        if found:
            base.executemany(
                "INSERT INTO counts VALUES (?, ?, ?, ?, 0, ?, ?, ?)"
                " ON CONFLICT DO UPDATE SET number = number + excluded.number",
                [(*place, DAY, *row) for row in _largest(base, found)],
            )
            base.execute(f"DELETE FROM counts WHERE {_ROWS} AND bucket < ?", (*place, HOUR, hours))  # noqa: S608
        for width, before in ((DAY, int(days // 86400)), (SUMMED, hours // 24)):
            base.execute(f"DELETE FROM counts WHERE {_ROWS} AND bucket < ?", (*place, width, before))  # noqa: S608


def sum_up(base: sqlite3.Connection, now: float) -> bool:
    """Sum up one day that is over and was not, or is not any more as it was; answers whether there was one.

    What is summed up is derived of hours, and thrown away when one of these changes.
    """
    row = base.execute(
        "SELECT max(day) FROM (SELECT DISTINCT hour / 24 AS day FROM spans)"
        " WHERE day >= ? AND day < ? AND day NOT IN (SELECT day FROM summed)",
        (begin(base), int(now // 86400)),
    ).fetchone()
    if row[0] is None:
        return False
    day = int(row[0])
    for (tenant,) in base.execute("SELECT id FROM tenants").fetchall():
        for dimension in (m.TOTAL, *m.NAMES):
            place = (tenant, dimension)
            base.execute(f"DELETE FROM counts WHERE {_ROWS} AND bucket = ?", (*place, SUMMED, day))  # noqa: S608
            base.execute(
                "INSERT INTO counts SELECT tenant, dimension, ?, ?, 0, value, measure, sum(number)"  # noqa: S608
                f" FROM counts WHERE {_ROWS} AND bucket >= ? AND bucket < ? GROUP BY value, measure",
                (SUMMED, day, *place, HOUR, day * 24, day * 24 + 24),
            )
    base.execute("INSERT INTO summed VALUES (?)", (day,))
    return True


def _largest(base: sqlite3.Connection, rows: Sequence[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """The values of each day with the largest volume; the rest is one."""
    volumes: dict[int, Counter[int]] = {}
    for day, value, measure, number in rows:
        if measure < m.DELAYS and measure != m.OCTETS:
            volumes.setdefault(day, Counter())[value] += number
    kept = {day: _chosen(base, of) for day, of in volumes.items()}
    found: Counter[tuple[int, int, int]] = Counter()
    for day, value, measure, number in rows:
        found[day, value if value in kept.get(day, ()) else 1, measure] += number
    return [(*place, number) for place, number in found.items() if number]


def _chosen(base: sqlite3.Connection, volumes: Counter[int]) -> set[int]:
    if len(volumes) <= MOST_OF_DAY:
        return set(volumes)
    # By name where they are equal, since numbers of names differ from one database to the next.
    names = dict(base.execute("SELECT id, name FROM names").fetchall())
    order = sorted(volumes, key=lambda value: (-volumes[value], names.get(value, "")))
    return set(order[:MOST_OF_DAY])


def clear(base: sqlite3.Connection, journal: int, hours: Sequence[int]) -> None:
    """Take back what the events of a journal have come to in some hours."""
    base.execute("CREATE TEMP TABLE IF NOT EXISTS again (hour INTEGER PRIMARY KEY)")
    base.execute("DELETE FROM temp.again")
    base.executemany("INSERT INTO temp.again VALUES (?)", [(hour,) for hour in hours])
    base.execute("DELETE FROM summed WHERE day IN (SELECT hour / 24 FROM temp.again)")
    base.execute(
        "DELETE FROM counts WHERE journal = ? AND (width = ? AND bucket IN (SELECT hour FROM temp.again)"
        " OR width = ? AND bucket / 60 IN (SELECT hour FROM temp.again))",
        (journal, HOUR, MINUTE),
    )
    base.execute(
        "DELETE FROM engaged WHERE journal = ?"
        " AND CAST(at / 3600 AS INTEGER) IN (SELECT hour FROM temp.again)",
        (journal,),
    )


def forget(base: sqlite3.Connection, oldest: float, names: bool) -> None:
    """Forget labels and first opens of messages that no event is about any more which could be read.

    :param oldest: when the oldest event of all journals was.
    :param names: whether to look for names that nothing has any more, which is to read everything.
    """
    before = max(0, int((oldest - REMEMBERED - 86400 - _EPOCH) * 1000)) << 22
    for table in ("labelled", "engaged"):
        base.execute(f"DELETE FROM {table} WHERE message < ?", (before,))  # noqa: S608
    if not names:
        return
    base.execute("DELETE FROM labels WHERE id NOT IN (SELECT labels FROM labelled)")
    base.execute(
        "DELETE FROM names WHERE id > 2 AND id NOT IN (SELECT value FROM counts)"
        " AND id NOT IN (SELECT id FROM tenants)"
    )
