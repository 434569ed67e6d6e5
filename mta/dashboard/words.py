"""How values are written on a page: times with their zone, durations, sizes, numbers; pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from mta.journal.words import duration, size

__all__ = [
    "ago",
    "at",
    "capital",
    "clock",
    "count",
    "duration",
    "percent",
    "sentence",
    "short",
    "size",
    "time",
]


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone()


def time(at: float | None, empty: str = "–") -> Markup | str:
    """A point in time, with its zone; what it is in UTC is shown to who points at it.

    :param at: seconds since 1970; 0 or ``None``: there is none.
    """
    if not at:
        return empty
    there = _local(at)
    return _element(at, f"{there:%Y-%m-%d %H:%M:%S} {there:%Z}")


def clock(at: float | None, empty: str = "–") -> Markup | str:
    """A time of today without its day; of another day, with it."""
    if not at:
        return empty
    there = _local(at)
    today = there.date() == datetime.now(UTC).astimezone().date()
    return _element(at, f"{there:%H:%M:%S}" if today else f"{there:%Y-%m-%d %H:%M}")


def ago(at: float | None, now: float, empty: str = "–") -> Markup | str:
    """How long ago, or in what time."""
    if not at:
        return empty
    seconds = now - at
    if abs(seconds) < 1:
        words = "now"
    else:
        words = f"{duration(seconds)} ago" if seconds > 0 else f"in {duration(-seconds)}"
    return _element(at, words)


def _element(at: float, words: str) -> Markup:
    exact = datetime.fromtimestamp(at, UTC)
    there = exact.astimezone()
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        exact.isoformat(timespec="milliseconds"),
        f"{there:%Y-%m-%d %H:%M:%S %Z} · {exact:%Y-%m-%d %H:%M:%S} UTC",
        words,
    )


def count(number: Any) -> str:
    """A whole number, its thousands apart: ``1 234 567``."""
    return f"{int(number or 0):,}".replace(",", "\u202f")


def short(number: float) -> str:
    """``950``, ``1.2 k``, ``3.4 M``."""
    for unit, of in (("G", 1e9), ("M", 1e6), ("k", 1e4)):
        if abs(number) >= of:
            return f"{number / (1e3 if unit == 'k' else of):.1f} {unit}"
    return count(number)


def sentence(text: str) -> str:
    """A text as a sentence of its own: with a capital, and with an end."""
    return capital(text) + ("" if text.endswith((".", "!", "?")) else ".")


def capital(text: str) -> str:
    """A text that begins with a capital."""
    return text[:1].upper() + text[1:]


def percent(part: float, whole: float) -> str:
    """A share: ``99.2 %``; of nothing there is none."""
    if not whole:
        return "–"
    value = 100 * part / whole
    return f"{value:.0f} %" if value in (0, 100) else f"{value:.1f} %" if value >= 0.1 else "< 0.1 %"


def at(text: str | None) -> float:
    """A time as the API writes it, in seconds since 1970; of nothing it is 0."""
    return datetime.fromisoformat(text).timestamp() if text else 0.0
