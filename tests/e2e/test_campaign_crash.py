"""Two workers that are killed in the midst of a campaign: nobody's message twice, nobody's forgotten."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

from mta.model.ids import shard_of
from tests.e2e.journal import events
from tests.e2e.scenario import Scenario, free_port, wait_for
from tests.e2e.server import Server

COUNT = 1000
CAMPAIGN = {
    "name": "spring",
    "audience": {"lists": ["news"]},
    "from": "shop@example.org",
    "variants": [
        {"name": "A", "subject": "A", "text": "Hello %unsubscribe_url%"},
        {"name": "B", "subject": "B", "text": "Hello %unsubscribe_url%"},
    ],
}


class CampaignCrashTests(Scenario):
    """A server with two workers, killed as by the kernel, and started again."""

    def arrived(self, server: Server) -> Counter[str]:
        """How many messages each mailbox has."""
        mail: Path = server.state / "mail" / "example.org"
        return Counter(path.parts[-3] for path in mail.glob("*/new/*"))

    def campaign(self, server: Server, *what: str) -> Any:
        return json.loads(server.mta("campaign", *what, "--json"))

    def accepted(self, server: Server) -> list[Any]:
        """What the journal has of the campaign's messages."""
        return [one for one in events(server, "received") if one.campaign == "spring"]

    def count(self, server: Server) -> int:
        """How many these are, counted in less time than it takes to send more."""
        count = 0
        for path in (server.state / "spool").glob("*/queue.db"):
            with (
                contextlib.suppress(sqlite3.Error),
                contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as base,
            ):
                count += base.execute("SELECT count(*) FROM events WHERE kind = 'received'").fetchone()[0]
        return count

    def test_killed_in_the_midst(self) -> None:
        users = {f"u{number}@example.org": "x" for number in range(COUNT)}
        url = {"url": "https://links.example.org"}
        server = self.part(Server(self.place / "mta", users, workers=2, api=url))
        server.config["listen"]["http"] = [f"tcp:{free_port()}:interface=127.0.0.1"]
        server.write()
        server.start()
        server.mta("list", "put", "news")
        people = self.place / "people.csv"
        people.write_text("email\n" + "".join(f"{address}\n" for address in users))
        server.mta("contact", "import", str(people), "--list", "news")
        file = self.place / "campaign.json"
        file.write_text(json.dumps(CAMPAIGN))
        self.campaign(server, "create", str(file))
        self.campaign(server, "start", "spring")
        for least in (100, 500):
            wait_for(lambda least=least: self.count(server) >= least, "it does not go on")
            server.kill()
            self.assertLess(len(self.accepted(server)), COUNT)
            server.start()
        wait_for(lambda: self.campaign(server, "show", "spring")["state"] == "done", "it does not end", 90)
        wait_for(lambda: sum(self.arrived(server).values()) >= COUNT, "not all arrived", 120)
        self.assertEqual({1}, set(self.arrived(server).values()))
        taken = self.accepted(server)
        self.assertEqual(COUNT, len(taken))
        # Both workers had their part in it.
        self.assertEqual({0, 1}, {shard_of(one.message) for one in taken})

        def counted() -> bool:
            found = self.campaign(server, "result", "spring")["variants"]
            return sum(one["counts"]["delivered"] for one in found) == COUNT

        wait_for(counted, "the result is not the journal's", 60)
        found = self.campaign(server, "result", "spring")["variants"]
        tags = Counter(tag for one in taken for tag in one.tagged)
        self.assertEqual(
            {f"campaign/spring/{one['name']}": one["counts"]["recipients"] for one in found}, dict(tags)
        )
        self.assertIn("[####", server.mta("campaign", "show", "spring"))
