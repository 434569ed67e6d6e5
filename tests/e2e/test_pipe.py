"""Messages handed to a program: it says no, fails, takes too much, and takes them at last."""

from __future__ import annotations

from typing import Any

from tests.e2e.client import Speaker
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server

TEXT = b"From: anna@example.org\r\nSubject: to a program\r\n\r\nHello.\r\n"


class PipeScenario(Scenario):
    def begin(self, script: str, **settings: Any) -> None:
        self.place.chmod(0o777)
        program = self.place / "tickets"
        program.write_text(f"#!/bin/sh\ncd {self.place}\n{script}\n")
        program.chmod(0o755)
        table = {"kind": "pipe", "command": [str(program), "--to={recipient}"], **settings}
        self.server = self.part(
            Server(
                self.place / "server",
                transport=[table],
                domains={"app.test": {"transport": "pipe", "catch_all": "*"}, "example.org": {}},
            )
        ).start()
        with Speaker(self.server.ports["mx"]) as speaker:
            answer = speaker.send("anna@example.org", ["tickets@app.test"], TEXT)
        self.assertEqual(b"250", answer[:3], answer)

    def test_fails_at_first(self) -> None:
        self.begin(
            "cat > new; [ -e failed ] || { touch failed; echo later; exit 75; }\n"
            'echo "$1 $WHO" >> new; mv new got',
            variables={"WHO": "{sender}"},
        )
        wait_for(lambda: (self.place / "got").exists(), "it was not tried again")
        got = (self.place / "got").read_text()
        self.assertIn("Subject: to a program\n", got)
        self.assertTrue(got.endswith("--to=tickets@app.test anna@example.org\n"), got)
        self.server.wait_trace("tickets@app.test", "exit status 75, try again later: later", "delivered")

    def test_refuses(self) -> None:
        self.begin("cat > /dev/null; echo nobody of that name; exit 67")
        [bounce] = self.server.wait_mail("anna@example.org")
        self.assertIn(b"5.1.1", bounce)
        self.assertIn(b"nobody of that name", b" ".join(bounce.split()))

    def test_takes_too_much(self) -> None:
        """What is above a limit is ended and tried again; the trace says which."""
        self.begin("cat > /dev/null; while :; do :; done", cpu_time="1s")
        self.server.wait_trace(
            "tickets@app.test", "deferred", "more processor time than cpu_time allows", timeout=180
        )
