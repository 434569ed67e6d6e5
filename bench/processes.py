"""What a server costs, from /proc: processor time and memory of a process and all of its children."""

from __future__ import annotations

import os
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> tuple[int, int]:
    """The parent of a process; and its clock ticks, with those of its children that ended.

    :raise OSError: if it is gone.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[1]), sum(map(int, fields[11:15]))


def tree(root: int) -> list[int]:
    """A process and all of its descendants."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                children.setdefault(_stat(int(name))[0], []).append(int(name))
            except OSError:
                continue
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu(root: int) -> float:
    """Seconds of processor time, user and system, that the tree has used."""
    ticks = 0
    for pid in tree(root):
        try:
            ticks += _stat(pid)[1]
        except OSError:
            continue
    return ticks / _TICK


def memory_of(pid: int) -> int:
    """Octets of memory of one process; what is shared counts in proportion (PSS).

    Of a process that only root may look into, as ours are, others see RSS alone, which is more.

    :raise OSError: if it is gone.
    """
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except PermissionError:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Pss:", "VmRSS:")))


def memory(root: int) -> int:
    """Octets of memory of the tree."""
    total = 0
    for pid in tree(root):
        try:
            total += memory_of(pid)
        except OSError:
            continue
    return total
