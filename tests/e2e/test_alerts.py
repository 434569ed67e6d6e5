"""Alerts of a running server: by mail and by a signed post, once, with their end."""

from __future__ import annotations

import json

from tests.e2e.application import Application
from tests.e2e.client import Speaker
from tests.e2e.journal import events, wait_event
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server

SECRET = "whsec_" + "QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVo="


class AlertScenario(Scenario):
    def start(self, *rules: dict[str, object], **settings: object) -> Server:
        server: Server = self.part(Server(self.place / "server", alert=list(rules), **settings))
        (server.base / "secret").write_text(SECRET + "\n")
        return server.start()

    def relay(self, server: Server, count: int) -> None:
        with Speaker(server.ports["mx"]) as speaker:
            for _ in range(count):
                replies = speaker.say(b"MAIL FROM:<s@evil.test>", b"RCPT TO:<v@other.test>", b"RSET")
                self.assertEqual(b"550", replies[1][:3])

    def test_raised_and_over(self) -> None:
        application: Application = self.part(Application(SECRET, failures=1))
        server = self.start(
            {
                "name": "relay attempts",
                "event": "rejected",
                "rule": "relay",
                "count": 5,
                "within": "10s",
                "to": ["anna@example.org", f"http://127.0.0.1:{application.port}/alerts"],
                "secret": "secret",
            },
            {"name": "much waits", "queue_size": 1000, "to": ["anna@example.org"]},
            {"name": "refusals", "statistic": "refused", "above": 10, "to": ["ben@example.org"]},
        )
        self.assertIn("5 of rejected (relay) within 10 s", server.mta("alert", "list"))
        self.relay(server, 12)
        wait_event(server, "alert", lambda event: event.action == "raised", "it is not raised")
        # However much more there is, nobody is told again; that it is over, they are.
        self.relay(server, 20)
        mails = server.wait_mail("anna@example.org", 2, 120)
        [mail] = [mail for mail in mails if b"Subject: [ALERT] relay attempts:" in mail]
        self.assertIn(b"127.0.0.1", mail)
        # It looks at the signature itself, and had to be asked twice.
        posts = {json.loads(post["body"])["type"]: post["id"] for post in application.wait(2)}
        self.assertEqual({"alert.raised", "alert.recovered"}, set(posts))
        self.assertEqual([posts["alert.raised"]], [post["id"] for post in application.said("failed")])
        actions = [event.action for event in events(server, "alert") if event.rule == "relay attempts"]
        self.assertEqual(["raised", "recovered"], actions)
        # What is counted raises one of its own, with what is behind it.
        [mail] = server.wait_mail("ben@example.org", 1, 120)
        self.assertIn(b"Subject: [ALERT] refusals: refused is", mail)
        self.assertIn(b"mostly rule relay", mail)
        status = json.loads(server.mta("status", "--json"))[0]["security"]
        self.assertEqual({"since_start": 32, "last_hour": 32}, status["relay_attempts"])
        # A server that is started again knows whom it has told.
        server.stop()
        server.start()
        self.relay(server, 6)
        wait_event(
            server, "alert", lambda event: event.action == "raised" and not event.to, "not raised again"
        )
        self.assertEqual(2, len(server.mails("anna@example.org")))

    def test_all_workers_count(self) -> None:
        """Whichever of them a client has met."""
        server = self.start(
            {"name": "relay", "event": "rejected", "rule": "relay", "count": 30, "to": ["anna@example.org"]},
            workers=2,
        )
        wait_for(lambda: len(events(server, "server")) == 2, "not both workers have started")
        for _ in range(30):
            self.relay(server, 1)
        event = wait_event(server, "alert", lambda one: one.action == "raised", "it is not raised", 60)
        self.assertEqual(30, event.value)
        server.wait_mail("anna@example.org")

    def test_tried_out(self) -> None:
        server = self.start(
            {
                "name": "full",
                "disk": "1K",
                "to": ["ben@example.org", "http://127.0.0.1:1/x"],
                "secret": "secret",
            }
        )
        (server.base / "secret").write_text("short\n")
        self.assertIn("error: alert.secret:", server.mta("check", check=False))
        (server.base / "secret").write_text(SECRET + "\n")
        said = server.mta("alert", "test", "full", check=False)
        self.assertIn("a mail is on its way to ben@example.org", said)
        self.assertIn("http://127.0.0.1:1: Connection refused", said)
        [mail] = server.wait_mail("ben@example.org")
        self.assertIn(b"Subject: [TEST] full:", mail)
        self.assertIn("mta alert list", server.mta("alert", "test", "other", check=False))
        wait_event(server, "alert", lambda event: event.action == "untold", "it is not told that it failed")
