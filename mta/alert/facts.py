"""What rules compare besides events: disk, queue, certificate.  Blocks; for a thread."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path


def facts(
    state: Path, now: float, expires: float, waiting: Callable[[], Iterable[tuple[int, float]]]
) -> dict[str, float]:
    """By the name of what a rule is about; what nobody can tell is left out.

    :param state: where the spool is.
    :param expires: when the certificate does.
    :param waiting: of each shard, how many messages wait, and since when the oldest (0: none does).
    """
    found = {"certificate": expires - now}
    try:
        disk = os.statvfs(state)
    except OSError:
        pass
    else:
        found["disk"] = float(disk.f_bavail * disk.f_frsize)
        found["disk_size"] = float(disk.f_blocks * disk.f_frsize)
    count, oldest = 0, 0.0
    for messages, since in waiting():
        count += messages
        oldest = min(oldest or since, since) if since else oldest
    found["queue_size"] = float(count)
    found["queue_age"] = now - oldest if oldest else 0.0
    return found
