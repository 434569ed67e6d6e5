"""What the DNS said, for as long as it may be believed (RFC 2308)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class TtlCache(Generic[T]):
    """A bounded map whose entries end; those not asked for longest go first.

    :param size: entries at the most.
    :param longest: seconds that an entry lives at the most, whatever its TTL.
    """

    __slots__ = ("_kept", "_longest", "_size")

    def __init__(self, size: int = 10_000, longest: float = 86400.0) -> None:
        self._size = size
        self._longest = longest
        self._kept: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, now: float) -> T | None:
        """What is kept, unless its time is over.

        :param now: seconds of a clock that never runs backwards in earnest.
        """
        found = self._kept.get(key)
        if found is None:
            return None
        expires, value = found
        if now >= expires:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value

    def put(self, key: Hashable, value: T, now: float, ttl: float) -> None:
        """Keep something.

        :param ttl: seconds; 0 keeps nothing.
        """
        if ttl <= 0:
            return
        self._kept[key] = (now + min(ttl, self._longest), value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
