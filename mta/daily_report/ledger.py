"""What was counted of each day, and which reports were sent: one small database for all workers.

The journal is the only history.  This is its sum: for each shard the database knows up to
which event it has counted, and that number changes in the transaction of the counts.  So
nothing is counted twice or left out, whoever dies when.  Only what is older than
``journal.keep`` can be lost, and counting is done every few minutes.

Everything here blocks, and belongs in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from mta.interfaces import TemporarilyUnavailable
from mta.journal.reader import JournalReader
from mta.model.event import Event
from mta.private_file import make_private
from mta.write_ahead import use_write_ahead

#: How a task stands.  ``ask``: it is not known yet where the domain wants the report.
State: TypeAlias = Literal["ask", "send", "sent", "unwanted", "failed"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counted (shard TEXT PRIMARY KEY, event INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (
    day TEXT NOT NULL, domain TEXT NOT NULL, target TEXT NOT NULL, state TEXT NOT NULL,
    due REAL NOT NULL, until REAL NOT NULL, attempts INTEGER NOT NULL, message TEXT NOT NULL,
    detail TEXT NOT NULL, variant TEXT NOT NULL DEFAULT '', PRIMARY KEY (day, domain, variant, target)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tasks_due ON tasks (due) WHERE state IN ('ask', 'send');
CREATE TABLE IF NOT EXISTS planned (day TEXT PRIMARY KEY) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Task:
    """A report to be sent, or that was.

    :ivar day: what it is about: ``2026-01-31``, in UTC.
    :ivar target: a URI; ``""`` while nobody has asked.
    :ivar due: when it is to be tried, in seconds since 1970.
    :ivar until: when it is given up.
    :ivar message: queue id of the mail that it went into.
    :ivar detail: the last trouble.
    :ivar variant: which of several reports on the same day and domain.
    """

    day: str
    domain: str
    target: str
    state: State
    due: float
    until: float
    attempts: int = 0
    message: str = ""
    detail: str = ""
    variant: str = ""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it is known by."""
        return self.day, self.domain, self.variant, self.target


_TASK = ", ".join(item.name for item in fields(Task))


