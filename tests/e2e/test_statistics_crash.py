"""Whoever counts is killed at random: live numbers are those made again, and those of the journal."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
from twisted.trial.unittest import SynchronousTestCase

from mta.analytics.numbers import Numbers
from mta.analytics.reader import StatisticsReader
from mta.analytics.schema import DATABASE
from mta.journal.reader import JournalReader
from mta.model.event import DeliveredTo, Event, Received
from mta.model.event_engagement import Opened
from tests.analytics.counted import tables
from tests.e2e.scenario import free_port, wait_for
from tests.e2e.server import Server
from tests.tracking.journals import Journals

#: Counts over and over, in small pieces.
COUNTING = """
import sys, time
from pathlib import Path
from mta.analytics import numbers
numbers.SPAN = 40
spool = Path(sys.argv[1])
every = [numbers.Numbers(spool / name) for name in ("0", "1")]
print("begun", flush=True)
while True:
    for one in every:
        one.catch_up()
"""


class KilledTests(SynchronousTestCase):
    """A process that counts, killed at random, beside one that writes."""

    def test_killed(self) -> None:
        spool = Path(tempfile.mkdtemp(prefix="mta"))
        self.addCleanup(shutil.rmtree, spool)
        journals, dice = Journals(spool), random.Random(7)
        kills, begin = 0, time.time() - 3 * 3600
        for shard in (0, 1):
            journals.write(self.life(journals, dice, begin, shard), shard)
        for number in range(12):
            process = subprocess.Popen(
                [sys.executable, "-c", COUNTING, str(spool)],
                stdout=subprocess.PIPE,
                cwd=Path(__file__).resolve().parents[2],
            )
            assert process.stdout is not None
            process.stdout.readline()
            until = time.monotonic() + dice.random() * 0.4
            while time.monotonic() < until:
                at = begin + number * 600 + dice.random() * 900
                shard = dice.randint(0, 1)
                journals.write(self.life(journals, dice, at, shard), dice.choice([shard, shard, 1 - shard]))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process.stdout.close()
            kills += 1
        every = [Numbers(spool / name) for name in ("0", "1")]
        for one in every:
            self.addCleanup(one.close)
            one.catch_up()
        live = tables(spool)
        for one in every:
            one.rebuild()
        self.assertEqual(live, tables(spool))
        for one in every:
            one.close()
        for path in spool.glob(f"*/{DATABASE}*"):
            path.unlink()
        for one in every:
            one.catch_up()
        self.assertEqual(live, tables(spool))
        # And they are what the journal has.
        records = JournalReader(sorted(spool.glob("*/queue.db"))).recent(limit=1_000_000)
        told = Counter(record.event.kind for record in records)
        total = StatisticsReader(spool).total(None, 0, time.time() + 3600)
        self.assertEqual(
            (told["received"], told["delivered"], told["opened"]),
            (total.count("accepted"), total.count("delivered"), total.count("opens")),
        )
        self.assertEqual(12, kills)

    def life(self, journals: Journals, dice: random.Random, at: float, shard: int) -> list[Event]:
        """Some messages of a shard, and what becomes of them."""
        found: list[Event] = []
        for _ in range(dice.randint(5, 60)):
            tenant = dice.choice(["", "shop"])
            message = journals.id(shard, at)
            about: dict[str, Any] = {"message": message, "recipient": f"a@{dice.randint(0, 9)}.example"}
            first = Received(at=at, message=message, recipients=[about["recipient"]], tenant=tenant)
            found += [first, DeliveredTo(at=at + 1, delay=dice.random() * 9, host="mx.example", **about)]
            found += [Opened(at=at + 2, tenant=tenant, **about) for _ in range(dice.randint(0, 2))]
        return found


class ServerKilledTests(SynchronousTestCase):
    """A whole server with two workers, killed while it takes, delivers and counts."""

    def test_killed(self) -> None:
        base = Path(tempfile.mkdtemp(prefix="mta"))
        self.addCleanup(shutil.rmtree, base)
        server = Server(base, workers=2)
        port = free_port()
        server.config["listen"]["http"] = [f"tcp:{port}:interface=127.0.0.1"]
        server.write()
        server.start()
        self.addCleanup(server.stop)
        self.url = f"http://127.0.0.1:{port}"
        wait_for(self.is_well, "the API does not answer")
        self.key = server.mta("key", "create", "--scope", "admin").split()[0]
        dice, sent = random.Random(5), 0
        for turn in range(3):
            wait_for(self.is_well, "the API does not answer")
            for number in range(dice.randint(8, 20)):
                sent += self.send(f"{turn}-{number}")
                if not number % 4:
                    # It counts at once what has happened.
                    self.counts()
            if turn < 2:
                server.kill()
                server.start()
        wait_for(lambda: self.counts()["delivered"] >= sent, "not all were delivered", 60)
        self.assertEqual((sent, sent), tuple(self.counts()[name] for name in ("accepted", "delivered")))
        live = tables(server.state / "spool")
        # While it runs.
        server.mta("stats", "rebuild")
        self.assertEqual(live, tables(server.state / "spool"))
        self.assertEqual(sent, self.counts()["accepted"])
        # One picture of what it does, and one for each look for a program.
        self.assertIn("workers 2", server.mta("top", "--once"))
        self.assertIn('"workers"', server.mta("top", "--once", "--json"))
        server.stop()
        before = tables(server.state / "spool")
        server.mta("stats", "rebuild")
        self.assertEqual(before, tables(server.state / "spool"))

    def counts(self) -> dict[str, int]:
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.get(f"{self.url}/v1/statistics", headers=headers, timeout=60)
        self.assertEqual(200, answer.status_code, answer.text)
        found: dict[str, int] = answer.json()["total"]["counts"]
        return found

    def send(self, subject: str) -> int:
        body = {"from": "anna@example.org", "to": ["ben@example.org"], "subject": subject, "text": "Hello"}
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = httpx.post(f"{self.url}/v1/messages", json=body, headers=headers, timeout=60)
        self.assertEqual(202, answer.status_code, answer.text)
        return 1

    def is_well(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz").status_code == 200
        except httpx.HTTPError:
            return False
