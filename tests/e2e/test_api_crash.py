"""A server killed while requests with an Idempotency-Key are under way: nothing twice, nothing forgotten."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import rmtree

import httpx
from twisted.trial.unittest import SynchronousTestCase

from tests.e2e.scenario import free_port, wait_for
from tests.e2e.server import Server

REQUESTS = 120
ROUNDS = 3


class CrashTests(SynchronousTestCase):
    def setUp(self) -> None:
        base = Path(tempfile.mkdtemp(prefix="mta"))
        self.addCleanup(rmtree, base, ignore_errors=True)
        self.server = Server(base)
        self.port = free_port()
        self.server.config["listen"]["http"] = [f"tcp:{self.port}:interface=127.0.0.1"]
        self.server.write()
        self.start()
        self.addCleanup(self.server.stop)
        self.key = self.server.mta("key", "create", "--scope", "messages:send").split()[0]

    def start(self) -> None:
        self.server.start()
        wait_for(self.is_well, "the API does not answer")

    def is_well(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/healthz").status_code == 200
        except httpx.HTTPError:
            return False

    def send(self, number: int) -> str:
        """Send one request; the id of its message, or ``""`` if nobody answered."""
        body = {
            "from": "ben@example.org",
            "to": ["anna@example.org"],
            "subject": f"no {number}.",
            "text": "x",
        }
        headers = {"authorization": f"Bearer {self.key}", "idempotency-key": f"order-{number}"}
        try:
            answer = httpx.post(
                f"http://127.0.0.1:{self.port}/v1/messages", json=body, headers=headers, timeout=30
            )
        except httpx.HTTPError:
            return ""
        self.assertIn(answer.status_code, (202, 409, 503), answer.text)
        return str(answer.json()["id"]) if answer.status_code == 202 else ""

    def test_killed(self) -> None:
        told: dict[int, str] = {}
        for round_ in range(ROUNDS):
            with ThreadPoolExecutor(8) as pool:
                asked = [pool.submit(self.send, number) for number in range(REQUESTS)]
                # Somewhere in the middle, with others under way; each round at another moment.
                moment = asked[10 + 30 * round_]
                wait_for(moment.done, "nobody is answered")
                self.server.kill()
                answers = [one.result() for one in asked]
            for number, identifier in enumerate(answers):
                if identifier:
                    self.assertEqual(identifier, told.setdefault(number, identifier))
            self.start()
        self.assertGreater(len(told), 0)
        with ThreadPoolExecutor(4) as pool:
            for number, identifier in enumerate(pool.map(self.send, range(REQUESTS))):
                self.assertTrue(identifier, number)
                self.assertEqual(identifier, told.setdefault(number, identifier))
        mails = self.server.wait_mail("anna@example.org", REQUESTS, 60)
        subjects = sorted(
            line for mail in mails for line in mail.splitlines() if line.startswith(b"Subject: no")
        )
        self.assertEqual(sorted(b"Subject: no %d." % number for number in range(REQUESTS)), subjects)
