"""Where programs read the mail of one person: our server, or a real Dovecot that the tests are held against.

``MTA_IMAP_REFERENCE=dovecot`` has the same tests run against Dovecot: what fails there is wrong in the test.
"""

from __future__ import annotations

import os
import smtplib
import ssl
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.dovecot import Dovecot
from tests.e2e.imap import Imap
from tests.e2e.scenario import Scenario
from tests.e2e.server import Server

REFERENCE = os.environ.get("MTA_IMAP_REFERENCE", "")
ANNA = "anna@example.org"


@dataclass
class Place:
    """One person's mailbox.

    :ivar port: of IMAP.
    :ivar tls: whether TLS is there from the first byte.
    :ivar maildir: its files.
    :ivar door: where mail comes in, by SMTP or LMTP.
    :ivar server: ours; ``None`` for the reference.
    """

    port: int
    tls: bool
    user: str
    password: str
    maildir: Path
    door: int
    server: Server | None

    def open(self) -> Imap:
        """A session that has logged in."""
        return Imap(self.port, self.tls).login(self.user, self.password)

    def deliver(self, *messages: bytes) -> None:
        """Send messages to the person; when this is over, they are accepted."""
        kind = smtplib.SMTP if self.server is not None else smtplib.LMTP
        with kind("127.0.0.1", self.door, timeout=60) as session:
            for message in messages:
                session.sendmail("x@elsewhere.test", [self.user], message)

    def folder(self, name: str = "") -> Path:
        """The directory of a folder."""
        return self.maildir / f".{name}" if name else self.maildir

    def put(self, count: int, name: str = "", first: int = 0, info: str = ":2,") -> None:
        """Put messages ``p<number>`` into a folder as another program does, without a delivery."""
        folder = self.folder(name)
        for part in ("tmp", "new", "cur"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            path = folder / "cur" / f"{1_600_000_000 + number}.M{number}P1.elsewhere{info}"
            path.write_bytes(
                b"From: x@elsewhere.test\nTo: anna@example.org\nSubject: p%d\nDate: Sun, 13 Sep 2020 "
                b"12:26:40 +0000\nMessage-ID: <p%d@test>\n\nhello %d\n" % (number, number, number)
            )
            os.utime(path, (1_600_000_000 + number, 1_600_000_000 + number))
        if self.server is None:
            subprocess.run(["chown", "-R", "65534:65534", str(self.maildir)], check=True)

    def files(self, name: str = "") -> dict[bytes, str]:
        """The flags of the files of a folder, by Message-ID.

        :raise AssertionError: if one is there twice.
        """
        for _ in range(100):
            # Whoever marks a message at this moment gives its file another name.
            with suppress(FileNotFoundError):
                return self._files(self.folder(name))
        return self._files(self.folder(name))

    def _files(self, folder: Path) -> dict[bytes, str]:
        found: dict[bytes, tuple[str, str]] = {}
        for part in ("new", "cur"):
            for path in sorted((folder / part).iterdir()):
                base, _, flags = path.name.partition(":2,")
                for line in path.read_bytes().splitlines():
                    if line.lower().startswith(b"message-id:"):
                        identity = line.partition(b":")[2].strip()
                        # The same file was seen in ``new``, and went to ``cur``.
                        assert found.get(identity, (base,))[0] == base, f"{identity!r} is there twice"
                        found[identity] = base, flags
                        break
        return {identity: flags for identity, (_, flags) in found.items()}

    def certificate(self, file: Path) -> Path:
        """The server's certificate, for programs that want to know it."""
        file.write_text(ssl.get_server_certificate(("127.0.0.1", self.port)))
        return file


class PlaceScenario(Scenario):
    """A scenario around the mailbox of one person."""

    def open_place(self, **settings: Any) -> Place:
        """Start the server, ours or the reference; the Maildir is there."""
        if REFERENCE:
            dovecot = self.part(Dovecot(self.place / "dovecot"))
            maildir = dovecot.mail / "example.org" / "anna"
            place = Place(dovecot.imap, False, ANNA, "imap-secret", maildir, dovecot.lmtp, None)
            session = place.open()
            session.select()
            session.close()
            return place
        server = self.part(Server(self.place / "mta", **settings))
        server.add_listener("imaps")
        server.write()
        server.start()
        maildir = server.maildir(ANNA)
        for part in ("tmp", "new", "cur"):
            (maildir / part).mkdir(parents=True, exist_ok=True)
        return Place(server.ports["imaps"], True, ANNA, "anna-secret", maildir, server.ports["mx"], server)

    def call(
        self, *command: str, env: dict[str, str] | None = None, text: str = "", timeout: float = 300
    ) -> str:
        """What a program prints; it must end with status 0."""
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            input=text,
            timeout=timeout,
            env={**os.environ, **(env or {})},
        )
        if done.returncode != 0:
            raise AssertionError(f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done.stdout + done.stderr
