"""``kill -9`` at random moments under load: nothing acknowledged is lost, nothing delivered locally twice.

``MTA_CRASHES`` says how often; ``make crash`` makes it 200.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter

from tests.e2e.client import Load, load_id
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, free_port, wait_for
from tests.e2e.server import Server

CRASHES = int(os.environ.get("MTA_CRASHES", "10"))
BOXES = [f"box{number}@example.org" for number in range(4)]


class CrashScenario(Scenario):
    def setUp(self) -> None:
        super().setUp()
        self.seed = random.randrange(1 << 32)
        self.random = random.Random(self.seed)

    def crash(self, server: Server, load: Load, rounds: int) -> None:
        for _ in range(rounds):
            before = len(load.acknowledged)
            wait_for(lambda before=before: len(load.acknowledged) > before + 20, "nothing is acknowledged")
            # Any moment will do: this is the crash, not a wait for something.
            time.sleep(self.random.uniform(0, 0.3))
            server.kill()
            server.start()

    def relayed(self, load: Load, remote: Remote) -> Counter[str]:
        """Wait until the remote has every acknowledged message; how often it has each."""
        found: Counter[str] = Counter()
        read = 0

        def arrived() -> bool:
            # What came since it was looked last: the remote, which is in our process, needs the time.
            nonlocal read
            fresh = remote.mails[read:]
            read += len(fresh)
            found.update(load_id(mail.content) for mail in fresh)
            return load.acknowledged.keys() <= found.keys()

        wait_for(arrived, f"seed {self.seed}: acknowledged messages are missing", 120)
        return found

    def test_maildir(self) -> None:
        """Every acknowledged message is in its Maildir, exactly once."""
        users = dict.fromkeys(BOXES, "secret")
        server = self.part(Server(self.place / "server", users)).start()
        load = self.part(Load(server.ports["mx"], BOXES, large=16))
        self.crash(server, load, CRASHES)
        load.stop()
        found: Counter[tuple[str, str]] = Counter()

        def arrived() -> bool:
            found.clear()
            for box in BOXES:
                found.update((load_id(path.read_bytes()), box) for path in server.mails(box))
            return all(item in found for item in load.acknowledged.items())

        wait_for(arrived, f"seed {self.seed}: acknowledged messages are missing", 120)
        self.assertEqual([], [item for item, count in found.items() if count > 1], f"seed {self.seed}")
        self.assertLessEqual(sum(found.values()), load.sent)

    def test_relay(self) -> None:
        """Every acknowledged message reaches the remote, at least once; few of them twice."""
        remote = self.part(Remote())
        server = Server(
            self.place / "server",
            access={"relay_from": ["127.0.0.0/8"]},
            relay={"smarthost": f"127.0.0.1:{remote.port}"},
        )
        self.part(server).start()
        load = self.part(Load(server.ports["mx"], ["far@remote.test"], large=16))
        rounds = max(1, CRASHES // 2)
        self.crash(server, load, rounds)
        load.stop()
        found = self.relayed(load, remote)
        twice = sum(count - 1 for count in found.values())
        # Only what was under way when it was killed may come again: its connections, each with one message.
        self.assertLessEqual(twice, rounds * 200, f"seed {self.seed}")

    def test_remote_crashes_too(self) -> None:
        """The remote is away and comes back, the server crashes meanwhile: all arrives."""
        port = free_port()
        server = Server(
            self.place / "server",
            access={"relay_from": ["127.0.0.0/8"]},
            relay={"smarthost": f"127.0.0.1:{port}"},
        )
        self.part(server).start()
        load = self.part(Load(server.ports["mx"], ["far@remote.test"], threads=2, large=16))
        self.crash(server, load, 2)
        load.stop()
        remote = self.part(Remote(port=port))
        self.relayed(load, remote)
