"""The command that runs a program within limits, in a process group of its own.

``setsid`` gives it the group, by which a timeout reaches whatever it has started;
``prlimit`` sets limits of the kernel (setrlimit(2)) that it and its children keep.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from math import ceil

#: Seconds of processor time between SIGXCPU, which can be caught, and the end.
_GRACE = 5

#: Where the system has its programs, whatever our environment says.
_PLACES = "/usr/bin:/bin"

#: The settings, each with its option of prlimit(1).
LIMITS = {"memory": "--as", "cpu_time": "--cpu", "processes": "--nproc", "file_size": "--fsize"}


def wrapper(limits: Mapping[str, float]) -> list[str]:
    """What stands before the program and its arguments.

    :param limits: by the name of the setting; 0 for none.
    :raise ValueError: if limits are wanted and ``prlimit`` is not there.
    """
    setsid = shutil.which("setsid", path=_PLACES)
    words = [setsid] if setsid else []
    wanted = {name: ceil(limit) for name, limit in limits.items() if limit}
    if not wanted:
        return words
    prlimit = shutil.which("prlimit", path=_PLACES)
    if prlimit is None:
        raise ValueError(
            f"{next(iter(wanted))}: it needs the program prlimit (util-linux), which is not here"
        )
    options = [
        f"{LIMITS[name]}={limit}:{limit + _GRACE if name == 'cpu_time' else limit}"
        for name, limit in wanted.items()
    ]
    # What is ended for being too large leaves no file of that size behind.
    return [*words, prlimit, "--core=0", *options]
