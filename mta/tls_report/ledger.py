"""The counts of sessions, and which reports were sent: one small database for all workers.

The journal is the only history.  This is its sum: for each shard the database knows up to
which event it has counted, and that number changes in the transaction of the counts.  So
nothing is counted twice or left out, whoever dies when.  Only what is older than
``journal.keep`` can be lost, and counting is done every few minutes.

Everything here blocks, and belongs in a thread.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from mta.interfaces import TemporarilyUnavailable
from mta.journal.reader import JournalReader
from mta.model.event import TlsSession

#: How a task stands.  ``ask``: the domain has not been asked yet where it wants the report.
State: TypeAlias = Literal["ask", "send", "sent", "unwanted", "failed"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counted (shard TEXT PRIMARY KEY, event INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sessions (
    day TEXT NOT NULL, domain TEXT NOT NULL, policy TEXT NOT NULL, strings TEXT NOT NULL,
    patterns TEXT NOT NULL, result TEXT NOT NULL, sending TEXT NOT NULL, receiving TEXT NOT NULL,
    host TEXT NOT NULL, helo TEXT NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL,
    PRIMARY KEY (day, domain, policy, strings, patterns, result, sending, receiving, host, helo, reason)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (
    day TEXT NOT NULL, domain TEXT NOT NULL, target TEXT NOT NULL, state TEXT NOT NULL,
    due REAL NOT NULL, until REAL NOT NULL, attempts INTEGER NOT NULL, message TEXT NOT NULL,
    detail TEXT NOT NULL, PRIMARY KEY (day, domain, target)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS tasks_due ON tasks (due) WHERE state IN ('ask', 'send');
CREATE TABLE IF NOT EXISTS planned (day TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_KEY = "day, domain, policy, strings, patterns, result, sending, receiving, host, helo, reason"
_TASK = "day, domain, target, state, due, until, attempts, message, detail"


@dataclass(frozen=True, slots=True)
class Sessions:
    """Sessions that ended in the same way under the same policy.

    :ivar policy: its type; the other fields are those of :class:`~mta.model.tls_result.TlsResult`.
    """

    policy: str
    strings: tuple[str, ...]
    patterns: tuple[str, ...]
    result: str
    sending: str
    receiving: str
    host: str
    helo: str
    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class Task:
    """A report to be sent, or that was.

    :ivar day: what it is about: ``2026-01-31``, in UTC.
    :ivar target: a URI; ``""`` while the domain has not been asked.
    :ivar due: when it is to be tried, in seconds since 1970.
    :ivar until: when it is given up.
    :ivar message: queue id of the mail that it went into.
    :ivar detail: the last trouble.
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


