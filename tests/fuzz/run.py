"""Fuzzes with coverage: ``python -m tests.fuzz.run [--seconds N] [TARGET ...]``; ``make fuzz`` does.

Each target (:mod:`tests.fuzz.targets`) runs in a process of its own, with a bound on time for one
input and on memory; an input that breaks it is written to ``_fuzz/`` and named.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

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
    try:
        import atheris  # noqa: F401
    except ImportError:
        print("atheris is not installed; `tools/set-up.sh fuzz` installs it")
        return 1
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
    """One target, until the time is over or it breaks; does not return."""
    import atheris

    with atheris.instrument_imports(include=["mta"]):
        from tests.fuzz.targets import TARGETS
    target = TARGETS[name]
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
    atheris.Setup([sys.argv[0], *options, str(corpus)], target.run)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main())
