"""Names for messages and sessions: short, sortable by time, never twice the same.

A queue id is a 63-bit number (41 bits of milliseconds since 2024, 6 bits of
shard, 16 bits of sequence) written as thirteen digits of Crockford's base 32,
so that it can be read over the telephone and sorts as it was made.
"""

from __future__ import annotations

from collections.abc import Callable

_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUE = {digit: value for value, digit in enumerate(_DIGITS)}
# Two digits at once, because ids are written and read several times for each message.
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_PAIR_VALUE = {pair: value for value, pair in enumerate(_PAIRS)}
_EPOCH = 1_704_067_200  # 2024-01-01T00:00:00Z, so that 41 bits last until 2093
MAX_SHARD = 63


class IdSource:
    """Gives out queue ids of one shard, each larger than the one before.

    :param shard: the number of the spool shard, 0 to 63.
    :param last: the largest id known to be in use, so that a clock that was
        set back does not make an id twice.
    """

    def __init__(self, shard: int = 0, last: int = 0) -> None:
        if not 0 <= shard <= MAX_SHARD:
            raise ValueError(f"shard {shard} is not between 0 and {MAX_SHARD}")
        self._shard = shard << 16
        self._last = last

    def skip(self, identifier: str) -> None:
        """Give out only larger ones than this from now on.

        :raise ValueError: if it is no queue id.
        """
        self._last = max(self._last, decode_id(identifier))

    def next(self, now: float) -> str:
        """A new id.

        :param now: seconds since 1970.
        """
        number = (int((now - _EPOCH) * 1000) << 22) | self._shard
        if number <= self._last:
            # Within the same millisecond (or behind a clock set back) count on;
            # the low 16 bits carry into the time, never into the shard.
            number = self._last + 1
            if not number & 0xFFFF:
                number = ((number - 1 >> 22) + 1 << 22) | self._shard
        self._last = number
        return encode_id(number)


class SessionIds:
    """Gives out ids of sessions.

    :param seconds: gives the time.
    :param begun: where to begin counting: at random, so that a restart within a millisecond gives
        no id twice.
    """

    def __init__(self, seconds: Callable[[], float], begun: int) -> None:
        self._seconds = seconds
        self._begun = begun

    def next(self) -> str:
        """A new id."""
        self._begun = (self._begun + 1) & 0xFFFFF
        number = (int(self._seconds() * 1000) & 0xFFFFFFFFFF) << 20 | self._begun
        return "s" + encode_id(number)[1:]


def encode_id(number: int) -> str:
    """Write a 63-bit number as thirteen base-32 digits."""
    return (
        _DIGITS[number >> 60 & 31]
        + _PAIRS[number >> 50 & 1023]
        + _PAIRS[number >> 40 & 1023]
        + _PAIRS[number >> 30 & 1023]
        + _PAIRS[number >> 20 & 1023]
        + _PAIRS[number >> 10 & 1023]
        + _PAIRS[number & 1023]
    )


def decode_id(text: str) -> int:
    """Read thirteen base-32 digits.

    :raise ValueError: if the text is no queue id.
    """
    if len(text) != 13:
        raise ValueError(f"{text!r} is not a queue id: it has 13 characters")
    low = text.lower()
    try:
        number = (
            _VALUE[low[0]] << 60
            | _PAIR_VALUE[low[1:3]] << 50
            | _PAIR_VALUE[low[3:5]] << 40
            | _PAIR_VALUE[low[5:7]] << 30
            | _PAIR_VALUE[low[7:9]] << 20
            | _PAIR_VALUE[low[9:11]] << 10
            | _PAIR_VALUE[low[11:13]]
        )
    except KeyError:
        wrong = next((digit for digit in low if digit not in _VALUE), low)
        raise ValueError(f"{text!r} is not a queue id: {wrong!r} does not occur") from None
    if number >> 63:
        raise ValueError(f"{text!r} is not a queue id: it is too large")
    return number


def shard_of(text: str) -> int:
    """The shard in which a queue id was made."""
    return decode_id(text) >> 16 & MAX_SHARD


def created_at(text: str) -> float:
    """When a queue id was made, in seconds since 1970."""
    return (decode_id(text) >> 22) / 1000 + _EPOCH
