"""Runs linters, types and tests, and closes with ``N passed, N failed, N skipped``.

Each linter counts as one test.  Every skipped test is named with its reason.

What runs end to end waits most of its time.  So several processes run side by side: each takes
the next part from a queue, the longest first, and what a part prints is shown whole when it ends.
How long a part takes is remembered from the last time; in a fresh clone the number of its tests
has to do.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryFile

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
#: Seconds that each part took the last time; git does not keep it.
TIMES = ROOT / "_trial_times.json"
#: Processes side by side.  More of them make no test faster on two processors, and more tests late.
RUNNERS = int(os.environ.get("MTA_TEST_RUNNERS", "3"))
#: Seconds for a test that has not been timed here; rather too many, so that what is unknown is not last.
GUESS = 6.0
KINDS = ("successes", "failures", "errors", "skips")
#: What trial shows of a test that failed, with the log that the test added to it.
FAILURE = re.compile(r"(?ms)^=+\n(\[(?:FAIL|ERROR)\]\n.*?)(?=^(?:=+|-{70,})$)")
#: Characters of each failure that are shown again at the end.
SHOWN_AGAIN = 6000


@dataclass(frozen=True)
class Part:
    """Something that runs by itself.

    :ivar name: what it is called, for a person and in ``TIMES``.
    :ivar command: the program and its arguments, without a place to write.
    :ivar trial: whether it is trial, and counts what it does.
    :ivar guess: seconds that it is thought to take.
    """

    name: str
    command: tuple[str, ...]
    trial: bool
    guess: float


@dataclass
class Counts:
    """What has been found so far."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)

    def add(self, part: Part, code: int, output: str) -> None:
        """Count what a part has found; one that ends badly without a failure counts as one."""
        if code:
            self.failures += [f"==> {part.name}\n{one}" for one in failures(output)]
        if not part.trial:
            self.passed, self.failed = self.passed + (code == 0), self.failed + (code != 0)
            return
        closing = output.rpartition("Ran ")[2]
        found = {kind: sum(map(int, re.findall(rf"\b{kind}=(\d+)", closing)[-1:])) for kind in KINDS}
        bad = found["failures"] + found["errors"]
        self.passed += found["successes"]
        self.failed += max(bad, 1) if code != 0 else bad
        self.skipped += found["skips"]


def failures(output: str) -> list[str]:
    """What to show again of a part that failed, so that nobody has to look for it in all that passed."""
    found = FAILURE.findall(output) or [output]
    return [one if len(one) <= SHOWN_AGAIN else f"[...]\n{one[-SHOWN_AGAIN:]}" for one in found]


def run(part: Part, free: SimpleQueue[int]) -> tuple[Part, int, str, float]:
    """Run a part to its end.

    :param free: which of those side by side may run; each has ports and a directory of its own.
    :return: the part, its status, what it printed, and the seconds that it took.
    """
    runner = free.get()
    command = list(part.command)
    if part.trial:
        command.insert(3, f"--temp-directory=_trial_temp_{runner}")
    environ = {**os.environ, "MTA_TEST_RUNNER": f"{runner}/{RUNNERS}"}
    # Servers start hundreds of times; each would compile all of mta again where this is set.
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    begun = time.monotonic()
    try:
        with TemporaryFile("w+", errors="replace") as shown:
            code = subprocess.run(
                command, cwd=ROOT, env=environ, stdout=shown, stderr=subprocess.STDOUT, check=False
            ).returncode
            shown.seek(0)
            return part, code, shown.read(), time.monotonic() - begun
    except OSError as why:
        return part, 127, f"cannot start it: {why}; `make clean` and try again\n", 0.0
    finally:
        free.put(runner)


def read_times() -> dict[str, float]:
    """Seconds that parts took the last time, by name."""
    try:
        return dict(json.loads(TIMES.read_text()))
    except (OSError, ValueError):
        return {}


def linters() -> list[Part]:
    """What reads the sources."""
    commands = {
        "style": ("ruff", "check", "."),
        "format": ("ruff", "format", "--check", "."),
        "types": ("mypy",),
    }
    return [
        Part(name, (str(BIN / program), *rest), False, 90.0) for name, (program, *rest) in commands.items()
    ]


def tests() -> list[Part]:
    """What trial runs: each scenario of ``tests/e2e`` by itself, and the others by their packages."""
    times = read_times()
    trial = str(BIN / "python"), "-m", "twisted.trial"
    found = []
    scenarios = sorted((ROOT / "tests" / "e2e").glob("test_*.py"))
    for path in [*scenarios, *sorted((ROOT / "tests").glob("*"))]:
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        if path.is_dir() and (path / "__init__.py").exists() and path.name != "e2e":
            texts = [file.read_text("utf-8") for file in path.rglob("test_*.py")]
            # These do not wait for anything.
            guess = GUESS / 60 * sum(text.count("def test_") for text in texts)
        elif path.suffix == ".py" and path.name.startswith("test_"):
            guess = GUESS * path.read_text("utf-8").count("def test_")
        else:
            continue
        found.append(Part(name, (*trial, name), True, times.get(name, guess)))
    return sorted(found, key=lambda part: -part.guess)


def run_all(parts: list[Part], counts: Counts) -> None:
    """Run parts side by side, and show each when it ends."""
    free: SimpleQueue[int] = SimpleQueue()
    for runner in range(RUNNERS):
        free.put(runner)
    times = read_times()
    with ThreadPoolExecutor(RUNNERS) as pool:
        for future in as_completed([pool.submit(run, part, free) for part in parts]):
            part, code, output, seconds = future.result()
            print("==>", *part.command, f" ({seconds:.0f} s)")
            print(output, flush=True)
            counts.add(part, code, output)
            times[part.name] = round(seconds, 1)
    TIMES.write_text(json.dumps(times, indent=1, sort_keys=True))


def main() -> int:
    """Everything, or with ``--check`` the linters alone."""
    counts = Counts()
    run_all(linters() if "--check" in sys.argv else [*linters(), *tests()], counts)
    for failure in counts.failures:
        print(failure)
    print(f"{counts.passed} passed, {counts.failed} failed, {counts.skipped} skipped")
    return 1 if counts.failed or not counts.passed else 0


if __name__ == "__main__":
    sys.exit(main())
