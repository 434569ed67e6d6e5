"""Postfix's smtp-sink: takes everything, as fast as anybody can, and keeps it."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from tests.e2e.process import Process
from tests.e2e.scenario import free_port, program, wait_for


class Sink:
    """One running smtp-sink.

    :param base: an empty directory; each message becomes a file in it.
    :param options: further options, such as ``-8`` (no 8BITMIME) or ``-f RCPT`` (hard errors).
    :raise SkipTest: if it is not installed.
    """

    def __init__(self, base: Path, *options: str, port: int = 0, host: str = "127.0.0.1") -> None:
        base.mkdir(parents=True, exist_ok=True)
        os.chmod(base, 0o777)
        self.base, self.port, self.host = base, port or free_port(), host
        user = ("-u", "nobody") if os.geteuid() == 0 else ()
        command = [program("smtp-sink"), *user, "-d", str(base / "m."), *options]
        self._process = Process([*command, f"{host}:{self.port}", "500"])
        wait_for(self._greets, "smtp-sink does not greet")

    def _greets(self) -> bool:
        try:
            with socket.create_connection((self.host, self.port), 5) as connection:
                return connection.recv(100).startswith(b"220")
        except OSError:
            return False

    @property
    def output(self) -> str:
        """What it printed."""
        return self._process.output

    def stop(self) -> None:
        """Stop it."""
        self._process.stop()

    def messages(self) -> list[bytes]:
        """What has arrived: smtp-sink's ``X-...-Args`` fields with the envelope, then the message."""
        # A file is there before the message is complete, and empty until then.
        return [octets for path in sorted(self.base.iterdir()) if (octets := path.read_bytes())]

    def wait(self, count: int, timeout: float = 60.0) -> list[bytes]:
        """Wait for so many messages; a small one is written at once, when it is complete."""

        def arrived() -> list[bytes]:
            found = self.messages()
            return found if len(found) >= count else []

        return wait_for(arrived, f"no {count} here", timeout)
