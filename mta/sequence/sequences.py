"""Sequences of all tenants, in versions that never change.

An enrolment keeps the version with which it came in; who comes in gets the live one.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mta.registry.schema import Tables
from mta.sequence.definition import Definition

NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")
#: What one tenant may have, and versions of one.
MOST, MOST_VERSIONS = 1000, 1000

TABLES = Tables(
    "sequences",
    (
        (
            """CREATE TABLE sequences (
                tenant TEXT NOT NULL,
                name TEXT NOT NULL,
                live INTEGER NOT NULL,
                paused TEXT NOT NULL,
                created REAL NOT NULL,
                PRIMARY KEY (tenant, name)
            ) WITHOUT ROWID""",
            # AUTOINCREMENT: what is remembered under the number of one that is gone is never another's.
            """CREATE TABLE sequence_versions (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                tenant TEXT NOT NULL,
                name TEXT NOT NULL,
                version INTEGER NOT NULL,
                created REAL NOT NULL,
                who TEXT NOT NULL,
                note TEXT NOT NULL,
                source TEXT NOT NULL
            )""",
            "CREATE UNIQUE INDEX sequence_versions_name ON sequence_versions (tenant, name, version)",
        ),
    ),
)


class NoSequence(LookupError):
    """The tenant has no such sequence or version."""


class TooMany(ValueError):
    """The tenant has as many as it may have."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence.

    :ivar live: the version that those get who come in; 0: none yet.
    :ivar latest: the last version there is.
    :ivar paused: why nobody comes in or goes on; ``""``: it runs.
    :ivar created: in seconds since 1970.
    """

    tenant: str
    name: str
    live: int
    latest: int
    paused: str
    created: float

    @property
    def runs(self) -> bool:
        """Whether contacts come in and go on."""
        return bool(self.live) and not self.paused


@dataclass(frozen=True, slots=True)
class Version:
    """One version.

    :ivar id: its number among all there ever were.
    :ivar who: has made it.
    :ivar note: what is said of it.
    :ivar source: see :meth:`~mta.sequence.definition.Definition.to_json`.
    """

    id: int
    name: str
    number: int
    created: float
    who: str
    note: str
    source: Mapping[str, Any]

    def definition(self) -> Definition:
        """What it says; it was checked when it was kept."""
        return Definition.model_validate(self.source)


class Definitions:
    """Definitions that were read, by the number of their version; for one thread.

    :param most: that are remembered.
    """

    def __init__(self, most: int = 100) -> None:
        self._most = most
        self._known: dict[int, Definition] = {}

    def get(self, base: sqlite3.Connection, tenant: str, name: str, number: int) -> Definition:
        """One.

        :raise NoSequence: if there is none.
        """
        query = "SELECT id FROM sequence_versions WHERE tenant = ? AND name = ? AND version = ?"
        row = base.execute(query, (tenant, name, number)).fetchone()
        if row is None:
            raise NoSequence(f"there is no version {number} of sequence {name!r:.80}")
        found = self._known.pop(row[0], None)
        if found is None:
            found = version(base, tenant, name, number).definition()
        # The last that was asked for is the last to go.
        self._known[row[0]] = found
        while len(self._known) > self._most:
            del self._known[next(iter(self._known))]
        return found


_COLUMNS = (
    "s.tenant, s.name, s.live, (SELECT max(version) FROM sequence_versions v"
    " WHERE v.tenant = s.tenant AND v.name = s.name), s.paused, s.created"
)


def _sequence(row: tuple[Any, ...]) -> Sequence:
    tenant, name, live, latest, paused, created = row
    return Sequence(tenant, name, live, latest or 0, paused, created)


def get(base: sqlite3.Connection, tenant: str, name: str) -> Sequence:
    """One.

    :raise NoSequence: if there is none.
    """
    query = f"SELECT {_COLUMNS} FROM sequences s WHERE tenant = ? AND name = ?"  # noqa: S608
    row = base.execute(query, (tenant, name)).fetchone()
    if row is None:
        raise NoSequence(f"there is no sequence {name!r:.80}")
    return _sequence(row)


def page(base: sqlite3.Connection, tenant: str, after: str, limit: int) -> list[Sequence]:
    """Those of a tenant by name, from behind one."""
    query = f"SELECT {_COLUMNS} FROM sequences s WHERE tenant = ? AND name > ? ORDER BY name LIMIT ?"  # noqa: S608
    return [_sequence(row) for row in base.execute(query, (tenant, after, limit))]


def running(base: sqlite3.Connection) -> list[Sequence]:
    """Those of all tenants that run."""
    query = f"SELECT {_COLUMNS} FROM sequences s WHERE live > 0 AND paused = ''"  # noqa: S608
    return [_sequence(row) for row in base.execute(query)]


def version(base: sqlite3.Connection, tenant: str, name: str, number: int = 0) -> Version:
    """One version.

    :param number: 0: the live one, or the last if none is.
    :raise NoSequence: if there is none.
    """
    if not number:
        found = get(base, tenant, name)
        number = found.live or found.latest
    query = (
        "SELECT id, created, who, note, source FROM sequence_versions"
        " WHERE tenant = ? AND name = ? AND version = ?"
    )
    row = base.execute(query, (tenant, name, number)).fetchone()
    if row is None:
        raise NoSequence(f"there is no version {number} of sequence {name!r:.80}")
    identifier, created, who, note, source = row
    return Version(identifier, name, number, created, who, note, json.loads(source))


def versions(base: sqlite3.Connection, tenant: str, name: str, before: int, limit: int) -> list[Version]:
    """Versions, the last first, from before a number (0: from the last).

    :raise NoSequence: if there is no such sequence.
    """
    get(base, tenant, name)
    rows = base.execute(
        "SELECT id, version, created, who, note, source FROM sequence_versions"
        " WHERE tenant = ?1 AND name = ?2 AND (version < ?3 OR ?3 = 0) ORDER BY version DESC LIMIT ?4",
        (tenant, name, before, limit),
    )
    return [
        Version(identifier, name, number, created, who, note, json.loads(source))
        for identifier, number, created, who, note, source in rows
    ]


def put(
    base: sqlite3.Connection,
    tenant: str,
    name: str,
    definition: Definition,
    now: float,
    *,
    who: str = "",
    note: str = "",
    activate: bool = True,
) -> tuple[Version, bool]:
    """Keep another version; the first one makes the sequence.

    One that is the same as the last makes none.

    :return: the version, and whether it is new.
    :raise TooMany: if it is one too many.
    """
    text = json.dumps(definition.to_json(), sort_keys=True)
    try:
        found = get(base, tenant, name)
    except NoSequence:
        (count,) = base.execute("SELECT count(*) FROM sequences WHERE tenant = ?", (tenant,)).fetchone()
        if count >= MOST:
            raise TooMany(f"there are {count} already, and {MOST} is the most") from None
        base.execute("INSERT INTO sequences VALUES (?, ?, 0, '', ?)", (tenant, name, now))
        found = get(base, tenant, name)
    if found.latest:
        last = version(base, tenant, name, found.latest)
        if json.dumps(last.source, sort_keys=True) == text:
            if activate:
                go_live(base, tenant, name, last.number)
            return last, False
    if found.latest >= MOST_VERSIONS:
        raise TooMany(f"{name} has {found.latest} versions, and {MOST_VERSIONS} is the most")
    number = found.latest + 1
    base.execute(
        "INSERT INTO sequence_versions VALUES (NULL, ?, ?, ?, ?, ?, ?, ?)",
        (tenant, name, number, now, who, note, text),
    )
    if activate:
        go_live(base, tenant, name, number)
    return version(base, tenant, name, number), True


def go_live(base: sqlite3.Connection, tenant: str, name: str, number: int) -> None:
    """Let those who come in have a version.

    :raise NoSequence: if there is none.
    """
    version(base, tenant, name, number)
    base.execute("UPDATE sequences SET live = ? WHERE tenant = ? AND name = ?", (number, tenant, name))


def pause(base: sqlite3.Connection, tenant: str, name: str, reason: str) -> bool:
    """Let nobody come in or go on; ``""``: let them again.  Whether that is new.

    :raise NoSequence: if there is none.
    """
    before = get(base, tenant, name).paused
    base.execute("UPDATE sequences SET paused = ? WHERE tenant = ? AND name = ?", (reason, tenant, name))
    return before != reason


def remove(base: sqlite3.Connection, tenant: str, name: str) -> None:
    """Forget it, with all its versions.

    :raise NoSequence: if there is none.
    """
    get(base, tenant, name)
    for table in ("sequences", "sequence_versions"):
        base.execute(f"DELETE FROM {table} WHERE tenant = ? AND name = ?", (tenant, name))  # noqa: S608


def empty(base: sqlite3.Connection, tenant: str) -> None:
    """Forget all of a tenant that is gone."""
    for table in ("sequences", "sequence_versions"):
        base.execute(f"DELETE FROM {table} WHERE tenant = ?", (tenant,))  # noqa: S608
