"""What one worker counts: plain dictionaries, which cost next to nothing where it counts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

Labels = tuple[str, ...]


class Counter:
    """How often something happened, by labels.

    :param name: without ``_total``.
    :param labels: their names.
    """

    __slots__ = ("help", "labels", "name", "values")

    def __init__(self, name: str, help: str, labels: Sequence[str] = ()) -> None:
        self.name = name
        self.help = help
        self.labels = tuple(labels)
        self.values: dict[Labels, float] = {}

    def add(self, *labels: str, count: float = 1) -> None:
        """It happened."""
        self.values[labels] = self.values.get(labels, 0) + count

    def sample(self) -> dict[str, Any]:
        """JSON values."""
        rows = [[list(labels), value] for labels, value in tuple(self.values.items())]
        return {"type": "counter", "name": self.name, "help": self.help, "labels": self.labels, "rows": rows}


class Histogram:
    """How long something took, by labels.

    :param bounds: of the buckets, in seconds, growing.
    """

    __slots__ = ("bounds", "help", "labels", "name", "values")

    def __init__(self, name: str, help: str, bounds: Sequence[float], labels: Sequence[str] = ()) -> None:
        self.name = name
        self.help = help
        self.bounds = tuple(bounds)
        self.labels = tuple(labels)
        #: By labels: how many in each bucket, and behind the last; and the sum.
        self.values: dict[Labels, tuple[list[int], list[float]]] = {}

    def observe(self, value: float, *labels: str) -> None:
        """It took so long."""
        found = self.values.get(labels)
        if found is None:
            found = self.values[labels] = ([0] * (len(self.bounds) + 1), [0.0])
        found[0][bisect_left(self.bounds, value)] += 1
        found[1][0] += value

    def sample(self) -> dict[str, Any]:
        """JSON values."""
        rows = [
            [list(labels), list(counts), total[0]] for labels, (counts, total) in tuple(self.values.items())
        ]
        return {
            "type": "histogram",
            "name": self.name,
            "help": self.help,
            "labels": self.labels,
            "bounds": self.bounds,
            "rows": rows,
        }


def gauge(name: str, help: str, values: Mapping[Labels, float], labels: Sequence[str] = ()) -> dict[str, Any]:
    """How much there is of something now, by labels; JSON values."""
    rows = [[list(key), value] for key, value in values.items()]
    return {"type": "gauge", "name": name, "help": help, "labels": tuple(labels), "rows": rows}
