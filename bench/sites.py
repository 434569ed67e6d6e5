"""Mail for 200 domains at 20 sites, some of which are slow, busy, or down: ours and Postfix's way with it.

python -m bench.sites [--messages 100000] [--alone]

Every domain leads to one of twenty smtp-sinks on addresses of loopback.  Useful throughput
is what the healthy ones get in a second until the last of them has all of its messages.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.disk import FreshDisk
from bench.processes import cpu, memory
from bench.run import RESULTS
from tests.e2e.dns import Dns
from tests.e2e.postfix import Postfix
from tests.e2e.scenario import free_port, program
from tests.e2e.server import Server

SITES, DOMAINS = 20, 200
#: What ails a site, by its number; the others are healthy.
SICK = {3: "slow", 7: "slow", 9: "busy", 11: "down", 13: "down", 17: "silent"}
PATIENCE = 1800.0


@dataclass
class Sink:
    """One site.

    :ivar number: from 0; its address ends in two more.
    :ivar expected: messages that it is to get.
    :ivar process: smtp-sink, which ends by itself when a healthy one has all.
    :ivar done: when it had, on the monotonic clock.
    :ivar mute: the socket of one that never says a word.
    """

    number: int
    expected: int
    process: Any = None
    done: float = 0.0
    mute: socket.socket | None = None

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"127.0.0.{self.number + 2}"

    def start(self, port: int) -> None:
        """Begin to listen, unless it is down."""
        ails = SICK.get(self.number)
        if ails == "down":
            return
        if ails == "silent":
            self.mute = socket.create_server((self.address, port), backlog=1000)
            return
        options = ["-u", "nobody", "-M", str(self.expected)] if ails is None else ["-u", "nobody"]
        options += ["-w", "2"] if ails == "slow" else []
        options += ["-r", "connect"] if ails == "busy" else []
        command = [program("smtp-sink"), *options, f"{self.address}:{port}", "200"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        if ails is None:
            threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        self.process.wait()
        self.done = time.monotonic()

    def stop(self) -> None:
        """End it."""
        if self.mute is not None:
            self.mute.close()
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def ours(base: Path, port: int, sinks: list[Sink]) -> Server:
    """Our server, as shipped but for limits that one client would meet."""
    names = Dns()
    for number in range(DOMAINS):
        names.add_mx(f"d{number}.test", f"mx.s{number % SITES}.test", sinks[number % SITES].address)
    server = Server(
        base,
        # As Postfix, it may use all processors.
        workers="auto",
        access={"relay_from": ["127.0.0.0/8"]},
        dns={"servers": [names.address]},
        relay={"port": port, "connections": 20, "tls": "never"},
        limits={"connections": 3000, "connections_per_client": 3000},
        # As Postfix: nobody comes back within minutes.
        queue={"minimum_free": "64M", "retry": ["5m", "10m", "20m"], "jitter": 0.1},
    )
    server.start()
    return server


def postfix(base: Path, port: int, sinks: list[Sink]) -> Postfix:
    """Postfix, tuned, told by a transport map what our server asks the DNS for."""
    base.mkdir(parents=True, exist_ok=True)
    routes = base / "transport"
    routes.write_text(
        "".join(f"d{n}.test smtp:[{sinks[n % SITES].address}]:{port}\n" for n in range(DOMAINS))
    )
    server = Postfix(
        base / "postfix",
        domains=(),
        boxes=(),
        settings={
            "transport_maps": f"texthash:{routes}",
            "smtp_tls_security_level": "",
            "default_destination_concurrency_limit": "20",
            "initial_destination_concurrency": "10",
            "default_process_limit": "200",
            "qmgr_message_active_limit": "40000",
            "qmgr_message_recipient_limit": "40000",
            "in_flow_delay": "0",
            "smtp_connection_cache_on_demand": "yes",
            "smtp_connect_timeout": "10s",
        },
    )
    server.name = "Postfix"  # type: ignore[attr-defined]
    return server


def run(server: Any, port: int, base_cpu: float, sinks: list[Sink], each: int) -> dict[str, float]:
    """Send everything, and wait until the healthy ones have theirs."""
    begun = time.monotonic()
    most = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(1.0):
            most[0] = max(most[0], memory(server.pid))

    threading.Thread(target=watch, daemon=True).start()

    def send(number: int) -> None:
        command = [program("smtp-source"), "-s", "4", "-m", str(each), "-l", "2048", "-d"]
        command += ["-f", f"sender@c{number % 7}.test", "-t", f"u@d{number}.test", f"127.0.0.1:{port}"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    with ThreadPoolExecutor(5) as pool:
        list(pool.map(send, range(DOMAINS)))
    accepted = time.monotonic() - begun
    healthy = [sink for sink in sinks if sink.number not in SICK]
    while not all(sink.done for sink in healthy):
        if time.monotonic() - begun > PATIENCE:
            raise TimeoutError(f"{sum(not sink.done for sink in healthy)} healthy sites have not all")
        time.sleep(0.1)
    over.set()
    ends = sorted(sink.done - begun for sink in healthy)
    count = sum(sink.expected for sink in healthy)
    return {
        "accepted/s": each * DOMAINS / accepted,
        "useful/s": count / ends[-1],
        "first site done s": ends[0],
        "last site done s": ends[-1],
        "CPU s/1000": (cpu(server.pid) - base_cpu) / count * 1000,
        "MB": most[0] / 1e6,
    }


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench.sites", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--alone", action="store_true", help="without Postfix")
    options = parser.parse_args()
    each = max(1, options.messages // DOMAINS)
    console = Console()
    place = Path(tempfile.mkdtemp(prefix="mta-sites-"))
    place.chmod(0o755)
    (place / "disk").mkdir()
    disk = FreshDisk(place / "disk.img", place / "disk")
    found: dict[str, dict[str, float]] = {}
    try:
        for name, make in (("mta", ours), ("Postfix", postfix)):
            if name == "Postfix" and options.alone:
                continue
            disk.renew()
            port = free_port()
            sinks = [Sink(number, each * DOMAINS // SITES) for number in range(SITES)]
            for sink in sinks:
                sink.start(port)
            server: Any = make(place / "disk" / "server", port, sinks)
            try:
                into = server.ports["mx"] if isinstance(server, Server) else server.port
                found[name] = run(server, into, cpu(server.pid), sinks, each)
                console.print(f"{name}: " + ", ".join(f"{k} {v:,.2f}" for k, v in found[name].items()))
            finally:
                server.stop()
                for sink in sinks:
                    sink.stop()
    finally:
        disk.close()
        shutil.rmtree(place, ignore_errors=True)
    table = Table("figure", *found, *(["times Postfix"] if len(found) > 1 else []))
    for figure in next(iter(found.values())):
        values = [one[figure] for one in found.values()]
        ratio = [f"{values[0] / values[1]:.2f}"] if len(values) > 1 and values[1] else []
        table.add_row(figure, *(f"{value:,.2f}" for value in values), *ratio)
    console.print(table)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / time.strftime("%Y%m%d-%H%M%S-sites.json")
    path.write_text(json.dumps({"messages": each * DOMAINS, "results": found}, indent=1) + "\n")
    console.print(f"All figures: {os.path.relpath(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
