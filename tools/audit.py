"""The packages that we use: each pinned with the day it was looked at, none with a known weakness.

``python tools/audit.py`` (``make audit``) asks pip-audit as far as its service answers, and else goes by
the dates: a pin that nobody has looked at for 90 days fails.  ``--write`` makes ``mta/data/versions.txt``
of ``constraints.txt``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path

from packaging.requirements import Requirement

from mta.upkeep import NAME, normal, read_pins

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / "constraints.txt"
SHIPPED = ROOT / "mta" / "data" / "versions.txt"
AUDIT = ROOT / ".venv" / "audit" / "bin" / "pip-audit"
#: Days after which somebody has to look again.
OLD = 90


def closure(*extras: str) -> set[str]:
    """The packages that ours needs, and those that these need, as far as they are installed."""
    from importlib import metadata

    found: set[str] = set()
    waiting = [(NAME, frozenset(extras))]
    seen = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, wanted) in seen:
            continue
        seen.add((name, wanted))
        try:
            lines = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue
        if name != NAME:
            found.add(name)
        for line in lines:
            need = Requirement(line)
            if need.marker is None or any(need.marker.evaluate({"extra": one}) for one in (*wanted, "")):
                waiting.append((normal(need.name), frozenset(need.extras)))
    return found


def shipped() -> str:
    """What ``versions.txt`` has to be."""
    pins = read_pins(CONSTRAINTS.read_text("utf-8"))
    lines = [
        f"{pins[name].name}=={pins[name].version}  # {pins[name].day}"
        for name in sorted(closure())
        if name in pins
    ]
    head = "# What this release was tried with, and when it was looked at; made by tools/audit.py --write.\n"
    return head + "\n".join(lines) + "\n"


def main() -> int:
    """Look, and say what is wrong."""
    if "--write" in sys.argv:
        SHIPPED.write_text(shipped(), "utf-8")
        return 0
    pins = read_pins(CONSTRAINTS.read_text("utf-8"))
    wrong = [f"{name} is not in constraints.txt" for name in sorted(closure("test") - pins.keys())]
    answered, weak = _weaknesses()
    wrong += weak
    asked = f"pip-audit knows {answered} of {len(pins)} packages"
    if answered < len(pins):
        old = [pin for pin in pins.values() if (date.today() - pin.day).days > OLD]
        wrong += [f"{pin.name} {pin.version} was last looked at on {pin.day}" for pin in old]
        asked += f"; of the others, none may have been looked at longer than {OLD} days ago"
    print(asked)
    for line in wrong:
        print(f"  {line}")
    print(f"{len(wrong)} to do")
    return 1 if wrong else 0


def _weaknesses() -> tuple[int, list[str]]:
    """Of how many packages something is known, and what."""
    if not AUDIT.exists():
        return 0, []
    command = [str(AUDIT), "-r", str(CONSTRAINTS), "--no-deps", "--disable-pip", "-f", "json"]
    done = subprocess.run(
        [*command, "--progress-spinner", "off"], capture_output=True, text=True, check=False
    )
    try:
        found = json.loads(done.stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        print(f"pip-audit does not answer: {done.stderr.strip()[-300:]}")
        return 0, []
    known = [one for one in found if "skip_reason" not in one]
    weak = []
    for one in known:
        for weakness in one["vulns"]:
            mended = ", ".join(weakness["fix_versions"]) or "no version"
            weak.append(f"{one['name']} {one['version']}: {weakness['id']}, mended in {mended}")
    return len(known), weak


if __name__ == "__main__":
    sys.exit(main())
