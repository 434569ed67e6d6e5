"""Times of day and days of the week where a person is, as instants: pure.

An instant is in seconds since 1970.  A time of day that does not exist on a day, since clocks are set
forward then, is as many minutes later; one that comes twice is the first of both.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import UTC, datetime, time, timedelta, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo

#: Days as definitions name them, in the order of :meth:`datetime.weekday`.
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_ZONE = re.compile(r"[A-Za-z0-9_+-]+(?:/[A-Za-z0-9_+-]+){0,2}")


def parse_time(text: str) -> time:
    """``"09:00"``.

    :raise ValueError: if it is none.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError('it is no time of day, such as "09:00" or "21:30"')
    return time(int(match[1]), int(match[2]))


@lru_cache(maxsize=1000)
def zone_of(name: str, *, strict: bool = False) -> tzinfo:
    """A zone of the IANA by name; UTC where it is empty or unknown.

    :param strict: fail for one that is unknown.
    :raise ValueError: likewise.
    """
    if name and _ZONE.fullmatch(name):
        try:
            return ZoneInfo(name)
        except (KeyError, ValueError, OSError):
            pass
    if strict:
        raise ValueError(f'there is no time zone {name!r:.80}; zones have names such as "Europe/Berlin"')
    return UTC


def next_time(now: float, at: time | None, days: Collection[str], zone: tzinfo) -> float:
    """The first instant from now on at which it is this time, on one of these days.

    :param at: ``None``: the day's first moment, or now on such a day.
    :param days: of :data:`DAYS`; none: all.
    """
    today = datetime.fromtimestamp(now, zone).date()
    for ahead in range(9):
        day = today + timedelta(days=ahead)
        if days and DAYS[day.weekday()] not in days:
            continue
        if at is None and not ahead:
            return now
        instant = _instant(datetime.combine(day, at or time()), zone)
        if instant >= now:
            return instant
    # One day of the week, whose moment today has passed: a week ahead was among them.
    raise AssertionError("no week has such a day")


def quiet_until(now: float, begin: time, end: time, zone: tzinfo) -> float:
    """When quiet hours end that it is in now; ``now``: it is in none."""
    local = datetime.fromtimestamp(now, zone).time().replace(tzinfo=None)
    quiet = begin <= local < end if begin < end else (local >= begin or local < end)
    return next_time(now, end, (), zone) if quiet else now


def _instant(local: datetime, zone: tzinfo) -> float:
    return local.replace(tzinfo=zone).timestamp()
