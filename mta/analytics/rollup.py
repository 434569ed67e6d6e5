"""Groups of events become numbers, in bounded room; pure.

In an hour, each tenant and each dimension have room for :data:`MOST` values: those that come first in
the journal.  What comes when there is no room counts as :data:`OTHER`.  Who comes first is the same
whenever the journal is read, in whatever pieces, so live and rebuilt numbers are equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TypeAlias

from mta.analytics import measures as m
from mta.analytics.group import Group

#: Values of an hour.
MOST = 500
#: Values of a day, once its hours are put together: those with the largest volume.
MOST_OF_DAY = 200
#: What is not among them.  No value has an octet of 0.
OTHER = "\0other"
#: The rows of all tenants together, those without one left out.
EVERYBODY = "\0everybody"
#: Resolutions, as they stand in the database.
MINUTE, HOUR, DAY = 0, 1, 2
#: Seconds of each.
WIDTHS = {MINUTE: 60, HOUR: 3600, DAY: 86400}

#: Resolution, bucket, tenant, dimension, value, measure.
Place: TypeAlias = tuple[int, int, str, int, str, int]
#: Hour, tenant, dimension.
Room: TypeAlias = tuple[int, str, int]


class Rollup:
    """Counts what one journal tells.

    :param known: gives the values that have room already.
    """

    def __init__(self, known: Callable[[Room], set[str]] = lambda room: set()) -> None:
        self._known = known
        self._rooms: dict[Room, set[str]] = {}
        self.counts: Counter[Place] = Counter()

    def add(self, group: Group) -> None:
        """Count them."""
        numbers = [(number, count) for number, count in group.numbers() if count]
        if numbers:
            self._count(group, numbers)

    def change(self, group: Group, number: int, count: int) -> None:
        """Count one measure more, or less, where the group has its place."""
        self._count(group, [(number, count)])

    def _count(self, group: Group, numbers: list[tuple[int, int]]) -> None:
        counts, hour, tenant = self.counts, group.minute // 60, group.labels.tenant
        places = group.places()
        for owner in (tenant, EVERYBODY) if tenant else ("",):
            for dimension, value in places:
                if dimension != m.TOTAL:
                    value = self._placed((hour, owner, dimension), value)
                for number, count in numbers:
                    if number >= m.DELAYS and dimension not in m.TIMED:
                        continue
                    counts[HOUR, hour, owner, dimension, value, number] += count
            for number, count in numbers:
                counts[MINUTE, group.minute, owner, m.TOTAL, "", number] += count
        if tenant:
            value = self._placed((hour, EVERYBODY, m.TENANT), tenant)
            for number, count in numbers:
                counts[HOUR, hour, EVERYBODY, m.TENANT, value, number] += count

    def _placed(self, room: Room, value: str) -> str:
        values = self._rooms.get(room)
        if values is None:
            values = self._rooms[room] = self._known(room)
        if value in values:
            return value
        if len(values) >= MOST:
            return OTHER
        values.add(value)
        return value

    def take(self) -> Counter[Place]:
        """What was counted since the last time."""
        taken, self.counts = self.counts, Counter()
        return taken

    def forget(self, before: int = 1 << 62) -> None:
        """Forget who has room in the hours before one: it is asked for again."""
        self._rooms = {room: values for room, values in self._rooms.items() if room[0] >= before}
