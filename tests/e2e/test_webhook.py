"""Messages handed to an application of its own process over HTTP."""

from __future__ import annotations

import json
from typing import Any

from tests.e2e.application import Application
from tests.e2e.client import Speaker
from tests.e2e.scenario import Scenario
from tests.e2e.server import Server

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
TEXT = b"From: anna@example.org\r\nSubject: to an application\r\n\r\nHello.\r\n"
LARGE = b"Subject: large\r\n\r\n" + (b"x" * 98 + b"\r\n") * 50_000


class WebhookScenario(Scenario):
    def begin(
        self, failures: int = 0, url: str = "http://127.0.0.1:{port}/in?token=hush", **settings: Any
    ) -> None:
        self.application = self.part(Application(SECRET, failures))
        server = Server(
            self.place / "server",
            transport=[
                {
                    "kind": "webhook",
                    "url": url.format(port=self.application.port),
                    "secret_file": "secret",
                    **settings,
                }
            ],
            domains={"app.test": {"transport": "webhook", "catch_all": "*"}, "example.org": {}},
        )
        secret = server.base / "secret"
        secret.write_text(SECRET + "\n")
        secret.chmod(0o640)
        self.server = self.part(server).start()

    def send(self, to: str = "tickets@app.test", content: bytes = TEXT) -> None:
        with Speaker(self.server.ports["mx"]) as speaker:
            answer = speaker.send("anna@example.org", [to], content)
        self.assertEqual(b"250", answer[:3], answer)

    def test_fails_at_first(self) -> None:
        """It is tried again under the same id, not before the application asked; the trace tells both."""
        self.begin(failures=2)
        self.send()
        [taken] = self.application.wait()
        failed = self.application.said("failed")
        self.assertEqual([taken["id"]] * 2, [post["id"] for post in failed])
        self.assertIn("Delivered-To: tickets@app.test\r\n", taken["body"])
        self.assertTrue(taken["body"].endswith(TEXT.decode()))
        self.server.wait_trace("tickets@app.test", "503 Service Unavailable", "delivered")
        self.assertEqual([], self.application.said("forged"))
        self.assertNotIn("hush", self.server.output + self.server.mta("trace", "tickets@app.test"))
        self.assertNotIn(SECRET, self.server.output)

    def test_json(self) -> None:
        self.begin(format="json")
        self.send()
        [taken] = self.application.wait()
        data = json.loads(taken["body"])["data"]
        self.assertEqual("application/json", taken["type"])
        self.assertEqual(
            ("to an application", "tickets@app.test", "anna@example.org"),
            (data["subject"], data["envelope"]["recipient"], data["envelope"]["sender"]),
        )
        self.assertEqual("Hello.", data["text"].strip())

    def test_large(self) -> None:
        """What is in a file is signed and sent from there."""
        self.begin(format="raw")
        self.send(content=LARGE)
        [taken] = self.application.wait()
        self.assertGreater(taken["size"], len(LARGE))

    def test_refused(self) -> None:
        """A 404 is a bounce."""
        self.begin()
        self.send("no-such-user@app.test")
        [bounce] = self.server.wait_mail("anna@example.org")
        self.assertIn(b"5.1.1", bounce)
        self.assertIn(b"404 Not Found", bounce)

    def test_down_then_back(self) -> None:
        """An application that is away is waited for."""
        self.begin(url="http://127.0.0.1:1/")
        self.send()
        self.server.wait_trace("tickets@app.test", "deferred", "4.4.1")
        [table] = self.server.config["transport"]
        table["url"] = f"http://127.0.0.1:{self.application.port}/"
        self.server.write()
        self.server.reload()
        self.application.wait()

    def test_mistakes(self) -> None:
        """They are found before the start, with their line."""
        self.begin()
        self.server.config["transport"][0]["url"] = "ftp://app.test/"
        self.server.write()
        said = self.server.mta("check", check=False)
        line = next(
            n for n, text in enumerate(self.server.file.read_text().splitlines(), 1) if "ftp:" in text
        )
        self.assertIn(f"mta.toml:{line}: error: transport.url", said)
        self.assertIn("1 error", said)
        self.server.config["transport"][0]["url"] = "https://ann:hush@app.test/"
        self.server.write()
        said = self.server.mta("check", check=False)
        self.assertIn(f"mta.toml:{line}: error: transport.url: no password stands in it", said)
        self.assertNotIn("hush", said)