class Ledger:
    """See the module.

    :param path: of the database; made when it is first used.
    :cvar kinds: events that count.
    :cvar like: how their facts look, as SQL compares, so that others are not even read.
    :cvar table: in which they are counted: it has a ``day`` and a ``domain``.
    :cvar schema: of that table.
    """

    kinds: ClassVar[tuple[str, ...]] = ()
    like: ClassVar[str] = "%"
    table: ClassVar[str] = ""
    schema: ClassVar[str] = ""

    def __init__(self, path: Path) -> None:
        self._path = path

    def add(self, base: sqlite3.Connection, events: Iterable[Event]) -> None:
        """Count events, in the transaction that is under way."""
        raise NotImplementedError

    # --- counting ------------------------------------------------------------

    def count(self, journal: JournalReader) -> int:
        """Count what the journals have and nobody has counted; answers how many events were looked at."""
        total = 0
        for shard, path in enumerate(journal.paths):
            name = path.parent.name
            while True:
                with self.changing() as base:
                    row = base.execute("SELECT event FROM counted WHERE shard = ?", (name,)).fetchone()
                    before = row[0] if row else 0
                    records, upto = journal.following(shard, self.kinds, before, like=self.like)
                    if upto == before:
                        break
                    self.add(base, [record.event for record in records])
                    base.execute("INSERT OR REPLACE INTO counted VALUES (?, ?)", (name, upto))
                    total += len(records)
        return total

    def domains(self, day: str) -> list[str]:
        """The domains of a day."""
        with self.reading() as base:
            rows = base.execute(f"SELECT DISTINCT domain FROM {self.table} WHERE day = ?", (day,))  # noqa: S608
            return [domain for (domain,) in rows]

    def unplanned(self, since: str, before: str) -> list[str]:
        """Days on which something was counted for which there is no plan."""
        with self.reading() as base:
            rows = base.execute(
                f"SELECT DISTINCT day FROM {self.table} WHERE day >= ? AND day < ?"  # noqa: S608
                " AND day NOT IN (SELECT day FROM planned) ORDER BY day",
                (since, before),
            )
            return [day for (day,) in rows]

    # --- tasks ---------------------------------------------------------------

    def plan(self, day: str, due: Iterable[tuple[str, float]], until: float, whole: bool = True) -> int:
        """Make tasks for a day, where there are none yet; answers how many are new.

        :param due: domains, and when each is to be asked.
        :param whole: whether these are all domains of the day.
        """
        with self.changing() as base:
            before = base.total_changes
            base.executemany(
                f"INSERT INTO tasks ({_TASK}) SELECT ?1, ?2, '', 'ask', ?3, ?4, 0, '', '', ''"  # noqa: S608
                " WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE day = ?1 AND domain = ?2)",
                [(day, domain, at, until) for domain, at in due],
            )
            made = base.total_changes - before
            if whole:
                base.execute("INSERT OR IGNORE INTO planned VALUES (?)", (day,))
        return made

    def due(self, now: float, limit: int) -> list[Task]:
        """Tasks that are to be done now, the first first."""
        query = f"SELECT {_TASK} FROM tasks WHERE state IN ('ask', 'send') AND due <= ? ORDER BY due LIMIT ?"  # noqa: S608
        with self.reading() as base:
            return [Task(*row) for row in base.execute(query, (now, limit))]

    def next_due(self) -> float | None:
        """When the next task is to be done."""
        with self.reading() as base:
            row = base.execute("SELECT min(due) FROM tasks WHERE state IN ('ask', 'send')").fetchone()
        return None if row[0] is None else float(row[0])

    def tasks(self, day: str = "", domain: str = "") -> list[Task]:
        """All tasks, or those of a day or a domain; the newest first."""
        query = (
            f"SELECT {_TASK} FROM tasks WHERE ?1 IN ('', day) AND ?2 IN ('', domain)"  # noqa: S608
            " ORDER BY day DESC, domain, variant, target"
        )
        with self.reading() as base:
            return [Task(*row) for row in base.execute(query, (day, domain))]

    def keep(self, tasks: Sequence[Task], instead_of: Task | None = None) -> None:
        """Write how tasks stand, in place of another."""
        marks = ", ".join("?" for _ in fields(Task))
        with self.changing() as base:
            if instead_of is not None:
                base.execute(
                    "DELETE FROM tasks WHERE day = ? AND domain = ? AND variant = ? AND target = ?",
                    instead_of.key,
                )
            base.executemany(
                f"INSERT OR REPLACE INTO tasks ({_TASK}) VALUES ({marks})",  # noqa: S608
                [astuple(one) for one in tasks],
            )

    def hasten(self, day: str, domain: str, now: float) -> None:
        """Have the tasks of a day, or of one domain, done now."""
        with self.changing() as base:
            base.execute(
                "UPDATE tasks SET due = min(due, ?3), until = max(until, ?3 + 86400)"
                " WHERE day = ?1 AND ?2 IN ('', domain) AND state IN ('ask', 'send')",
                (day, domain, now),
            )

    def forget(self, before: str) -> None:
        """Drop the counts and tasks of the days before one."""
        with self.changing() as base:
            for table in (self.table, "tasks", "planned"):
                base.execute(f"DELETE FROM {table} WHERE day < ?", (before,))  # noqa: S608

    # --- the database ----------------------------------------------------------

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction, for whoever writes."""
        with self._opened() as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
            except BaseException:
                base.execute("ROLLBACK")
                raise
            base.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The database, for whoever looks."""
        # Whoever only looks, as root perhaps, makes no file that the server could not write.
        with self._opened() if self._path.exists() else self._opened(":memory:") as base:
            yield base

    @contextmanager
    def _opened(self, place: str = "") -> Iterator[sqlite3.Connection]:
        try:
            if not place:
                # To whom we write is nobody else's business.
                make_private(self._path)
            with closing(sqlite3.connect(place or self._path, timeout=30.0, isolation_level=None)) as base:
                use_write_ahead(base)
                base.execute("PRAGMA synchronous = FULL")
                base.executescript(_SCHEMA + self.schema)
                if "variant" not in {row[1] for row in base.execute("PRAGMA table_info(tasks)")}:
                    # An older program has made it.
                    with suppress(sqlite3.OperationalError):
                        base.execute("ALTER TABLE tasks ADD COLUMN variant TEXT NOT NULL DEFAULT ''")
                yield base
        except (sqlite3.Error, OSError) as error:
            raise TemporarilyUnavailable(f"{self._path} cannot be used: {error}") from error


def day_of(at: float) -> str:
    """The day of a time, in UTC: ``2026-01-31``."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def midnight(day: str) -> float:
    """When a day begins in UTC, in seconds since 1970.

    :raise ValueError: if it is no day.
    """
    return datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
