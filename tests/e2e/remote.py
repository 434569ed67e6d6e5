"""A remote mail server that does exactly what a scenario tells it, good or bad."""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.e2e.scenario import free_port, wait_for

#: A reply line without CRLF; ``None`` closes the connection without a word.
Script = Callable[["Remote", str], bytes | None]
#: Where it can be told to do something of its own.
COMMANDS = ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "CONTENT", "QUIT")


@dataclass
class Mail:
    """One message that it took: MAIL and RCPT as they came, and the content, dots undone.

    :ivar peer: the address that it came from.
    """

    sender: str
    recipients: list[str] = field(default_factory=list)
    content: bytes = b""
    peer: str = ""


class Remote:
    """An SMTP or LMTP server in threads.

    :param features: what EHLO offers.
    :param port: where it listens; 0 for any free port.
    :param host: and at which address.
    :ivar at: what to answer at a command instead of 250: a bytes reply without
        CRLF, or ``None`` to close; a list is used up one by one.
    :ivar mails: what has been taken, in order.
    :ivar commands: the command lines seen.
    :ivar callers: the address of the other side and what it said after EHLO, once for each connection.
    """

    def __init__(
        self,
        features: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SMTPUTF8"),
        port: int = 0,
        host: str = "127.0.0.1",
    ) -> None:
        self.features = features
        self.at: dict[str, bytes | list[bytes | None] | None] = {}
        self.mails: list[Mail] = []
        self.commands: list[str] = []
        self.connections = 0
        self.callers: list[tuple[str, str]] = []
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        remote = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with remote._lock:
                    remote.connections += 1
                    remote._open.add(self.connection)
                try:
                    _Session(remote, self).run()
                except (OSError, ValueError):
                    pass
                finally:
                    remote._open.discard(self.connection)

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True
            request_queue_size = 128

        self._listener = Listener((host, port or free_port()), Handler)
        self.port: int = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        """Close everything."""
        self._listener.shutdown()
        self._listener.server_close()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @property
    def output(self) -> str:
        """The command lines seen."""
        return "\n".join(self.commands)

    def wait(self, count: int, timeout: float = 60.0) -> list[Mail]:
        """Wait for so many messages."""
        wait_for(lambda: len(self.mails) >= count, f"the remote has not {count} message(s)", timeout)
        return self.mails

    def answer(self, command: str, usual: bytes) -> bytes | None:
        """What to say at a command."""
        with self._lock:
            if command not in self.at:
                return usual
            told = self.at[command]
            if isinstance(told, list):
                return told.pop(0) if told else usual
            return told


class _Session:
    def __init__(self, remote: Remote, handler: socketserver.StreamRequestHandler) -> None:
        self._remote = remote
        self._read = handler.rfile
        self._write = handler.wfile
        self._peer: str = handler.client_address[0]
        self._mail: Mail | None = None

    def _say(self, command: str, usual: bytes = b"250 2.0.0 OK") -> bool:
        """Answer; whether the usual was said.

        :raise ValueError: if the script closes here.
        """
        reply = self._remote.answer(command, usual)
        if reply is None:
            raise ValueError("closing")
        self._write.write(reply + b"\r\n")
        self._write.flush()
        return reply[:1] in b"23"

    def run(self) -> None:
        if not self._say("CONNECT", b"220 remote.test ESMTP"):
            return
        lmtp = False
        while line := self._read.readline(10_000):
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            self._remote.commands.append(text)
            verb = text[:4].upper()
            if verb in ("EHLO", "LHLO"):
                lmtp = verb == "LHLO"
                self._remote.callers.append((self._peer, text[5:]))
                lines = ["remote.test", *self._remote.features]
                usual = "\r\n".join(f"250{'-' if item is not lines[-1] else ' '}{item}" for item in lines)
                self._say("EHLO", usual.encode())
            elif verb == "MAIL":
                self._mail = Mail(text, peer=self._peer)
                self._say("MAIL")
            elif verb == "RCPT" and self._mail is not None:
                if self._say("RCPT"):
                    self._mail.recipients.append(text)
            elif verb == "DATA" and self._mail is not None:
                if self._mail.recipients and self._say("DATA", b"354 go on"):
                    self._content(self._mail, lmtp)
                elif not self._mail.recipients:
                    self._write.write(b"554 5.5.1 No valid recipients\r\n")
                self._mail = None
            elif verb == "RSET":
                self._mail = None
                self._say("RSET")
            elif verb == "QUIT":
                self._say("QUIT", b"221 2.0.0 Bye")
                return
            else:
                self._say(verb)

    def _content(self, mail: Mail, lmtp: bool) -> None:
        blocks = []
        while (line := self._read.readline()) != b".\r\n":
            if not line:
                raise ValueError("the content has no end")
            blocks.append(line[1:] if line.startswith(b".") else line)
        mail.content = b"".join(blocks)
        # It counts when the 250 goes out: before that the sender keeps it.
        reply = self._remote.answer("CONTENT", b"250 2.0.0 Taken")
        if reply is None:
            raise ValueError("closing")
        if reply[:1] == b"2":
            self._remote.mails.append(mail)
        for _ in range(len(mail.recipients) if lmtp else 1):
            self._write.write(reply + b"\r\n")
        self._write.flush()
