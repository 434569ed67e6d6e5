"""Segments: conditions that a tenant has saved under a name."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from mta.audience import selecting
from mta.audience.condition import Condition, ConditionError, parse
from mta.audience.contact import Contact, checked_text
from mta.audience.lists import checked_name
from mta.registry.database import IDatabase, Work
from mta.registry.schema import Tables

#: Segments that a tenant may have, and octets of one condition as JSON.
MOST = 1000
MOST_OCTETS = 64 * 1024

TABLES = Tables(
    "segments",
    (
        (
            """CREATE TABLE segments (
                tenant TEXT NOT NULL,
                name TEXT NOT NULL,
                title TEXT NOT NULL,
                condition TEXT NOT NULL,
                created REAL NOT NULL,
                changed REAL NOT NULL,
                PRIMARY KEY (tenant, name)
            ) WITHOUT ROWID""",
        ),
    ),
)
_COLUMNS = "name, title, condition, created, changed"


class NoSegment(LookupError):
    """The tenant has no such segment."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One segment.

    :ivar name: as that of a list.
    :ivar title: for people.
    :ivar condition: as :func:`~mta.audience.condition.parse` reads it.
    :ivar created: in seconds since 1970.
    :ivar changed: likewise.
    """

    name: str
    title: str = ""
    condition: Mapping[str, Any] = field(default_factory=dict)
    created: float = 0.0
    changed: float = 0.0


def find(base: sqlite3.Connection, tenant: str, name: str) -> Segment | None:
    """One by its name."""
    query = f"SELECT {_COLUMNS} FROM segments WHERE tenant = ? AND name = ?"  # noqa: S608
    row = base.execute(query, (tenant, name)).fetchone()
    return None if row is None else _segment(row)


def _segment(row: tuple[str, str, str, float, float]) -> Segment:
    name, title, condition, created, changed = row
    return Segment(name, title, json.loads(condition), created, changed)


def put(base: sqlite3.Connection, tenant: str, segment: Segment, now: float) -> tuple[Segment, bool]:
    """Make a segment, or change the one of this name.

    :return: the segment as it is kept, and whether it is new.
    :raise ConditionError: if its condition is wrong.
    :raise ValueError: if it cannot be kept.
    """
    checked_name(segment.name, "segment")
    title = checked_text(segment.title, "title", 200)
    text = json.dumps(segment.condition, ensure_ascii=False)
    if len(text.encode("utf-8", "replace")) > MOST_OCTETS:
        raise ConditionError("", f"it has more than {MOST_OCTETS} octets")
    condition = parse(segment.condition)
    before = find(base, tenant, segment.name)
    if before is None:
        (count,) = base.execute("SELECT count(*) FROM segments WHERE tenant = ?", (tenant,)).fetchone()
        if count >= MOST:
            raise ValueError(f"there are {count} segments, and there may be {MOST}")
    made = replace(segment, title=title, created=before.created if before else now, changed=now)
    base.execute(
        "INSERT OR REPLACE INTO segments VALUES (?, ?, ?, ?, ?, ?)",
        (tenant, made.name, made.title, text, made.created, now),
    )
    # As it stands now, so that one that leads to itself is found.
    selecting.Query(base, tenant, condition, now)
    return made, before is None


class Segments:
    """Those of all tenants.

    :param database: keeps them.
    :param look: does work that takes long beside those who change something.
    """

    def __init__(self, database: IDatabase, look: Callable[[Work[Any]], Awaitable[Any]]) -> None:
        self._database = database
        self._look = look

    async def find(self, tenant: str, name: str) -> Segment | None:
        """One by its name."""
        return await self._database.read(lambda base: find(base, tenant, name))

    async def page(self, tenant: str, after: str = "", limit: int = 100) -> list[Segment]:
        """Some, by name.

        :param after: the name of the last one of the page before.
        """
        query = f"SELECT {_COLUMNS} FROM segments WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?"  # noqa: S608
        rows = await self._database.read(lambda base: base.execute(query, (tenant, after, limit)).fetchall())
        return [_segment(row) for row in rows]

    async def put(self, tenant: str, segment: Segment, now: float) -> tuple[Segment, bool]:
        """See :func:`put`."""
        return await self._database.change(TABLES.noun, lambda base: put(base, tenant, segment, now))

    async def remove(self, tenant: str, name: str) -> None:
        """Forget one.

        :raise NoSegment: if there is none.
        """
        query = "DELETE FROM segments WHERE tenant = ? AND name = ?"

        def work(base: sqlite3.Connection) -> None:
            if not base.execute(query, (tenant, name)).rowcount:
                raise NoSegment(name)

        await self._database.change(TABLES.noun, work)

    async def count(self, tenant: str, condition: Condition, now: float) -> int:
        """For how many contacts a condition holds.

        :raise ConditionError: if it leads to a segment that is not there, or to itself.
        """
        total, after = 0, 0
        while True:
            work = partial(selecting.counted, tenant=tenant, condition=condition, after=after, now=now)
            some, reached = await self._look(work)
            total += int(some)
            if reached is None:
                return total
            after = reached

    async def members(
        self, tenant: str, condition: Condition, after: int, limit: int, now: float
    ) -> tuple[list[Contact], int | None]:
        """For whom a condition holds, by number; as many as asked for, if there are so many.

        :param after: what the call before has answered; 0: from the first.
        :return: contacts, and ``after`` of the next call; ``None``: there is no more.
        :raise ConditionError: if it leads to a segment that is not there, or to itself.
        """
        found: list[Contact] = []
        place: int | None = after
        while place is not None and len(found) < limit:
            work = partial(
                selecting.piece,
                tenant=tenant,
                condition=condition,
                after=place,
                limit=limit - len(found),
                now=now,
            )
            some, place = await self._look(work)
            found += some
        return found, place
