"""What a real server makes of what others say: classes in the journal, words in bounces, own rules."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.client import Speaker
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario
from tests.e2e.server import Server


class ReplyScenario(Scenario):
    def start(self, remote: Remote) -> None:
        """A server whose mail goes to this one, from any client here."""
        self.server: Server = self.part(
            Server(
                self.place / "server",
                access={"relay_from": ["127.0.0.0/8"]},
                relay={"smarthost": f"127.0.0.1:{remote.port}"},
            )
        ).start()

    def send(self, to: str, subject: str) -> None:
        """From Anna."""
        content = f"From: anna@example.org\r\nTo: {to}\r\nSubject: {subject}\r\n\r\nHello.\r\n"
        with Speaker(self.server.ports["mx"]) as speaker:
            answer = speaker.send("anna@example.org", [to], content.encode())
        self.assertEqual(b"250", answer[:3])

    def events(self, what: str) -> list[dict[str, Any]]:
        """What ``mta trace --json`` has of one message."""
        found: list[dict[str, Any]] = json.loads(self.server.mta("trace", "--json", what))
        return [event for story in found for event in story["events"]]

    def test_classes(self) -> None:
        """Greylisted, full, unknown: each is called so, and has its own next attempt."""
        remote = self.part(Remote())
        self.start(remote)
        cases = (
            ("450 4.2.0 <far@remote.test>: Recipient address rejected: Greylisted", "greylisted", 300, 400),
            ("452 4.2.2 <far@remote.test> Mailbox is full", "full", 7200, 8000),
            ("451 4.3.0 Temporary system problem", "trouble", 0, 3),
        )
        for number, (reply, name, least, most) in enumerate(cases):
            remote.at = {"RCPT": reply.encode()}
            address = f"far{number}@remote.test"
            self.send(address, name)
            self.server.wait_trace(address, f"read as {name}")
            event = next(event for event in self.events(address) if event["kind"] == "deferred")
            self.assertEqual(name, event["bounce_class"])
            wait = event["next_attempt"] - event["at"]
            self.assertTrue(least <= wait <= most, (name, wait))

    def test_rules_of_the_operator(self) -> None:
        """A rule in mta.toml turns a 5xx into a later attempt, and is read anew by a reload."""
        remote = self.part(Remote())
        remote.at = {"RCPT": b"550 5.7.1 The moon is full"}
        self.start(remote)
        self.send("first@remote.test", "without a rule")
        [bounce] = self.server.wait_mail("anna@example.org")
        self.assertIn("refused the message by its own rules", " ".join(bounce.decode().split()))
        rule = {
            "means": "rate-limit",
            "text": ["moon is*full"],
            "action": "retry",
            "delay": "1h",
            "suspend": "10m",
        }
        self.server.change(bounce=[rule])
        self.server.write()
        self.server.reload()
        self.send("second@remote.test", "with a rule")
        self.server.wait_trace("second@remote.test", "deferred", "read as rate-limit")
        self.assertIn("rate-limit", self.server.mta("explain", "550 5.7.1 The moon is full"))
        self.assertEqual(1, len(self.server.mails("anna@example.org")))
        # What one may have earned by itself is a verdict on the site when three in a row hear it.
        for name in ("third", "fourth"):
            self.send(f"{name}@remote.test", "with a rule")
            self.server.wait_trace(f"{name}@remote.test", "deferred", "read as rate-limit")
        status = json.loads(self.server.mta("status", "--json"))
        advice = [one["advice"] for one in status[0]["queue"]["destinations"] if one["transport"] == "relay"]
        self.assertEqual(["rate-limit"], [one["class"] for one in advice])
