"""A clock of the day that is set by hand, for one program: libfaketime, which stands before the C library.

What measures how long something takes (``CLOCK_MONOTONIC``) goes on as it does.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from twisted.trial.unittest import SkipTest

from tests.e2e.scenario import wait_for

_DAY = 86400


def stay_within_a_day(seconds: float = 60.0) -> None:
    """Let midnight (UTC) pass first where it is near: what counts by days would begin anew in the midst."""
    wait_for(lambda: _DAY - time.time() % _DAY > seconds, "it is midnight for too long", 2 * seconds)


class Clock:
    """Tells the time to who is started with :attr:`env`.

    :param file: in which the difference to the true time stands.
    :raise SkipTest: if it is not installed.
    """

    def __init__(self, file: Path) -> None:
        found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
        if not found:
            raise SkipTest("libfaketime is not installed; `make test-parts` installs it")
        self._file = file
        self.advance(0)
        self.env: Mapping[str, str] = {
            "LD_PRELOAD": str(found[0]),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def advance(self, seconds: int) -> None:
        """Be so much later than it is; within a second, those who look see it."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"+{seconds}\n")
        draft.replace(self._file)
