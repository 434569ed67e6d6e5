"""A batch of personalised messages by HTTP, beside the relay benchmark, in one run.

python -m bench.api [--recipients 10000] [--rounds 3] [--profile]

Both hand their messages to smtp-sink; what counts is how many recipients a second are accepted (on disk),
how many arrive a second, and the ratio of the latter to the relay benchmark's.  One batch is followed live:
how long after its commit an event is at the subscriber.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from bench.disk import FreshDisk
from bench.ours import Ours
from bench.processes import cpu
from bench.run import RESULTS
from bench.workload import PATIENCE, Figures, Stuck, _sink, relay
from tests.e2e.scenario import free_port

#: What is asked of it: recipients accepted a second, and part of the relay benchmark's rate.
WANTED, WANTED_RATIO = 3000, 0.8
#: And milliseconds until an event is at a subscriber, of 99 in 100.
WANTED_MS = 50
_TEXT = "Hello {{ name }},\n\nyour order {{ order }} of {{ total|currency('EUR') }} is on its way.\n" + (
    "A line of a message that people read, with some words in it.\n" * 12
)
_HTML = (
    "<html><body><h1>Hello {{ name }}</h1><p>order <b>{{ order }}</b> of {{ total|currency('EUR') }}.</p>"
    + "<p>A paragraph of a message that people read, with some words in it.</p>" * 20
    + "</body></html>"
)
RELAY = "relay 4 KiB"
KINDS: dict[str, dict[str, Any]] = {
    "text": {"text": _TEXT},
    "text and HTML": {"text": _TEXT, "html": _HTML},
    "HTML, text made of it": {"html": _HTML},
}


#: The same as the first, while somebody follows.
LIVE = "text, followed live"


class Api(Ours):
    """Our server, with HTTP."""

    def __init__(self, base: Path, sink: int, profile: Path | None = None) -> None:
        super().__init__(base, sink, profile=profile)
        self.http = free_port()
        self.config["listen"]["http"] = [f"tcp:{self.http}:interface=127.0.0.1"]
        self.change(api={"url": "https://mail.example.org"})
        self.write()


def batch(server: Api, sink: int, recipients: int, kind: dict[str, Any], key: str) -> Figures:
    """One batch, until the sink has all of it."""
    people = [
        {
            "email": f"u{number}@remote.test",
            "name": f"User {number}",
            "data": {"name": f"User {number}", "order": number, "total": number / 100},
            "metadata": {"order": str(number)},
        }
        for number in range(recipients)
    ]
    sender = next(iter(server.config["domains"]))
    body = {
        "from": f"shop@{sender}",
        "subject": "Order {{ order }}",
        "tags": ["bench"],
        "unsubscribe": "news",
    }
    content = json.dumps({**body, **kind, "recipients": people}).encode()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    process = _sink(sink, recipients)
    try:
        before, begun = cpu(server.pid), time.monotonic()
        answer = httpx.post(
            f"http://127.0.0.1:{server.http}/v1/batches", content=content, headers=headers, timeout=PATIENCE
        )
        accepted = time.monotonic() - begun
        taken = answer.json()
        if answer.status_code != 202 or taken["accepted"] != recipients:
            raise Stuck(f"{answer.status_code}: {answer.text[:500]}")
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            raise Stuck("the sink did not get all") from None
        took = time.monotonic() - begun
    finally:
        process.kill()
        process.wait()
    return {
        "accepted/s": recipients / accepted,
        "done/s": recipients / took,
        "CPU s/1000": (cpu(server.pid) - before) / recipients * 1000,
    }


def followed(server: Api, sink: int, recipients: int, key: str) -> Figures:
    """One batch, while a subscriber is told of everything that becomes of it."""
    database = server.state / "spool" / "0" / "queue.db"
    command = [sys.executable, "-m", "bench.live", str(server.http), key, str(database)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as live:
        assert live.stdin is not None and live.stdout is not None
        if live.stdout.readline() != "ready\n":
            raise Stuck("nobody follows")
        figures = batch(server, sink, recipients, KINDS["text"], key)
        # The last events are committed when the sink has all of it, and told a moment later.
        time.sleep(1.0)
        live.stdin.close()
        return {**figures, **json.loads(live.stdout.read())}


def round_of(
    recipients: int, place: Path, disk: FreshDisk | None, only: str, profile: Path | None
) -> dict[str, Figures]:
    """Every workload once, each on a server and a disk of its own."""
    found: dict[str, Figures] = {}
    for name in (RELAY, *(kind for kind in (*KINDS, LIVE) if only in kind)):
        if disk is not None:
            disk.renew()
        sink = free_port()
        with tempfile.TemporaryDirectory(dir=place) as base:
            server = Api(Path(base) / "mta", sink, profile)
            server.start()
            try:
                if name == RELAY:
                    found[name] = relay(server, sink, recipients, 4096, False)
                else:
                    key = server.mta("key", "create", "--scope", "admin").split()[0]
                    # Who renders is started by the first who asks.
                    batch(server, sink, 50, KINDS.get(name, KINDS["text"]), key)
                    if name == LIVE:
                        found[name] = followed(server, sink, recipients, key)
                    else:
                        found[name] = batch(server, sink, recipients, KINDS[name], key)
            finally:
                server.stop()
    return found


def main() -> None:
    """Measure, print, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipients", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="workloads with this in their name, beside the relay")
    parser.add_argument("--plain", action="store_true", help="on the disk that is there: needs no root")
    parser.add_argument("--profile", type=Path, help="where cProfile's figures of the reactor's thread go")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mta-bench-") as top:
        place = Path(top) / "disk"
        place.mkdir()
        disk = None if arguments.plain else FreshDisk(Path(top) / "disk.img", place)
        try:
            rounds = [
                round_of(arguments.recipients, place, disk, arguments.only, arguments.profile)
                for _ in range(arguments.rounds)
            ]
        finally:
            if disk is not None:
                disk.close()
    names = list(rounds[0])
    medians = {
        name: {figure: statistics.median(one[name][figure] for one in rounds) for figure in rounds[0][name]}
        for name in names
    }
    base = medians[names[0]]["done/s"]
    table = Table("workload", "accepted/s", "done/s", "of relay", "CPU s/1000", "event p50 ms", "p99")
    for name, figures in medians.items():
        table.add_row(
            name,
            f"{figures['accepted/s']:.0f}",
            f"{figures['done/s']:.0f}",
            f"{figures['done/s'] / base:.2f}",
            f"{figures['CPU s/1000']:.2f}",
            *(f"{figures[name]:.1f}" if name in figures else "" for name in ("p50 ms", "p99 ms")),
        )
    console = Console()
    console.print(table)
    console.print(f"wanted: {WANTED} accepted/s, {WANTED_RATIO:.2f} of relay, and a p99 below {WANTED_MS} ms")
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"api-{time.strftime('%Y%m%d-%H%M%S')}.json"
    path.write_text(json.dumps({"rounds": rounds, "medians": medians}, indent=1))


if __name__ == "__main__":
    main()
