"""INTERNALDATE: ``"17-Jul-1996 02:44:25 -0700"`` (RFC 3501, 9: date-time).  Pure."""

from __future__ import annotations

import re
from calendar import timegm
from datetime import UTC, datetime

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_BY_NAME = {name.lower().encode(): number for number, name in enumerate(MONTHS, 1)}
_DATE_TIME = re.compile(rb" ?(\d{1,2})-([A-Za-z]{3})-(\d{4}) (\d{2}):(\d{2}):(\d{2}) ([+-])(\d{2})(\d{2})\Z")


def read(octets: bytes) -> int:
    """Seconds since 1970.

    :raise ValueError: if it is no such time.
    """
    found = _DATE_TIME.match(octets)
    if found is None or found[2].lower() not in _BY_NAME:
        raise ValueError("a time is written 17-Jul-1996 02:44:25 -0700")
    day, year, hour, minute, second = (int(found[number]) for number in (1, 3, 4, 5, 6))
    # A second that was put in between two is told as the one before.
    moment = datetime(year, _BY_NAME[found[2].lower()], day, hour, minute, min(second, 59), tzinfo=UTC)
    shift = int(found[8]) * 3600 + int(found[9]) * 60
    return timegm(moment.utctimetuple()) - (shift if found[7] == b"+" else -shift)
