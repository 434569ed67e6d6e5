"""A mail server in a thread that remembers what it was told; it knows no recipient that begins with "no"."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

EXTENSIONS = ("SIZE 1000000", "8BITMIME", "SMTPUTF8", "DSN", "ENHANCEDSTATUSCODES")


class SmtpServer:
    """Listens on a UNIX socket, or with ``None`` on a port of 127.0.0.1.

    :ivar commands: every command.
    :ivar messages: the octets of each message.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.commands: list[str] = []
        self.messages: list[bytes] = []
        self.refuse_mail = ""
        self.refuse_data = ""
        self.extensions = EXTENSIONS
        self.greeting = "220 mx.example.org ESMTP"
        self.port = 0
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.bind(str(path))
        else:
            self._socket = socket.socket()
            self._socket.bind(("127.0.0.1", 0))
            self.port = self._socket.getsockname()[1]
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(60)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection, connection.makefile("rwb") as stream:
                self._session(stream)

    def _session(self, stream: object) -> None:
        file: object = stream

        def say(*lines: str) -> None:
            file.write("".join(f"{line}\r\n" for line in lines).encode())  # type: ignore[attr-defined]
            file.flush()  # type: ignore[attr-defined]

        say(self.greeting)
        while True:
            line = file.readline().decode()  # type: ignore[attr-defined]
            if not line:
                return
            command = line.rstrip("\r\n")
            self.commands.append(command)
            verb = command.upper()
            if not line.endswith("\r\n"):
                say("500 5.5.2 bare LF")
            elif verb.startswith("EHLO"):
                say("250-mx.example.org", *(f"250-{name}" for name in self.extensions), "250 HELP")
            elif verb.startswith("MAIL") and self.refuse_mail:
                say(self.refuse_mail)
            elif verb.startswith("RCPT TO:<NO"):
                say("550 5.1.1 no such mailbox here")
            elif verb.startswith("RCPT TO:<LATER"):
                say("451 4.4.3 cannot look up this address now")
            elif verb == "DATA":
                say("354 go on")
                data = b""
                while not data.endswith(b"\r\n.\r\n"):
                    data += file.readline()  # type: ignore[attr-defined]
                if self.refuse_data:
                    say(self.refuse_data)
                    continue
                self.messages.append(data[:-3].replace(b"\r\n..", b"\r\n."))
                say("250 2.0.0 Queued as 0abcdefghjkmn")
            elif verb == "QUIT":
                say("221 2.0.0 bye")
                return
            else:
                say("250 2.0.0 ok")
