"""A server is killed while an application follows it: the stream, the index and the journal agree."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
from twisted.trial.unittest import SynchronousTestCase

from mta.journal.reader import JournalReader
from mta.tracking.telling import TOLD
from tests.e2e.scenario import free_port, wait_for
from tests.e2e.server import Server


class Follower(threading.Thread):
    """Reads the stream, and goes on where it was whenever the connection is lost.

    :ivar seen: ids of events, in order.
    """

    def __init__(self, url: str, key: str) -> None:
        super().__init__(daemon=True)
        self.seen: list[str] = []
        self.connections = 0
        self.over = False
        self._url = url
        self._key = key
        self._last = "0.0"

    def run(self) -> None:
        while not self.over:
            headers = {"Authorization": f"Bearer {self._key}", "Last-Event-ID": self._last}
            try:
                with httpx.stream(
                    "GET", self._url, headers=headers, timeout=httpx.Timeout(60, read=20)
                ) as answer:
                    self.connections += answer.status_code == 200
                    last = what = ""
                    for line in answer.iter_lines():
                        if line.startswith("id: "):
                            last = line[4:]
                        elif line.startswith("data: "):
                            what = json.loads(line[6:])["id"]
                        elif not line and last:
                            # Only a whole event has been received; what was cut comes again.
                            self.seen += [what] if what else []
                            self._last, what = last, ""
                        if self.over:
                            return
            except httpx.HTTPError:
                threading.Event().wait(0.05)


class FollowingCrashTests(SynchronousTestCase):
    def test_killed_and_started_again(self) -> None:
        # The path of a UNIX socket is short.
        base = Path(tempfile.mkdtemp(prefix="mta"))
        self.addCleanup(shutil.rmtree, base)
        server = Server(base, workers=2, tracking={"heartbeat": 1})
        port = free_port()
        server.config["listen"]["http"] = [f"tcp:{port}:interface=127.0.0.1"]
        server.write()
        server.start()
        self.addCleanup(server.stop)
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: self.is_well(url), "the API does not answer")
        key = server.mta("key", "create", "--scope", "admin").split()[0]
        follower = Follower(f"{url}/v1/events/stream", key)
        follower.start()
        self.addCleanup(setattr, follower, "over", True)
        sent: list[str] = []
        for turn in range(3):
            wait_for(lambda: self.is_well(url), "the API does not answer")
            for number in range(15):
                sent += self.send(url, key, f"{turn}-{number}")
            if turn < 2:
                server.kill()
                server.start()
        wait_for(lambda: len(self.ended(server.state, sent)) == len(sent), "not all were delivered", 60)
        wanted = self.journal(server.state)
        wait_for(lambda: len(follower.seen) >= len(wanted), "events are missing in the stream")
        self.assertEqual(len(set(follower.seen)), len(follower.seen))
        self.assertEqual(set(wanted), set(follower.seen))
        for shard in ("0.", "1."):
            numbers = [int(one[2:]) for one in follower.seen if one.startswith(shard)]
            self.assertEqual(sorted(numbers), numbers)
        self.assertGreaterEqual(follower.connections, 3)
        # What applications are told is what the journal has.
        headers = {"Authorization": f"Bearer {key}"}
        counts = httpx.get(f"{url}/v1/counts", headers=headers, timeout=60).json()
        self.assertEqual({"delivered": len(sent)}, counts.get("states"), counts)
        follower.over = True
        server.stop()
        before = self.rows(server.state)
        server.mta("tracking", "rebuild")
        self.assertEqual(before, self.rows(server.state))

    def send(self, url: str, key: str, subject: str) -> list[str]:
        body = {"from": "anna@example.org", "to": ["ben@example.org"], "subject": subject, "text": "Hello"}
        answer = httpx.post(
            f"{url}/v1/messages", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=60
        )
        self.assertEqual(202, answer.status_code, answer.text)
        return [answer.json()["id"]]

    def is_well(self, url: str) -> bool:
        try:
            return httpx.get(f"{url}/healthz", timeout=60).status_code == 200
        except httpx.HTTPError:
            return False

    def journals(self, state: Path) -> JournalReader:
        return JournalReader(sorted((state / "spool").glob("*/queue.db")))

    def journal(self, state: Path) -> list[str]:
        """Ids of everything that a tenant is told of."""
        records = self.journals(state).recent(kinds=TOLD, limit=100_000)
        return [f"{one.shard}.{one.number}" for one in records if one.event.message]

    def ended(self, state: Path, sent: list[str]) -> list[str]:
        records = self.journals(state).recent(kinds=("completed",), limit=100_000)
        return [one.event.message for one in records if one.event.message in set(sent)]

    def rows(self, state: Path) -> list[Any]:
        found: list[Any] = []
        for path in sorted((state / "spool").glob("*/tracking.db")):
            with closing(sqlite3.connect(path)) as base:
                for table in ("messages", "labels"):
                    found += base.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall()
                found += base.execute(
                    "SELECT * FROM counts WHERE number <> 0 ORDER BY 1, 2, 3, 4, 5"
                ).fetchall()
                found += base.execute("SELECT * FROM recipients ORDER BY message, address").fetchall()
        return found
