"""Arithmetic of the Maildir++ quota file, ``maildirsize``.  Pure.

The first line is the quota (``1000000S``), every further line is a number of octets and of
messages to add.  It is appended to, so it grows; from :data:`TOO_LARGE` octets on, or when the
mailbox seems full by an old count, everything is counted anew.
"""

from __future__ import annotations

from dataclasses import dataclass

#: Octets of the file from which on it is written anew.
TOO_LARGE = 5120
#: Seconds after which a count that says "full" is not believed.
TOO_OLD = 900.0


@dataclass(slots=True)
class Usage:
    """How full a Maildir is.

    :ivar octets: of all messages.
    :ivar count: messages.
    :ivar counted: whether it was counted just now.
    """

    octets: int
    count: int
    counted: bool = False


def header(quota: int) -> bytes:
    """The first line."""
    return b"%dS\n" % quota


def line(octets: int, count: int) -> bytes:
    """A line to append."""
    return b"%d %d\n" % (octets, count)


def parse(data: bytes, quota: int) -> Usage | None:
    """Add up what a ``maildirsize`` says.

    :return: ``None`` if it is of another quota, too large or damaged: count anew.
    """
    if len(data) > TOO_LARGE or not data.endswith(b"\n"):
        return None
    first, *rest = data.split(b"\n")[:-1]
    if first.strip() != b"%dS" % quota or not rest:
        return None
    octets = count = 0
    try:
        for entry in rest:
            size, number = entry.split()
            octets += int(size)
            count += int(number)
    except ValueError:
        return None
    return Usage(octets, count) if octets >= 0 and count >= 0 else None


def must_recount(lines: int, age: float) -> bool:
    """Whether a file that says "full" may be wrong.

    :param lines: lines in it, with the first.
    :param age: seconds since it was begun or appended to.
    """
    return lines > 2 or age > TOO_OLD
