"""How long after its commit an event reaches a subscriber: ``python -m bench.live PORT KEY DATABASE``.

One thread reads the stream of live events, another looks once a millisecond how far the journal on disk has
come.  An event counts as committed at the last look that did not see it yet, so that what comes out is never
less than it was.  At the end of its input it prints what it found, as JSON.
"""

from __future__ import annotations

import json
import re
import socket
import sqlite3
import sys
import threading
import time
from bisect import bisect_left

_EVERY = 0.001
_NUMBER = re.compile(rb'data: \{"id":"\d+\.(\d+)"')


class Commits(threading.Thread):
    """Knows when which event was committed.

    :param database: of the shard's journal.
    """

    def __init__(self, database: str) -> None:
        super().__init__(daemon=True)
        self._base = sqlite3.connect(f"file:{database}?mode=ro", uri=True, check_same_thread=False)
        self._numbers: list[int] = []
        self._before: list[float] = []

    def run(self) -> None:
        """Look."""
        last, looked = -1, time.monotonic()
        while True:
            now = time.monotonic()
            (number,) = self._base.execute("SELECT events FROM counters").fetchone()
            if number != last:
                last = number
                self._numbers.append(number)
                self._before.append(looked)
            looked = now
            time.sleep(_EVERY)

    def of(self, number: int) -> float | None:
        """When an event was not there yet for the last time; ``None``: it was from the beginning."""
        place = bisect_left(self._numbers, number)
        return self._before[place] if 0 < place < len(self._numbers) else None


class Events(threading.Thread):
    """What has come, and when.

    :param port: of HTTP.
    :param key: of a tenant.
    """

    def __init__(self, port: int, key: str) -> None:
        super().__init__(daemon=True)
        self._socket = socket.create_connection(("127.0.0.1", port))
        request = f"GET /v1/events/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {key}\r\n\r\n"
        self._socket.sendall(request.encode())
        self.came: list[tuple[float, bytes]] = [(time.monotonic(), self._socket.recv(1 << 16))]

    def run(self) -> None:
        """Read."""
        while data := self._socket.recv(1 << 18):
            self.came.append((time.monotonic(), data))

    def numbers(self) -> list[tuple[float, int]]:
        """Every event, with when all of it was there."""
        found: list[tuple[float, int]] = []
        rest = b""
        for at, data in list(self.came):
            whole, mark, rest = (rest + data).rpartition(b"}\n\n")
            found += [(at, int(number)) for number in _NUMBER.findall(whole + mark)]
        return found


def main() -> None:
    """Watch until the input ends."""
    port, key, database = sys.argv[1:]
    commits, events = Commits(database), Events(int(port), key)
    commits.start()
    events.start()
    print("ready", flush=True)
    sys.stdin.read()
    waits = sorted(
        (at - before) * 1000 for at, number in events.numbers() if (before := commits.of(number)) is not None
    )
    found = {"events": len(waits)}
    if waits:
        found |= {f"p{part} ms": waits[min(len(waits) - 1, len(waits) * part // 100)] for part in (50, 99)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
