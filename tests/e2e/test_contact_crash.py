"""Two workers, one of which is killed in the midst of an import: nobody is left out, nothing comes twice."""

from __future__ import annotations

import sqlite3
from typing import Any

import httpx

from tests.e2e.scenario import Scenario, free_port, wait_for
from tests.e2e.server import Server

COUNT = 20_000


class ImportCrashTests(Scenario):
    """One server, killed as by the kernel, and started again."""

    def counted(self, server: Server, query: str) -> int:
        """A number out of the database of contacts."""
        try:
            with sqlite3.connect(f"file:{server.state / 'audience.db'}?mode=ro", uri=True) as base:
                (count,) = base.execute(query).fetchone()
                return int(count or 0)
        except sqlite3.Error:
            return 0

    def test_killed_in_the_midst(self) -> None:
        server = self.part(Server(self.place / "mta", workers=2))
        port = free_port()
        server.config["listen"]["http"] = [f"tcp:{port}:interface=127.0.0.1"]
        server.write()
        server.start()
        key = server.mta("key", "create", "--scope", "contacts").split()[0]

        def ask(method: str, path: str, **how: Any) -> httpx.Response:
            # A connection of its own, so that the kernel chooses a worker each time.
            headers = {"authorization": f"Bearer {key}", **how.pop("headers", {})}
            return httpx.request(method, f"http://127.0.0.1:{port}{path}", headers=headers, timeout=30, **how)

        ask("PUT", "/v1/lists/news", json={})
        lines = [f"n{number}@example.net,{number}" for number in range(COUNT)]
        for number in range(0, COUNT, 1000):
            lines[number] = f"broken,{number}"
        content = "\n".join(["email,number", *lines]).encode()
        begun = ask(
            "POST", "/v1/contacts/import?list=news", content=content, headers={"content-type": "text/csv"}
        )
        self.assertEqual(202, begun.status_code, begun.text)
        people = "SELECT count(*) FROM contacts"
        wait_for(lambda: self.counted(server, people) >= 1000, "nothing was imported")
        server.kill()
        before = self.counted(server, people)
        self.assertLess(before, COUNT - 20)
        server.start()
        place = f"/v1/imports/{begun.json()['id']}"
        wait_for(lambda: ask("GET", place).json()["state"] == "done", "it is not gone on with", 120)
        found = ask("GET", place).json()
        counts = {name: value for name, value in found["counts"].items() if value}
        # Each line was counted once: what a killed worker had read was kept with how far it was.
        self.assertEqual({"created": COUNT - 20, "wrong": 20, "joined": COUNT - 20}, counts)
        self.assertEqual(
            [number + 2 for number in range(0, COUNT, 1000)], [one["line"] for one in found["problems"]]
        )
        self.assertEqual(COUNT - 20, self.counted(server, people))
        history = "SELECT max(count) FROM (SELECT count(*) AS count FROM membership_history GROUP BY contact)"
        self.assertEqual(1, self.counted(server, history))
        counts = ask("GET", "/v1/lists/news").json()
        self.assertEqual(COUNT - 20, counts["subscribed"])
