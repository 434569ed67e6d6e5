"""The same work again and again, at a pace that leaves no queue: memory and descriptors do not grow.

``MTA_SOAK`` is for how many seconds; ``make soak`` makes it 600.
"""

from __future__ import annotations

import os
import time

from tests.e2e.client import Load, load_id
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server

SECONDS = float(os.environ.get("MTA_SOAK", "10"))


class SoakScenario(Scenario):
    def test_steady(self) -> None:
        remote = self.part(Remote())
        remote.at = {"RCPT": b"250 OK"}
        server = Server(
            self.place / "server",
            access={"relay_from": ["127.0.0.0/8"]},
            relay={"smarthost": f"127.0.0.1:{remote.port}"},
            limits={"messages": 50},
        )
        self.part(server).start()
        ways = ["anna@example.org", "ben@example.org", "far@remote.test"]
        load = self.part(Load(server.ports["mx"], ways, threads=4, pace=300))
        half = time.monotonic() + SECONDS / 2
        wait_for(lambda: time.monotonic() > half, "the clock stands", SECONDS + 10)
        memory, files = server.memory(), self._files(server)
        end = time.monotonic() + SECONDS / 2
        wait_for(lambda: time.monotonic() > end, "the clock stands", SECONDS + 10)
        load.stop()
        grown, opened = server.memory() - memory, self._files(server) - files
        counts = {way: sum(to == way for to in load.acknowledged.values()) for way in ways}
        print(f"\n{len(load.acknowledged)} messages in {SECONDS:.0f} s; memory grew by {grown / 1e6:.1f} MB")
        self.assertLess(grown, 30_000_000)
        self.assertLess(opened, 40)
        for box in ways[:2]:
            wait_for(lambda box=box: len(server.mails(box)) >= counts[box], f"{box} has not all", 120)
            self.assertEqual(counts[box], len(server.mails(box)))
        remote.wait(counts[ways[2]], 120)
        self.assertEqual(counts[ways[2]], len({load_id(mail.content) for mail in remote.mails}))

    @staticmethod
    def _files(server: Server) -> int:
        try:
            return len(os.listdir(f"/proc/{server.pid}/fd"))
        except PermissionError:
            # The server lets nobody but root look at it; memory is counted for everybody.
            print("its files are not counted: only root may look at them")
            return 0
