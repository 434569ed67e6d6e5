"""Two workers share the sockets; one that dies is started again, and nothing is lost."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from collections import Counter
from contextlib import closing

from tests.e2e.client import Load, Speaker, load_id
from tests.e2e.process import lives
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server

TEXT = b"Subject: x\r\n\r\nHello.\r\n"


class WorkersScenario(Scenario):
    def setUp(self) -> None:
        super().setUp()
        self.server = self.part(Server(self.place / "server", workers=2)).start()
        wait_for(lambda: len(self.server.workers()) == 2, "there are not two workers")

    def test_both_take_mail(self) -> None:
        """Whichever worker is free takes a connection, and the trace finds what either did."""
        spools = [self.server.state / "spool" / number / "queue.db" for number in ("0", "1")]
        wait_for(lambda: all(path.exists() for path in spools), "a worker has no spool")
        wait_for(lambda: self.server.output.count("ready: mx") >= 2, "a worker is not ready")
        for busy in self.server.workers():
            with self.server.standing_still(busy):
                for number in range(4):
                    with Speaker(self.server.ports["mx"]) as speaker:
                        answer = speaker.send(f"s{busy}.{number}@client.test", ["anna@example.org"], TEXT)
                        self.assertEqual(b"250", answer[:3])
        self.server.wait_mail("anna@example.org", 8)
        for busy in self.server.workers():
            self.server.wait_trace(f"s{busy}.0@client.test", "delivered")
        counts = []
        for path in spools:
            with closing(sqlite3.connect(path)) as shard:
                counts += shard.execute("SELECT count(*) FROM events WHERE kind = 'received'").fetchone()
        self.assertEqual([4, 4], counts)

    def test_killed(self) -> None:
        boxes = ["anna@example.org", "ben@example.org"]
        load = self.part(Load(self.server.ports["mx"], boxes, threads=6))
        for _ in range(3):
            before = len(load.acknowledged)
            wait_for(lambda before=before: len(load.acknowledged) > before + 50, "nothing is acknowledged")
            victim = self.server.workers()[0]
            os.kill(victim, signal.SIGKILL)
            wait_for(
                lambda victim=victim: victim not in self.server.workers() and len(self.server.workers()) == 2,
                "the worker is not started again",
            )
        load.stop()
        found: Counter[tuple[str, str]] = Counter()

        def arrived() -> bool:
            found.clear()
            for box in boxes:
                found.update((load_id(path.read_bytes()), box) for path in self.server.mails(box))
            return all(item in found for item in load.acknowledged.items())

        wait_for(arrived, "acknowledged messages are missing", 120)
        self.assertEqual([], [item for item, count in found.items() if count > 1])

    def test_supervisor_killed(self) -> None:
        """Its workers do not stay behind, where they would keep its sockets from the next one."""
        workers = self.server.workers()
        os.kill(self.server.pid, signal.SIGKILL)
        wait_for(lambda: not any(map(lives, workers)), "a worker is still there")
        self.server.kill()
        self.assertIn("supervisor is gone", self.server.output)
        self.server.start()

    def test_reload_while_starting(self) -> None:
        """A worker that is being started does not die of it, and does not miss it."""
        self.assertTrue(self.server.stop())
        starting = threading.Thread(target=self.server.start)
        starting.start()
        wait_for(lambda: self.server.process and self.server.process.lines, "it says nothing")
        process = self.server.process
        assert process is not None
        process.wait_line("Worker 1 started")
        process.signal(signal.SIGHUP)
        starting.join()
        wait_for(lambda: process.output.count("server reloaded") >= 2, "a worker has missed it")
        self.assertNotIn("died", process.output)

    def test_reload_and_stop(self) -> None:
        self.server.write_users({"carl@example.org": "carl-secret"})
        self.server.reload()

        def known() -> bool:
            with Speaker(self.server.ports["mx"]) as speaker:
                return speaker.send("s@client.test", ["carl@example.org"], TEXT)[:3] == b"250"

        for _ in range(20):
            wait_for(known, "a worker does not know the new account")
        workers = self.server.workers()
        self.assertTrue(self.server.stop())
        wait_for(lambda: not any(map(lives, workers)), "a worker is still there")
