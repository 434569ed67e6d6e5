"""Entries of one kind in the memory of each worker: few, and asked for with every connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any


class View:
    """The entries of a kind, as they were a second ago at the most.

    :param seconds: gives the time since 1970.
    """

    __slots__ = ("_entries", "_seconds", "told")

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._entries: Mapping[str, tuple[Any, float]] = {}
        #: Called after they have changed.
        self.told: Callable[[], None] = lambda: None

    def __bool__(self) -> bool:
        return bool(self._entries)

    def __iter__(self) -> Iterator[tuple[str, Any, float]]:
        now = self._seconds()
        for key, (value, expires) in self._entries.items():
            if expires > now:
                yield key, value, expires

    def get(self, key: str) -> Any:
        """The value of an entry; ``None`` if there is none, or its time is over."""
        found = self._entries.get(key)
        return found[0] if found is not None and found[1] > self._seconds() else None

    def end(self, key: str) -> float:
        """When an entry ends; 0.0 if there is none."""
        found = self._entries.get(key)
        return found[1] if found is not None else 0.0

    def replace(self, entries: Mapping[str, tuple[Any, float]]) -> None:
        """These are all."""
        self._entries = entries
        self.told()
