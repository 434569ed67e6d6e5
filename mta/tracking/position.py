"""Where a stream has come to in the journals of all shards: a text that a client gives back."""

from __future__ import annotations

import re
from collections.abc import Mapping

_ONE = re.compile(r"(\d{1,2})\.(\d{1,18})")


def position(places: Mapping[int, int]) -> str:
    """``0.812-1.44``: of each shard the last event."""
    return "-".join([f"{shard}.{number}" for shard, number in sorted(places.items())]) or "0.0"


def places_of(text: str) -> dict[int, int]:
    """The places in a text.

    :raise ValueError: if it is no position.
    """
    found: dict[int, int] = {}
    for part in text.split("-"):
        one = _ONE.fullmatch(part)
        if one is None or int(one[1]) in found:
            raise ValueError(f"{text[:100]!r} is no id of an event of the stream")
        found[int(one[1])] = int(one[2])
    return found
