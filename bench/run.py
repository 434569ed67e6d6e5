"""Puts every workload on each server in turn, several rounds; prints ratios.

python -m bench.run [--rounds 3] [--only WORD] [--profile] [--workers N] [--sign] [--alone]
"""

from __future__ import annotations

import argparse
import json
import os
import pstats
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from twisted.trial.unittest import SkipTest

from bench import workload
from bench.disk import FreshDisk
from bench.ours import Ours
from bench.postfix import Tuned
from bench.processes import cpu, memory
from bench.subject import Subject
from bench.workload import Figures, Stuck
from tests.e2e.scenario import free_port
from tests.e2e.server import ROOT

RESULTS = Path(__file__).parent / "results"
#: Figures of which less is better.
LESS = ("CPU s/1000", "kB/connection", "p50 ms", "p99 ms", "max ms", "s to start", "MB", "MB without")
Work = Callable[[Subject, int], Figures]


def works(scale: float) -> dict[str, Work]:
    """The workloads by name.

    :param scale: 1 for 5,000 messages of 4 KiB in each.
    """
    small, few, large = int(5000 * scale), int(2000 * scale) // 100 * 100, max(10, int(100 * scale))
    kib, mb = 4096, 10_000_000
    return {
        "relay 4 KiB": lambda s, sink: workload.relay(s, sink, small, kib, False),
        "relay 4 KiB, reused": lambda s, sink: workload.relay(s, sink, small, kib, True),
        "relay 10 MB": lambda s, sink: workload.relay(s, sink, large, mb, False),
        "maildir 4 KiB, 1 box": lambda s, sink: workload.maildir(s, small, kib, False, 1),
        "maildir 4 KiB, 1 box, reused": lambda s, sink: workload.maildir(s, small, kib, True, 1),
        "maildir 4 KiB, 100 boxes": lambda s, sink: workload.maildir(s, max(100, few), kib, False, 100),
        "maildir 10 MB": lambda s, sink: workload.maildir(s, large, mb, False, 1),
        "idle": lambda s, sink: workload.idle(s, s.idle),
        "latency at 300/s": lambda s, sink: workload.latency(s, sink, max(100, int(500 * scale)), 300),
    }


def start_up(place: Path, count: int) -> Figures:
    """How long until the server greets with so many deferred messages in its queue."""
    server = Ours(place, free_port())
    shard = server.state / "spool" / "0"
    command = [sys.executable, "-m", "bench.backlog", str(shard), str(count)]
    begun = time.monotonic()
    subprocess.run(command, cwd=ROOT, check=True)
    filled = time.monotonic() - begun
    empty = Ours(place / "empty", free_port())
    figures: Figures = {"filled/s": count / filled}
    for name, subject in (("empty", empty), ("full", server)):
        begun = time.monotonic()
        subject.start()
        figures[f"s to start, {name}"] = time.monotonic() - begun
        time.sleep(1.0)
        figures[f"MB, {name}"] = memory(subject.pid) / 1e6
        figures[f"CPU s, {name}"] = cpu(subject.pid)
        subject.stop()
    return figures


