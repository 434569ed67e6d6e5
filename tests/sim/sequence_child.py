"""A worker that moves a sequence on a simulated clock, until it is killed or nothing is left to do.

``python -m tests.sim.sequence_child DIRECTORY RISK`` goes on where an earlier one was killed; with the
probability RISK it kills itself at each commit, and in the midst of handing messages over.  What stands for
the spool, for people, and for the clock is in ``world.db``; it ends with a line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sqlite3
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from mta.audience import facts
from mta.audience.audience import DATABASE, TABLES, Audience
from mta.audience.contact import Contact
from mta.batch.acceptance import Progress
from mta.batch.plan import Person, Plan
from mta.model.ids import IdSource, decode_id
from mta.registry.database import Direct, finished
from mta.sequence import enrolments, outbox, stores
from mta.sequence.lease import LOCK, Lease
from mta.sequence.posting import Posts
from mta.sequence.runner import Runner
from mta.sequence.sending import Sending, Terms
from mta.sequence.transition import Waiting
from mta.template.bundle import Bundle, Parts, Rendered
from tests.sim.sequence_world import HOUR, TENANT, nature

T = TypeVar("T")
#: What the world keeps: mail that was taken, what is to happen, who gets nothing, what time it is.
WORLD = """
CREATE TABLE mail (number INTEGER PRIMARY KEY, id TEXT, address TEXT, step TEXT, at REAL);
CREATE INDEX mail_id ON mail (id);
CREATE TABLE happenings (
    number INTEGER PRIMARY KEY, due REAL, contact INTEGER, kind TEXT, message TEXT, done INTEGER DEFAULT 0
);
CREATE INDEX happenings_due ON happenings (due, number) WHERE done = 0;
CREATE TABLE barred (address TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
CREATE TABLE clock (one INTEGER PRIMARY KEY, now REAL);
CREATE TABLE counts (name TEXT PRIMARY KEY, count INTEGER) WITHOUT ROWID;
"""


def world(directory: Path) -> sqlite3.Connection:
    """The world's database."""
    base = sqlite3.connect(directory / "world.db", isolation_level=None)
    base.execute("PRAGMA journal_mode = WAL")
    # A process is killed here, not a machine.
    base.execute("PRAGMA synchronous = OFF")
    return base


class Looks:
    def __init__(self, database: Direct) -> None:
        self._database = database

    async def look(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._database.read(work)


class Mortal(Direct):
    """A database at whose commits the process may end."""

    risk = 0.0
    commits = 0

    async def change(self, noun: str, work: Callable[[sqlite3.Connection], T]) -> T:
        perhaps(self.risk)
        done = await super().change(noun, work)
        self.commits += 1
        perhaps(self.risk)
        return done


def perhaps(risk: float) -> None:
    """Perhaps the end."""
    if risk and random.random() < risk:
        os.kill(os.getpid(), signal.SIGKILL)


class Simulation:
    """The worker, and the world around it."""

    def __init__(self, directory: Path, risk: float) -> None:
        self.risk = risk
        self.world = world(directory)
        (self.now,) = self.world.execute("SELECT now FROM clock").fetchone()
        self.database = Mortal(directory / DATABASE, (*TABLES, *stores.TABLES))
        self.database.risk = risk
        (last,) = self.world.execute("SELECT max(id) FROM mail").fetchone()
        self.ids = IdSource(0, decode_id(last) if last else 0)
        self.audience = Audience(self.database, Looks(self.database))
        self.events = 0
        self.runner = Runner(
            self,
            self.audience,
            Lease(directory / LOCK),
            sending=Sending(self.audience, self, 0, self.seconds),
            posts=Posts(self.audience, self, self.seconds),
            barred=self.gone,
            new_id=self.new_id,
            skip_ids=self.ids.skip,
            note=self.note,
        )
        # It is not started, so nobody may think that it was stopped.
        self.runner._stopped = False

    def seconds(self) -> float:
        return self.now

    def note(self, events: Sequence[Any]) -> None:
        self.events += len(events)

    # --- what stands for the rest of the server -------------------------------------

    def new_id(self) -> str:
        return self.ids.next(self.now)

    async def accepted(self, identifiers: Collection[str]) -> Collection[str]:
        query = "SELECT 1 FROM mail WHERE id = ?"
        return {one for one in identifiers if self.world.execute(query, (one,)).fetchone()}

    def _barred(self, addresses: Collection[str], reason: str = "") -> dict[str, str]:
        query = "SELECT reason FROM barred WHERE address = ?"
        found = {one: self.world.execute(query, (one,)).fetchone() for one in addresses}
        return {one: row[0] for one, row in found.items() if row and reason in ("", row[0])}

    async def barred(self, tenant: str, people: Sequence[Contact], mailing: str) -> Mapping[int, str]:
        found = self._barred([one.address for one in people])
        return {one.id: found[one.address] for one in people if one.address in found}

    async def gone(self, waiting: Sequence[Waiting]) -> Mapping[int, str]:
        found = self._barred([one.address for one in waiting], "unsubscribed")
        return {one.run.id: "it has unsubscribed" for one in waiting if one.address in found}

    async def terms(self, tenant: str, count: int) -> Terms:
        return Terms()

    async def bundle(self, tenant: str, template: str) -> Bundle:
        return Bundle(Parts(subject=template))

    async def render(self, bundle: Bundle, data: dict[str, Any], locale: str) -> Rendered:
        raise NotImplementedError

    async def post(self, *what: Any) -> tuple[int, str]:
        raise NotImplementedError

    async def take(self, plan: Plan, people: Sequence[Person]) -> Progress:
        """Two commits, as those of a spool: some are on disk when it ends in between."""
        half = len(people) // 2
        for some in (people[:half], people[half:]):
            self.world.execute("BEGIN")
            for one in some:
                self.world.execute(
                    "INSERT INTO mail VALUES (NULL, ?, ?, ?, ?)",
                    (one.id, one.email, plan.metadata["step"], self.now),
                )
                if plan.metadata["step"] == "welcome":
                    self._react(one)
            self.world.execute("COMMIT")
            perhaps(self.risk)
        return Progress(taken=[one.place for one in people])

    def _react(self, person: Person) -> None:
        number = int(person.email[1:].partition("@")[0])
        who = nature(number)
        for kind, hours in (("opened", who.opens), ("clicked", who.clicks), ("bounced", who.bounces)):
            if hours > 0:
                self.world.execute(
                    "INSERT INTO happenings VALUES (NULL, ?, ?, ?, ?, 0)",
                    (self.now + hours * HOUR, number, kind, person.id),
                )

    # --- what people do ----------------------------------------------------------------

    def happen(self) -> None:
        """All that happens up to now; what was kept before the process ended is not kept twice."""
        query = (
            "SELECT number, contact, kind, message FROM happenings WHERE done = 0 AND due <= ?"
            " ORDER BY due, number LIMIT 500"
        )
        while rows := self.world.execute(query, (self.now,)).fetchall():
            for _, number, kind, _ in rows:
                if kind in ("bounced", "unsubscribed"):
                    self.world.execute(
                        "INSERT OR IGNORE INTO barred VALUES (?, ?)", (f"c{number}@example.org", kind)
                    )

            def record(base: sqlite3.Connection, rows: Sequence[Any] = rows) -> None:
                for key, number, kind, message in rows:
                    properties: dict[str, Any] = {}
                    name = ""
                    if kind in ("signed_up", "purchase"):
                        who = nature(number)
                        properties = {"real": who.real} if kind == "signed_up" else {"amount": who.amount}
                        kind, name = "event", kind
                    facts.record(
                        base,
                        TENANT,
                        number,
                        kind,
                        self.now,
                        name=name,
                        message=message,
                        properties=properties,
                        key=f"h{key}",
                    )

            finished(self.database.change("facts", record))
            self.world.execute("BEGIN")
            self.world.executemany(
                "UPDATE happenings SET done = 1 WHERE number = ?", [(key,) for key, *_ in rows]
            )
            self.world.execute("COMMIT")

    def run(self) -> None:
        """Until nothing is left to do."""
        while True:
            self.happen()
            finished(self.runner.turn())
            (soon,) = self.world.execute("SELECT min(due) FROM happenings WHERE done = 0").fetchone()
            due = finished(
                self.database.read(lambda base: min(enrolments.next_due(base), outbox.next_due(base)))
            )
            then = min(due, float("inf") if soon is None else soon)
            if then == float("inf"):
                return
            # Clocks do not go back here.
            self.now = max(self.now, then)
            self.world.execute("UPDATE clock SET now = ?", (self.now,))


def main(arguments: Sequence[str]) -> None:
    """See the module."""
    simulation = Simulation(Path(arguments[0]), float(arguments[1]))
    simulation.run()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "memory": usage.ru_maxrss * 1024,
                "processor": usage.ru_utime + usage.ru_stime,
                "commits": simulation.database.commits,
                "looked": simulation.runner.looked,
                "events": simulation.events,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
