"""A sequence for many contacts on a simulated clock, with a worker that is killed again and again.

Each contact gets exactly what the rules say, at the very instant, once.  ``MTA_SEQUENCE_CONTACTS`` is for
how many contacts, ``MTA_SEQUENCE_KILLS`` how often; ``make sim`` makes it 100,000.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from mta.audience import contacts
from mta.audience.audience import DATABASE, TABLES, Audience
from mta.audience.contact import Contact
from mta.registry.database import Direct, finished
from mta.sequence import stores
from mta.sequence.person import check_foreign
from mta.sequence.reading import read
from mta.sequence.stores import Sequences
from tests.sim.sequence_child import WORLD, Looks, world
from tests.sim.sequence_world import BEGIN, HOUR, SEQUENCE, TENANT, expected, nature

CONTACTS = int(os.environ.get("MTA_SEQUENCE_CONTACTS", "1500"))
KILLS = int(os.environ.get("MTA_SEQUENCE_KILLS", "12"))
#: Octets that the worker may have, for however many contacts.
MEMORY = 160 << 20
ROOT = Path(__file__).resolve().parent.parent.parent


class SequenceSimulation(SynchronousTestCase):
    def made(self, count: int) -> Path:
        """A world with contacts who are going to sign up, and the sequence."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        database = Direct(directory / DATABASE, (*TABLES, *stores.TABLES))
        audience = Audience(database, Looks(database))
        sequences = Sequences(audience)

        def people(base: sqlite3.Connection) -> None:
            for number in range(1, count + 1):
                who = nature(number)
                attributes = {"plan": "pro" if who.pro else "free"}
                one = Contact(f"c{number}@example.org", attributes=attributes, time_zone=who.zone)
                made, _ = contacts.put(base, TENANT, one, float(BEGIN))
                assert made.id == number

        finished(database.change("contacts", people))
        definition = read(SEQUENCE, "simulated.toml", check_foreign)
        finished(sequences.put(TENANT, "simulated", definition, float(BEGIN), who="the test"))
        database.close()
        base = world(directory)
        base.executescript(WORLD)
        base.execute("BEGIN")
        base.execute("INSERT INTO clock VALUES (1, ?)", (float(BEGIN),))
        for number in range(1, count + 1):
            who = nature(number)
            happens = [(hour, 0, "signed_up") for hour in who.signs]
            happens += [(who.buys, 1, "purchase")] * (who.buys >= 0)
            happens += [(who.leaves, 2, "unsubscribed")] * (who.leaves >= 0)
            for hour, _, kind in sorted(happens):
                base.execute(
                    "INSERT INTO happenings VALUES (NULL, ?, ?, ?, '', 0)",
                    (BEGIN + hour * HOUR, number, kind),
                )
        base.execute("COMMIT")
        base.close()
        return directory

    def worked(self, directory: Path, kills: int, seed: int) -> tuple[dict[str, float], int]:
        """Run workers until one has nothing left to do; answers what it tells, and how many were killed."""
        dice = random.Random(seed)
        killed = 0
        while True:
            # Half of them end themselves where it hurts, the others are ended from outside.
            alone = dice.random() < 0.5
            risk = 0.003 if killed < kills and alone else 0.0
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.sim.sequence_child", str(directory), str(risk)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                text=True,
            )
            if killed < kills and not alone:
                try:
                    worker.wait(0.6 + dice.random() * 1.5)
                except subprocess.TimeoutExpired:
                    worker.kill()
            output, _ = worker.communicate()
            if worker.returncode == 0:
                told: dict[str, float] = json.loads(output)
                return told, killed
            self.assertEqual(-signal.SIGKILL, worker.returncode)
            killed += 1

    def test_exactly_what_the_rules_say(self) -> None:
        directory = self.made(CONTACTS)
        begun = time.monotonic()
        told, killed = self.worked(directory, KILLS, seed=7)
        took = time.monotonic() - begun
        base = world(directory)
        self.addCleanup(base.close)
        mail: dict[int, list[tuple[int, str]]] = {}
        for address, step, at in base.execute("SELECT address, step, at FROM mail ORDER BY at, number"):
            mail.setdefault(int(address[1:].partition("@")[0]), []).append((int(at), step))
        wrong = [
            (number, expected(number), mail.get(number, []))
            for number in range(1, CONTACTS + 1)
            if expected(number) != mail.get(number, [])
        ]
        self.assertEqual([], [(*one, nature(one[0])) for one in wrong[:3]], f"{len(wrong)} of {CONTACTS}")
        count = sum(map(len, mail.values()))
        self.assertGreater(count, CONTACTS)
        with sqlite3.connect(directory / DATABASE) as kept:
            self.assertEqual([(0,)], kept.execute("SELECT count(*) FROM sequence_outbox").fetchall())
            (active,) = kept.execute("SELECT count(*) FROM enrolments WHERE outcome = ''").fetchone()
            outcomes = dict(kept.execute("SELECT outcome, count(*) FROM enrolments GROUP BY outcome"))
        self.assertEqual(0, active)
        self.assertEqual({"exit", "goal", "left"}, set(outcomes))
        self.assertLess(told["memory"], MEMORY)
        print(
            f"\n{CONTACTS} contacts, {count} messages, {killed} kills, {took:.1f} s, "
            f"{CONTACTS / took:.0f} contacts/s, {told['memory'] / 2**20:.0f} MiB; "
            f"the last worker: {told['commits']:.0f} commits, {told['looked']:.0f} looks; {outcomes}"
        )
