"""A client that keeps a record of every message that was acknowledged to it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time


class Speaker:
    """One SMTP or LMTP connection, spoken by hand.

    :param port: of loopback, or a path of a UNIX socket.
    :param timeout: seconds to wait for a reply.
    """

    def __init__(self, port: int | str, timeout: float = 60.0) -> None:
        if isinstance(port, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.socket.connect(port)
        else:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._file = self.socket.makefile("rb")

    def reply(self) -> bytes:
        """The next reply, all of its lines.

        :raise ConnectionError: if the connection ends before.
        """
        lines = []
        while True:
            line = self._file.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("the server closed the connection")
            lines.append(line)
            if line[3:4] != b"-":
                return b"".join(lines)

    def say(self, *commands: bytes) -> list[bytes]:
        """Send commands, in one write, and read a reply to each."""
        self.socket.sendall(b"".join(command + b"\r\n" for command in commands))
        return [self.reply() for _ in commands]

    def send(self, sender: str, recipients: list[str], content: bytes) -> bytes:
        """One transaction, pipelined; the reply to the content, or the first refusal.

        :param content: with CRLF, dots not yet doubled.
        """
        commands = [f"MAIL FROM:<{sender}>".encode()]
        commands += [f"RCPT TO:<{recipient}>".encode() for recipient in recipients]
        replies = self.say(*commands, b"DATA")
        if not replies[-1].startswith(b"354"):
            return next(reply for reply in replies if reply[:1] in b"45")
        dotted = content.replace(b"\r\n.", b"\r\n..")
        self.socket.sendall((b"." if content.startswith(b".") else b"") + dotted + b".\r\n")
        return self.reply()

    def close(self) -> None:
        """Close without a word."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self._file.close()
        self.socket.close()

    def __enter__(self) -> Speaker:
        self.reply()
        self.say(b"EHLO client.test")
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


#: A line of a message of :class:`Load`, and how many a large one has: more than the queue keeps in a row.
LINE = "x" * 70
LARGE = 1500


class Load:
    """Threads that send one small message after another until stopped.

    A connection that fails is opened again; what was not acknowledged is not
    sent again, so that every id goes out once.

    :param port: where.
    :param recipients: the messages go to these in turn.
    :param threads: connections at the same time.
    :param name: stands in every id.
    :param large: of so many messages one is large; 0 for none.
    :param pace: messages a second, of all threads together; 0 for as many as there may be.
    :ivar acknowledged: ids in messages that got their 250, with their recipient.
    :ivar sent: how many ids were tried.
    """

    def __init__(
        self,
        port: int,
        recipients: list[str],
        threads: int = 8,
        name: str = "id",
        large: int = 0,
        pace: float = 0,
    ) -> None:
        self._port, self._recipients, self._name, self._large = port, recipients, name, large
        self.acknowledged: dict[str, str] = {}
        self.refused: list[bytes] = []
        self.sent = 0
        self._pause = threads / pace if pace else 0.0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with Speaker(self._port) as speaker:
                    while not self._stop.is_set():
                        self._one(speaker)
                        if self._pause:
                            self._stop.wait(self._pause)
            except OSError:
                # The server is gone for the moment; do not spin.
                self._stop.wait(0.02)

    def _one(self, speaker: Speaker) -> None:
        with self._lock:
            number, self.sent = self.sent, self.sent + 1
        identifier = f"{self._name}-{number:07d}"
        recipient = self._recipients[number % len(self._recipients)]
        body = f"{LINE}\r\n" * (LARGE if self._large and number % self._large == 0 else 1)
        content = f"Subject: load\r\nX-Load-Id: {identifier}\r\n\r\n{body}".encode()
        reply = speaker.send("load@client.test", [recipient], content)
        if reply.startswith(b"250"):
            self.acknowledged[identifier] = recipient
        else:
            self.refused.append(reply)
            if reply.startswith(b"421"):
                raise ConnectionError("told to go")
            # Where the recipient alone was refused, the transaction is still open.
            speaker.say(b"RSET")
            time.sleep(0.01)

    def stop(self) -> None:
        """Let every thread finish its message, and end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(90)

    @property
    def output(self) -> str:
        """For a scenario that failed."""
        refused = {reply[:90] for reply in self.refused}
        return f"{self.sent} sent, {len(self.acknowledged)} acknowledged, refusals: {sorted(refused)[:10]}"


def load_id(mail: bytes) -> str:
    """The id of a message of :class:`Load`.

    :raise ValueError: if it has none, or was cut.
    """
    head, _, body = mail.replace(b"\r\n", b"\n").partition(b"\n\n")
    for line in head.splitlines():
        if line.startswith(b"X-Load-Id: "):
            lines = body.rstrip(b"\n").split(b"\n")
            if set(lines) != {LINE.encode()} or len(lines) not in (1, LARGE):
                raise ValueError(f"not the whole message: {mail[:2000]!r}")
            return line[11:].decode().strip()
    raise ValueError(f"no message of the load: {mail!r}")
