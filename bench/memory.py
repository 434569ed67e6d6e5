"""What an idle server weighs, with its API: ``python -m bench.memory [COUNT]``, PSS of each process in MB.

It is weighed a while after its start, empty; after a batch with a template, when all of it is delivered; and
with COUNT (100,000) deferred messages in the queue.  Whoever is not root sees RSS, which is more.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from bench.ours import Ours
from bench.processes import memory_of, tree
from bench.subject import DOMAIN
from tests.e2e.scenario import free_port, wait_for

#: Seconds until a server that was started, or had work, is idle.
QUIET = 20.0


def weighed(server: Ours) -> dict[str, float]:
    """MB of each process, by what it is, and of all together."""
    time.sleep(QUIET)
    found: dict[str, float] = {}
    for place, pid in enumerate(tree(server.pid)):
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        name = "worker" if place == 0 else next((word for word in words if word.startswith("mta.")), "helper")
        found[f"{name} {pid}" if name in found else name] = memory_of(pid) / 1e6
    return {**found, "all": sum(found.values())}


def send_batch(server: Ours, port: int, count: int = 1000) -> None:
    """Have a batch delivered."""
    key = server.mta("key", "create", "--scope", "admin").split()[0]
    people = [{"email": f"u{number % 10}@{DOMAIN}", "data": {"n": number}} for number in range(count)]
    body = {"from": f"u0@{DOMAIN}", "subject": "{{ n }}", "html": "<p>{{ n }}</p>", "recipients": people}
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/v1/batches",
        json.dumps(body).encode(),
        {"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=120) as answer:
        assert json.load(answer)["accepted"] == count
    wait_for(lambda: len(list(server.mail.glob("*/*/new/*"))) >= count, "not all delivered", 300)


def main(count: int) -> None:
    """Weigh it, and tell."""
    with tempfile.TemporaryDirectory(prefix="mta-memory-") as place:
        server = Ours(Path(place), free_port())
        port = free_port()
        server.config["listen"]["http"] = [f"tcp:{port}:interface=127.0.0.1"]
        server.write()
        try:
            server.start()
            figures = {"idle": weighed(server)}
            send_batch(server, port)
            figures["after a batch"] = weighed(server)
            server.stop()
            shard = server.state / "spool" / "0"
            subprocess.run([sys.executable, "-m", "bench.backlog", str(shard), str(count)], check=True)
            begun = time.monotonic()
            server.start()
            print(f"it greets after {time.monotonic() - begun:.1f} s with {count:,} deferred")
            figures[f"{count:,} deferred"] = weighed(server)
        finally:
            server.stop()
    for name, found in figures.items():
        print(f"{name}: " + ", ".join(f"{what} {megabytes:.1f}" for what, megabytes in found.items()))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
