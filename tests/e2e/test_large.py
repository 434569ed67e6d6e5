"""Large messages: 100 MB go through without being held in memory, and a limit is a limit."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.e2e.client import Speaker
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, wait_for
from tests.e2e.server import Server

MEGABYTE = 1_000_000
HEADER = b"Subject: large\r\n\r\n"
# Lines of 100 octets; some begin with a dot.
BLOCK = (b"." + b"x" * 97 + b"\r\n" + b"y" * 98 + b"\r\n") * (MEGABYTE // 200)
STUFFED = BLOCK.replace(b"\r\n.", b"\r\n..").replace(b".", b"..", 1)


class LargeScenario(Scenario):
    def start(self, limit: str = "200M", **settings: object) -> Server:
        server = Server(
            self.place / "server",
            access={"relay_from": ["127.0.0.0/8"]},
            limits={"message_size": limit},
            **settings,
        )
        return self.part(server).start()

    def send(self, server: Server, to: str, megabytes: int) -> bytes:
        with Speaker(server.ports["mx"], 120) as speaker:
            replies = speaker.say(b"MAIL FROM:<anna@example.org>", f"RCPT TO:<{to}>".encode(), b"DATA")
            self.assertEqual(b"354", replies[-1][:3], replies)
            try:
                speaker.socket.sendall(HEADER)
                for _ in range(megabytes):
                    speaker.socket.sendall(STUFFED)
                speaker.socket.sendall(b".\r\n")
            except (BrokenPipeError, ConnectionResetError):
                # It may have hung up; what did it say before?
                pass
            return speaker.reply()

    def content_files(self, server: Server) -> list[Path]:
        return [path for path in (server.state / "spool").glob("*/content/**/*") if path.is_file()]

    def test_maildir(self) -> None:
        """100 MB do not add 100 MB to the server, and arrive octet for octet."""
        server = self.start()
        self.send(server, "anna@example.org", 1)
        server.wait_mail("anna@example.org")
        before = server.memory("VmHWM")
        self.assertEqual(b"250", self.send(server, "ben@example.org", 100)[:3])
        wait_for(lambda: server.mails("ben@example.org"), "it does not arrive", 120)
        self.assertLess(server.memory("VmHWM") - before, 40 * MEGABYTE)
        [mail] = server.mails("ben@example.org")
        digest, size = hashlib.sha256(), 0
        expected = hashlib.sha256()
        for _ in range(100):
            expected.update(BLOCK.replace(b"\r\n", b"\n"))
        with mail.open("rb") as file:
            for line in iter(file.readline, b""):
                if line in (b"\n", b"\r\n"):
                    break
            while block := file.read(MEGABYTE - MEGABYTE % 2):
                text = block.replace(b"\r", b"")
                digest.update(text)
                size += len(text)
        self.assertEqual(expected.hexdigest(), digest.hexdigest(), f"{size} octets came")
        wait_for(lambda: not self.content_files(server), "its file stays in the spool")

    def test_relay(self) -> None:
        """On its way out too it is read in blocks."""
        remote = self.part(Remote())
        server = self.start(relay={"smarthost": f"127.0.0.1:{remote.port}"})
        self.send(server, "far@remote.test", 1)
        remote.wait(1)
        before = server.memory("VmHWM")
        self.assertEqual(b"250", self.send(server, "far@remote.test", 100)[:3])
        mails = remote.wait(2, 120)
        self.assertTrue(mails[1].content.endswith(HEADER[-4:] + BLOCK * 100))
        self.assertLess(server.memory("VmHWM") - before, 40 * MEGABYTE)

    def test_declared_too_large(self) -> None:
        """SIZE tells it before anything is sent (RFC 1870, 6.1)."""
        server = self.start("1M")
        with Speaker(server.ports["mx"]) as speaker:
            [answer] = speaker.say(b"MAIL FROM:<anna@example.org> SIZE=2000000")
            self.assertRegex(answer, rb"^552 5\.3\.4")
            [answer] = speaker.say(b"MAIL FROM:<anna@example.org> SIZE=1000000")
            self.assertEqual(b"250", answer[:3])

    def test_found_too_large(self) -> None:
        """Without SIZE it is found in time; nothing of it stays, and the session goes on."""
        server = self.start("1M")
        with Speaker(server.ports["mx"], 60) as speaker:
            replies = speaker.say(b"MAIL FROM:<anna@example.org>", b"RCPT TO:<ben@example.org>", b"DATA")
            self.assertEqual(b"354", replies[-1][:3])
            speaker.socket.sendall(HEADER + STUFFED * 2)
            speaker.socket.sendall(b".\r\n")
            self.assertRegex(speaker.reply(), rb"^552 5\.3\.4")
            small = speaker.send("anna@example.org", ["ben@example.org"], HEADER + b"small\r\n")
            self.assertEqual(b"250", small[:3])
        server.wait_mail("ben@example.org")
        self.assertEqual(1, len(server.mails("ben@example.org")))
        # Who goes on and on is told so, and not listened to until the end.
        self.assertRegex(self.send(server, "ben@example.org", 20), rb"^552 5\.3\.4")
        wait_for(lambda: not self.content_files(server), "something of it stays in the spool")

    def test_broken_off(self) -> None:
        """A client that goes away in the middle leaves nothing behind."""
        server = self.start()
        with Speaker(server.ports["mx"]) as speaker:
            speaker.say(b"MAIL FROM:<anna@example.org>", b"RCPT TO:<ben@example.org>", b"DATA")
            speaker.socket.sendall(HEADER + STUFFED * 3)
            wait_for(lambda: self.content_files(server), "it is not streamed to a file")
        wait_for(lambda: not self.content_files(server), "its file stays in the spool")
        self.assertEqual([], server.mails("ben@example.org"))
