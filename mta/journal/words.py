"""Times, sizes and facts in words, as lines about events have them; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mta.model.event import Received, Rejected


def printable(text: str) -> str:
    """``text`` with what is not printable written as ``\\xNN``: it may come from the network."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def evidence_lines(evidence: Mapping[str, Any], about: str = "") -> list[str]:
    """Facts as lines ``name: value``: of a list a line for each item, of what is nested each with its names.

    :param about: what stands before each name.
    """
    lines: list[str] = []
    for name, value in evidence.items():
        if isinstance(value, Mapping):
            lines += evidence_lines(value, f"{about}{name} ")
        elif isinstance(value, (list, tuple)):
            lines += [f"{about}{name}: {item}" for item in value]
        else:
            lines.append(f"{about}{name}: {value}")
    return lines


def local_time(at: float) -> str:
    """A time for a person, in local time.

    :param at: seconds since 1970.
    """
    return datetime.fromtimestamp(at).strftime("%Y-%m-%d %H:%M:%S")


def iso_time(at: float) -> str:
    """A time for a program, with its offset from UTC.

    :param at: seconds since 1970.
    """
    return datetime.fromtimestamp(at).astimezone().isoformat(timespec="milliseconds")


def duration(seconds: float) -> str:
    """``3.2 s``, ``5 m``, ``2 h 10 m``, ``3 d 4 h``."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} m"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} m" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def size(octets: float) -> str:
    """``512 B``, ``4.0 KiB``, ``1.5 MiB``."""
    if octets < 1024:
        return f"{octets:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        octets /= 1024
        if octets < 1024:
            return f"{octets:.1f} {unit}"
    return f"{octets / 1024:.1f} TiB"


def where_from(event: Received | Rejected) -> str:
    """``mx.example.org [192.0.2.1]``, ``[192.0.2.1]``, or ``this machine``."""
    if not event.client:
        return "this machine"
    # A client without a name says its address in brackets.
    named = event.helo and event.helo.strip("[]").lower().removeprefix("ipv6:") != event.client.lower()
    return f"{event.helo} [{event.client}]" if named else f"[{event.client}]"


def spoken(code: int, enhanced: str, reply: str, host: str) -> str:
    """A reply, and who gave it."""
    words = reply
    # Some replies are kept with their codes, some without.
    if code and not words.startswith(str(code)):
        words = " ".join(filter(None, (str(code), "" if words.startswith(enhanced) else enhanced, words)))
    return f"{host} said: {words}" if host else words


def listed(addresses: list[str]) -> str:
    """The first ten of them, and how many more there are."""
    shown = ",".join(f"<{address}>" for address in addresses[:10])
    return f"{shown} and {len(addresses) - 10} more" if len(addresses) > 10 else shown


def pairs(**values: str) -> list[str]:
    """``name=value`` of each that has a value; an underscore in a name becomes a hyphen."""
    return [f"{name.rstrip('_').replace('_', '-')}={value}" for name, value in values.items() if value]
