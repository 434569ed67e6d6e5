"""When a campaign begins for whom: at one instant, or at the same hour of everybody's own day."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

#: The zone in which a day begins first, and its offset in hours.
_FIRST_HOURS = 14


@lru_cache(maxsize=1024)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):
        return None


def is_zone(name: str) -> bool:
    """Whether it is the name of a time zone, such as ``Europe/Berlin``."""
    return _zone(name) is not None


def earliest(local: datetime) -> float:
    """When an hour of a day comes first anywhere, in seconds since 1970.

    :param local: without a time zone.
    """
    return (local.replace(tzinfo=UTC) - timedelta(hours=_FIRST_HOURS)).timestamp()


def due(local: datetime, zone: str, otherwise: str, started: float) -> float:
    """When it is this hour of the day in a zone, in seconds since 1970.

    Where it has passed already it is the same hour of the next day: nobody gets a campaign at another hour
    than it was meant for.  An hour that a clock change skips comes as long after the change as it would have.

    :param local: without a time zone.
    :param zone: of the contact.
    :param otherwise: for a contact whose zone is not known.
    :param started: when the campaign was started.
    """
    info = _zone(zone) or _zone(otherwise) or UTC
    at = local.replace(tzinfo=info).timestamp()
    if at >= started:
        return at
    behind = datetime.fromtimestamp(started, info).replace(tzinfo=None) - local
    day = local + timedelta(days=behind.days)
    for _ in range(3):
        at = day.replace(tzinfo=info).timestamp()
        if at >= started:
            return at
        day += timedelta(days=1)
    return at
