"""A server that is killed in the midst of a batch: nobody's message twice, nobody's forgotten."""

from __future__ import annotations

import sqlite3
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.scenario import Scenario, free_port, wait_for
from tests.e2e.server import Server

COUNT = 1500


class BatchCrashTests(Scenario):
    """One server, killed as by the kernel, and started again."""

    def accepted(self, server: Server) -> int:
        """Messages of which the journal says that they were accepted."""
        path = server.state / "spool" / "0" / "queue.db"
        try:
            with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as base:
                (count,) = base.execute("SELECT count(*) FROM events WHERE kind = 'received'").fetchone()
                return int(count)
        except sqlite3.Error:
            return 0

    def arrived(self, server: Server) -> Counter[str]:
        """How many messages each mailbox has."""
        mail: Path = server.state / "mail" / "example.org"
        return Counter(path.parts[-3] for path in mail.glob("*/new/*"))

    def test_killed_in_the_midst(self) -> None:
        users = {f"u{number}@example.org": "x" for number in range(COUNT)}
        server = self.part(Server(self.place / "mta", users))
        port = free_port()
        server.config["listen"]["http"] = [f"tcp:{port}:interface=127.0.0.1"]
        server.write()
        server.start()
        key = server.mta("key", "create", "--scope", "admin").split()[0]
        body = {
            "from": "shop@example.org",
            "subject": "{{ n }}",
            "text": "Order {{ n }}",
            "recipients": [{"email": address, "data": {"n": n}} for n, address in enumerate(users)],
        }
        headers = {"Authorization": f"Bearer {key}", "Idempotency-Key": "once"}
        url = f"http://127.0.0.1:{port}/v1/batches"
        broken: list[Any] = []

        def send() -> None:
            try:
                broken.append(httpx.post(url, json=body, headers=headers, timeout=120).status_code)
            except httpx.TransportError as error:
                broken.append(error)

        sending = threading.Thread(target=send)
        sending.start()
        wait_for(lambda: self.accepted(server) >= 200, "no message was accepted")
        server.kill()
        sending.join()
        # What this is about: the process died in between, and the client knows nothing.
        self.assertIsInstance(broken[0], httpx.TransportError)
        before = self.accepted(server)
        self.assertLess(before, COUNT)
        server.start()
        again = httpx.post(url, json=body, headers=headers, timeout=120)
        self.assertEqual(
            (202, COUNT, 0),
            (
                again.status_code,
                again.json().get("accepted"),
                again.json().get("waiting"),
            ),
        )
        wait_for(lambda: sum(self.arrived(server).values()) >= COUNT, "not all arrived", 120)
        self.assertEqual({1}, set(self.arrived(server).values()))
        self.assertEqual(COUNT, len(self.arrived(server)))
        self.assertEqual(COUNT, self.accepted(server))
