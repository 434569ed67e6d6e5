"""The aliases files of all domains, read anew when they change."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from zope.interface import implementer

from mta.config.settings import Domain
from mta.interfaces import IReloadable
from mta.route.alias_syntax import AliasEntry, AliasError, AliasParser, AliasProblem

_Mark = tuple[int, int, int]
Threads = Callable[..., Awaitable[Any]]

#: Octets of an aliases or include file at the most.
MAX_FILE = 64 * 1024 * 1024


@implementer(IReloadable)
class AliasFile:
    """One file for one domain.

    It is read when this is made (so make it before the reactor runs, or in a
    thread), and later in a thread, at most once a second, if it or a file that
    it includes has changed.  With errors, what was read last stays in force.

    :param path: absolute; include files are relative to its directory.
    :param domain: completes bare names.
    :param clock: ``seconds()`` tells the time.
    :param run_in_thread: ``(callable, *args) -> Awaitable``.
    :param pipes: names of the transports of kind pipe.
    :raise AliasError: if it cannot be read or has errors.
    """

    _log = Logger()

    def __init__(
        self,
        path: Path,
        domain: str,
        clock: Any,
        run_in_thread: Threads,
        pipes: frozenset[str] = frozenset(),
    ) -> None:
        self._path = path
        self._domain = domain
        self._clock = clock
        self._run = run_in_thread
        self._pipes = pipes
        self._checked = clock.seconds()
        self._complaint = ""
        self._marks, self._entries = self._load()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: str) -> AliasEntry | None:
        """The alias of this key (:func:`~mta.route.alias_syntax.key_of`), if there is one."""
        if self._clock.seconds() >= self._checked + 1:
            self._look()
        return self._entries.get(key)

    async def reload(self) -> None:
        """See :class:`~mta.interfaces.IReloadable`.

        :raise AliasError: and what was read last stays in force.
        """
        self._marks, self._entries = await self._run(self._load)
        self._complaint = ""

    def _look(self) -> None:
        self._checked = self._clock.seconds()
        Deferred.fromCoroutine(self._refresh())

    async def _refresh(self) -> None:
        try:
            fresh = await self._run(self._load_if_changed)
        except Exception as error:
            # Once for each complaint, not once a second.
            if str(error) != self._complaint:
                self._complaint = str(error)
                self._log.error("keeping the aliases as they were: {error}", error=str(error))
            return
        if fresh is not None:
            self._marks, self._entries = fresh
            self._log.info("read {path} again: {count} aliases", path=str(self._path), count=len(self))
        self._complaint = ""

    # --- in a thread ---------------------------------------------------------

    def _load_if_changed(self) -> tuple[dict[str, _Mark], dict[str, AliasEntry]] | None:
        try:
            if all(_mark(os.stat(path)) == mark for path, mark in self._marks.items()):
                return None
        except OSError:
            pass  # reading it anew gives the error with its place
        return self._load()

    def _load(self) -> tuple[dict[str, _Mark], dict[str, AliasEntry]]:
        marks: dict[str, _Mark] = {}

        def include(path: str) -> str:
            return _read(os.path.join(self._path.parent, path), marks)

        try:
            text = _read(str(self._path), marks)
        except (OSError, ValueError) as error:
            what = f"cannot be read: {getattr(error, 'strerror', None) or error}"
            problem = AliasProblem(str(self._path), 0, what, "mend the path or its permissions")
            raise AliasError([problem]) from None
        return marks, AliasParser(str(self._path), self._domain, include, self._pipes).parse(text)


@implementer(IReloadable)
class Aliases:
    """The files of several domains.

    :param files: by domain in lower case.
    """

    def __init__(self, files: Mapping[str, AliasFile] | None = None) -> None:
        self._files = dict(files or {})

    @classmethod
    def read(
        cls,
        domains: Mapping[str, Domain],
        base: Path,
        clock: Any,
        run_in_thread: Threads,
        pipes: frozenset[str] = frozenset(),
    ) -> Aliases:
        """Read all files that the settings name.  Blocks: before the reactor runs, or in a thread.

        :param base: directory of the configuration; paths are relative to it.
        :raise AliasError: with the problems of all files.
        """
        files: dict[str, AliasFile] = {}
        problems: list[AliasProblem] = []
        for name, domain in domains.items():
            if not domain.aliases:
                continue
            try:
                files[name.lower()] = AliasFile(
                    base / domain.aliases, name.lower(), clock, run_in_thread, pipes
                )
            except AliasError as error:
                problems.extend(error.problems)
        if problems:
            raise AliasError(problems)
        return cls(files)

    def of(self, domain: str) -> AliasFile | None:
        """The file of a domain (in lower case), if it has one."""
        return self._files.get(domain)

    async def reload(self) -> None:
        """See :class:`~mta.interfaces.IReloadable`: each file for itself.

        :raise AliasError: with the problems of all; good files are in force.
        """
        problems: list[AliasProblem] = []
        for file in self._files.values():
            try:
                await file.reload()
            except AliasError as error:
                problems.extend(error.problems)
        if problems:
            raise AliasError(problems)


def _mark(found: os.stat_result) -> _Mark:
    return found.st_mtime_ns, found.st_size, found.st_ino


def _read(path: str, marks: dict[str, _Mark]) -> str:
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
