"""What this process gives up at its start, before it hears a word from outside (Linux).

* Nobody but root looks into its memory, where passwords and keys are, and none of it goes into a core
  dump: ``PR_SET_DUMPABLE`` and ``RLIMIT_CORE``.  A program that a pipe starts inherits the limit.
* Neither it nor what it starts gains privileges by a set-user-id bit: ``PR_SET_NO_NEW_PRIVS``.
* What it writes is for its own user, and its group at the most, unless a mode says otherwise.

Where the kernel knows none of this, the server runs without.
"""

from __future__ import annotations

import ctypes
import os
import resource

from twisted.logger import Logger

_log = Logger()

_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
#: Of what is made, others get nothing, and the group does not write.
_UMASK = 0o027


def harden() -> None:
    """Give all of it up; for good."""
    os.umask(os.umask(_UMASK) | _UMASK)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_NO_NEW_PRIVS, 1)):
        if not _prctl(option, value):
            _log.warn(
                "The kernel does not take prctl option {option}; the server runs without", option=option
            )


def _prctl(option: int, value: int) -> bool:
    try:
        call = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):
        return False
    number = ctypes.c_ulong
    return int(call(ctypes.c_int(option), number(value), number(0), number(0), number(0))) == 0
