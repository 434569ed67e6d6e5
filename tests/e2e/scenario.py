"""What every scenario stands on: a private place, free ports, waiting, and logs when it fails."""

from __future__ import annotations

import os
import random
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from twisted.python.components import proxyForInterface
from twisted.trial.itrial import IReporter
from twisted.trial.unittest import SkipTest, SynchronousTestCase

T = TypeVar("T")
_GIVEN: set[int] = set()
PROGRAMS = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/bin:/usr/lib/postfix/sbin"


def program(name: str) -> str:
    """Where a program is.

    :raise SkipTest: if it is not installed.
    """
    found = shutil.which(name, path=PROGRAMS)
    if found is None:
        raise SkipTest(f"{name} is not installed; `make test-parts` installs it")
    return found


def need_root(why: str) -> None:
    """:raise SkipTest: if we are an ordinary user."""
    if os.geteuid() != 0:
        raise SkipTest(f"needs root: {why}")


def free_port() -> int:
    """A TCP port of loopback that nobody uses, now and soon.

    It is below those that the kernel gives to clients: one of them could take
    it, or connect to itself, while a server is being started again.  Whoever
    runs beside us takes others.
    """
    runner, _, runners = os.environ.get("MTA_TEST_RUNNER", "0/1").partition("/")
    while True:
        number = random.randrange(10_000 + int(runner), 32_000, int(runners))
        if number in _GIVEN:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", number))
            except OSError:
                continue
        _GIVEN.add(number)
        return number


def wait_for(condition: Callable[[], T], what: str, timeout: float = 60.0) -> T:
    """The first true answer of a condition.

    :param timeout: seconds after which the scenario has failed.
    :raise AssertionError: with ``what`` it was that did not happen.
    """
    end = time.monotonic() + timeout
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > end:
            raise AssertionError(f"after {timeout:.0f} s: {what}; last seen: {answer!r}")
        time.sleep(0.02)


def within_a_day(seconds: float = 120.0) -> None:
    """Begin what counts by the day (UTC) so that no midnight is in it; nearly always that is now."""
    if time.time() % 86400 > 86400 - seconds:
        wait_for(lambda: time.time() % 86400 < 86400 - seconds, "the day does not end", 2 * seconds)


def mails(maildir: Path) -> list[Path]:
    """The messages of a Maildir, read ones too, oldest first."""
    while True:
        found = [path for folder in ("new", "cur") for path in (maildir / folder).glob("*")]
        # Whoever marks or moves one at this moment gives it another name: it is looked for again.
        with suppress(FileNotFoundError):
            return sorted(found, key=lambda path: path.stat().st_mtime_ns)


class Scenario(SynchronousTestCase):
    """One story with real parts.

    Everything started through :meth:`part` is stopped at the end, the last
    first, and what it printed is shown if the scenario fails.

    :ivar place: an empty directory, short enough for UNIX sockets, that daemons
        of other users may enter.
    """

    def setUp(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="mta-e2e-"))
        self.place.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.place, ignore_errors=True)

    def part(self, made: T) -> T:
        """Have a part (with ``stop()``, and ``output`` as text) stopped at the end."""
        self._parts = [*getattr(self, "_parts", []), made]
        self.addCleanup(made.stop)  # type: ignore[attr-defined]
        return made

    def run(self, result: Any) -> None:
        """Run it, and tell what the parts said if it failed."""
        witness = _Witness(result) if IReporter.providedBy(result) else result
        super().run(witness)  # type: ignore[no-untyped-call]
        if getattr(witness, "failed", False):
            for part in getattr(self, "_parts", []):
                name = type(part).__name__
                text = "\n".join(str(getattr(part, "output", "")).splitlines()[-60:])
                sys.stdout.write(f"\n--- {self.id()}: {name}\n{text}\n---\n")
        self._parts = []


class _Witness(proxyForInterface(IReporter)):  # type: ignore[misc]
    """A reporter that remembers whether anything failed."""

    failed = False

    def addError(self, *arguments: Any) -> Any:
        """Remember, and pass on."""
        self.failed = True
        return self.original.addError(*arguments)

    def addFailure(self, *arguments: Any) -> Any:
        """Remember, and pass on."""
        self.failed = True
        return self.original.addFailure(*arguments)
