"""Runs linters, types and tests, and closes with ``N passed, N failed, N skipped``.

Each linter counts as one test.  Every skipped test is named with its reason.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

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
        code, output = run(
            str(BIN / "python"), "-m", "twisted.trial", "--temp-directory=_trial_temp", "tests"
        )
        for name, kind in (("successes", 1), ("failures", 2), ("errors", 2), ("skips", 3)):
            found = re.findall(rf"\b{name}=(\d+)", output.rpartition("Ran ")[2])
            count = int(found[-1]) if found else 0
            passed += count * (kind == 1)
            failed += count * (kind == 2)
            skipped += count * (kind == 3)
        if code != 0 and not failed:
            failed += 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
