"""An alias, a list with an owner, and a member who does not exist: who gets what."""

from __future__ import annotations

from tests.e2e.client import Speaker
from tests.e2e.scenario import Scenario, mails, wait_for
from tests.e2e.server import Server

TEXT = b"From: ben@example.org\r\nTo: team@example.org\r\nSubject: hello all\r\n\r\nHello.\r\n"


class AliasesScenario(Scenario):
    """One server with an aliases file."""

    def start(self, aliases: str) -> Server:
        server: Server = self.part(
            Server(self.place / "server", domains={"example.org": {"aliases": "aliases"}})
        )
        (server.base / "aliases").write_text(aliases)
        return server.start()

    def test_team(self) -> None:
        """Everybody there gets it once; the sender is told of the one who is not, by name."""
        box = self.place / "box"
        server = self.start(f"team: anna, gone, archive, anna+x\narchive: {box}/\n")
        with Speaker(server.ports["mx"]) as speaker:
            self.assertEqual(b"250", speaker.send("ben@example.org", ["team@example.org"], TEXT)[:3])
        server.wait_mail("anna@example.org")
        wait_for(lambda: mails(box), "nothing came to the Maildir of the alias")
        (bounce,) = server.wait_mail("ben@example.org")
        self.assertIn(b"gone@example.org", bounce)
        self.assertIn(b"5.1.1", bounce)
        self.assertIn(b"team@example.org", bounce)

    def test_list(self) -> None:
        """Copies of a list go out with its owner as sender, who gets the bounces."""
        server = self.start("team: anna, gone\nowner-team: ben\n")
        with Speaker(server.ports["mx"]) as speaker:
            self.assertEqual(b"250", speaker.send("anna@example.org", ["team@example.org"], TEXT)[:3])
        (copy,) = server.wait_mail("anna@example.org")
        self.assertIn(b"Return-Path: <owner-team@example.org>", copy)
        (bounce,) = server.wait_mail("ben@example.org")
        self.assertIn(b"gone@example.org", bounce)

    def test_told(self) -> None:
        """``mta test`` shows the way, step by step, and a broken file is shown by ``mta check``."""
        server = self.start("team: anna, inner\ninner: team\n")
        said = " ".join(server.mta("test", "team@example.org").split())
        for words in ("aliases:1", "a circle", "anna@example.org"):
            self.assertIn(words, said)
        (server.base / "aliases").write_text("team: |/bin/cat\n")
        said = " ".join(server.mta("check", check=False).split())
        self.assertIn("aliases:1", said)
        self.assertIn("[[transport]]", said)
