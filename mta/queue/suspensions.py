"""Destinations to which a person lets nothing go for a while: one file for all workers.

It is small, is replaced as a whole, and is on disk before anybody is told; so what it
says survives every restart.  A worker sees within a second what another has written.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from twisted.logger import Logger

#: Seconds between two looks at the file.
_EVERY = 1.0


@dataclass(frozen=True, slots=True)
class Suspension:
    """What is suspended, and why.

    :ivar pattern: a next hop, or ``transport:next_hop``; ``*`` stands for anything.
    :ivar by: who said so.
    :ivar since: when, in seconds since 1970.
    :ivar until: when it ends by itself, likewise; 0: never.
    """

    pattern: str
    by: str
    reason: str
    since: float
    until: float = 0.0

    def holds(self, transport: str, next_hop: str, now: float) -> bool:
        """Whether nothing goes there."""
        if self.until and now >= self.until:
            return False
        hop = next_hop.lower()
        return fnmatchcase(hop, self.pattern) or fnmatchcase(f"{transport}:{hop}", self.pattern)


class Suspensions:
    """All of them, as the file has them.

    :param path: the file; ``None``: nothing outlives the process.
    :param seconds: gives the time since 1970.
    """

    log = Logger()

    def __init__(self, path: Path | None, seconds: Callable[[], float]) -> None:
        self._path = path
        self._seconds = seconds
        self._known: tuple[Suspension, ...] = ()
        self._seen: tuple[int, int] | None = None
        self._look_at = 0.0

    def find(self, transport: str, next_hop: str) -> Suspension | None:
        """Why nothing goes there now; ``None`` if it may."""
        now = self._seconds()
        if now >= self._look_at:
            self._look_at = now + _EVERY
            self._look()
        for one in self._known:
            if one.holds(transport, next_hop, now):
                return one
        return None

    def are_known(self) -> bool:
        """Whether there are any, or were some lately: those that have ended stay until the next is said."""
        self._look()
        return bool(self._known)

    def status(self) -> list[dict[str, Any]]:
        """Those that hold now, JSON values."""
        self._look()
        now = self._seconds()
        return [asdict(one) for one in self._known if not one.until or now < one.until]

    def suspend(self, suspension: Suspension) -> None:
        """Add one, in place of an earlier one with this pattern.

        :raise OSError: if it cannot be written; then nothing has changed.
        """
        with self._changing() as kept:
            self._write([*(one for one in kept if one.pattern != suspension.pattern), suspension])

    def resume(self, pattern: str) -> int:
        """End those with this pattern; answers how many there were.

        :raise OSError: if it cannot be written; then nothing has changed.
        """
        with self._changing() as kept:
            left = [one for one in kept if one.pattern != pattern]
            if len(left) < len(kept):
                self._write(left)
            return len(kept) - len(left)

    # --- the file --------------------------------------------------------------

    @contextmanager
    def _changing(self) -> Iterator[list[Suspension]]:
        """What holds now, while no other worker changes it."""
        now = self._seconds()
        if self._path is None:
            yield [one for one in self._known if not one.until or now < one.until]
            return
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        lock = os.open(self._path.with_suffix(".lock"), flags, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # A file that cannot be read is not written over.
            self._known = self._read()
            yield [one for one in self._known if not one.until or now < one.until]
        finally:
            os.close(lock)

    def _write(self, suspensions: list[Suspension]) -> None:
        if self._path is not None:
            draft = self._path.with_suffix(".new")
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with open(file, "w", encoding="utf-8") as stream:
                json.dump([asdict(one) for one in suspensions], stream)
                stream.flush()
                os.fsync(file)
            draft.replace(self._path)
            directory = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)
        self._known = tuple(suspensions)

    def _look(self) -> None:
        """Read the file, if it is another one than before; what was known holds if it cannot be read."""
        if self._path is None:
            return
        try:
            try:
                found = self._path.stat()
                seen = found.st_mtime_ns, found.st_ino
            except FileNotFoundError:
                seen = 0, 0
            if seen != self._seen:
                self._known = self._read()
                self._seen = seen
        except OSError as error:
            self.log.error("Suspensions cannot be read: {error}", error=error)

    def _read(self) -> tuple[Suspension, ...]:
        assert self._path is not None
        try:
            return tuple(Suspension(**one) for one in json.loads(self._path.read_bytes()))
        except FileNotFoundError:
            return ()
        except (ValueError, TypeError) as error:
            raise OSError(f"{self._path} is damaged: {error}") from error
