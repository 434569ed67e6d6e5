"""What the DNS said, for as long as it may be believed (RFC 2308), and a while longer in need (RFC 8767)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

#: Asked for so often within its life, something is popular.
POPULAR = 3
#: The part of its life at the end of which what is popular is asked for anew.
WORN = 0.1


@dataclass(slots=True)
class _Kept(Generic[T]):
    value: T
    expires: float
    life: float
    usable: float
    asked: int = 0


class TtlCache(Generic[T]):
    """A bounded map whose entries end; those not asked for longest go first.

    :param size: entries at the most.
    :param longest: seconds that an entry lives at the most, whatever its TTL.
    """

    __slots__ = ("_kept", "_longest", "_size")

    def __init__(self, size: int = 10_000, longest: float = 86400.0) -> None:
        self._size = size
        self._longest = longest
        self._kept: OrderedDict[Hashable, _Kept[T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, now: float) -> T | None:
        """What is kept, unless its time is over.

        :param now: seconds of a clock that never runs backwards in earnest.
        """
        found = self._find(key, now)
        if found is None or now >= found.expires:
            return None
        found.asked += 1
        return found.value

    def stale(self, key: Hashable, now: float) -> T | None:
        """What is kept, and may be used where nobody knows better."""
        found = self._find(key, now)
        return None if found is None else found.value

    def is_worn(self, key: Hashable, now: float) -> bool:
        """Whether it is popular and soon over, so that it should be asked for before it is."""
        found = self._kept.get(key)
        return (
            found is not None
            and found.asked >= POPULAR
            and found.expires - found.life * WORN <= now < found.expires
        )

    def put(self, key: Hashable, value: T, now: float, ttl: float, stale: float = 0.0) -> None:
        """Keep something in the place of what was kept.

        :param ttl: seconds; 0 keeps nothing.
        :param stale: seconds after that for which :meth:`stale` gives it.
        """
        if ttl <= 0:
            self._kept.pop(key, None)
            return
        life = min(ttl, self._longest)
        self._kept[key] = _Kept(value, now + life, life, now + life + stale)
        self._kept.move_to_end(key)
        if len(self._kept) > self._size:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def _find(self, key: Hashable, now: float) -> _Kept[T] | None:
        found = self._kept.get(key)
        if found is None:
            return None
        if now >= found.usable:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return found
