"""The work: what is sent, how it is counted, and what is measured meanwhile.

Each function puts one workload on one running server and answers with figures
by name.  Messages come from Postfix's ``smtp-source`` and go to its
``smtp-sink``, the same for every server.
"""

from __future__ import annotations

import os
import socket
import subprocess
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.processes import cpu, memory
from bench.subject import DOMAIN, Subject
from tests.e2e.client import Speaker
from tests.e2e.scenario import program

Figures = dict[str, float]
#: Seconds after which a workload is given up.
PATIENCE = 180.0


class Stuck(Exception):
    """A server did not do all of its work in time."""


def source(
    port: int, to: str, messages: int, size: int, sessions: int = 20, reuse: bool = False
) -> Sequence[str]:
    """The command that sends.

    :param size: octets of each message's body.
    :param reuse: many messages over each connection, instead of one.
    """
    command = [program("smtp-source"), "-s", str(sessions), "-m", str(messages), "-l", str(size)]
    command += ["-f", "sender@client.test", "-t", to, *(["-d"] if reuse else [])]
    return [*command, f"127.0.0.1:{port}"]


def _sink(port: int, messages: int = 0) -> subprocess.Popen[bytes]:
    """A sink that ends after so many messages; with 0, when it is stopped.

    It ends without answering the last of them, which is tried again in vain: every
    server is measured until the sink has all, and is thrown away.
    """
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    stop = ["-M", str(messages)] if messages else []
    command = [program("smtp-sink"), *user, *stop, f"127.0.0.1:{port}", "500"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return process
        except OSError:
            time.sleep(0.02)
    process.kill()
    raise Stuck("smtp-sink does not listen")


def relay(subject: Subject, sink: int, messages: int, size: int, reuse: bool) -> Figures:
    """In by SMTP, out by SMTP."""
    process = _sink(sink, messages)
    try:
        before, begun = cpu(subject.pid), time.monotonic()
        subprocess.run(source(subject.port, "far@remote.test", messages, size, reuse=reuse), check=True)
        accepted = time.monotonic() - begun
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Stuck("the sink did not get all") from None
        took = time.monotonic() - begun
    finally:
        process.kill()
        process.wait()
    return _rates(messages, size, accepted, took, cpu(subject.pid) - before)


def _rates(messages: int, size: int, accepted: float, took: float, used: float) -> Figures:
    return {
        "accepted/s": messages / accepted,
        "done/s": messages / took,
        "MB/s": messages * size / took / 1e6,
        "CPU s/1000": used / messages * 1000,
    }


def maildir(subject: Subject, messages: int, size: int, reuse: bool, boxes: int) -> Figures:
    """In by SMTP, into Maildirs."""
    there, before, begun = _count(subject.mail), cpu(subject.pid), time.monotonic()
    each = messages // boxes
    if boxes == 1:
        subprocess.run(source(subject.port, f"u0@{DOMAIN}", messages, size, reuse=reuse), check=True)
    else:
        with ThreadPoolExecutor(4) as pool:
            commands = [
                source(subject.port, f"u{number}@{DOMAIN}", each, size, 5, reuse) for number in range(boxes)
            ]
            list(pool.map(lambda command: subprocess.run(command, check=True), commands))
    accepted = time.monotonic() - begun
    while _count(subject.mail) - there < each * boxes:
        if time.monotonic() - begun > PATIENCE:
            raise Stuck(f"only {_count(subject.mail) - there} of {each * boxes} arrived")
        time.sleep(0.02)
    took = time.monotonic() - begun
    return _rates(each * boxes, size, accepted, took, cpu(subject.pid) - before)


def _count(mail: Path) -> int:
    return sum(len(files) for folder, _, files in os.walk(mail) if os.path.basename(folder) in ("new", "cur"))


def idle(subject: Subject, connections: int) -> Figures:
    """Memory of connections that have said EHLO and wait."""
    before, opened = memory(subject.pid), []
    for _ in range(connections):
        speaker = Speaker(subject.port)
        speaker.reply()
        speaker.say(b"EHLO client.test")
        opened.append(speaker)
    after = memory(subject.pid)
    for speaker in opened:
        speaker.close()
    return {"kB/connection": (after - before) / connections / 1000, "MB without": before / 1e6}


def latency(subject: Subject, sink: int, messages: int, rate: int) -> Figures:
    """How long a whole small transaction takes while ``rate`` messages a second are relayed."""
    process = _sink(sink)
    stop = threading.Event()

    def background() -> None:
        command = source(subject.port, "background@remote.test", rate, 4096, 10)
        while not stop.is_set():
            begun = time.monotonic()
            subprocess.run(command, check=False, stderr=subprocess.DEVNULL)
            stop.wait(max(0.0, 1 - (time.monotonic() - begun)))

    thread = threading.Thread(target=background)
    thread.start()
    try:
        stop.wait(1.5)
        times = sorted(_transaction(subject.port) for _ in range(messages))
    finally:
        stop.set()
        thread.join()
        process.kill()
        process.wait()
    return {
        "p50 ms": times[len(times) // 2] * 1e3,
        "p99 ms": times[int(len(times) * 0.99)] * 1e3,
        "max ms": times[-1] * 1e3,
    }


def _transaction(port: int) -> float:
    """Seconds from connecting to the last 250, command by command."""
    content = b"Subject: x\r\n\r\n" + (b"x" * 76 + b"\r\n") * 50
    begun = time.perf_counter()
    with Speaker(port) as speaker:
        for command in (b"MAIL FROM:<a@client.test>", b"RCPT TO:<probe@remote.test>", b"DATA"):
            speaker.say(command)
        [answer] = speaker.say(content + b".")
        took = time.perf_counter() - begun
        if not answer.startswith(b"250"):
            raise Stuck(f"not taken: {answer!r}")
        speaker.say(b"QUIT")
    time.sleep(0.005)
    return took
