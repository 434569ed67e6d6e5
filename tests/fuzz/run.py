"""Fuzzes for a time: ``python -m tests.fuzz.run [--seconds N] [TARGET ...]``; ``make fuzz`` does.

Each target (:mod:`tests.fuzz.targets`) runs in a process of its own, with a bound on time for one
input, on memory, and on its growth (:mod:`tests.fuzz.watch`).  Where atheris is installed, coverage
leads it, and an input that breaks it is written to ``_fuzz/``; elsewhere hypothesis makes up edits of
the seeds, and prints the one that breaks it.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.watch import MemoryWatch, resident

PLACE = Path("_fuzz")
#: Seconds for one input, and MiB for all of them.
_HANG, _MEMORY = 10, 1024


def main() -> int:
    """All targets, or those that are named; the number of them that broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("targets", nargs="*")
    arguments = parser.parse_args()
    if arguments.inside:
        return inside(arguments.targets[0], arguments.seconds)
    if find_spec("atheris") is None:
        print("atheris is not installed (`tools/set-up.sh fuzz` tries): hypothesis without coverage instead")
    from tests.fuzz.targets import TARGETS

    broken = []
    for name in arguments.targets or TARGETS:
        print(f"==> {name}: {arguments.seconds} s", flush=True)
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.run",
            "--inside",
            "--seconds",
            str(arguments.seconds),
            name,
        ]
        if subprocess.run(command).returncode != 0:
            broken.append(name)
    print(
        f"{len(broken)} of {len(arguments.targets or TARGETS)} targets broke: {', '.join(broken) or 'none'}"
    )
    return len(broken)


def inside(name: str, seconds: int) -> int:
    """One target, until the time is over or it breaks."""
    if find_spec("atheris") is None:
        return without_coverage(name, seconds)
    import atheris

    with atheris.instrument_imports(include=["mta"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
    run = MemoryWatch(target.run, seconds, time.monotonic, resident)
    corpus = PLACE / name
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={_HANG}",
        f"-rss_limit_mb={_MEMORY}",
        "-max_len=2000",
        "-verbosity=0",
        "-print_final_stats=1",
        f"-artifact_prefix={PLACE / name}-",
    ]
    atheris.Setup([sys.argv[0], *options, str(corpus)], run)
    atheris.Fuzz()
    return 0


def without_coverage(name: str, seconds: int) -> int:
    """The same with edits of the seeds, as hypothesis makes them up.

    Who takes too long for one input, or too much memory, is ended with a traceback.
    """
    from hypothesis import given, settings
    from hypothesis import strategies as st

    from tests.fuzz.targets import TARGETS
    from tests.fuzz.test_targets import EDITS, edited

    target = TARGETS[name]
    run = MemoryWatch(target.run, seconds, time.monotonic, resident)
    bound = (_MEMORY + 1024) << 20
    resource.setrlimit(resource.RLIMIT_AS, (bound, bound))

    @settings(max_examples=2000, derandomize=False)
    @given(st.sampled_from(target.seeds), EDITS)
    def any_edit(seed: bytes, edits: list[tuple[int, int, bytes]]) -> None:
        faulthandler.dump_traceback_later(_HANG, exit=True)
        run(edited(seed, edits))

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        any_edit()
    faulthandler.cancel_dump_traceback_later()
    return 0


if __name__ == "__main__":
    sys.exit(main())