class Bench:
    """All rounds.

    :param options: the command line.
    :param place: an empty directory.
    """

    def __init__(self, options: argparse.Namespace, place: Path) -> None:
        self.options = options
        self.place = place
        self.console = Console()
        self.results: list[dict[str, Any]] = []
        self._number = 0
        self._disk: FreshDisk | None = None

    def subjects(self) -> list[Callable[[Path, int], Subject]]:
        """What makes each server."""
        found: list[Callable[[Path, int], Subject]] = []
        for count in dict.fromkeys((1, self.options.workers)):
            found.append(lambda base, sink, count=count: self._ours(base, sink, count))
            if self.options.sign:
                found.append(lambda base, sink, count=count: self._ours(base, sink, count, True))
        if not self.options.alone:
            found.append(Tuned)
        return found

    def _ours(self, base: Path, sink: int, workers: int, signing: bool = False) -> Subject:
        profile = self.place / f"profile-{self._number}" if self.options.profile else None
        ours = Ours(base, sink, workers, profile, signing)
        ours.start()
        return ours

    def _fresh(self) -> Path:
        """Where the next server has its files: an empty disk, if this machine lets us have one."""
        where = self.place / "disk"
        where.mkdir(exist_ok=True)
        try:
            if self._disk is not None:
                self._disk.renew()
            elif self._number == 1 or not self._number:
                self._disk = FreshDisk(self.place / "disk.img", where)
        except OSError as trouble:
            self.console.print(f"[yellow]on the disk of this machine, with what was removed there: {trouble}")
        return where

    def close(self) -> None:
        """Give the disk back."""
        if self._disk is not None:
            self._disk.close()

    def run(self) -> None:
        """Every workload, round by round, on each server in turn."""
        chosen = {
            name: work
            for name, work in works(self.options.scale).items()
            if any(word in name for word in self.options.only or [""])
        }
        for number in range(self.options.rounds):
            for name, work in chosen.items():
                for make in self.subjects():
                    self._one(number, name, work, make)
        if not self.options.profile and any(word in "start" for word in self.options.only or ["start"]):
            count = int(100_000 * min(1.0, self.options.scale))
            figures = start_up(self._fresh() / "start", count)
            self._keep(0, f"start with {count:,} deferred", "mta", figures)

    def _one(self, number: int, name: str, work: Work, make: Callable[[Path, int], Subject]) -> None:
        """One workload on one fresh server."""
        self._number += 1
        base, sink = self._fresh() / str(self._number), free_port()
        try:
            subject = make(base, sink)
        except SkipTest as reason:
            self.console.print(f"[yellow]left out: {reason}")
            return
        try:
            self._keep(number, name, subject.name, work(subject, sink))
        except (Stuck, subprocess.CalledProcessError, OSError) as trouble:
            self.console.print(f"[red]{subject.name}: {name}: {trouble}")
            self.results.append(
                {"round": number, "workload": name, "server": subject.name, "error": str(trouble)}
            )
        finally:
            subject.stop()
            if self.options.profile and isinstance(subject, Ours):
                self._profile(name, self.place / f"profile-{self._number}")

    def _profile(self, name: str, file: Path) -> None:
        if file.exists():
            self.console.print(f"[bold]{name}: the reactor's thread")
            pstats.Stats(str(file)).sort_stats("tottime").print_stats(35)

    def _keep(self, number: int, name: str, server: str, figures: Figures) -> None:
        words = ", ".join(f"{key} {value:,.2f}" for key, value in figures.items())
        self.console.print(f"[dim]{number + 1}. {name}: {server}: {words}")
        self.results.append({"round": number, "workload": name, "server": server, **figures})

    # --- what is told -----------------------------------------------------------

    def table(self) -> Table:
        """Medians, and how many times as good as Postfix we are."""
        table = Table(title=f"Medians of {self.options.rounds} rounds")
        for title in ("workload", "figure"):
            table.add_column(title)
        servers = list(dict.fromkeys(item["server"] for item in self.results))
        for server in servers:
            table.add_column(server, justify="right")
        table.add_column("times Postfix", justify="right")
        last = ""
        for name, figure in self._figures():
            values = {server: self._median(name, figure, server) for server in servers}
            ours, theirs = values.get("mta"), values.get("Postfix")
            ratio = f"{ours / theirs:.2f}" if ours is not None and theirs else ""
            if ratio:
                better = (ours or 0) < (theirs or 0) if figure in LESS else (ours or 0) > (theirs or 0)
                ratio = f"[{'green' if better else 'red'}]{ratio}"
            cells = ["" if value is None else f"{value:,.2f}" for value in values.values()]
            table.add_row(name if name != last else "", figure, *cells, ratio)
            last = name
        return table

    def _figures(self) -> list[tuple[str, str]]:
        pairs = [
            (item["workload"], key)
            for item in self.results
            for key in item
            if key not in ("round", "workload", "server", "error")
        ]
        names = list(dict.fromkeys(name for name, _ in pairs))
        return sorted(dict.fromkeys(pairs), key=lambda pair: names.index(pair[0]))

    def _median(self, name: str, figure: str, server: str) -> float | None:
        found = [
            item[figure]
            for item in self.results
            if item["workload"] == name and item["server"] == server and figure in item
        ]
        return statistics.median(found) if found else None

    def save(self) -> Path:
        """All figures as JSON; where."""
        RESULTS.mkdir(exist_ok=True)
        path = RESULTS / time.strftime("%Y%m%d-%H%M%S.json")
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True
        ).stdout.strip()
        facts = {"commit": commit, "processors": os.cpu_count(), "rounds": self.options.rounds}
        path.write_text(json.dumps({**facts, "results": self.results}, indent=1) + "\n")
        return path


def main() -> int:
    """The program."""
    parser = argparse.ArgumentParser(prog="bench.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often each workload runs (3)")
    parser.add_argument("--scale", type=float, default=1.0, help="0.1 for a tenth of the messages")
    parser.add_argument("--only", action="append", help="workloads with this word; may be repeated")
    parser.add_argument("--workers", type=int, default=1, help="measure with so many workers too")
    parser.add_argument(
        "--sign", action="store_true", help="measure with DKIM signatures too (RSA and Ed25519)"
    )
    parser.add_argument("--alone", action="store_true", help="without Postfix")
    parser.add_argument("--profile", action="store_true", help="run our server under cProfile")
    options = parser.parse_args()
    if options.profile:
        options.alone, options.rounds, options.workers = True, 1, 1
    place = Path(tempfile.mkdtemp(prefix="mta-bench-"))
    place.chmod(0o755)
    bench = Bench(options, place)
    try:
        bench.run()
    except KeyboardInterrupt:
        bench.console.print("[yellow]interrupted; what there is so far:")
    finally:
        bench.close()
        shutil.rmtree(place, ignore_errors=True)
    bench.console.print(bench.table())
    bench.console.print(f"All figures: {os.path.relpath(bench.save())}")
    return 1 if any("error" in item for item in bench.results) else 0


if __name__ == "__main__":
    sys.exit(main())