class Ledger:
    """See the module.

    :param path: of the database; made when it is first used.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    # --- counting ------------------------------------------------------------

    def count(self, journal: JournalReader) -> int:
        """Count what the journals have and nobody has counted; answers how many sessions."""
        total = 0
        for shard, path in enumerate(journal.paths):
            name = path.parent.name
            while True:
                with self._changing() as base:
                    row = base.execute("SELECT event FROM counted WHERE shard = ?", (name,)).fetchone()
                    before = row[0] if row else 0
                    records, upto = journal.following(shard, TlsSession.kind, before)
                    if upto == before:
                        break
                    events = [record.event for record in records]
                    _add(base, (event for event in events if isinstance(event, TlsSession)))
                    base.execute("INSERT OR REPLACE INTO counted VALUES (?, ?)", (name, upto))
                    total += len(events)
        return total

    def sessions(self, day: str, domain: str) -> list[Sessions]:
        """What became of the sessions of a day for a domain."""
        with self._reading() as base:
            rows = base.execute(
                "SELECT policy, strings, patterns, result, sending, receiving, host, helo, reason, count"
                " FROM sessions WHERE day = ? AND domain = ?",
                (day, domain),
            ).fetchall()
        return [
            Sessions(policy, tuple(json.loads(strings)), tuple(json.loads(patterns)), *rest)
            for policy, strings, patterns, *rest in rows
        ]

    def totals(self, day: str = "") -> list[tuple[str, str, str, str, int]]:
        """Day, domain, policy, result and how many: of one day, or all."""
        with self._reading() as base:
            return base.execute(
                "SELECT day, domain, policy, result, sum(count) FROM sessions WHERE ?1 IN ('', day)"
                " GROUP BY day, domain, policy, result ORDER BY day, domain, policy, result",
                (day,),
            ).fetchall()

    # --- tasks ---------------------------------------------------------------

    def plan(self, day: str, due: Iterable[tuple[str, float]], until: float, whole: bool = True) -> int:
        """Make tasks for a day, where there are none yet; answers how many are new.

        :param due: domains, and when each is to be asked.
        :param whole: whether these are all domains of the day.
        """
        with self._changing() as base:
            before = base.total_changes
            base.executemany(
                f"INSERT INTO tasks ({_TASK}) SELECT ?1, ?2, '', 'ask', ?3, ?4, 0, '', ''"  # noqa: S608
                " WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE day = ?1 AND domain = ?2)",
                [(day, domain, at, until) for domain, at in due],
            )
            made = base.total_changes - before
            if whole:
                base.execute("INSERT OR IGNORE INTO planned VALUES (?)", (day,))
        return made

    def unplanned(self, since: str, before: str) -> list[str]:
        """Days with sessions for which there is no plan."""
        with self._reading() as base:
            rows = base.execute(
                "SELECT DISTINCT day FROM sessions WHERE day >= ? AND day < ?"
                " AND day NOT IN (SELECT day FROM planned) ORDER BY day",
                (since, before),
            )
            return [day for (day,) in rows]

    def domains(self, day: str) -> list[str]:
        """The domains of a day."""
        with self._reading() as base:
            rows = base.execute("SELECT DISTINCT domain FROM sessions WHERE day = ?", (day,))
            return [domain for (domain,) in rows]

    def due(self, now: float, limit: int) -> list[Task]:
        """Tasks that are to be done now, the first first."""
        query = f"SELECT {_TASK} FROM tasks WHERE state IN ('ask', 'send') AND due <= ? ORDER BY due LIMIT ?"  # noqa: S608
        with self._reading() as base:
            return [Task(*row) for row in base.execute(query, (now, limit))]

    def next_due(self) -> float | None:
        """When the next task is to be done."""
        with self._reading() as base:
            row = base.execute("SELECT min(due) FROM tasks WHERE state IN ('ask', 'send')").fetchone()
        return None if row[0] is None else float(row[0])

    def tasks(self, day: str = "", domain: str = "") -> list[Task]:
        """All tasks, or those of a day or a domain; the newest first."""
        query = (
            f"SELECT {_TASK} FROM tasks WHERE ?1 IN ('', day) AND ?2 IN ('', domain)"  # noqa: S608
            " ORDER BY day DESC, domain, target"
        )
        with self._reading() as base:
            return [Task(*row) for row in base.execute(query, (day, domain))]

    def keep(self, tasks: Sequence[Task], instead_of: Task | None = None) -> None:
        """Write how tasks stand, in place of another."""
        with self._changing() as base:
            if instead_of is not None:
                key = (instead_of.day, instead_of.domain, instead_of.target)
                base.execute("DELETE FROM tasks WHERE day = ? AND domain = ? AND target = ?", key)
            for one in tasks:
                base.execute(
                    f"INSERT OR REPLACE INTO tasks ({_TASK}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
                    (
                        one.day,
                        one.domain,
                        one.target,
                        one.state,
                        one.due,
                        one.until,
                        one.attempts,
                        one.message,
                        one.detail,
                    ),
                )

    def hasten(self, day: str, domain: str, now: float) -> None:
        """Have the tasks of a day, or of one domain, done now."""
        with self._changing() as base:
            base.execute(
                "UPDATE tasks SET due = min(due, ?3), until = max(until, ?3 + 86400)"
                " WHERE day = ?1 AND ?2 IN ('', domain) AND state IN ('ask', 'send')",
                (day, domain, now),
            )

    def forget(self, before: str) -> None:
        """Drop the counts and tasks of the days before one."""
        with self._changing() as base:
            for table in ("sessions", "tasks", "planned"):
                base.execute(f"DELETE FROM {table} WHERE day < ?", (before,))  # noqa: S608

    # --- the database ----------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._opened() as base:
            base.execute("BEGIN IMMEDIATE")
            try:
                yield base
            except BaseException:
                base.execute("ROLLBACK")
                raise
            base.execute("COMMIT")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        # Whoever only looks, as root perhaps, makes no file that the server could not write.
        with self._opened() if self._path.exists() else self._opened(":memory:") as base:
            yield base

    @contextmanager
    def _opened(self, place: str = "") -> Iterator[sqlite3.Connection]:
        try:
            if not place:
                # To whom we write is nobody else's business.
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            with closing(sqlite3.connect(place or self._path, timeout=30.0, isolation_level=None)) as base:
                base.execute("PRAGMA journal_mode = WAL")
                base.execute("PRAGMA synchronous = FULL")
                base.executescript(_SCHEMA)
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


def _add(base: sqlite3.Connection, events: Iterable[TlsSession]) -> None:
    found: Counter[tuple[str, ...]] = Counter()
    for event in events:
        # The DNS gives TLSA records in any order; the lines of an MTA-STS policy have theirs.
        strings = sorted(event.strings) if event.policy == "tlsa" else event.strings
        policy = (event.policy, json.dumps(strings), json.dumps(event.patterns))
        # Of a session that went well nobody is told which one it was.
        details = ("", "", "", "", "")
        if event.result != "success":
            details = (event.sending, event.receiving, event.host, event.helo, event.reason)
        found[(day_of(event.at), event.domain.lower(), *policy, event.result, *details)] += 1
    base.executemany(
        f"INSERT INTO sessions ({_KEY}, count) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        f" ON CONFLICT ({_KEY}) DO UPDATE SET count = count + excluded.count",
        [(*key, count) for key, count in found.items()],
    )
