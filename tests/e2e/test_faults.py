"""Our own trouble is never a 5xx: a full disk, a disk that fails, DNS that does not answer."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from tests.e2e.client import Speaker
from tests.e2e.dns import Dns
from tests.e2e.remote import Remote
from tests.e2e.scenario import Scenario, need_root, program, wait_for
from tests.e2e.server import Server

TEXT = b"Subject: x\r\n\r\nHello.\r\n"
LARGE = b"Subject: large\r\n\r\n" + (b"x" * 98 + b"\r\n") * 20_000


class FaultScenario(Scenario):
    server: Server

    def send(self, content: bytes = TEXT, to: str = "ben@example.org") -> bytes:
        """The reply: to the content, or to whatever was refused before it."""
        with Speaker(self.server.ports["mx"]) as speaker:
            return speaker.send("anna@example.org", [to], content)

    def wait_taken(self, to: str = "ben@example.org") -> None:
        """Wait until mail is taken again, by itself."""
        wait_for(lambda: self.send(to=to).startswith(b"250"), "mail is not taken again")

    def mount(self, options: str) -> Path:
        """A small file system of our own."""
        need_root("mounts a file system")
        where = self.place / "disk"
        where.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", where], capture_output=True)
        if done.returncode != 0:
            need_root(f"cannot mount: {done.stderr!r}")
        self.addCleanup(subprocess.run, ["umount", "-l", str(where)], check=False)
        return where

    def test_full_disk(self) -> None:
        """452 while the disk is full; nothing that was acknowledged is lost; taken again afterwards."""
        disk = self.mount("size=24m")
        self.server = self.part(
            Server(self.place / "server", state=str(disk / "state"), queue={"minimum_free": "4M"})
        )
        self.server.state = disk / "state"
        self.server.start()
        self.assertEqual(b"250", self.send()[:3])
        filler = disk / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    file.write(b"x" * 65536)
                    file.flush()
            except OSError:
                pass
        replies: list[bytes] = []

        def refused() -> bool:
            replies.append(self.send())
            return replies[-1].startswith(b"452 4.3.1")

        wait_for(refused, "no 452")
        self.assertEqual(b"452", self.send(LARGE)[:3])
        self.assertEqual([], [reply for reply in replies if reply.startswith(b"5")])
        filler.unlink()
        self.wait_taken()
        accepted = 2 + sum(reply.startswith(b"250") for reply in replies)
        self.server.wait_mail("ben@example.org", accepted)
        self.assertEqual(b"250", self.send(LARGE)[:3])

    def test_full_while_it_comes(self) -> None:
        """A large message that fills the disk is refused with 452, and leaves nothing."""
        disk = self.mount("size=24m")
        self.server = Server(
            self.place / "server",
            state=str(disk / "state"),
            queue={"minimum_free": "1M"},
            limits={"message_size": "100M"},
        )
        self.server.state = disk / "state"
        self.part(self.server).start()
        self.assertEqual(
            b"452", self.send(b"Subject: too much\r\n\r\n" + (b"x" * 98 + b"\r\n") * 300_000)[:3]
        )
        self.wait_taken()
        files = (disk / "state" / "spool").glob
        wait_for(lambda: not any(path.is_file() for path in files("*/content/**/*")), "it leaves a file")

    def test_disk_fails(self) -> None:
        """Writes that fail (here: a limit on the size of files) give 451 or 452, and pass."""
        prlimit = program("prlimit")
        self.server = self.part(Server(self.place / "server")).start()
        self.assertEqual(b"250", self.send()[:3])
        self.server.wait_mail("ben@example.org")
        pid = str(self.server.pid)
        subprocess.run([prlimit, "--pid", pid, "--fsize=1024:unlimited"], check=True)
        for content in (TEXT, LARGE):
            self.assertRegex(self.send(content), rb"^45[12] 4\.3\.[01]")
        subprocess.run([prlimit, "--pid", pid, "--fsize=unlimited:unlimited"], check=True)
        self.wait_taken()
        self.server.wait_mail("ben@example.org", 2)
        self.assertEqual(b"250", self.send(LARGE)[:3])
        self.server.wait_mail("ben@example.org", 3)

    def test_maildir_fails(self) -> None:
        """A Maildir that cannot be written puts the message off; mended, it arrives."""
        self.server = self.part(Server(self.place / "server")).start()
        box = self.server.maildir("ben@example.org")
        box.parent.mkdir(parents=True)
        box.write_text("a file where the Maildir should be")
        self.assertEqual(b"250", self.send()[:3])
        self.server.wait_trace("ben@example.org", "deferred", "451")
        box.unlink()
        self.server.wait_mail("ben@example.org")

    def test_dns_fails(self) -> None:
        """SERVFAIL and silence are not "no such domain": the message waits, and goes when DNS is back."""
        names = self.part(Dns())
        remote = self.part(Remote(host="127.0.0.2"))
        names.trouble = {"one.test": "SERVFAIL", "two.test": "REFUSED", "three.test": "silent"}
        for domain in names.trouble:
            names.add_mx(domain)
        self.server = Server(
            self.place / "server",
            access={"relay_from": ["127.0.0.0/8"]},
            # Silence takes as long as it is waited for.
            dns={"servers": [names.address], "timeout": 1},
            relay={"port": remote.port},
            # The resolver believes a failure for some seconds.
            queue={"retry": ["3s"]},
        )
        self.part(self.server).start()
        for domain in names.trouble:
            self.assertEqual(b"250", self.send(to=f"far@{domain}")[:3])
        for domain in names.trouble:
            self.server.wait_trace(f"far@{domain}", "deferred", "4.4.3")
        names.trouble = {}
        remote.wait(3)
        for domain in ("one.test", "two.test", "three.test"):
            self.server.wait_trace(f"far@{domain}", "delivered")

    def test_dns_fails_for_what_was_known(self) -> None:
        """While nobody answers, what was known of a host goes on past its time."""
        names = self.part(Dns())
        remote = self.part(Remote(host="127.0.0.2"))
        names.ttl = 1
        for domain in ("one.test", "two.test"):
            names.add_mx(domain, "mx.shared.example")
        self.server = Server(
            self.place / "server",
            access={"relay_from": ["127.0.0.0/8"]},
            dns={"servers": [names.address]},
            relay={"port": remote.port},
            queue={"retry": ["1h"]},
        )
        self.part(self.server).start()
        self.assertEqual(b"250", self.send(to="far@one.test")[:3])
        remote.wait(1)
        asked = time.monotonic()
        names.trouble = {"shared.example": "SERVFAIL"}
        wait_for(lambda: time.monotonic() > asked + 1.1, "")
        self.assertEqual(b"250", self.send(to="far@two.test")[:3])
        remote.wait(2)
        self.assertGreater(names.asked.count("mx.shared.example A"), 1)

    def test_killed_with_content_coming(self) -> None:
        """Files of content that never was acknowledged are swept after a crash."""
        self.server = self.part(Server(self.place / "server")).start()
        spool = self.server.state / "spool"

        def files() -> list[Path]:
            return [path for path in spool.glob("*/content/**/*") if path.is_file()]

        with Speaker(self.server.ports["mx"]) as speaker:
            speaker.say(b"MAIL FROM:<anna@example.org>", b"RCPT TO:<ben@example.org>", b"DATA")
            speaker.socket.sendall(LARGE)
            wait_for(files, "it is not streamed to a file")
            self.server.kill()
        self.server.start()
        wait_for(lambda: not files(), "a file that belongs to no message stays")
        self.assertEqual([], self.server.mails("ben@example.org"))
