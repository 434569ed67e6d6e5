"""Two workers behind one address: whoever is asked, a message is found, and a key is one."""

from __future__ import annotations

import os
import signal
import tempfile
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from shutil import rmtree

import httpx
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from mta.model.ids import shard_of
from tests.e2e.process import lives
from tests.e2e.scenario import free_port, wait_for
from tests.e2e.server import Server

LATER = datetime.now(UTC) + timedelta(days=30)
BODY = {"from": "shop@example.org", "to": ["ann@example.net"], "text": "x", "send_at": LATER.isoformat()}


class WorkersTests(SynchronousTestCase):
    def setUp(self) -> None:
        base = Path(tempfile.mkdtemp(prefix="mta"))
        self.addCleanup(rmtree, base, ignore_errors=True)
        self.server = Server(base, workers=2, submission={"future_release": "3650d"})
        self.port = free_port()
        self.server.config["listen"]["http"] = [f"tcp:{self.port}:interface=127.0.0.1"]
        self.server.write()
        self.server.start()
        self.addCleanup(self.server.stop)
        wait_for(self.is_well, "the API does not answer")

    def is_well(self) -> bool:
        try:
            return self.ask("GET", "/healthz").status_code == 200
        except httpx.HTTPError:
            return False

    def ask(self, method: str, path: str, body: object = None, key: str = "") -> httpx.Response:
        # A connection of its own, so that the kernel chooses a worker each time.
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return httpx.request(
            method, f"http://127.0.0.1:{self.port}{path}", json=body, headers=headers, timeout=60
        )

    def test_whichever_worker_is_asked(self) -> None:
        key = self.server.mta("key", "create", "--scope", "messages:send").split()[0]
        sent: dict[int, list[str]] = {}
        for _ in range(200):
            answer = self.ask("POST", "/v1/messages", BODY, key)
            self.assertEqual(202, answer.status_code, answer.text)
            identifier = answer.json()["id"]
            sent.setdefault(shard_of(identifier), []).append(identifier)
            if len(sent) == 2 and min(map(len, sent.values())) >= 5:
                break
        self.assertEqual({0, 1}, set(sent))
        for identifier in [*sent[0][:5], *sent[1][:5]]:
            for action, status in (("hold", 200), ("cancel", 200), ("cancel", 409)):
                answer = self.ask("POST", f"/v1/messages/{identifier}/{action}", {}, key)
                self.assertEqual(status, answer.status_code, answer.text)
        self.server.mta("key", "revoke", key)
        # Both workers know at once.
        for _ in range(10):
            self.assertEqual(401, self.ask("POST", "/v1/messages", BODY, key).status_code)

    def scraped(self, key: str) -> dict[str, Counter[str]]:
        """The numbers of both workers, by name; empty where one of them was too slow for this scrape."""
        found: dict[str, Counter[str]] = {}
        scraped = self.ask("GET", "/metrics", key=key)
        self.assertEqual(200, scraped.status_code, scraped.text)
        for family in text_string_to_metric_families(scraped.text):
            for sample in family.samples:
                name = found.setdefault(sample.name, Counter())
                name[sample.labels["worker"]] += int(sample.value)
        return found if set(found["mta_resident_octets"]) == {"0", "1"} else {}

    def test_metrics_of_both(self) -> None:
        """Whichever worker is asked, it has the numbers of both, and a sum over them is the server's."""
        keys = self.server.mta("key", "create", "--scope", "admin").split()
        sent: Counter[str] = Counter()
        for _ in range(200):
            answer = self.ask("POST", "/v1/messages", BODY, keys[0])
            self.assertEqual(202, answer.status_code, answer.text)
            sent[str(shard_of(answer.json()["id"]))] += 1
            if len(sent) == 2 and min(sent.values()) >= 3:
                break
        self.assertEqual({"0", "1"}, set(sent))
        asked: Counter[str] = Counter()
        # A connection may be taken by either worker; after so many both have been asked.
        for _ in range(12):
            found = wait_for(lambda: self.scraped(keys[0]), "no scrape has the numbers of both workers")
            self.assertEqual(sent, found["mta_messages_received_total"])
            self.assertEqual(sent, found["mta_queue_messages"])
            asked = found["mta_api_requests_total"]
        self.assertGreaterEqual(sum(asked.values()), sum(sent.values()) + 11)
        self.assertEqual({"0", "1"}, set(asked))
        # One that dies leaves the numbers of the other, and comes again with its own from 0.
        [first, _] = sorted(self.server.workers())
        os.kill(first, signal.SIGKILL)
        wait_for(lambda: not lives(first), "it lives")
        # Who is asked meanwhile is answered.
        wait_for(lambda: self.is_well(), "no worker answers")
        self.assertEqual(200, self.ask("GET", "/metrics", key=keys[0]).status_code)
