"""Groups of events become numbers, in bounded room; pure.

In an hour, each tenant and each dimension have room for :data:`MOST` values: those that come first in
the journal.  What comes when there is no room counts as :data:`OTHER`.  Who comes first is the same
whenever the journal is read, in whatever pieces, so live and rebuilt numbers are equal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

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
#: Days that are summed up from hours that there still are, so that questions about weeks read less.
SUMMED = 3
#: Seconds of each.
WIDTHS = {MINUTE: 60, HOUR: 3600, DAY: 86400}

#: Resolution, bucket, tenant, dimension, value.
Place: TypeAlias = tuple[int, int, str, int, str]
#: By measure.
Numbers: TypeAlias = dict[int, int]
#: Hour, tenant, dimension.
Room: TypeAlias = tuple[int, str, int]


class Rollup:
    """Counts what one journal tells.

    Events that are alike but for their minute and their time are first put together: to find where they
    count costs more than to count.

    :param known: gives the values that have room already.
    """

    def __init__(self, known: Callable[[Room], set[str]] = lambda room: set()) -> None:
        self._known = known
        self._rooms: dict[Room, set[str]] = {}
        self._minutes: dict[tuple[int, str], Numbers] = {}
        #: In the order in which they came.
        self._alike: dict[tuple[Any, ...], tuple[Group, Numbers]] = {}

    def add(self, group: Group) -> None:
        """Count them."""
        self._count(group, [(number, count) for number, count in group.numbers() if count])

    def change(self, group: Group, number: int, count: int) -> None:
        """Count one measure more, or less, where the group has its place."""
        self._count(group, [(number, count)])

    def _count(self, group: Group, numbers: list[tuple[int, int]]) -> None:
        if not numbers:
            return
        alike = self._alike.get(group.alike)
        if alike is None:
            alike = self._alike[group.alike] = (group, {})
        _add(alike[1], numbers)
        minute = (group.minute, group.labels.tenant)
        _add(self._minutes.setdefault(minute, {}), numbers)

    def take(self) -> dict[Place, Numbers]:
        """What was counted since the last time."""
        taken: dict[Place, Numbers] = {}
        for group, numbers in self._alike.values():
            self._place(taken, group, list(numbers.items()))
        for (minute, tenant), numbers in self._minutes.items():
            for owner in (tenant, EVERYBODY) if tenant else ("",):
                _add(taken.setdefault((MINUTE, minute, owner, m.TOTAL, ""), {}), numbers.items())
        self._alike, self._minutes = {}, {}
        return taken

    def _place(self, taken: dict[Place, Numbers], group: Group, numbers: list[tuple[int, int]]) -> None:
        hour, tenant = group.minute // 60, group.labels.tenant
        untimed = [(number, count) for number, count in numbers if number < m.DELAYS]
        places = group.places()
        for owner in (tenant, EVERYBODY) if tenant else ("",):
            for dimension, value in places:
                if dimension != m.TOTAL:
                    value = self._placed((hour, owner, dimension), value)
                place = (HOUR, hour, owner, dimension, value)
                _add(taken.setdefault(place, {}), numbers if dimension in m.TIMED else untimed)
        if tenant:
            value = self._placed((hour, EVERYBODY, m.TENANT), tenant)
            _add(taken.setdefault((HOUR, hour, EVERYBODY, m.TENANT, value), {}), numbers)

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

    def forget(self, before: int = 1 << 62) -> None:
        """Forget who has room in the hours before one: it is asked for again."""
        self._rooms = {room: values for room, values in self._rooms.items() if room[0] >= before}


def _add(counts: Numbers, numbers: Iterable[tuple[int, int]]) -> None:
    for number, count in numbers:
        counts[number] = counts.get(number, 0) + count
