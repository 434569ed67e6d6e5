"""A queue of 100,000 deferred messages: the server starts on it, and goes on working."""

from __future__ import annotations

import subprocess
import sys
import time

from tests.e2e.client import Speaker
from tests.e2e.scenario import Scenario
from tests.e2e.server import ROOT, Server

COUNT = 100_000


class QueueStartScenario(Scenario):
    def test_start(self) -> None:
        server = Server(self.place / "server", relay={"smarthost": "127.0.0.1:1"})
        shard = server.state / "spool" / "0"
        command = [sys.executable, "-m", "bench.backlog", str(shard), str(COUNT)]
        subprocess.run(command, cwd=ROOT, check=True, timeout=500)
        begun = time.monotonic()
        self.part(server).start()
        took = time.monotonic() - begun
        # A figure for whoever reads; a promise is held by `make bench`, where nothing else runs.
        print(f"\n{COUNT} deferred: greets after {took:.2f} s, {server.memory() / 1e6:.0f} MB")
        with Speaker(server.ports["mx"]) as speaker:
            answer = speaker.send("s@client.test", ["ben@example.org"], b"Subject: x\r\n\r\nHello.\r\n")
        self.assertEqual(b"250", answer[:3])
        server.wait_mail("ben@example.org")
        page = server.mta("queue", "list")
        self.assertIn("backlog", page)
        self.assertTrue(server.stop())
