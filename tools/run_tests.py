"""Runs linters, types and tests, and closes with ``N passed, N failed, N skipped``.

Each linter counts as one test.  Every skipped test is named with its reason.
"""

from __future__ import annotations

import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryFile

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent


def run(*command: str) -> tuple[int, str]:
    """Run a command in the root, show what it prints, and return it."""
    print("==>", " ".join(command), flush=True)
    lines = []
    try:
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                sys.stdout.write(line)
                sys.stdout.flush()
                lines.append(line)
    except OSError as why:
        print(f"cannot start it: {why}; `make clean` and try again", flush=True)
        return 127, ""
    return process.returncode, "".join(lines)


def run_beside(first: tuple[str, ...], second: tuple[str, ...]) -> list[tuple[int, str]]:
    """Run two commands at once; what the second one prints is shown when the first has ended."""
    with ThreadPoolExecutor(1) as pool, TemporaryFile("w+", errors="replace") as shown:
        print("==>", *second, "  (beside the next)", flush=True)
        later = pool.submit(
            subprocess.run, second, cwd=ROOT, stdout=shown, stderr=subprocess.STDOUT, check=False
        )
        found = [run(*first)]
        code = later.result().returncode
        shown.seek(0)
        output = shown.read()
    print("==>", *second, flush=True)
    print(output, flush=True)
    return [*found, (code, output)]


def packages() -> list[str]:
    """What there is to test besides what runs end to end."""
    found = [path.parent for path in (ROOT / "tests").glob("*/__init__.py")]
    found += [path.with_suffix("") for path in (ROOT / "tests").glob("test_*.py")]
    return sorted(f"tests.{path.name}" for path in found if path.name != "e2e")


def main() -> int:
    """Everything, or with ``--check`` the linters alone."""
    passed = failed = skipped = 0
    for command in (
        (str(BIN / "ruff"), "check", "."),
        (str(BIN / "ruff"), "format", "--check", "."),
        (str(BIN / "mypy"),),
    ):
        code, _ = run(*command)
        passed, failed = passed + (code == 0), failed + (code != 0)
    if "--check" not in sys.argv:
        trial = str(BIN / "python"), "-m", "twisted.trial"
        # What runs end to end waits most of its time, and leaves a processor to the rest.
        for code, output in run_beside(
            (*trial, "--temp-directory=_trial_temp_e2e", "tests.e2e"),
            (*trial, "--temp-directory=_trial_temp", *packages()),
        ):
            before = failed
            for name, kind in (("successes", 1), ("failures", 2), ("errors", 2), ("skips", 3)):
                found = re.findall(rf"\b{name}=(\d+)", output.rpartition("Ran ")[2])
                count = int(found[-1]) if found else 0
                passed += count * (kind == 1)
                failed += count * (kind == 2)
                skipped += count * (kind == 3)
            if code != 0 and failed == before:
                failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
