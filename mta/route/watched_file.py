"""Files of addresses that are read anew when they change."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mta.interfaces import IReloadable
from mta.route.file_problem import FileError, FileProblem

T = TypeVar("T")
Mark = tuple[int, int, int]
Threads = Callable[..., Awaitable[Any]]
#: Gives the text of a file by its path, and remembers which version it was.
Read = Callable[[str], str]

#: Octets of one file at the most.
MAX_FILE = 64 * 1024 * 1024


@implementer(IReloadable)
class WatchedFile(Generic[T]):
    """What one file, and the files that it includes, say.

    It is read when this is made (so make it before the reactor runs, or in a
    thread), and later in a thread, at most once a second, if one of the files
    has changed.  With errors, what was read last stays in force.

    :param path: absolute; an attribute, too.
    :param parse: makes the value of the file's text, and of further ones that it reads.
    :param clock: ``seconds()`` tells the time.
    :param run_in_thread: ``(callable, *args) -> Awaitable``.
    :param what: what is in it, for the log.
    :raise FileError: if it cannot be read or has errors.
    """

    _log = Logger()

    def __init__(
        self,
        path: str,
        parse: Callable[[str, Read], T],
        clock: Any,
        run_in_thread: Threads,
        what: str,
    ) -> None:
        self.path = path
        self._parse = parse
        self._clock = clock
        self._run = run_in_thread
        self._what = what
        self._checked = clock.seconds()
        self._complaint = ""
        self._marks, self._value = self._load()

    @property
    def value(self) -> T:
        """What was read last; whether it changed is looked up for the next time."""
        if self._clock.seconds() >= self._checked + 1:
            self._checked = self._clock.seconds()
            Deferred.fromCoroutine(self._refresh())
        return self._value

    async def reload(self) -> None:
        """See :class:`~mta.interfaces.IReloadable`.

        :raise FileError: and what was read last stays in force.
        """
        self._marks, self._value = await self._run(self._load)
        self._complaint = ""

    async def _refresh(self) -> None:
        try:
            fresh = await self._run(self._load_if_changed)
        except Exception as error:
            # Once for each complaint, not once a second.
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._log.error("keeping the {what} as they were: {error}", what=self._what, error=str(error))
            return
        if fresh is not None:
            self._marks, self._value = fresh
            self._log.info("read {path} again: the {what}", path=self.path, what=self._what)
        self._complaint = ""

    # --- in a thread ---------------------------------------------------------

    def _load_if_changed(self) -> tuple[dict[str, Mark], T] | None:
        try:
            if all(_mark(os.stat(path)) == mark for path, mark in self._marks.items()):
                return None
        except OSError:
            pass  # reading it anew gives the error with its place
        return self._load()

    def _load(self) -> tuple[dict[str, Mark], T]:
        marks: dict[str, Mark] = {}

        def read(path: str) -> str:
            return _read(path, marks)

        try:
            text = read(self.path)
        except (OSError, ValueError) as error:
            what = f"cannot be read: {getattr(error, 'strerror', None) or error}"
            problem = FileProblem(self.path, 0, what, "mend the path or its permissions")
            raise FileError([problem]) from None
        return marks, self._parse(text, read)


def _mark(found: os.stat_result) -> Mark:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: str, marks: dict[str, Mark]) -> str:
    """The text of a regular file; notes in ``marks`` which version it was.

    :raise OSError: if it cannot be read.
    :raise ValueError: if it is no file, too large, or not UTF-8.
    """
    # O_NONBLOCK: opening a FIFO must not hang the thread.
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise ValueError(f"{path} is no file")
        if found.st_size > MAX_FILE:
            raise ValueError(f"{path} is larger than {MAX_FILE} octets")
        marks[path] = _mark(found)
        return file.read(MAX_FILE).decode("utf-8")
