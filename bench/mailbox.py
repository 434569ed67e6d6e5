"""A mailbox of 100,000 messages beside Dovecot: ``python -m bench.mailbox [--messages 100000]``.

Both read the same messages (hard links in two Maildirs), in turn, on the disk that is there.  Wanted of ours:
SELECT in 50 ms warm and 2 s cold, FETCH of all flags in 1 s, SEARCH TEXT in 200 ms, IDLE told within 100 ms
of a delivery, less than 60 kB for an idle connection.  Dovecot searches without a full text index, as Debian
ships it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import smtplib
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.ours import Ours
from bench.processes import cpu, memory
from bench.run import RESULTS
from bench.subject import DOMAIN
from tests.e2e.dovecot import Dovecot
from tests.e2e.imap import Imap
from tests.e2e.scenario import free_port

#: The account with many messages, and one with few, which idle connections have open.
MANY, FEW = f"u0@{DOMAIN}", f"u1@{DOMAIN}"
#: Messages that are fetched by POP3.
_RETRIEVED = 1000
_LETTERS = ("bdfghjklmnprstvwxyz", "aeiou")


class Beside(Dovecot):
    """Dovecot over Maildirs of its own.

    :ivar idle: connections that are weighed; each has a process here.
    """

    idle = 40

    def __init__(self, base: Path) -> None:
        super().__init__(base, users=(MANY, FEW), more="pop3")
        self.name = "Dovecot"
        self.secret = "imap-secret"

    @property
    def pid(self) -> int:
        """Of its master."""
        return self._process.pid

    @property
    def port(self) -> int:
        """Where it speaks IMAP."""
        return self.imap

    def send(self, subject: str) -> None:
        """Deliver to the account with few messages."""
        with smtplib.LMTP("127.0.0.1", self.lmtp) as client:
            client.sendmail(f"x@{DOMAIN}", [FEW], f"Subject: {subject}\r\n\r\nx\r\n")


class Mine(Ours):
    """Our server, which speaks IMAP and POP3."""

    idle = 1000

    def __init__(self, base: Path) -> None:
        super().__init__(base, free_port())
        self.imap = self.add_listener("imap")
        self.imaps = self.add_listener("imaps")
        self.pop3 = self.add_listener("pop3")
        clear = {"clear_from": ["127.0.0.0/8"]}
        self.change(imap=clear, pop3=clear)
        self.write()
        self.name = "mta"
        self.secret = "secret"

    @property
    def port(self) -> int:
        """Where it speaks IMAP."""
        return self.imap

    def send(self, subject: str) -> None:
        """Deliver to the account with few messages."""
        with smtplib.SMTP("127.0.0.1", self.ports["mx"]) as client:
            client.sendmail(f"x@{DOMAIN}", [FEW], f"Subject: {subject}\r\n\r\nx\r\n")


def words(chosen: random.Random, length: int) -> str:
    """Text of words that are used as often as those of a language, roughly."""
    found = []
    for _ in range(length):
        rank = int(5000 ** chosen.random())
        count = 2 * (1 + (rank > 30) + (rank > 900))
        letters = (_LETTERS[at % 2][rank // 7**at % len(_LETTERS[at % 2])] for at in range(count))
        found.append("".join(letters))
    return " ".join(found)


def fill(place: Path, count: int) -> None:
    """Messages as they lie in a Maildir that was used for years: all in ``cur``, most of them read."""
    chosen = random.Random(7)
    for name in ("cur", "new", "tmp"):
        (place / name).mkdir(parents=True)
    start = int(time.time()) - 2 * count
    for number in range(count):
        sender = f"person{int(300 ** chosen.random())}@far.test"
        rare = " zanzibar" if number % (count // 7) == 3 else ""
        header = (
            f"Return-Path: <{sender}>",
            f"Received: from far.test by mx.{DOMAIN}; Thu, 1 Jan 2026 00:00:00 +0000",
            f"From: Person <{sender}>",
            f"To: {MANY}",
            f"Subject: {words(chosen, 5)}",
            f"Message-ID: <{number}@far.test>",
            "Date: Thu, 1 Jan 2026 00:00:00 +0000",
            "MIME-Version: 1.0",
            "Content-Type: text/plain",
        )
        text = "".join(f"{line}\n" for line in header) + "\n"
        text += "".join(f"{words(chosen, 10)}\n" for _ in range(20)) + f"the end{rare}\n"
        size = len(text) + text.count("\n")
        flags = "S" if number % 10 else ""
        path = place / "cur" / f"{start + number}.M{number}P1.far,S={len(text)},W={size}:2,{flags}"
        path.write_text(text)
        os.utime(path, (start + number, start + number))


def timed(work: Callable[[], Any]) -> float:
    """Milliseconds."""
    begun = time.monotonic()
    work()
    return 1000 * (time.monotonic() - begun)


def often(work: Callable[[], Any], count: int = 5) -> float:
    """Median milliseconds."""
    return statistics.median(timed(work) for _ in range(count))


def quiet(pid: int, seconds: float = 3.0, patience: float = 600.0) -> None:
    """Wait until a server has nothing more to do."""
    until = time.monotonic() + patience
    before = cpu(pid)
    while time.monotonic() < until:
        time.sleep(seconds)
        now = cpu(pid)
        if now - before < 0.02 * seconds:
            return
        before = now


def ask(client: Imap, command: bytes) -> None:
    """Have a command done, and read the answer without looking at it: our client is not what is measured."""
    client.socket.sendall(b"r1 " + command + b"\r\n")
    tail = b"\r\n"
    while b"\r\nr1 " not in tail or not tail.endswith(b"\r\n"):
        tail = tail[-300:] + client.socket.recv(1 << 20)
    if b"\r\nr1 OK" not in tail:
        raise AssertionError(f"{command!r}: {tail[-300:]!r}")


def told(server: Any) -> list[float]:
    """Milliseconds from the end of a delivery until who idles is told."""
    client = Imap(server.port, tls=False).login(FEW, server.secret)
    client.select()
    found = []
    for number in range(20):
        tag = client.idle()
        server.send(f"news {number}")
        begun = time.monotonic()
        client.news()
        found.append(1000 * (time.monotonic() - begun))
        client.done(tag)
    client.close()
    return found


def weight(server: Any, port: int, tls: bool) -> float:
    """kB of memory of a connection that has a small folder open and idles."""
    before = memory(server.pid)
    clients = [Imap(port, tls=tls).login(FEW, server.secret) for _ in range(server.idle)]
    for client in clients:
        client.select()
        client.idle()
    time.sleep(3.0)
    after = memory(server.pid)
    for client in clients:
        client.close()
    return (after - before) / server.idle / 1000


def measured(server: Any) -> dict[str, float]:
    """All figures of a server that has just been started, and has no index yet."""
    found: dict[str, float] = {}
    client = Imap(server.port, tls=False).login(MANY, server.secret)
    found["first SELECT ever, ms"] = timed(lambda: ask(client, b"SELECT INBOX"))
    found["SELECT warm, ms"] = often(lambda: ask(client, b"SELECT INBOX"))
    found["FETCH 1:* (FLAGS), ms"] = often(lambda: ask(client, b"FETCH 1:* (FLAGS)"), 3)
    found["first FETCH 1:* (ENVELOPE), ms"] = timed(lambda: ask(client, b"FETCH 1:* (ENVELOPE)"))
    found["FETCH 1:* (ENVELOPE) again, ms"] = timed(lambda: ask(client, b"FETCH 1:* (ENVELOPE)"))
    found["first SEARCH TEXT, ms"] = timed(lambda: ask(client, b"SEARCH TEXT zanzibar"))
    begun = time.monotonic()
    quiet(server.pid)
    found["then busy for, s"] = time.monotonic() - begun
    for what, key in (("rare", b"zanzibar"), ("in all", b'"the end"'), ("nowhere", b"xyzzyx")):
        found[f"SEARCH TEXT {what}, ms"] = often(lambda key=key: ask(client, b"SEARCH TEXT " + key), 3)  # type: ignore[misc]
    found["SEARCH SUBJECT, ms"] = often(lambda: ask(client, b"SEARCH SUBJECT badi"), 3)
    found["SEARCH UNSEEN, ms"] = often(lambda: ask(client, b"SEARCH UNSEEN"), 3)
    found["SORT (REVERSE ARRIVAL), ms"] = often(lambda: ask(client, b"SORT (REVERSE ARRIVAL) UTF-8 ALL"), 3)
    found["STORE one, ms"] = often(lambda: ask(client, b"STORE 7 +FLAGS (\\Flagged)"))
    client.close()
    late = sorted(told(server))
    found["IDLE told, median ms"] = statistics.median(late)
    found["IDLE told, longest ms"] = late[-1]
    return found


class Pop3:
    """A client of POP3 that reads answers without looking at them.

    :param port: of a server.
    """

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._read = b""
        self.line()

    def line(self) -> bytes:
        """The next line, which must be none of an error."""
        line = self._until(b"\r\n")
        if not line.startswith(b"+OK"):
            raise AssertionError(f"{line!r}")
        return line

    def ask(self, *commands: str, many: bool = False) -> None:
        """Have commands done, all sent at once.

        :param many: whether the answers have many lines.
        """
        self._socket.sendall("".join(f"{command}\r\n" for command in commands).encode())
        for _ in commands:
            self.line()
            if many:
                self._until(b"\r\n.\r\n")

    def _until(self, end: bytes) -> bytes:
        start = 0
        while (place := self._read.find(end, start)) < 0:
            start = max(len(self._read) - len(end), 0)
            block = self._socket.recv(1 << 20)
            if not block:
                raise AssertionError("the connection ended")
            self._read += block
        found, self._read = self._read[: place + len(end)], self._read[place + len(end) :]
        return found

    def close(self) -> None:
        """Go, without QUIT: nothing is marked as seen."""
        self._socket.close()


def by_pop3(server: Any) -> dict[str, float]:
    """What a program waits for that fetches by POP3; the server has seen the folder before."""
    found: dict[str, float] = {}

    def logged_in() -> Pop3:
        client = Pop3(server.pop3)
        client.ask(f"USER {MANY}")
        client.ask(f"PASS {server.secret}")
        return client

    for what in ("first log-in", "log-in"):
        begun = time.monotonic()
        client = logged_in()
        found[f"POP3 {what}, ms"] = 1000 * (time.monotonic() - begun)
        found["POP3 STAT, ms"] = timed(partial(client.ask, "STAT"))
        found["POP3 UIDL, ms"] = timed(partial(client.ask, "UIDL", many=True))
        if what == "log-in":
            some = [f"RETR {number}" for number in range(1, _RETRIEVED + 1)]
            found[f"POP3 RETR of {_RETRIEVED}, ms"] = timed(partial(one_by_one, client, some))
            found["the same, pipelined, ms"] = timed(partial(in_tens, client, some))
        client.close()
    return found


def one_by_one(client: Pop3, commands: list[str]) -> None:
    """Each when the one before is answered."""
    for command in commands:
        client.ask(command, many=True)


def in_tens(client: Pop3, commands: list[str]) -> None:
    """Ten are sent at once, as programs do that know PIPELINING."""
    for first in range(0, len(commands), 10):
        client.ask(*commands[first : first + 10], many=True)


def after_a_start(server: Any) -> float:
    """Milliseconds of the first SELECT of a server that has its index, but nothing in memory."""
    subprocess.run(["sync"], check=True)
    Path("/proc/sys/vm/drop_caches").write_text("3")
    client = Imap(server.port, tls=False).login(MANY, server.secret)
    took = timed(lambda: ask(client, b"SELECT INBOX"))
    client.close()
    return took


def ours(place: Path, source: Path) -> dict[str, float]:
    """Figures of this server."""
    server = Mine(place / "mta")
    linked(source, server.mail / DOMAIN / "u0")
    try:
        server.start()
        found = measured(server) | by_pop3(server)
        # What was needed once is used again; only a new process shows what a connection takes.
        for what, port, tls in (("", server.imap, False), (" with TLS", server.imaps, True)):
            server.stop()
            server.start()
            if not tls:
                found["SELECT cold (caches dropped), ms"] = after_a_start(server)
                server.stop()
                server.start()
            found[f"idle connection{what}, kB"] = weight(server, port, tls)
    finally:
        server.stop()
    return found


def theirs(place: Path, source: Path) -> dict[str, float]:
    """Figures of Dovecot."""
    server = Beside(place / "dovecot")
    linked(source, server.mail / DOMAIN / "u0")
    subprocess.run(["chown", "-R", "65534:65534", str(server.mail)], check=True)
    try:
        found = measured(server) | by_pop3(server)
        found["SELECT cold (caches dropped), ms"] = after_a_start(server)
        found["idle connection, kB"] = weight(server, server.port, False)
    finally:
        server.stop()
    return found


def linked(source: Path, target: Path) -> None:
    """The same messages in another Maildir."""
    target.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-al", str(source), str(target)], check=True)


def main() -> None:
    """Measure both, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--only", choices=("mta", "dovecot"), help="one of the two")
    arguments = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="mta-mailbox-") as top:
        place = Path(top)
        place.chmod(0o755)
        fill(place / "source", arguments.messages)
        for name, work in (("dovecot", theirs), ("mta", ours)):
            if arguments.only in (None, name):
                copy = place / f"{name}-source"
                # Both change files' owners; links share them.
                subprocess.run(["cp", "-a", str(place / "source"), str(copy)], check=True)
                found[name] = work(place, copy)
    table = Table("what", *found, "of Dovecot")
    for what in dict.fromkeys(what for figures in found.values() for what in figures):
        figures = [found[name].get(what) for name in found]
        both = found.get("mta", {}).get(what), found.get("dovecot", {}).get(what)
        ratio = f"{both[0] / both[1]:.2f}" if both[0] is not None and both[1] else ""
        table.add_row(what, *("" if one is None else f"{one:.1f}" for one in figures), ratio)
    Console().print(table)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"mailbox-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
